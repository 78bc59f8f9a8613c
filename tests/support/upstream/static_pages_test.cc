#include "tests/support/upstream/static_pages.h"

#include <algorithm>
#include <set>

#include "tests/support/upstream/upstream_test.h"

namespace weir::sim {
namespace {

class StaticPagesTest : public UpstreamTest {
 protected:
  std::map<std::string, std::string> Month(const std::string& target) const {
    const ClientResponse answer = Ask(target);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.Get("Content-Length"), std::to_string(answer.body.size()));
    const Json games = Json::parse(answer.body)["games"];
    std::map<std::string, std::string> all;
    for (const Json& game : games) all[game["uuid"]] = game.dump();
    EXPECT_EQ(all.size(), games.size());
    return all;
  }
};

TEST_F(StaticPagesTest, ChessComMonthsHoldTheExpectedGames) {
  Add("chesscom/bench=2750;page=500;static");
  const std::vector<std::string> archives =
      Json::parse(Ask("/pub/player/bench/games/archives").body)["archives"];
  ASSERT_EQ(archives.size(), 6U);
  EXPECT_EQ(archives.back(), upstream_.url() + "/pub/player/bench/games/2026/10");
  std::map<std::string, std::string> all;
  for (const std::string& url : archives) {
    auto month = Month(url.substr(upstream_.url().size()));
    all.merge(month);
    EXPECT_TRUE(month.empty()) << "the same game in two months";
  }
  EXPECT_EQ(all.size(), 2750U);
  auto expected = Expected("source=chesscom&player=bench");
  for (auto& [id, raw] : expected) raw = Json::parse(raw).dump();
  EXPECT_EQ(all, expected);
}

TEST_F(StaticPagesTest, ChessComTimesLieInTheirMonth) {
  Add("chesscom/bench=1000;static");
  const Json games = Json::parse(Ask("/pub/player/bench/games/2026/09").body)["games"];
  ASSERT_EQ(games.size(), 500U);
  EXPECT_GE(games[0]["end_time"], 1788220800);
  EXPECT_LT(games[499]["end_time"], 1790812800);
}

TEST_F(StaticPagesTest, MoreMonthsThanSince1970StartThere) {
  Add("chesscom/bench=400000;static");
  const Json archives = Json::parse(Ask("/pub/player/bench/games/archives").body)["archives"];
  EXPECT_EQ(archives.size(), 800U);
  EXPECT_EQ(archives.front(), upstream_.url() + "/pub/player/bench/games/1970/01");
  EXPECT_EQ(Month("/pub/player/bench/games/1970/01").size(), 500U);
}

TEST_F(StaticPagesTest, LichessRecordsAreTheSameInEveryWindowAndOrder) {
  Add("lichess/bench=1800;static");
  const ClientResponse descending = Ask("/api/games/user/bench");
  const ClientResponse ascending = Ask("/api/games/user/bench?sort=dateAsc");
  auto up = Lines(ascending.body);
  auto down = Lines(descending.body);
  ASSERT_EQ(up.size(), 1800U);
  std::reverse(down.begin(), down.end());
  EXPECT_EQ(up, down);
  const std::string cut = Json::parse(up[777])["createdAt"].dump();
  auto windows = Lines(Ask("/api/games/user/bench?sort=dateAsc&until=" + cut).body);
  EXPECT_EQ(windows.size(), 777U);
  for (const std::string& line : Lines(Ask("/api/games/user/bench?sort=dateAsc&since=" + cut).body))
    windows.push_back(line);
  EXPECT_EQ(windows, up);
  EXPECT_EQ(Lines(Ask("/api/games/user/bench?max=600").body).size(), 600U);
  std::map<std::string, std::string> served;
  for (const std::string& line : up) served[Json::parse(line)["id"]] = line;
  EXPECT_EQ(Expected("source=lichess&player=bench"), served);
}

TEST_F(StaticPagesTest, RecordsAreOfAbout600Bytes) {
  Add("lichess/a=500;static");
  Add("chesscom/a=500;static");
  for (const Api api : {Api::kLichess, Api::kChessCom}) {
    const PlayerRef player = upstream_.world().players.Find(api, "a");
    const auto size = StaticPages::Size(*player, 0, 500) / 500;
    EXPECT_GT(size, 580U);
    EXPECT_LT(size, 640U);
  }
}

}  // namespace
}  // namespace weir::sim
