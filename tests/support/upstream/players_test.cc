#include "tests/support/upstream/players.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/upstream/chesscom_record.h"
#include "tests/support/upstream/lichess_record.h"

namespace weir::sim {
namespace {

PlayerRef Make(PlayerBook& book, const std::string& spec) {
  const auto player = book.Add(spec);
  EXPECT_TRUE(player) << player.error().message;
  return *player;
}

TEST(PlayersTest, TimesNeverDecreaseAndSomeAreEqual) {
  PlayerBook book(1);
  const PlayerRef player = Make(book, "lichess/a=5000");
  int ties = 0;
  for (std::int64_t i = 1; i < 5000; ++i) {
    ASSERT_GE(player->TimeOf(i), player->TimeOf(i - 1));
    ties += player->TimeOf(i) == player->TimeOf(i - 1) ? 1 : 0;
  }
  EXPECT_GT(ties, 30);
  EXPECT_GE(player->TimeOf(0), kDefaultFrom);
  EXPECT_LT(player->TimeOf(4999), kDefaultTo);
}

TEST(PlayersTest, TheFirstGameOfATimeIsFoundAmongTies) {
  PlayerBook book(1);
  const PlayerRef player = Make(book, "lichess/a=2000");
  for (std::int64_t i = 0; i < 2000; ++i) {
    const std::int64_t at = player->TimeOf(i);
    const std::int64_t first = player->FirstAtOrAfter(at);
    ASSERT_EQ(player->TimeOf(first), at);
    ASSERT_TRUE(first == 0 || player->TimeOf(first - 1) < at);
  }
  EXPECT_EQ(player->FirstAtOrAfter(INT64_MIN), 0);
  EXPECT_EQ(player->FirstAtOrAfter(INT64_MAX), 2000);
}

TEST(PlayersTest, GameCodesGoThereAndBack) {
  std::set<std::string> ids;
  for (const std::uint64_t number : {0ULL, 1ULL, 77ULL, 32767ULL}) {
    for (const std::int64_t index : {0LL, 1LL, 2LL, 999'999LL, 4'000'000'000LL}) {
      const std::string id = LichessId(GameCode(number, index));
      EXPECT_TRUE(ids.insert(id).second);
      const auto code = ParseLichessId(id);
      ASSERT_TRUE(code);
      const GameName name = DecodeGame(*code);
      EXPECT_EQ(name.player_number, number);
      EXPECT_EQ(name.index, index);
    }
  }
  EXPECT_FALSE(ParseLichessId("short"));
  EXPECT_FALSE(ParseLichessId("has-dash"));
}

TEST(PlayersTest, TheSameSeedMakesTheSameDataAndAnotherDoesNot) {
  const auto sample = [](std::uint64_t seed) {
    PlayerBook book(seed);
    const PlayerRef lichess = Make(book, "lichess/a=100");
    const PlayerRef chesscom = Make(book, "chesscom/a=100");
    std::string text;
    for (std::int64_t i = 0; i < 100; i += 9) {
      AppendLichessGame(text, {lichess.get(), i, lichess->TimeOf(i)}, {});
      AppendChessComGame(text, {chesscom.get(), i, chesscom->TimeOf(i)});
    }
    return text;
  };
  const std::string first = sample(5);
  EXPECT_EQ(first, sample(5));
  EXPECT_NE(first, sample(6));
  // Of this very seed, for ever: other machines must serve the same bytes.
  PlayerBook book(1);
  const PlayerRef player = Make(book, "lichess/a=100");
  EXPECT_EQ(LichessId(GameCode(player->number, 0)), "KE8XRqxk");
}

TEST(PlayersTest, NewGamesComeAfterTheOldAndChangeNone) {
  PlayerBook book(1);
  const PlayerRef before = Make(book, "lichess/a=100");
  const PlayerRef after =
      book.Alter(Api::kLichess, "A", [](Player& p) { Append(p, 10, 0, kDefaultTo + 5000); });
  EXPECT_EQ(after->Games(), 110);
  EXPECT_EQ(before->Games(), 100);
  for (std::int64_t i = 0; i < 100; ++i) ASSERT_EQ(before->TimeOf(i), after->TimeOf(i));
  EXPECT_GE(after->TimeOf(100), kDefaultTo);
  EXPECT_LT(after->TimeOf(109), kDefaultTo + 5000);
}

TEST(PlayersTest, AWrongSpecIsAnError) {
  PlayerBook book(1);
  for (const char* spec :
       {"a=1", "lichess/a", "lichess/a=x", "nowhere/a=1", "lichess/a=1;what=2", "lichess/a=1;from=x"})
    EXPECT_FALSE(book.Add(spec)) << spec;
}

}  // namespace
}  // namespace weir::sim
