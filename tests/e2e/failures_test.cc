// What fails: dead pages listed, shown, on the dead-letter topic and replayed; a page that crashes its
// worker; garbage.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>

#include <set>

#include "common/kafka/producer.h"
#include "common/ledger/task_message.h"
#include "tests/e2e/dead_letters.h"
#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;

class Failures : public OnDatabase {
 protected:
  void SetUp() override {
    OnDatabase::SetUp();
    StartServices();  // the broker must stay for who reads its topics
  }

  std::vector<kafka::Message> DeadLetters(std::size_t count) const {
    return ReadDeadLetters(KafkaClient(), count);
  }
  static std::string OnlyJob(const Outcome& outcome) { return outcome.json.at("job").dump(); }
};

TEST_F(Failures, DeadPagesAreListedShownLetteredAndReplayed) {
  env_["WEIR_RETRY_MAX_ATTEMPTS"] = "2";  // a web page is tried again
  Players({"chesscom/hikaru=600"});
  Faults({{{"match", "/hikaru/games/2022/03"}, {"action", "html"}},
          {{"match", "/hikaru/games/2023/07"}, {"action", "html"}}});
  const Outcome outcome = Sync("chesscom", {"hikaru"});
  EXPECT_EQ(outcome.Status(), 3) << outcome.err;
  ExpectShape(outcome, "partial");
  EXPECT_EQ(outcome.Total("dead_pages"), 2);
  const std::string job = OnlyJob(outcome);

  const Outcome list = Weir({"failures", "list", "--job", job, "--output", "json"});
  ASSERT_EQ(list.json.size(), 2u) << list.out;
  const std::string error_class = list.json[0].at("class");
  const Outcome groups = Weir({"failures", "list", "--group", "--output", "json"});
  ASSERT_EQ(groups.json.size(), 1u) << groups.out;
  EXPECT_EQ(groups.json[0]["class"], error_class);
  EXPECT_EQ(groups.json[0]["tasks"], 2);
  EXPECT_NE(groups.json[0]["hint"], "");
  const Outcome table = Weir({"failures", "list"});
  EXPECT_THAT(table.out, HasSubstr(error_class));
  const std::string task = list.json[0].at("task").dump();
  const Outcome shown = Weir({"failures", "show", task, "--output", "json"});
  EXPECT_THAT(shown.json.at("request"), HasSubstr("GET /pub/player/hikaru/games/202"));
  EXPECT_THAT(shown.json.at("response_head"), HasSubstr("200"));
  EXPECT_THAT(shown.json.at("response_head"), HasSubstr("text/html"));
  EXPECT_THAT(shown.json.at("response_body"), HasSubstr("<html"));

  std::set<std::string> lettered;
  for (const kafka::Message& letter : DeadLetters(2)) {
    const auto headers = HeadersOf(letter);
    EXPECT_EQ(headers.at("__dlq.errors.topic"), Topics().tasks);
    EXPECT_GE(std::stoi(headers.at("__dlq.errors.partition")), 0);
    EXPECT_GE(std::stoll(headers.at("__dlq.errors.offset")), 0);
    EXPECT_EQ(headers.at("__dlq.errors.group"), Topics().group);
    EXPECT_GE(std::stoi(headers.at("__dlq.errors.delivery.count")), 1);
    EXPECT_NE(headers.at("__dlq.errors.message"), "");
    EXPECT_EQ(headers.at("weir-kind"), "task");
    EXPECT_EQ(headers.at("weir-job"), job);
    EXPECT_EQ(headers.at("weir-account"), "hikaru");
    EXPECT_EQ(headers.at("weir-error-class"), error_class);
    EXPECT_EQ(headers.at("traceparent"), Text("select traceparent from weir.jobs"));
    const auto message = ledger::DecodeTask(letter.value);  // the original: it can be sent again as it is
    ASSERT_TRUE(message) << message.error().message;
    EXPECT_EQ(std::to_string(message->task.value), headers.at("weir-task"));
    lettered.insert(headers.at("weir-task"));
  }
  EXPECT_EQ(lettered, (std::set<std::string>{task, list.json[1].at("task").dump()}));

  const Outcome counted = Weir({"replay", job, "--class", error_class, "--dry-run", "--output", "json"});
  EXPECT_EQ(counted.json.at("classes").at(error_class), 2) << counted.out << counted.err;
  EXPECT_EQ(Number("select count(*) from weir.tasks where state = 'dead'"), 2);
  // Not mended yet: they die again, and the guard refuses the next round.
  EXPECT_EQ(Weir({"replay", job, "--all"}).Status(), 0);
  EXPECT_EQ(Sync("chesscom", {"hikaru"}).Status(), 3);
  const Outcome refused = Weir({"replay", "--source", "chesscom", "--set", "replay.max=1"});
  EXPECT_EQ(refused.Status(), 5) << refused.out;
  EXPECT_THAT(refused.err, HasSubstr("--force"));
  Faults(Json::array());
  EXPECT_EQ(Weir({"replay", job, "--page", task}).Status(), 0);
  EXPECT_EQ(Weir({"replay", "--source", "chesscom", "--set", "replay.max=1", "--force"}).Status(), 0);
  const Outcome again = Weir({"replay", job, "--all", "--output", "json"});
  EXPECT_EQ(again.json.at("tasks"), 0) << again.out << again.err;
  const std::int64_t asked = Requests("chesscom.month");
  const Outcome whole = Sync("chesscom", {"hikaru"});
  EXPECT_EQ(whole.Status(), 0) << whole.err;
  EXPECT_EQ(OnlyJob(whole), job);
  ExpectShape(whole, "succeeded");
  EXPECT_EQ(Requests("chesscom.month") - asked, 2);  // these pages alone
  EXPECT_EQ(Number("select max(replays) from weir.tasks"), 2);
  ExpectCopy("chesscom", "hikaru");
}

