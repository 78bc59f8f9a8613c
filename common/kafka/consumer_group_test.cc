// Members as processes of their own, killed and stopped, on Apache Kafka. The embedded broker's: see
// partition_share_group_test.cc.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <set>

#include "common/kafka/testing/child_process.h"
#include "common/kafka/testing/kafka_fixture.h"

namespace weir::kafka::testing {
namespace {

class ConsumerGroupTest : public KafkaTest {
 protected:
  std::unique_ptr<ChildProcess> Member() const {
    return std::make_unique<ChildProcess>(std::vector<std::string>{
        "member", brokers_, unique_ + ".g", std::to_string(session_.count()), tasks_, interactive_});
  }

  // The member's next line that begins so; a failure if there is none within 40 s.
  static std::string Await(ChildProcess& member, const std::string& start) {
    std::string line = member.LineWhere([&](const std::string& l) { return l.starts_with(start); },
                                        steady_clock::now() + seconds{40});
    EXPECT_FALSE(line.empty()) << "no line \"" << start << "…\"";
    return line;
  }

  // Sends a message to every partition of both topics and requires that the members together get each once.
  void ExpectAllServed(const std::vector<ChildProcess*>& members) {
    std::vector<OutgoingMessage> messages;
    for (int p = 0; p < kTaskPartitions; ++p) {
      messages.push_back({tasks_, KeyOf(p), "", {}});
      messages.push_back({interactive_, KeyOf(p), "", {}});
    }
    Send(messages);
    std::set<std::string> got;
    for (auto* member : members) {
      for (std::size_t i = 0; i < messages.size() / members.size(); ++i) {
        EXPECT_TRUE(got.insert(Await(*member, "message ")).second) << "a message came twice";
      }
    }
    EXPECT_EQ(got.size(), messages.size());
  }
};

INSTANTIATE_TEST_SUITE_P(On, ConsumerGroupTest, ::testing::Values(Backend::kApache), BackendName);

milliseconds Since(steady_clock::time_point begin) {
  return std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
}

TEST_P(ConsumerGroupTest, AKilledMembersPartitionsComeToTheOthersInTime) {
  const auto start = steady_clock::now();
  auto first = Member(), second = Member(), third = Member();
  for (auto* member : {first.get(), second.get(), third.get()}) Await(*member, "assigned 32 ");
  const auto joined = Since(start);
  third->Signal(SIGKILL);
  const auto killed = steady_clock::now();
  for (auto* member : {first.get(), second.get()}) Await(*member, "assigned 48 ");
  const auto recovered = Since(killed);
  fmt::print("three members joined after {} ms; after kill -9 the others had all partitions in {} ms\n",
             joined.count(), recovered.count());
  RecordProperty("joined_ms", std::to_string(joined.count()));
  RecordProperty("recovered_ms", std::to_string(recovered.count()));
  EXPECT_LT(recovered, milliseconds{9'000});
  ExpectAllServed({first.get(), second.get()});
  EXPECT_EQ(first->Finish(), 0);
  EXPECT_EQ(second->Finish(), 0);
}

TEST_P(ConsumerGroupTest, AMemberThatWasStoppedLosesItsPartitionsAndComesBack) {
  auto zombie = Member(), other = Member();
  for (auto* member : {zombie.get(), other.get()}) Await(*member, "assigned 48 ");
  zombie->Signal(SIGSTOP);
  Await(*other, "assigned 96 ");
  zombie->Signal(SIGCONT);
  Await(*zombie, "lost 48 ");
  for (auto* member : {zombie.get(), other.get()}) Await(*member, "assigned 48 ");
  ExpectAllServed({zombie.get(), other.get()});
  EXPECT_EQ(zombie->Finish(), 0);
  EXPECT_EQ(other->Finish(), 0);
}

TEST_P(ConsumerGroupTest, AMemberThatLeavesGivesItsPartitionsAtOnce) {
  auto leaver = Member(), other = Member();
  for (auto* member : {leaver.get(), other.get()}) Await(*member, "assigned 48 ");
  EXPECT_EQ(leaver->Finish(), 0);
  const auto left = steady_clock::now();
  Await(*other, "assigned 96 ");
  fmt::print("after a leave the other had all partitions in {} ms\n", Since(left).count());
  Await(*leaver, "closed");
}

}  // namespace
}  // namespace weir::kafka::testing
