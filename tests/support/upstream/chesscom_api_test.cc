#include "tests/support/upstream/chesscom_api.h"

#include <algorithm>
#include <set>

#include "tests/support/upstream/upstream_test.h"

namespace weir::sim {
namespace {

class ChessComApiTest : public UpstreamTest {
 protected:
  void SetUp() override {
    UpstreamTest::SetUp();
    Add("chesscom/Hikaru=3000;from=2024-01-01;to=2025-01-01;no_uuid_every=100");
    Add("chesscom/erik=500;from=2024-01-01;to=2025-01-01;shares=hikaru:10");
  }
  std::vector<std::string> Archives(const std::string& player) const {
    const ClientResponse answer = Ask("/pub/player/" + player + "/games/archives");
    EXPECT_EQ(answer.status, 200);
    return Json::parse(answer.body)["archives"];
  }
  std::vector<Json> Month(const std::string& player, const std::string& month) const {
    const ClientResponse answer = Ask("/pub/player/" + player + "/games/" + month);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.Get("Content-Length"), std::to_string(answer.body.size()));
    return Json::parse(answer.body)["games"];
  }
  static std::string Key(const Json& game) { return game.contains("uuid") ? game["uuid"] : game["url"]; }
};

TEST_F(ChessComApiTest, ArchivesAreAscendingOnItsOwnHostAndHoldAllGames) {
  const auto archives = Archives("hikaru");
  ASSERT_EQ(archives.size(), 12U);
  EXPECT_TRUE(std::is_sorted(archives.begin(), archives.end()));
  EXPECT_EQ(archives.front(), upstream_.url() + "/pub/player/hikaru/games/2024/01");
  std::set<std::string> keys;
  for (const std::string& url : archives) {
    for (const Json& game : Month("hikaru", url.substr(url.size() - 7))) keys.insert(Key(game));
  }
  EXPECT_EQ(keys.size(), 3000U);
  std::set<std::string> expected;
  for (const auto& [id, raw] : Expected("source=chesscom&player=hikaru")) expected.insert(id);
  EXPECT_EQ(keys, expected);
}

TEST_F(ChessComApiTest, AMonthIsAscendingByEndTimeAndWithinItself) {
  const auto games = Month("hikaru", "2024/02");
  ASSERT_GT(games.size(), 100U);
  EXPECT_TRUE(std::is_sorted(games.begin(), games.end(),
                             [](const Json& a, const Json& b) { return a["end_time"] < b["end_time"]; }));
  EXPECT_GE(games.front()["end_time"], 1706745600);
  EXPECT_LT(games.back()["end_time"], 1709251200);
  EXPECT_EQ(Ask("/pub/player/hikaru/games/2010/01").body, "{\"games\":[]}");
}

TEST_F(ChessComApiTest, SharedGamesStandInBothArchivesAlike) {
  std::map<std::string, Json> hikaru, erik;
  for (const Json& game : Month("hikaru", "2024/05")) hikaru[game["url"]] = game;
  for (const Json& game : Month("erik", "2024/05")) erik[game["url"]] = game;
  int shared = 0;
  for (const auto& [url, game] : hikaru) {
    const bool with_erik = game["white"]["username"] == "erik" || game["black"]["username"] == "erik";
    EXPECT_EQ(with_erik, erik.count(url) == 1);
    if (!with_erik) continue;
    ++shared;
    EXPECT_EQ(erik[url], game);
  }
  EXPECT_GT(shared, 20);
}

TEST_F(ChessComApiTest, ETagsAnswer304UntilTheMonthChanges) {
  Control("settings", {{"now", "2024-12-31T00:00:00Z"}});
  Control("player", {{"source", "chesscom"},
                     {"name", "new"},
                     {"games", 100},
                     {"from", "2024-01-01"},
                     {"to", "2024-12-15"}});
  const auto tag = [&](const std::string& month) {
    return std::string(Ask("/pub/player/new/games/" + month).Get("ETag"));
  };
  const std::string december = tag("2024/12");
  const std::string march = tag("2024/03");
  EXPECT_EQ(december.substr(0, 3), "W/\"");
  const auto conditional = [&](const std::string& month, const std::string& etag) {
    ClientRequest request;
    request.headers.push_back({"If-None-Match", etag});
    return Ask(request, "/pub/player/new/games/" + month);
  };
  const ClientResponse unchanged = conditional("2024/12", december);
  EXPECT_EQ(unchanged.status, 304);
  EXPECT_TRUE(unchanged.whole);
  EXPECT_TRUE(unchanged.body.empty());
  EXPECT_EQ(unchanged.Get("ETag"), december);
  EXPECT_EQ(conditional("2024/03", december).status, 200);
  Control("games/add", {{"source", "chesscom"}, {"player", "new"}, {"n", 5}});
  EXPECT_EQ(conditional("2024/12", december).status, 200);
  EXPECT_EQ(conditional("2024/03", march).status, 304);
}

TEST_F(ChessComApiTest, LastModifiedWorksToo) {
  const std::string modified(Ask("/pub/player/hikaru/games/2024/03").Get("Last-Modified"));
  EXPECT_EQ(modified, "Mon, 01 Apr 2024 00:00:00 GMT");
  ClientRequest request;
  request.headers.push_back({"If-Modified-Since", modified});
  EXPECT_EQ(Ask(request, "/pub/player/hikaru/games/2024/03").status, 304);
}

TEST_F(ChessComApiTest, ARenamedPlayerRedirects) {
  Control("player", {{"source", "chesscom"}, {"name", "erik"}, {"renamed_to", "Erik2"}});
  for (const char* rest : {"/games/archives", "/games/2024/05"}) {
    const ClientResponse answer = Ask(std::string("/pub/player/erik") + rest);
    EXPECT_EQ(answer.status, 301);
    EXPECT_EQ(answer.Get("Location"), upstream_.url() + "/pub/player/erik2" + rest);
    EXPECT_EQ(Ask(std::string("/pub/player/erik2") + rest).status, 200);
  }
}

TEST_F(ChessComApiTest, UnknownClosedAndBlocked) {
  const ClientResponse missing = Ask("/pub/player/x/games/archives");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.body, R"({"code":0,"message":"User \"x\" not found."})");
  Control("player", {{"source", "chesscom"}, {"name", "erik"}, {"closed", true}});
  EXPECT_EQ(Ask("/pub/player/erik/games/2024/05").status, 410);
  ClientRequest script;
  script.headers.clear();
  const ClientResponse blocked = Ask(script, "/pub/player/hikaru/games/archives");
  EXPECT_EQ(blocked.status, 403);
  EXPECT_EQ(blocked.Get("Content-Type").substr(0, 9), "text/html");
}

}  // namespace
}  // namespace weir::sim
