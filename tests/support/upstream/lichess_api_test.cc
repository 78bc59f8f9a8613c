#include "tests/support/upstream/lichess_api.h"

#include <algorithm>
#include <set>
#include <thread>

#include "tests/support/upstream/upstream_test.h"

namespace weir::sim {
namespace {

class LichessApiTest : public UpstreamTest {
 protected:
  void SetUp() override {
    UpstreamTest::SetUp();
    Add("lichess/Alice=2000;ongoing=4;count_off=25");
  }
  std::vector<Json> Games(const std::string& query) const {
    const ClientResponse answer = Ask("/api/games/user/alice?" + query);
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.whole);
    EXPECT_EQ(answer.Get("Transfer-Encoding"), "chunked");
    std::vector<Json> games;
    for (const std::string& line : Lines(answer.body)) games.push_back(Json::parse(line));
    return games;
  }
  static std::vector<std::string> Ids(const std::vector<Json>& games) {
    std::vector<std::string> ids;
    for (const Json& game : games) ids.push_back(game["id"]);
    return ids;
  }
};

TEST_F(LichessApiTest, UserTellsOfAnEstimate) {
  const ClientResponse answer = Ask("/api/user/ALICE");
  ASSERT_EQ(answer.status, 200);
  const Json user = Json::parse(answer.body);
  EXPECT_EQ(user["id"], "alice");
  EXPECT_EQ(user["username"], "Alice");
  EXPECT_EQ(user["count"]["all"], 2025);
  EXPECT_EQ(user["count"]["playing"], 4);
  EXPECT_EQ(user["createdAt"], kDefaultFrom);
}

TEST_F(LichessApiTest, GamesAreNewestFirstAndUnique) {
  const auto games = Games("ongoing=true");
  ASSERT_EQ(games.size(), 2000U);
  EXPECT_TRUE(std::is_sorted(games.begin(), games.end(),
                             [](const Json& a, const Json& b) { return a["createdAt"] > b["createdAt"]; }));
  const auto ids = Ids(games);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 2000U);
}

TEST_F(LichessApiTest, WindowsAreHalfOpenAndMeet) {
  const auto all = Games("sort=dateAsc");
  // A time that two games share: the hardest place to cut.
  const auto tie = std::adjacent_find(
      all.begin(), all.end(), [](const Json& a, const Json& b) { return a["createdAt"] == b["createdAt"]; });
  ASSERT_NE(tie, all.end());
  const std::string cut = (*tie)["createdAt"].dump();
  auto left = Games("sort=dateAsc&until=" + cut);
  const auto right = Games("sort=dateAsc&since=" + cut);
  EXPECT_EQ(left.size(), static_cast<std::size_t>(tie - all.begin()));
  EXPECT_EQ(right.front()["id"], (*tie)["id"]);
  left.insert(left.end(), right.begin(), right.end());
  EXPECT_EQ(left, all);
}

TEST_F(LichessApiTest, MaxAndSortTakeFromTheirEnd) {
  const auto ascending = Ids(Games("sort=dateAsc"));
  auto newest = Ids(Games("max=3"));
  std::reverse(newest.begin(), newest.end());
  EXPECT_EQ(newest, std::vector<std::string>(ascending.end() - 3, ascending.end()));
  EXPECT_EQ(Ids(Games("max=3&sort=dateAsc")),
            std::vector<std::string>(ascending.begin(), ascending.begin() + 3));
}

TEST_F(LichessApiTest, OngoingAndFinishedAreApart) {
  EXPECT_EQ(Games("").size(), 1996U);
  const auto ongoing = Games("ongoing=true&finished=false");
  ASSERT_EQ(ongoing.size(), 4U);
  for (const Json& game : ongoing) {
    EXPECT_EQ(game["status"], "started");
    EXPECT_EQ(game["speed"], "correspondence");
    EXPECT_FALSE(game.contains("winner"));
  }
}

TEST_F(LichessApiTest, AnOngoingGameThatEndsKeepsItsIdAndTime) {
  const Json before = Games("ongoing=true&finished=false").back();
  EXPECT_EQ(Control("games/finish", {{"player", "alice"}, {"n", 1}})["ended"], 1);
  EXPECT_EQ(Games("ongoing=true&finished=false").size(), 3U);
  ClientRequest request;
  request.method = "POST";
  request.body = before["id"];
  const Json after = Json::parse(Lines(Ask(request, "/api/games/export/_ids").body).at(0));
  EXPECT_EQ(after["id"], before["id"]);
  EXPECT_EQ(after["createdAt"], before["createdAt"]);
  EXPECT_NE(after["status"], "started");
}

TEST_F(LichessApiTest, ContentFlagsAddFields) {
  const Json bare = Games("max=1&moves=false").at(0);
  EXPECT_FALSE(bare.contains("moves"));
  EXPECT_FALSE(bare.contains("opening"));
  bool clocks = false, opening = false;
  for (const Json& game :
       Games("max=20&opening=true&clocks=true&pgnInJson=true&lastFen=true&division=true")) {
    clocks = clocks || game.contains("clocks");
    opening = opening || game.contains("opening");
    EXPECT_TRUE(game.contains("pgn") && game.contains("lastFen") && game.contains("division"));
  }
  EXPECT_TRUE(clocks && opening);
}