// While a page says nothing its worker is made to crash, as a bug in a parser would: three times, and it is
// given up; the others are read.
TEST_F(Failures, APageThatCrashesItsWorkerThreeTimesIsPoison) {
  Players({"chesscom/hikaru=600"});
  Faults({{{"match", "/hikaru/games/2022/03"}, {"action", "stall"}}});
  const auto sync = StartSync("chesscom", {"hikaru"});
  std::set<std::string> crashed;
  const auto victim = [this] {
    return TryText(
               "select w.id || ' ' || w.pid from weir.tasks t join weir.workers w on w.id = t.owner "
               "where t.state = 'running' and t.key like '2022/03%'")
        .value_or("");
  };
  while (crashed.size() < 3) {
    std::string worker;
    ASSERT_TRUE(process::WaitUntil(
        [&] {
          worker = victim();
          return !worker.empty() && !crashed.contains(worker);
        },
        kPatience))
        << "after " << crashed.size() << " crashes: " << sync->Err();
    const pid_t pid = static_cast<pid_t>(std::stol(worker.substr(worker.find(' ') + 1)));
    ASSERT_EQ(kill(pid, SIGSEGV), 0);
    crashed.insert(worker);
  }
  const Outcome outcome = Finish(*sync);
  EXPECT_EQ(outcome.Status(), 3) << outcome.err;
  ExpectShape(outcome, "partial");
  EXPECT_EQ(outcome.Total("dead_pages"), 1);
  EXPECT_EQ(Number("select count(*) from weir.tasks where state <> 'done'"), 1);
  EXPECT_EQ(Number("select count(*) from chesscom.games"), outcome.Total("inserted"));
  const Outcome list = Weir({"failures", "list", "--output", "json"});
  ASSERT_EQ(list.json.size(), 1u) << list.out;
  EXPECT_EQ(list.json[0]["class"], "poison");
  EXPECT_THAT(list.json[0]["message"], HasSubstr("died 3 times"));
  const auto letters = DeadLetters(1);
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(HeadersOf(letters[0]).at("weir-error-class"), "poison");
  // Mended, it is read.
  Faults(Json::array());
  EXPECT_EQ(Weir({"replay", OnlyJob(outcome), "--class", "poison"}).Status(), 0);
  const Outcome whole = Sync("chesscom", {"hikaru"});
  EXPECT_EQ(whole.Status(), 0) << whole.err;
  ExpectCopy("chesscom", "hikaru");
}

