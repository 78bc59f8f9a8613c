// A cooperative group on Apache Kafka: who joins, leaves or dies stops nobody else.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "common/kafka/testing/child_process.h"
#include "common/kafka/testing/kafka_fixture.h"

namespace weir::kafka::testing {
namespace {

using Partitions = std::set<TopicPartition>;

// What a member has, as its listener is told, and all that was ever taken from it.
class Holder final : public RebalanceListener {
 public:
  Partitions held, revoked, lost;
  std::function<void(const std::vector<TopicPartition>&)> on_revoked;

  void OnAssigned(const std::vector<TopicPartition>& partitions) override {
    for (const auto& p : partitions) EXPECT_TRUE(held.insert(p).second) << p.partition << " was held already";
  }
  void OnRevoked(const std::vector<TopicPartition>& partitions) override {
    if (on_revoked) on_revoked(partitions);
    Take(partitions, &revoked);
  }
  void OnLost(const std::vector<TopicPartition>& partitions) override { Take(partitions, &lost); }

 private:
  void Take(const std::vector<TopicPartition>& partitions, Partitions* into) {
    for (const auto& p : partitions) {
      EXPECT_EQ(held.erase(p), 1U) << p.partition << " was not held";
      into->insert(p);
    }
  }
};

class CooperativeGroupTest : public KafkaTest {
 protected:
  ConsumerOptions Options(Assignment assignment = Assignment::kCooperative) const {
    ConsumerOptions options = ForGroup("g", {tasks_, interactive_});
    options.assignment = assignment;
    return options;
  }
  std::unique_ptr<ChildProcess> Member() const {
    return std::make_unique<ChildProcess>(std::vector<std::string>{
        "cooperative", brokers_, unique_ + ".g", std::to_string(session_.count()), tasks_, interactive_});
  }
  // One message to every partition of both topics.
  void SendOneToAll(const std::string& value) const {
    std::vector<OutgoingMessage> messages;
    for (int p = 0; p < kTaskPartitions; ++p) {
      messages.push_back({tasks_, KeyOf(p), value, {}});
      messages.push_back({interactive_, KeyOf(p), value, {}});
    }
    Send(messages);
  }
  // Polls all until each holds `share`; messages wait in their queues meanwhile.
  static void UntilShared(const std::map<Consumer*, Holder*>& members, std::size_t share) {
    std::vector<Consumer*> all;
    for (const auto& [consumer, holder] : members) all.push_back(consumer);
    PollUntil(all, [&] {
      return std::all_of(members.begin(), members.end(),
                         [share](const auto& member) { return member.second->held.size() == share; });
    });
  }
};

INSTANTIATE_TEST_SUITE_P(On, CooperativeGroupTest, ::testing::Values(Backend::kApache), BackendName);

Partitions Of(const std::vector<TopicPartition>& list) { return {list.begin(), list.end()}; }

TEST_P(CooperativeGroupTest, WhoJoinsGetsWhatMovesAndTheOthersGoOnWithTheRest) {
  SendOneToAll("first");
  Holder first_held, second_held;
  const auto first = Join(Options(), &first_held);
  EXPECT_EQ(Take(*first, 96).size(), 96U);
  EXPECT_EQ(first_held.held.size(), 96U);
  // Only what moves is finished, in the callback.
  first_held.on_revoked = [&](const std::vector<TopicPartition>& partitions) {
    EXPECT_TRUE(second_held.held.empty()) << "the other has partitions before the first let go";
    for (const auto& p : partitions) EXPECT_TRUE(first->StoreOffset(p, 1));
  };
  const auto second = Join(Options(), &second_held);
  UntilShared({{first.get(), &first_held}, {second.get(), &second_held}}, 48);
  first_held.on_revoked = nullptr;
  EXPECT_EQ(first_held.revoked, second_held.held);
  EXPECT_TRUE(first_held.lost.empty());
  EXPECT_EQ(Of(first->Assignment()), first_held.held);
  EXPECT_EQ(Of(second->Assignment()), second_held.held);
  // Each partition goes on behind what was read (it stayed) or stored (it moved): nothing comes twice.
  SendOneToAll("second");
  for (auto* member : {first.get(), second.get()}) {
    for (const auto& message : Take(*member, 48)) EXPECT_EQ(message.value, "second");
  }
}

TEST_P(CooperativeGroupTest, ALanesTwoPartitionsAreWithTheSameMember) {
  Holder held[3];
  std::map<Consumer*, Holder*> members;
  std::vector<std::unique_ptr<Consumer>> consumers;
  for (auto& one : held) {
    consumers.push_back(Join(Options(), &one));
    members[consumers.back().get()] = &one;
  }
  UntilShared(members, 32);
  for (const auto& one : held) {
    std::set<int> bulk, interactive;
    for (const auto& p : one.held) (p.topic == tasks_ ? bulk : interactive).insert(p.partition);
    EXPECT_EQ(bulk, interactive);
  }
}

TEST_P(CooperativeGroupTest, WhoLeavesGivesItsPartitionsAtOnceAndTheOthersKeepTheirs) {
  Holder held[3];
  std::vector<std::unique_ptr<Consumer>> all;
  for (auto& one : held) all.push_back(Join(Options(), &one));
  UntilShared({{all[0].get(), &held[0]}, {all[1].get(), &held[1]}, {all[2].get(), &held[2]}}, 32);
  for (auto& one : held) one.revoked.clear();
  const Partitions gone = held[2].held;
  all[2]->Close(seconds{10});
  EXPECT_EQ(held[2].revoked, gone);
  UntilShared({{all[0].get(), &held[0]}, {all[1].get(), &held[1]}}, 48);
  for (int i : {0, 1}) {
    EXPECT_TRUE(held[i].revoked.empty()) << held[i].revoked.size();
    EXPECT_TRUE(held[i].lost.empty());
  }
}

TEST_P(CooperativeGroupTest, WhoDiesTakesNothingFromTheOthersAndTheyReadMeanwhile) {
  Holder held[2];
  std::vector<std::unique_ptr<Consumer>> all;
  for (auto& one : held) all.push_back(Join(Options(), &one));
  const auto killed = Member();
  UntilShared({{all[0].get(), &held[0]}, {all[1].get(), &held[1]}}, 32);
  ASSERT_FALSE(killed
                   ->LineWhere([](const std::string& line) { return line.starts_with("assigned 32 "); },
                               steady_clock::now() + seconds{30})
                   .empty());
  for (auto& one : held) one.revoked.clear();
  const Partitions stays[] = {held[0].held, held[1].held};
  killed->Signal(SIGKILL);
  // The dead one's session has not ended: what the others hold is read all the same.
  SendOneToAll("meanwhile");
  for (int i : {0, 1}) {
    for (const auto& message : Take(*all[i], 32)) EXPECT_TRUE(stays[i].contains(message.from));
  }
  UntilShared({{all[0].get(), &held[0]}, {all[1].get(), &held[1]}}, 48);
  for (int i : {0, 1}) {
    EXPECT_TRUE(held[i].revoked.empty()) << held[i].revoked.size();
    for (const auto& message : Take(*all[i], 16)) EXPECT_FALSE(stays[i].contains(message.from));
  }
}

TEST_P(CooperativeGroupTest, AMemberThatWasStoppedLosesItsPartitionsAndComesBack) {
  const auto await = [](ChildProcess& member, const std::string& start) {
    EXPECT_FALSE(member
                     .LineWhere([&](const std::string& line) { return line.starts_with(start); },
                                steady_clock::now() + seconds{40})
                     .empty())
        << "no line \"" << start << "…\"";
  };
  const auto other = Member();
  await(*other, "assigned 96 ");
  const auto zombie = Member();
  await(*other, "revoked 48 ");
  await(*zombie, "assigned 48 ");
  zombie->Signal(SIGSTOP);
  await(*other, "assigned 48 ");
  zombie->Signal(SIGCONT);
  await(*zombie, "lost 48 ");
  await(*other, "revoked 48 ");
  await(*zombie, "assigned 48 ");
  EXPECT_EQ(zombie->Finish(), 0);
  await(*other, "assigned 48 ");
  EXPECT_EQ(other->Finish(), 0);
}

TEST_P(CooperativeGroupTest, APartitionThatMovesThereAndBackGoesOnAtWhatWasStored) {
  SendOneToAll("0");
  SendOneToAll("1");
  Holder first_held, second_held;
  const auto first = Join(Options(), &first_held);
  EXPECT_EQ(Take(*first, 192).size(), 192U);
  first_held.on_revoked = [&](const std::vector<TopicPartition>& partitions) {
    for (const auto& p : partitions) EXPECT_TRUE(first->StoreOffset(p, 1));  // "1" is still unfinished
  };
  auto second = Join(Options(), &second_held);
  UntilShared({{first.get(), &first_held}, {second.get(), &second_held}}, 48);
  const Partitions moved = second_held.held;
  second->Close(seconds{10});
  UntilShared({{first.get(), &first_held}}, 96);
  Partitions again;
  for (const auto& message : Take(*first, 48)) {
    EXPECT_EQ(message.value, "1");
    EXPECT_TRUE(again.insert(message.from).second);
  }
  EXPECT_EQ(again, moved);
}

TEST_P(CooperativeGroupTest, WhoIsClosedBeforeItsFirstRebalanceEndsInOrder) {
  Holder held;
  const auto consumer = Join(Options(), &held);
  consumer->Close(seconds{10});
  EXPECT_TRUE(held.held.empty());
}

// Keeps what a consumer says to people.
struct Lines {
  std::mutex mutex;
  std::vector<std::string> said;

