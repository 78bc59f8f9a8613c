#include "producer/engine/engine.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>

#include "common/kafka/embedded_broker.h"
#include "common/ledger/leader.h"
#include "common/ledger/task_message.h"
#include "common/ledger/testing/ledger_fixture.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Kafka as a list.
struct FakeKafka {
  std::vector<kafka::OutgoingMessage> received;
  std::function<bool(const kafka::OutgoingMessage&)> accept = [](const auto&) { return true; };
  bool fatal = false;
  bool moved = false;
  int made = 0;

  class Client final : public kafka::Producer {
   public:
    explicit Client(FakeKafka& kafka) : kafka_(kafka) {}
    Result<std::vector<bool>> Send(const std::vector<kafka::OutgoingMessage>& messages,
                                   milliseconds) override {
      if (kafka_.fatal) return Fail(ErrorClass::kBroker, "fatal");
      std::vector<bool> acknowledged;
      for (const auto& message : messages) {
        acknowledged.push_back(kafka_.accept(message));
        if (acknowledged.back()) kafka_.received.push_back(message);
      }
      return acknowledged;
    }
    bool AddressChanged() const override { return kafka_.moved; }

   private:
    FakeKafka& kafka_;
  };

  Publisher::Factory Factory() {
    return [this]() -> Result<std::unique_ptr<kafka::Producer>> {
      ++made;
      moved = false;
      return std::make_unique<Client>(*this);
    };
  }
};

class EngineTest : public ledger::testing::LedgerFixture {
 protected:
  EngineOptions Options() {
    EngineOptions options;
    options.database = options_;
    options.producers = kafka_.Factory();
    options.poll = milliseconds(50);
    options.leader_retry = milliseconds(10);
    options.least_gap = milliseconds(1);
    return options;
  }
  // Waits for the ledger to say so; a failure after half a minute.
  void Await(const std::string& condition) {
    const auto until = std::chrono::steady_clock::now() + seconds(30);
    while (Text("select " + condition) != "t") {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << condition;
      std::this_thread::yield();
    }
  }
  // The lock goes with its backend, which ends some time after its connection was closed or its last word.
  static void AwaitLead(LeaderLock& lock) {
    const auto until = std::chrono::steady_clock::now() + seconds(30);
    while (!lock.Try().value()) {
      ASSERT_LT(std::chrono::steady_clock::now(), until);
      std::this_thread::yield();
    }
  }
  // Of this database: other tests run on the same server.
  void TerminateLeader() {
    Run("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and database = "
        "(select oid from pg_database where datname = current_database())");
  }

  FakeKafka kafka_;
  SystemClock clock_;
};

TEST_F(EngineTest, OnlyOneLeadsAndWhoWaitsCanNameIt) {
  EXPECT_FALSE(ledger::FindLeader(session_).value());
  pg::SessionOptions named = options_;
  named.application_name = "weir engine web-3 pid 41";
  LeaderLock first(named), second(options_);
  EXPECT_TRUE(first.Try().value());
  EXPECT_FALSE(second.Try().value());
  EXPECT_EQ(ledger::FindLeader(session_).value(), "weir engine web-3 pid 41");
  first.Release();
  AwaitLead(second);
}

TEST_F(EngineTest, LeadershipEndsWithItsBackendAndIsNotTakenUpSilently) {
  LeaderLock lock(options_);
  ASSERT_TRUE(lock.Try().value());
  TerminateLeader();
  EXPECT_FALSE(lock.Wait(seconds(10)));
  EXPECT_FALSE(lock.Held());
  LeaderLock other(options_);
  AwaitLead(other);
  EXPECT_FALSE(lock.Try().value());
}

TEST_F(EngineTest, DispatchSendsAndMarksWhatWasAcknowledged) {
  const JobId id = Open(Request({"alice", "bob"}));
  kafka_.accept = [&](const auto& message) { return ledger::DecodeTask(message.value)->account == "alice"; };
  Publisher publisher(kafka_.Factory());
  Dispatcher dispatcher(session_, publisher, clock_, {});
  auto pass = dispatcher.RunOnce();
  ASSERT_TRUE(pass) << pass.error().message;
  EXPECT_EQ(pass->sent, 1);
  ASSERT_EQ(kafka_.received.size(), 1u);
  EXPECT_EQ(kafka_.received[0].topic, kafka::kTaskTopic);
  EXPECT_EQ(kafka_.received[0].key, "m#0");
  EXPECT_EQ(Text("select string_agg(state, ' ' order by account) from weir.tasks where job_id = " + Id(id)),
            "dispatched planned");
}