// Pages that are in flight beside it each time are no poison: a page's last try is alone.
TEST_F(Failures, WhatIsReadBesideAPoisonPageIsNone) {
  env_["WEIR_SOURCES_CHESSCOM_LANES"] = "4";
  Control("settings", {{"parallel", {{"chesscom", 4}}}});
  Players({"chesscom/hikaru=600"});
  // Four months on four lanes, of which the third is the poison.
  Faults({{{"regex", "/hikaru/games/2022/0[1-4]"}, {"action", "stall"}}});
  const auto sync = StartSync("chesscom", {"hikaru"}, {"--workers", "1"});
  // Waits until `count` of them run that crashed so often, and no more.
  const auto running = [&](int crashes, int count) {
    std::string found;
    EXPECT_TRUE(process::WaitUntil(
        [&] {
          found =
              TryText(fmt::format(
                          "select min(t.key) || ' ' || min(w.pid) from weir.tasks t join weir.workers w on "
                          "w.id = t.owner where t.state = 'running' and t.crashes = {} and t.key ~ "
                          "'^2022/0[1-4]' having count(*) >= {}",
                          crashes, count))
                  .value_or("");
          return !found.empty();
        },
        kPatience))
        << "after " << crashes << " crashes: " << sync->Err();
    EXPECT_EQ(Number("select count(*) from weir.tasks where state = 'running'"), count);
    return found;
  };
  const auto crash = [](const std::string& found) {
    return found.empty() ? -1
                         : kill(static_cast<pid_t>(std::stol(found.substr(found.rfind(' ') + 1))), SIGSEGV);
  };
  ASSERT_EQ(crash(running(0, 4)), 0);
  ASSERT_EQ(crash(running(1, 4)), 0);
  std::string alone = running(2, 1);
  for (int other = 0; other < 3 && !alone.starts_with("2022/03"); ++other) {
    Control("release", Json::object());
    ASSERT_TRUE(Await("state = 'done' from weir.tasks where key like '" + alone.substr(0, 7) + "%'"));
    alone = running(2, 1);
  }
  Faults(Json::array());
  ASSERT_EQ(crash(alone), 0);
  const Outcome outcome = Finish(*sync);
  EXPECT_EQ(outcome.Status(), 3) << outcome.err;
  EXPECT_EQ(outcome.Total("dead_pages"), 1);
  EXPECT_EQ(Text("select string_agg(left(key, 7) || error_class, ' ') from weir.tasks where state <> 'done'"),
            "2022/03poison");
}

// Garbage and tasks of the future are kept with their reason, shown, and forgotten when asked.
TEST_F(Failures, GarbageIsShownAndPurged) {
  const auto serve = StartServe();  // sends its letters
  const auto worker = StartWorker();
  auto producer = kafka::Producer::Create(KafkaClient());
  ASSERT_TRUE(producer) << producer.error().message;
  const auto sent = (*producer)->Send({{Topics().tasks, "a", "\xff no task", {{"who", "me"}}},
                                       {Topics().tasks, "b", "\x08\x63", {}}},  // schema_version 99
                                      std::chrono::seconds(20));
  ASSERT_TRUE(sent) << sent.error().message;
  ASSERT_TRUE(Await("count(*) = 2 from weir.garbage"));
  const Outcome list = Weir({"garbage", "list", "--output", "json"});
  ASSERT_EQ(list.json.size(), 2u) << list.out;
  std::set<std::string> bodies;
  for (const Json& one : list.json) bodies.insert(one.at("body_start_hex"));
  EXPECT_EQ(bodies, (std::set<std::string>{"ff206e6f207461736b", "0863"}));
  EXPECT_THAT(Weir({"garbage", "list"}).out, HasSubstr("schema version 99"));
  bool original = false;
  for (const kafka::Message& letter : DeadLetters(2)) {
    const auto headers = HeadersOf(letter);
    EXPECT_EQ(headers.at("weir-kind"), "garbage");
    original = original || (letter.value == "\xff no task" && headers.contains("who"));
  }
  EXPECT_TRUE(original);
  EXPECT_EQ(Weir({"garbage", "purge", "--before", "2020-01-01", "--output", "json"}).json.at("purged"), 0);
  EXPECT_EQ(Weir({"garbage", "purge", "--all", "--output", "json"}).json.at("purged"), 2);
  EXPECT_EQ(Weir({"garbage", "list", "--output", "json"}).json.size(), 0u);
  for (const auto& process : {worker.get(), serve.get()}) {
    process->Signal(SIGTERM);
    EXPECT_TRUE(process->Wait(kPatience));
  }
}

// What a lane waits for, and until when, while its upstream asks for patience.
TEST_F(Failures, ALaneThatIsThrottledSaysSo) {
  Players({"lichess/alice=300"});
  Faults({{{"match", "/games/user/alice"},
           {"action", "status"},
           {"status", 429},
           {"retry_after", "30"},
           {"times", 1}}});
  const auto sync = StartSync("lichess", {"alice"});
  ASSERT_TRUE(Await("exists (select from weir.lanes where waiting_for = 'throttled')")) << sync->Err();
  const Outcome lanes = Weir({"lanes", "--account", "alice", "--output", "json"});
  ASSERT_EQ(lanes.json.size(), 1u) << lanes.out << lanes.err;
  EXPECT_EQ(lanes.json[0]["waiting_for"], "throttled");
  EXPECT_THAT(lanes.json[0]["until"], HasSubstr("T"));
  EXPECT_GT(lanes.json[0]["waiting_ms"], 0);
  EXPECT_THAT(Weir({"lanes"}).out, HasSubstr("throttled"));
  EXPECT_EQ(Weir({"lanes", "--account", "nobody"}).Status(), 5);
  sync->Signal(SIGTERM);
  EXPECT_EQ(Finish(*sync).Status(), 143);
}

}  // namespace
}  // namespace weir::e2e
