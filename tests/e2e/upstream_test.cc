// An upstream that refuses, fails and breaks off. What heals is tried again and leaves no trace in the
// numbers; what does not is dead with a reason, and the exit code says so.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

class Upstream : public OnDatabase {
 protected:
  void SetUp() override {
    OnDatabase::SetUp();
    env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "100";
  }
  // `weir failures list --output json`.
  Json Failures() const {
    const Outcome outcome = Weir({"failures", "list", "--output", "json"});
    EXPECT_EQ(outcome.Status(), 0) << outcome.err;
    return outcome.json;
  }
};

TEST_F(Upstream, ThrottledInEveryWay) {
  Players({"lichess/seconds=150", "lichess/date=150", "lichess/negative=150", "lichess/text=150",
           "lichess/none=150"});
  // Six of the ten refusals tell no time: what the lane makes of them is bounded, or its pace would fill the
  // test.
  env_["WEIR_LANES_INITIAL_DELAY"] = "20ms";
  env_["WEIR_LANES_MAX_DELAY"] = "100ms";
  const auto throttle = [](const char* player, Json rule) {
    rule.update({{"match", fmt::format("/games/user/{}", player)},
                 {"action", "status"},
                 {"status", 429},
                 {"times", 2}});
    return rule;
  };
  Faults({throttle("seconds", {{"retry_after", "1"}}), throttle("date", {{"retry_after", "date:+2"}}),
          throttle("negative", {{"retry_after", "-30"}}), throttle("text", {{"retry_after", "soon"}}),
          throttle("none", Json::object())});
  const Outcome outcome = Sync("lichess", {"seconds", "date", "negative", "text", "none"});
  ExpectFirstSync(outcome, 750);
  for (const char* player : {"seconds", "date", "negative", "text", "none"}) ExpectCopy("lichess", player);
  EXPECT_EQ(Number("select sum(attempts) from weir.tasks"), 0);  // throttling costs no attempt
  EXPECT_EQ(Control("stats")["requests"]["lichess.games"]["status"]["429"], 10);
  // Two waits of a second and two until a date: nobody came earlier than asked.
  EXPECT_GE(Number("select extract(epoch from max(finished_at) - min(finished_at))::int from weir.tasks"), 4);
}

// A Retry-After of centuries is believed for an hour; the wait is seen, and the sync can be left meanwhile.
TEST_F(Upstream, AnAbsurdRetryAfterIsClampedToAnHour) {
  Players({"chesscom/hikaru=100"});
  Faults({{{"match", "/games/20"},
           {"action", "status"},
           {"status", 429},
           {"retry_after", "99999999999999999999"}}});
  const auto sync = StartSync("chesscom", {"hikaru"});
  ASSERT_TRUE(
      Await("count(*) = 1 from weir.lanes where waiting_for = 'throttled' and "
            "not_before between now() + interval '59 min' and now() + interval '61 min'"));
  EXPECT_TRUE(sync->WaitForErr("waiting for limit", kPatience)) << sync->Err();
  sync->Signal(SIGTERM);
  EXPECT_EQ(Finish(*sync).Status(), 143);
  EXPECT_EQ(Requests("chesscom.month"), 1);
}