TEST_F(EngineTest, InteractiveTasksHaveTheirTopic) {
  auto request = Request({"alice"});
  request.priority = "interactive";
  Open(request);
  Publisher publisher(kafka_.Factory());
  ASSERT_TRUE(Dispatcher(session_, publisher, clock_, {}).RunOnce());
  ASSERT_EQ(kafka_.received.size(), 1u);
  EXPECT_EQ(kafka_.received[0].topic, kafka::kInteractiveTopic);
}

TEST_F(EngineTest, ABrokerThatMovedHasLostWhatItWasSent) {
  Open(Request({"alice"}));
  Publisher publisher(kafka_.Factory());
  Dispatcher dispatcher(session_, publisher, clock_, {});
  EXPECT_EQ(dispatcher.RunOnce()->sent, 1);
  EXPECT_EQ(dispatcher.RunOnce()->sent, 0);
  kafka_.moved = true;
  EXPECT_EQ(dispatcher.RunOnce()->sent, 1);
  EXPECT_EQ(kafka_.made, 2);
}

TEST_F(EngineTest, AFatalProducerIsReplaced) {
  Open(Request({"alice"}));
  Publisher publisher(kafka_.Factory());
  Dispatcher dispatcher(session_, publisher, clock_, {});
  kafka_.fatal = true;
  auto pass = dispatcher.RunOnce();
  ASSERT_FALSE(pass);
  EXPECT_EQ(pass.error().error_class, ErrorClass::kBroker);
  EXPECT_EQ(Text("select state from weir.tasks"), "planned");
  kafka_.fatal = false;
  EXPECT_EQ(dispatcher.RunOnce()->sent, 1);
  EXPECT_EQ(kafka_.made, 2);
}

TEST_F(EngineTest, ADeadTaskIsOnTheDeadLetterTopicBeforeItsJobEnds) {
  const JobId id = Open(Request({"alice"}));
  Run("update weir.tasks set state = 'dead', letter_due = true, letter_message = 'as it came', letter_from = "
      "'weir.tasks/7/41', error_class = 'gone', error_message = E'no such\nplayer', http_status = 404, "
      "attempts = 2, "
      "dispatches = 3");
  Engine engine(Options(), clock_);
  kafka_.accept = [](const auto&) { return false; };  // the broker is ill: the job ends all the same
  engine.RunOnce();
  EXPECT_EQ(Text("select state from weir.jobs"), "failed");
  EXPECT_EQ(kafka_.received.size(), 0u);
  ASSERT_TRUE(engine.LettersTrouble());
  EXPECT_FALSE(engine.Trouble()) << "letters hold up nobody";
  kafka_.accept = [](const auto&) { return true; };
  for (int i = 0; i < 3; ++i) engine.RunOnce();
  ASSERT_EQ(kafka_.received.size(), 1u);  // once
  const kafka::OutgoingMessage& letter = kafka_.received.front();
  EXPECT_EQ(letter.topic, kafka::kDeadLetterTopic);
  EXPECT_EQ(letter.key, "m#0");
  EXPECT_EQ(letter.value, "as it came");
  std::map<std::string, std::string> headers;
  for (const auto& header : letter.headers) headers[header.name] = header.value;
  headers.erase("traceparent");
  const std::map<std::string, std::string> expected{{"__dlq.errors.topic", "weir.tasks"},
                                                    {"__dlq.errors.partition", "7"},
                                                    {"__dlq.errors.offset", "41"},
                                                    {"__dlq.errors.group", "weir-workers"},
                                                    {"__dlq.errors.delivery.count", "3"},
                                                    {"__dlq.errors.message", headers["__dlq.errors.message"]},
                                                    {"weir-kind", "task"},
                                                    {"weir-job", Id(id)},
                                                    {"weir-task", Text("select id from weir.tasks")},
                                                    {"weir-source", "chess"},
                                                    {"weir-stream", "games"},
                                                    {"weir-account", "alice"},
                                                    {"weir-page", "discover"},
                                                    {"weir-attempts", "2"},
                                                    {"weir-error-class", "gone"},
                                                    {"weir-http-status", "404"}};
  EXPECT_EQ(headers, expected);
  EXPECT_NE(headers["__dlq.errors.message"].find("no such"), std::string::npos);
}