  void WriteOf(ConsumerOptions* options) {
    options->client.log = [this](int level, std::string_view text) {
      const std::lock_guard guard(mutex);
      if (level <= 3) said.emplace_back(text);
    };
  }
  std::int64_t Refusals() {
    const std::lock_guard guard(mutex);
    return std::count_if(said.begin(), said.end(), [](const std::string& line) {
      return line.find("Kafka refuses this worker") != std::string::npos &&
             line.find("set kafka.assignment to the same on all workers") != std::string::npos;
    });
  }
};

TEST_P(CooperativeGroupTest, AMixedGroupIsRefusedInWordsAndForGood) {
  for (const auto& [there, comes] : {std::pair{Assignment::kEager, Assignment::kCooperative},
                                     std::pair{Assignment::kCooperative, Assignment::kEager}}) {
    Holder first_held, second_held;
    const auto first = Join(Options(there), &first_held);
    UntilShared({{first.get(), &first_held}}, 96);
    Lines lines;
    ConsumerOptions options = Options(comes);
    lines.WriteOf(&options);
    const auto second = Join(options, &second_held);
    std::optional<Error> refused;
    PollUntil({first.get()}, [&] {
      if (auto polled = second->Poll(milliseconds{20}); !polled) refused = polled.error();
      return refused.has_value();
    });
    EXPECT_EQ(refused->error_class, ErrorClass::kConfig);
    EXPECT_FALSE(refused->hint.empty());
    EXPECT_EQ(lines.Refusals(), 1);
    EXPECT_TRUE(second_held.held.empty());
    EXPECT_EQ(first_held.held.size(), 96U);
    EXPECT_TRUE(first_held.revoked.empty());
    second->Close(seconds{10});
    first->Close(seconds{10});
  }
}

TEST_P(CooperativeGroupTest, WhoIsRefusedGetsInWhenTheOthersLeaveInTime) {
  session_ = seconds{10};
  Holder first_held, second_held;
  const auto first = Join(Options(Assignment::kEager), &first_held);
  UntilShared({{first.get(), &first_held}}, 96);
  Lines lines;
  ConsumerOptions options = Options();
  lines.WriteOf(&options);
  const auto second = Join(options, &second_held);
  PollUntil({first.get(), second.get()}, [&] { return lines.Refusals() > 0; });
  first->Close(seconds{10});
  UntilShared({{second.get(), &second_held}}, 96);
}

}  // namespace
}  // namespace weir::kafka::testing