TEST_F(Upstream, WhatBreaksOffIsReadAgain) {
  Players({"lichess/a1=300", "lichess/a2=300", "lichess/a3=300", "lichess/a4=300", "lichess/a5=300"});
  Players({"chesscom/b1=120", "chesscom/b2=120", "chesscom/b3=120"});
  env_["IMPORT_BATCH_SIZE"] = "10";
  const auto rule = [](const char* match, const char* action, Json more) {
    more.update({{"match", match}, {"action", action}, {"times", 3}});
    return more;
  };
  Faults({rule("/games/user/a1", "status", {{"status", 500}}),
          rule("/games/user/a2", "truncate", {{"after", 20'000}, {"framing", "length"}}),
          rule("/games/user/a3", "truncate", {{"after", 20'000}, {"framing", "chunked"}}),
          rule("/games/user/a4", "reset", {{"after", 15'000}}),
          rule("/games/user/a5", "status", {{"status", 503}}),
          rule("/b1/games/20", "truncate", {{"after", 500}, {"framing", "length"}}),
          rule("/b2/games/20", "truncate", {{"after", 500}, {"framing", "close"}}),
          rule("/b3/games/archives", "reset", {{"after", -1}})});
  ExpectFirstSync(Sync("lichess", {"a1", "a2", "a3", "a4", "a5"}), 1500);
  ExpectFirstSync(Sync("chesscom", {"b1", "b2", "b3"}), 360);
  for (const char* player : {"a1", "a2", "a3", "a4", "a5"}) ExpectCopy("lichess", player);
  for (const char* player : {"b1", "b2", "b3"}) ExpectCopy("chesscom", player);
  // libcurl itself asks again when a connection it used before turns out to be dead: of the 24 faults, those
  // 3 may cost no attempt.
  EXPECT_THAT(Number("select sum(attempts) from weir.tasks"), AllOf(Ge(21), Le(24)));
}

// Web pages where data should be: never taken for an end of data, never tried for long; each says what to do.
TEST_F(Upstream, WebPagesAndWhatTheyMean) {
  Players({"lichess/html=200", "lichess/fake=200", "lichess/fine=200", "lichess/ill=200"});
  env_["WEIR_RETRY_MAX_ATTEMPTS"] = "3";
  Faults({{{"match", "/api/user/html"}, {"action", "html"}},
          {{"match", "/api/user/fake"}, {"action", "fake404"}},
          {{"match", "/games/user/ill"}, {"action", "status"}, {"status", 500}, {"body", "sorry"}}});
  const Outcome outcome = Sync("lichess", {"html", "fake", "fine", "ill"});
  EXPECT_EQ(outcome.Status(), 3) << outcome.err;
  ExpectShape(outcome, "partial");
  EXPECT_EQ(outcome.Account("fine")["inserted"], 200);
  ExpectCopy("lichess", "fine");
  EXPECT_EQ(outcome.Account("html")["state"], "failed");
  EXPECT_EQ(outcome.Account("html")["error"]["class"], "transient");
  EXPECT_EQ(outcome.Account("fake")["error"]["class"], "blocked");
  EXPECT_THAT(outcome.Account("fake")["error"]["hint"].get<std::string>(), HasSubstr("user_agent"));
  EXPECT_THAT(outcome.err, HasSubstr("User-Agent"));
  EXPECT_EQ(outcome.Account("ill")["dead_pages"], 2);
  EXPECT_EQ(Requests("lichess.user", "html"), 3);
  EXPECT_EQ(Requests("lichess.user", "fake"), 1);
  EXPECT_EQ(Requests("lichess.games", "ill"), 6);

  Strings seen;
  const Json failures = Failures();
  ASSERT_TRUE(failures.is_array());
  for (const Json& failure : failures) {
    Strings names;
    for (const auto& [name, value] : failure.items()) names.push_back(name);
    EXPECT_EQ(names, (Strings{"account", "attempts", "class", "hint", "http_status", "job", "message", "page",
                              "task"}));
    seen.push_back(failure["account"].get<std::string>() + " " + failure["class"].get<std::string>() + " " +
                   failure["http_status"].dump());
  }
  EXPECT_THAT(seen, ::testing::UnorderedElementsAre("html transient 200", "fake blocked 404",
                                                    "ill transient 500", "ill transient 500"));
  // Mended, replayed, whole.
  Faults(Json::array());
  const Outcome replay = Weir({"replay", outcome.json["job"].dump(), "--all"});
  EXPECT_EQ(replay.Status(), 0) << replay.err;
  const Outcome again = Sync("lichess", {"html", "fake", "fine", "ill"});
  EXPECT_EQ(again.Status(), 0) << again.out << again.err;
  EXPECT_EQ(again.json["job"], outcome.json["job"]);
  for (const char* player : {"html", "fake", "fine", "ill"}) ExpectCopy("lichess", player);
}

// A month that is no JSON, and an answer that is whole by its framing and not by its contents.
TEST_F(Upstream, ABodyThatOnlyLooksWhole) {
  Players({"chesscom/broken=60", "chesscom/fine=60", "lichess/short=150"});
  env_["WEIR_RETRY_MAX_ATTEMPTS"] = "3";
  Faults({{{"match", "/broken/games/20"},
           {"action", "truncate"},
           {"after", 1'000},
           {"framing", "valid"},
           {"nth", 4}},
          {{"match", "/games/user/short"},
           {"action", "truncate"},
           {"after", 9'000},
           {"framing", "valid"},
           {"times", 1}}});
  const Outcome outcome = Sync("chesscom", {"broken", "fine"});
  EXPECT_THAT(outcome.Status(), AllOf(Ge(0), Le(3))) << outcome.err;
  ExpectCopy("chesscom", "fine");
  // Tried again, the month was whole: nothing is missing in either way, and nothing was dropped in silence.
  if (outcome.Status() == 0) {
    ExpectCopy("chesscom", "broken");
  } else {
    EXPECT_EQ(outcome.Account("broken")["dead_pages"], 1);
  }
  const Outcome lichess = Sync("lichess", {"short"});
  EXPECT_EQ(lichess.Status(), 0) << lichess.out << lichess.err;
  ExpectCopy("lichess", "short");
}

}  // namespace
}  // namespace weir::e2e
