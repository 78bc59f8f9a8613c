#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/upstream/timeline.h"

namespace weir::sim {

struct Opening {
  std::string_view eco, name, slug, line;
  int plies;
};

// The facts of one generated game, before either API spells them. A pure function of its GameRef.
struct ChessGame {
  enum class Opponent { kUser, kAi, kAnonymous };
  enum class Result { kWhite, kBlack, kDraw, kNone };

  GameRef ref;
  std::uint64_t code = 0;  // its id's 47 bits
  bool owner_is_white = true;
  Opponent opponent = Opponent::kUser;
  std::string opponent_name;
  std::string_view owner_title, opponent_title;
  int ai_level = 1;
  int owner_rating = 1500, opponent_rating = 1500, rating_diff = 0;
  bool rated = true;
  bool chess960 = false;
  std::string_view speed;          // bullet | blitz | rapid | classical | correspondence
  int initial = 0, increment = 0;  // seconds; correspondence: none
  int days = 0;                    // correspondence
  std::int64_t duration_ms = 0;
  bool ongoing = false;
  Result result = Result::kNone;
  int ending =
      0;  // how it ended: 0 mate, 1 resigned, 2 out of time; for a draw 0 agreed, 1 stalemate, 2 repetition
  const Opening* opening = nullptr;
  std::vector<std::string_view> moves;  // SAN; plausible, not always legal
  std::uint64_t seed = 0;               // for whatever else a spelling draws

  const std::string& OwnerName() const { return ref.owner->name; }
};

ChessGame MakeGame(const GameRef& ref);

// "1. e4 e5 2. Nf3 …", with clock comments if wanted.
void AppendPgnMoves(std::string& out, const ChessGame& game, bool clocks);
// Seconds left after ply `i` (0-based).
std::int64_t ClockAfter(const ChessGame& game, std::size_t i);
std::string_view SomeFen(std::uint64_t seed);

}  // namespace weir::sim
