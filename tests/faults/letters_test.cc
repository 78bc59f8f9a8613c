// Dead letters: the leader sends those of pages and of garbage; a worker notes the garbage. Whoever sends
// them is killed at each step; each comes at least once, whole and with its key, and for nothing else one
// comes.
#include <fmt/core.h>

#include <map>
#include <set>

#include "common/kafka/producer.h"
#include "tests/e2e/dead_letters.h"
#include "tests/faults/fault_fixture.h"

namespace weir::faults {
namespace {

// Requests on Kafka that name the topic are its metadata's, too.
constexpr char kMetadata[] = "api 3 ";

struct Step {
  const char* name;
  bool database;
  StopPoint at;
};

class ApacheKafkaLetters : public FaultTest {
 protected:
  proxy::FaultProxy& Proxy(const Step& step) {
    return step.database ? *victim_net_ : kafka_->Proxy("VICTIM");
  }
  void Feed() {
    const int n = ++fed_;
    Make({"chesscom", fmt::format("hikaru{}", n), 600});
    Enqueue("chesscom", {fmt::format("hikaru{}", n)});
  }
  std::vector<kafka::Message> Letters() const {
    const auto held = kafka::testing::Held(kafka_->Brokers(), {{kafka::kDeadLetterTopic, 1}});
    EXPECT_TRUE(held && *held > 0);
    kafka::ClientOptions kafka;
    kafka.brokers = kafka_->Brokers();
    return e2e::ReadDeadLetters(kafka, held ? static_cast<std::size_t>(*held) : 1);
  }
  int fed_ = 0;
};

TEST_F(ApacheKafkaLetters, LeaderKilledWhileItSendsThem) {
  Faults(Json::array({{{"regex", "/games/20"}, {"action", "status"}, {"status", 400}, {"every", 9}}}));
  StartWorkers(2);
  for (const Step& step : {
           Step{"before a dead letter is sent", false, {.what = "dlq.weir.tasks", .without = kMetadata}},
           Step{"sent, and not yet answered",
                false,
                {.what = "dlq.weir.tasks", .without = kMetadata, .reply = true}},
           Step{"answered, and not yet marked", true, {.what = "letters_sent"}},
           Step{"marked, and unheard", true, {.what = "letters_sent", .reply = true}},
       }) {
    SCOPED_TRACE(step.name);
    Feed();
    Proxy(step).StopAt(step.at);
    const auto serve = StartVictimServe();
    ASSERT_TRUE(Proxy(step).WaitForStop(kPatience)) << "never reached: " << serve->Err();
    KillServe(*serve);
  }
  Feed();
  StartProducer();
  ASSERT_TRUE(AwaitEnded());
  ASSERT_TRUE(Await("count(*) = 0 from weir.tasks where letter_due"));
  const std::int64_t dead = Number("select count(*) from weir.tasks where state = 'dead'");
  EXPECT_GT(dead, 0);
  std::map<std::string, std::string> by_task;
  const auto letters = Letters();
  for (const auto& letter : letters) {
    const std::string task = e2e::HeadersOf(letter).at("weir-task");
    const std::string body = letter.key + "|" + letter.value;
    EXPECT_EQ(by_task.emplace(task, body).first->second, body) << task;
    EXPECT_EQ(Text("select state || ' ' || meter || '#' || lane from weir.tasks where id = " + task),
              "dead " + letter.key);
  }
  EXPECT_EQ(static_cast<std::int64_t>(by_task.size()), dead);
  EXPECT_GT(letters.size(), by_task.size()) << "two leaders died before they could note what they had sent";
  fmt::print("{} dead pages, {} letters\n", dead, letters.size());
  Faults(Json::array());
  for (int job = 1; job <= fed_; ++job) EXPECT_EQ(Weir({"replay", std::to_string(job), "--all"}).Status(), 0);
  ASSERT_TRUE(AwaitEnded());
  ExpectWhole();
}

TEST_F(ApacheKafkaLetters, WorkerKilledWhileItKeepsGarbageAndLeaderWhileItSendsItsLetters) {
  // Whoever leads makes the topics before its first task, and there is none yet.
  auto admin =
      kafka::Admin::Create({.brokers = kafka_->Brokers(), .properties = {}, .client_id = "t", .log = {}});
  ASSERT_TRUE(admin && (*admin)->EnsureTopics(1, std::chrono::seconds(30)));
  auto producer =
      kafka::Producer::Create({.brokers = kafka_->Brokers(), .properties = {}, .client_id = "t", .log = {}});
  ASSERT_TRUE(producer);
  int garbage = 0;
  for (const Step& step : {
           Step{"before it is in the ledger", true, {.what = "insert into weir.garbage"}},
           Step{
               "in the ledger, before its offset", true, {.what = "insert into weir.garbage", .reply = true}},
       }) {
    SCOPED_TRACE(step.name);
    const std::string text = fmt::format("no task {}", ++garbage);
    const auto sent = (*producer)->Send({{kafka::kTaskTopic, text, text, {}}}, std::chrono::seconds(20));
    ASSERT_TRUE(sent && sent->front());
    Proxy(step).StopAt(step.at);
    Member& victim = StartWorker(true);
    ASSERT_TRUE(Proxy(step).WaitForStop(kPatience)) << "never reached: " << victim.process->Err();
    Kill(victim);
    Forget(victim);
  }
  // Its letter is the leader's to send.
  for (const Step& step : {
           Step{"before its letter is sent", false, {.what = "dlq.weir.tasks", .without = kMetadata}},
           Step{"its letter sent, and not yet marked", true, {.what = "garbage_letters_sent"}},
       }) {
    SCOPED_TRACE(step.name);
    Proxy(step).StopAt(step.at);
    const auto serve = StartVictimServe();
    ASSERT_TRUE(Proxy(step).WaitForStop(kPatience)) << "never reached: " << serve->Err();
    KillServe(*serve);
  }
  StartProducer();
  StartWorkers(2);
  Feed();
  ASSERT_TRUE(AwaitEnded());
  ExpectWhole();
  ASSERT_TRUE(Await("count(*) = 0 from weir.garbage where letter_due"));
  EXPECT_EQ(Number("select count(*) from weir.garbage"), garbage);
  EXPECT_EQ(Number("select count(distinct body_start) from weir.garbage"), garbage);
  std::set<std::string> texts;
  for (const auto& letter : Letters()) {
    EXPECT_EQ(letter.key, letter.value);
    EXPECT_EQ(e2e::HeadersOf(letter).at("weir-kind"), "garbage");
    texts.insert(letter.value);
  }
  EXPECT_EQ(static_cast<int>(texts.size()), garbage);
}

}  // namespace
}  // namespace weir::faults