TEST_F(EngineTest, AParkedTaskGoesOutWhenItIsDue) {
  Open(Request({"alice"}));
  Run("update weir.tasks set state = 'parked', not_before = now() + interval '1 h'");
  Engine engine(Options(), clock_);
  engine.RunOnce();
  EXPECT_EQ(engine.Sent(), 0);
  Run("update weir.tasks set not_before = clock_timestamp() + interval '1 s'");
  const std::string due = Text("select not_before from weir.tasks");
  engine.Start();
  Await("bool_and(state = 'dispatched') from weir.tasks");
  engine.Stop();
  EXPECT_EQ(Text("select dispatched_at >= '" + due + "' from weir.tasks"), "t");
  EXPECT_EQ(kafka_.received.size(), 1u);
}

TEST_F(EngineTest, APausedJobIsHeldAndGoesOnWhenResumed) {
  const JobId id = Open(Request({"alice"}));
  Engine engine(Options(), clock_);
  engine.RunOnce();
  ASSERT_EQ(engine.Sent(), 1);
  ASSERT_TRUE(ledger::PauseJob(session_, id));
  // Claimed in the moment of the pause.
  Run("update weir.tasks set state = 'running', owner = 'w', epoch = 5");
  engine.RunOnce();
  EXPECT_EQ(Text("select state || epoch from weir.tasks"), "planned6");
  EXPECT_EQ(engine.Sent(), 1);
  ASSERT_TRUE(ledger::ResumeJob(session_, id));
  engine.RunOnce();
  EXPECT_EQ(engine.Sent(), 2);
}

