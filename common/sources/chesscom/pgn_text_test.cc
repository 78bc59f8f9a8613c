#include "common/sources/chesscom/pgn_text.h"

#include <gtest/gtest.h>

#include <random>

namespace weir::chesscom {
namespace {

std::string Moves(std::string_view pgn) {
  std::string out = "<";
  AppendMoves(out, pgn);
  return out.substr(1);
}

TEST(PgnText, Headers) {
  const std::string_view pgn =
      "[Event \"x\"]\r\n[ECOUrl \"u\"]\r\n[ECO \"B20\"]\r\n[Note \"a \\\"b\\\"\"]\r\n\r\n1. e4 *";
  EXPECT_EQ(PgnHeader(pgn, "ECO"), "B20");
  EXPECT_EQ(PgnHeader(pgn, "Event"), "x");
  EXPECT_EQ(PgnHeader(pgn, "Note"), "a \\\"b\\\"");
  EXPECT_EQ(PgnHeader(pgn, "EC"), "");
  EXPECT_EQ(PgnHeader("1. e4 {\n[ECO \"B20\"]} *", "ECO"), "");  // not a header
  EXPECT_EQ(PgnHeader("", "ECO"), "");
  EXPECT_EQ(PgnHeader("[ECO \"", "ECO"), "");
}

TEST(PgnText, MovesAlone) {
  EXPECT_EQ(Moves("[A \"1. d4\"]\n\n1. e4 {c} 1... e5 2. Nf3 $2 (2. d4 (2. c4) exd4) Nc6 ; rest 3. a3\n3.Bb5 "
                  "a6 1/2-1/2"),
            "e4 e5 Nf3 Nc6 Bb5 a6");
  EXPECT_EQ(Moves("1. e4 (1. d4 {a ) in a comment} d5) e5 0-1"), "e4 e5");
  EXPECT_EQ(Moves("1. O-O-O e8=Q# *"), "O-O-O e8=Q#");
  EXPECT_EQ(Moves("[A \"x\"]\n\n"), "");
  EXPECT_EQ(Moves("1. e4 {cut off"), "e4");
  EXPECT_EQ(Moves("1. e4 (1. d4"), "e4");
}

TEST(PgnText, OpeningNames) {
  EXPECT_EQ(OpeningName("https://www.chess.com/openings/Ruy-Lopez-Opening-3...a6"),
            "Ruy Lopez Opening 3...a6");
  EXPECT_EQ(OpeningName("nothing"), "");
  EXPECT_EQ(OpeningName(""), "");
}

TEST(PgnText, AnyBytesEnd) {
  std::mt19937 random(3);
  static constexpr std::string_view kBytes = "[]{}();.\n \"1e4$*\\";
  for (int round = 0; round < 3000; ++round) {
    std::string pgn;
    for (unsigned i = random() % 40; i > 0; --i) pgn += kBytes[random() % kBytes.size()];
    EXPECT_LE(Moves(pgn).size(), pgn.size());
    EXPECT_LE(PgnHeader(pgn, "e").size(), pgn.size());
  }
}

}  // namespace
}  // namespace weir::chesscom
