// Workers on the embedded broker as processes of their own, killed and stopped.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <set>

#include "common/kafka/testing/child_process.h"
#include "common/kafka/testing/kafka_fixture.h"

namespace weir::kafka::testing {
namespace {

class ShareGroupTest : public KafkaTest {
 protected:
  struct Member {
    std::unique_ptr<ChildProcess> process;
    int held = 0;  // partitions, of both topics
  };

  using KafkaTest::Join;

  Member Join() const {
    return {std::make_unique<ChildProcess>(std::vector<std::string>{
        "member", brokers_, unique_ + ".g", std::to_string(session_.count()), tasks_, interactive_})};
  }

  // Follows what the member says until it holds so many partitions.
  static void AwaitHolding(Member& member, int count) {
    while (member.held != count) {
      const std::string line = member.process->NextLine(steady_clock::now() + seconds{30});
      ASSERT_FALSE(line.empty()) << "it holds " << member.held << " partitions, not " << count;
      const auto number = [&](std::string_view what) { return std::stoi(line.substr(what.size())); };
      if (line.starts_with("assigned ")) member.held += number("assigned ");
      if (line.starts_with("revoked ")) member.held -= number("revoked ");
      if (line.starts_with("lost ")) member.held -= number("lost ");
    }
  }

  // A message to each partition of both topics: the members together get each once.
  void ExpectAllServed(const std::vector<Member*>& members) {
    std::vector<OutgoingMessage> messages;
    for (int p = 0; p < kTaskPartitions; ++p) {
      messages.push_back({tasks_, KeyOf(p), "", {}});
      messages.push_back({interactive_, KeyOf(p), "", {}});
    }
    Send(messages);
    std::set<std::string> got;
    for (Member* member : members) {
      for (int i = 0; i < member->held; ++i) {
        const std::string line =
            member->process->LineWhere([](const std::string& l) { return l.starts_with("message "); },
                                       steady_clock::now() + seconds{30});
        EXPECT_TRUE(got.insert(line).second) << "twice: " << line;
      }
    }
    EXPECT_EQ(got.size(), messages.size());
  }
};

INSTANTIATE_TEST_SUITE_P(On, ShareGroupTest, ::testing::Values(Backend::kEmbedded), BackendName);

TEST_P(ShareGroupTest, AKilledMembersPartitionsGoToTheOthers) {
  Member first = Join(), second = Join(), third = Join();
  for (Member* member : {&first, &second, &third}) AwaitHolding(*member, 32);
  ExpectAllServed({&first, &second, &third});
  third.process->Signal(SIGKILL);
  for (Member* member : {&first, &second}) AwaitHolding(*member, 48);
  ExpectAllServed({&first, &second});
  EXPECT_EQ(first.process->Finish(), 0);
  AwaitHolding(second, 96);
  ExpectAllServed({&second});
  EXPECT_EQ(second.process->Finish(), 0);
}

TEST_P(ShareGroupTest, AKilledMembersReplacementGoesOnWhereItStoodAndNobodyElseIsDisturbed) {
  session_ = seconds{20};
  Member first = Join(), second = Join();
  for (Member* member : {&first, &second}) AwaitHolding(*member, 48);
  ExpectAllServed({&first, &second});
  second.process->Signal(SIGKILL);
  Member replacement = Join();
  AwaitHolding(replacement, 48);
  AwaitHolding(first, 48);
  // What was finished with does not come again.
  ExpectAllServed({&first, &replacement});
}

TEST_P(ShareGroupTest, AMemberThatWasStoppedLosesItsPartitionsAndComesBack) {
  Member zombie = Join(), other = Join();
  for (Member* member : {&zombie, &other}) AwaitHolding(*member, 48);
  zombie.process->Signal(SIGSTOP);
  AwaitHolding(other, 96);
  ExpectAllServed({&other});
  zombie.process->Signal(SIGCONT);
  AwaitHolding(zombie, 0);
  for (Member* member : {&zombie, &other}) AwaitHolding(*member, 48);
  ExpectAllServed({&zombie, &other});
}

TEST_P(ShareGroupTest, OneConsumerAloneHasItsMessagesAtOnce) {
  Recorder events;
  Send({{tasks_, KeyOf(7), "here", {}}});
  const auto begin = steady_clock::now();
  const auto consumer = Join(ForGroup("h", {tasks_, interactive_}), &events);
  EXPECT_EQ(Take(*consumer, 1).front().value, "here");
  fmt::print("the first message came after {} ms\n",
             std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin).count());
  EXPECT_EQ(events.events, std::vector<std::string>{"assigned 96"});
}

}  // namespace
}  // namespace weir::kafka::testing