TEST_F(EngineTest, TheCoordinatorLooksForLostTasksNowAndThen) {
  ManualClock clock;
  Open(Request({"alice"}));
  Run("update weir.tasks set state = 'running', epoch = 1, owner = 'w', advanced_at = now() - interval '1 "
      "h'");
  Coordinator coordinator(session_, clock, seconds(20));
  ASSERT_TRUE(coordinator.RunOnce());
  EXPECT_EQ(Text("select state from weir.tasks"), "planned");
  Run("update weir.tasks set state = 'running', epoch = 1, owner = 'w', advanced_at = now() - interval '1 "
      "h'");
  clock.Advance(milliseconds(1'900));
  ASSERT_TRUE(coordinator.RunOnce());
  EXPECT_EQ(Text("select state from weir.tasks"), "running");
  clock.Advance(milliseconds(200));
  ASSERT_TRUE(coordinator.RunOnce());
  EXPECT_EQ(Text("select state from weir.tasks"), "planned");
}

TEST_F(EngineTest, AJobGoesFromItsOpeningToItsEnd) {
  Engine engine(Options(), clock_);
  engine.Start();
  const JobId id = Open(Request({"alice"}));
  Await("bool_and(state = 'dispatched') from weir.tasks");
  EXPECT_TRUE(engine.Leading());
  Run("update weir.tasks set state = 'done'");
  Run("notify weir_dispatch");
  Await("state = 'succeeded' from weir.jobs where id = " + Id(id));
  EXPECT_FALSE(engine.Trouble());
  engine.Stop();
  EXPECT_EQ(engine.Sent(), 1);
}

TEST_F(EngineTest, AnotherTakesOverWhenTheLeaderIsGone) {
  Engine first(Options(), clock_), second(Options(), clock_);
  first.RunOnce();
  ASSERT_TRUE(first.Leading());
  second.RunOnce();
  EXPECT_FALSE(second.Leading());
  TerminateLeader();
  for (int i = 0; i < 500 && !second.Leading(); ++i) second.RunOnce();
  EXPECT_TRUE(second.Leading());
  for (int i = 0; i < 3; ++i) first.RunOnce();
  EXPECT_FALSE(first.Leading());
}

TEST_F(EngineTest, ANewLeaderDistrustsABrokerThatForgets) {
  Open(Request({"alice"}));
  Run("update weir.tasks set state = 'dispatched', dispatched_at = now()");
  EngineOptions options = Options();
  Engine(options, clock_).RunOnce();
  EXPECT_EQ(kafka_.received.size(), 0u);
  options.broker_forgets = true;
  Engine engine(options, clock_);
  for (int i = 0; i < 500 && !engine.Leading(); ++i) engine.RunOnce();
  EXPECT_EQ(kafka_.received.size(), 1u);
  engine.RunOnce();
  EXPECT_EQ(kafka_.received.size(), 1u);
}

TEST_F(EngineTest, ASickBrokerIsWaitedForWhileJobsGoOnEnding) {
  kafka_.fatal = true;
  Engine engine(Options(), clock_);
  const JobId first = Open(Request({"alice"})), second = Open(Request({"bob"}));
  engine.RunOnce();
  ASSERT_TRUE(engine.Trouble());
  EXPECT_EQ(engine.Trouble()->error_class, ErrorClass::kBroker);
  Run("update weir.tasks set state = 'done' where job_id = " + Id(first));
  engine.RunOnce();
  EXPECT_EQ(Text("select state from weir.jobs where id = " + Id(first)), "succeeded");
  kafka_.fatal = false;
  engine.RunOnce();
  EXPECT_FALSE(engine.Trouble());
  EXPECT_EQ(Text("select state from weir.tasks where job_id = " + Id(second)), "dispatched");
}

// C1: one row that a user's transaction holds stopped dispatch for everybody.
TEST_F(EngineTest, ASweepThatCannotGoOnHoldsUpNobodyElse) {
  const JobId full = Open(Request({"alice"}));
  Run("update weir.tasks set state = 'done'");
  Run("update weir.job_accounts set state = 'succeeded', sweep = 'due' where job_id = " + Id(full));
  pg::Session user(options_);
  ASSERT_TRUE(user.Script("begin; update weir.job_accounts set sweep_reason = null where account = 'alice'"));
  Engine engine(Options(), clock_);
  engine.Start();
  const JobId next = Open(Request({"bob"}));
  Await("bool_and(state = 'dispatched') from weir.tasks where account = 'bob'");
  Run("update weir.tasks set state = 'done' where account = 'bob'");
  Await("state = 'succeeded' from weir.jobs where id = " + Id(next));
  EXPECT_FALSE(engine.Trouble());
  ASSERT_TRUE(user.Script("rollback"));
  Await("state = 'succeeded' from weir.jobs where id = " + Id(full));
  engine.Stop();
}

// C2: a job that cannot be ended stopped dispatch, and the end of every other job.
TEST_F(EngineTest, AJobThatCannotBeEndedHoldsUpNoOther) {
  const JobId ill = Open(Request({"alice"})), well = Open(Request({"bob"}));
  Run("create function refuse() returns trigger language plpgsql as $$begin raise exception 'no'; end$$");
  Run("create trigger refuse before update on weir.job_accounts for each row when (old.account = 'alice') "
      "execute function refuse()");
  Run("update weir.tasks set state = 'done'");
  const JobId next = Open(Request({"carol"}));
  Engine engine(Options(), clock_);
  engine.RunOnce();
  EXPECT_EQ(Text("select state from weir.jobs where id = " + Id(well)), "succeeded");
  EXPECT_NE(Text("select state from weir.jobs where id = " + Id(ill)), "succeeded");
  EXPECT_EQ(Text("select state from weir.tasks where job_id = " + Id(next)), "dispatched");
}

TEST_F(EngineTest, WhatWasSentBeforeTheDatabaseStartedIsSentAgain) {
  Open(Request({"alice"}));
  Run("update weir.tasks set state = 'dispatched', dispatched_at = pg_postmaster_start_time() - interval '1 "
      "s'");
  Engine engine(Options(), clock_);
  engine.RunOnce();
  EXPECT_EQ(kafka_.received.size(), 1u);
  EXPECT_EQ(Text("select dispatched_at > pg_postmaster_start_time() from weir.tasks"), "t");
}

// A task of a moved account ran on its old lane, and added its successor there.
TEST_F(EngineTest, ATaskOnAnotherLaneThanItsAccountsIsMovedAndSent) {
  Open(Request({"alice"}));
  Run("update weir.job_accounts set meter = 'new', lanes = 1, moves = 1");
  Run("insert into weir.lanes (meter, lane) values ('new', 0)");
  Engine engine(Options(), clock_);
  engine.RunOnce();
  EXPECT_EQ(Text("select meter || '#' || lane || ' ' || state from weir.tasks"), "new#0 dispatched");
}

// C11: a letter that Kafka refuses slowed every pass.
TEST_F(EngineTest, ALetterThatIsRefusedSlowsNoDispatch) {
  Open(Request({"alice"}));
  Run("update weir.tasks set state = 'dead', letter_due = true");
  kafka_.accept = [](const auto& message) { return message.topic != kafka::kDeadLetterTopic; };
  Engine engine(Options(), clock_);
  for (int i = 0; i < 3; ++i) {
    const JobId job = Open(Request({"bob" + std::to_string(i)}));
    engine.RunOnce();
    EXPECT_EQ(Text("select state from weir.tasks where job_id = " + Id(job)), "dispatched");
    EXPECT_FALSE(engine.Trouble());
    Run("update weir.tasks set state = 'done' where state = 'dispatched'");
  }
  EXPECT_TRUE(engine.LettersTrouble());
}

// C7: a leader without Kafka kept the lead while another process had all it needs.
TEST_F(EngineTest, ALeaderWithoutKafkaLetsAnotherLead) {
  ManualClock clock;
  FakeKafka ill;
  ill.fatal = true;
  EngineOptions options = Options();
  options.producers = ill.Factory();
  options.stand_aside = seconds(10);
  Engine first(options, clock);
  Open(Request({"alice"}));
  first.RunOnce();
  ASSERT_TRUE(first.Leading());
  clock.Advance(seconds(16));
  first.RunOnce();
  EXPECT_FALSE(first.Leading());
  Engine second(Options(), clock);
  for (int i = 0; i < 500 && !second.Leading(); ++i) second.RunOnce();
  EXPECT_TRUE(second.Leading());
  EXPECT_EQ(Text("select state from weir.tasks"), "dispatched");
  first.RunOnce();
  EXPECT_FALSE(first.Leading());
  EXPECT_TRUE(first.Trouble()) << "its own trouble is still to be seen";
}

TEST_F(EngineTest, ALeaderWithoutKafkaLeadsAgainWhereNobodyElseDoes) {
  ManualClock clock;
  kafka_.fatal = true;
  Engine engine(Options(), clock);
  Open(Request({"alice"}));
  engine.RunOnce();
  clock.Advance(seconds(16));
  engine.RunOnce();
  ASSERT_FALSE(engine.Leading());
  kafka_.fatal = false;
  engine.RunOnce();
  EXPECT_FALSE(engine.Leading());
  clock.Advance(seconds(11));
  for (int i = 0; i < 500 && !engine.Leading(); ++i) engine.RunOnce();
  EXPECT_TRUE(engine.Leading());
  EXPECT_EQ(kafka_.received.size(), 1u);
}

TEST_F(EngineTest, OnARealBrokerAMessageArrives) {
  const auto dir = std::filesystem::temp_directory_path() / ("weir-engine-" + std::to_string(getpid()));
  std::filesystem::create_directories(dir);
  const std::string address = (dir / "broker").string();
  auto broker = kafka::EmbeddedBroker::Start(address);
  ASSERT_TRUE(broker) << broker.error().message;
  kafka::ClientOptions client;
  client.brokers = "file:" + address;
  EngineOptions options = Options();
  options.producers = KafkaPublisher(client, -1);
  Engine engine(options, clock_);
  Open(Request({"alice", "bob"}));
  for (int i = 0; i < 100 && engine.Sent() < 2; ++i) engine.RunOnce();
  EXPECT_EQ(engine.Sent(), 2) << (engine.Trouble() ? engine.Trouble()->message : "");

  // A new broker at another address knows nothing of them.
  broker->reset();
  broker = kafka::EmbeddedBroker::Start(address);
  ASSERT_TRUE(broker) << broker.error().message;
  for (int i = 0; i < 100 && engine.Sent() < 4; ++i) engine.RunOnce();
  EXPECT_EQ(engine.Sent(), 4) << (engine.Trouble() ? engine.Trouble()->message : "");
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace weir