TEST_F(LichessApiTest, WithoutNdjsonItIsPgn) {
  ClientRequest request;
  request.headers = {{"User-Agent", "weir/1"}};
  const ClientResponse answer = Ask(request, "/api/games/user/alice?max=2");
  EXPECT_EQ(answer.Get("Content-Type"), "application/x-chess-pgn");
  EXPECT_EQ(answer.body.rfind("[Event ", 0), 0U);
}

TEST_F(LichessApiTest, IdsAnswerAtMost300NewestFirstAndSkipUnknown) {
  const auto ids = Ids(Games("sort=dateAsc&max=301"));
  ClientRequest request;
  request.method = "POST";
  request.body = "zzzzzzzz,notanid";
  for (const std::string& id : ids) request.body += "," + id;
  const auto lines = Lines(Ask(request, "/api/games/export/_ids").body);
  ASSERT_EQ(lines.size(), 298U);
  EXPECT_EQ(Json::parse(lines.front())["id"], ids[297]);
  EXPECT_EQ(Json::parse(lines.back())["id"], ids[0]);
}

TEST_F(LichessApiTest, WhoIsNotThere) {
  const ClientResponse missing = Ask("/api/user/nobody");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.body, "{\"error\":\"Not found.\"}");
  Control("player", {{"name", "alice"}, {"closed", true}});
  EXPECT_EQ(Ask("/api/user/alice").body, R"({"id":"alice","username":"Alice","disabled":true})");
  EXPECT_EQ(Ask("/api/games/user/alice").status, 404);
}

TEST_F(LichessApiTest, ScriptsGetAnHtml404) {
  for (const char* agent : {"curl/8.0", "python-requests/2", ""}) {
    ClientRequest request;
    request.headers = {{"User-Agent", agent}};
    const ClientResponse answer = Ask(request, "/api/user/alice");
    EXPECT_EQ(answer.status, 404);
    EXPECT_EQ(answer.Get("Content-Type").substr(0, 9), "text/html");
  }
}

TEST_F(LichessApiTest, BadTokensAreRefused) {
  ClientRequest request;
  request.headers.push_back({"Authorization", "Bearer bad-token"});
  EXPECT_EQ(Ask(request, "/api/user/alice").status, 401);
  request.headers.back().value = "Bearer lip_good";
  EXPECT_EQ(Ask(request, "/api/user/alice").status, 200);
  Control("settings", {{"tokens", {"other"}}});
  EXPECT_EQ(Ask(request, "/api/user/alice").status, 401);
}

TEST_F(LichessApiTest, ASecondRequestAtOnceIs429AndCounted) {
  Spoil(R"({"match":"max=1","action":"stall","times":1})");
  std::thread first([&] { EXPECT_EQ(Ask("/api/games/user/alice?max=1").status, 200); });
  ASSERT_TRUE(upstream_.world().traffic.WaitForRequests("lichess.games", 1, std::chrono::seconds(20)));
  const ClientResponse second = Ask("/api/user/alice");
  EXPECT_EQ(second.status, 429);
  EXPECT_EQ(second.body, R"({"error":"Please only run 1 request(s) at a time"})");
  ClientRequest other;  // a token is another meter
  other.headers.push_back({"Authorization", "Bearer lip_x"});
  EXPECT_EQ(Ask(other, "/api/user/alice").status, 200);
  upstream_.Release();
  first.join();
  EXPECT_EQ(Ask("/api/user/alice").status, 200);
  const Json meter = Stats()["meters"]["lichess:anonymous"];
  EXPECT_EQ(meter["max"], 2);
  EXPECT_EQ(meter["now"], 0);
  EXPECT_EQ(meter["violations"], 1);
}

TEST_F(LichessApiTest, ManyRequestsInARowNeverViolate) {
  for (int i = 0; i < 300; ++i) ASSERT_EQ(Ask("/api/games/user/alice?max=40").status, 200);
  EXPECT_EQ(Stats()["violations"], 0);
}

TEST_F(LichessApiTest, AClientThatHungUpNoLongerCounts) {
  Spoil(R"({"match":"max=1","action":"stall","times":1})");
  ClientRequest request;
  request.deadline = std::chrono::milliseconds(200);
  EXPECT_EQ(Ask(request, "/api/games/user/alice?max=1").status, 0);
  EXPECT_EQ(Ask("/api/user/alice").status, 200);
  EXPECT_EQ(Stats()["violations"], 0);
}

TEST_F(LichessApiTest, ThePaceOfAStreamDependsOnTheToken) {
  Control("settings", {{"pace", {20, 1000}}});
  const auto time = [&](const ClientRequest& request) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(Lines(Ask(request, "/api/games/user/alice?max=10").body).size(), 10U);
    return std::chrono::steady_clock::now() - start;
  };
  EXPECT_GE(time({}), std::chrono::milliseconds(500));
  ClientRequest fast;
  fast.headers.push_back({"Authorization", "Bearer lip_x"});
  EXPECT_GE(time(fast), std::chrono::milliseconds(10));
}

TEST_F(LichessApiTest, ExpectedIsWhatWasServed) {
  const ClientResponse answer = Ask("/api/games/user/alice?ongoing=true&opening=true&clocks=true");
  std::map<std::string, std::string> served;
  for (const std::string& line : Lines(answer.body)) served[Json::parse(line)["id"]] = line;
  EXPECT_EQ(Expected("source=lichess&player=alice"), served);
  EXPECT_EQ(served.size(), 2000U);
}

}  // namespace
}  // namespace weir::sim
