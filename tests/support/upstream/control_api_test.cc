#include "tests/support/upstream/control_api.h"

#include "tests/support/upstream/upstream_test.h"

namespace weir::sim {
namespace {

class ControlApiTest : public UpstreamTest {};

TEST_F(ControlApiTest, StatsCountByClassAndPlayerAndResetForgets) {
  Add("lichess/alice=10");
  Ask("/api/user/alice");
  Ask("/api/games/user/Alice");
  Ask("/api/games/user/nobody");
  const Json games = Stats()["requests"]["lichess.games"];
  EXPECT_EQ(games["count"], 2);
  EXPECT_EQ(games["players"]["alice"], 1);
  EXPECT_EQ(games["status"]["200"], 1);
  EXPECT_EQ(games["status"]["404"], 1);
  EXPECT_GT(games["bytes"], 4000);
  Control("reset", Json::object());
  EXPECT_TRUE(Stats()["requests"].empty());
}

TEST_F(ControlApiTest, TheLogHasWhatWasSent) {
  ClientRequest request;
  request.headers = {{"User-Agent", "weir/9"}, {"Authorization", "Bearer lip_1"}};
  Ask(request, "/api/user/nobody?x=1");
  const Json log = Json::parse(*Get(upstream_.url() + "/_control/requests"));
  ASSERT_EQ(log.size(), 1U);
  EXPECT_EQ(log[0]["target"], "/api/user/nobody?x=1");
  EXPECT_EQ(log[0]["user_agent"], "weir/9");
  EXPECT_EQ(log[0]["authorization"], "Bearer lip_1");
  EXPECT_EQ(log[0]["status"], 404);
}

TEST_F(ControlApiTest, AddedGamesAreNow) {
  Add("lichess/alice=10");
  Control("settings", {{"now", "2026-06-01T00:00:00Z"}});
  Control("games/add", {{"player", "alice"}, {"n", 3}, {"ongoing", 1}});
  EXPECT_EQ(Lines(Ask("/api/games/user/alice?since=1780000000000&ongoing=true").body).size(), 3U);
  EXPECT_EQ(Lines(Ask("/api/games/user/alice?since=1780000000000&until=1780272000000").body).size(), 2U);
}

TEST_F(ControlApiTest, AlteredAndDeletedGames) {
  Add("lichess/alice=100");
  const auto before = Expected("player=alice");
  Control("player",
          {{"name", "alice"}, {"alter", {{"every", 10}}}, {"delete", {{"every", 25}, {"first", 5}}}});
  const auto after = Expected("player=alice");
  EXPECT_EQ(after.size(), 96U);
  int changed = 0;
  for (const auto& [id, raw] : after) changed += before.at(id) == raw ? 0 : 1;
  EXPECT_EQ(changed, 8);  // of 0, 10, …, 90, less 30 and 80, which are deleted
}

TEST_F(ControlApiTest, WaitAnswersWhenTheRequestsHaveBegun) {
  EXPECT_EQ(*Get(upstream_.url() + "/_control/wait?class=lichess.user&count=1&timeout_ms=1"),
            "{\"reached\":false}\n");
  Ask("/api/user/nobody");
  EXPECT_EQ(*Get(upstream_.url() + "/_control/wait?class=lichess.user&count=1"), "{\"reached\":true}\n");
}

TEST_F(ControlApiTest, WrongCallsAreRefused) {
  for (const char* call : {"nothing", "faults", "player"}) {
    ClientRequest request;
    request.method = "POST";
    request.body = "{\"rules\":[{\"action\":\"nothing\"}]}";
    EXPECT_EQ(Ask(request, std::string("/_control/") + call).status, 400) << call;
  }
  EXPECT_FALSE(upstream_.SetFaults(R"({"action":"stall","unheard_of":1})"));
}

}  // namespace
}  // namespace weir::sim
