#include "tests/support/upstream/chess_game.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "tests/support/upstream/hash.h"

namespace weir::sim {
namespace {

constexpr Opening kOpenings[] = {
    {"C65", "Ruy Lopez: Berlin Defense", "Ruy-Lopez-Opening-Berlin-Defense", "e4 e5 Nf3 Nc6 Bb5 Nf6", 6},
    {"C50", "Italian Game: Giuoco Piano", "Italian-Game-Giuoco-Piano-Game", "e4 e5 Nf3 Nc6 Bc4 Bc5", 6},
    {"B90", "Sicilian Defense: Najdorf Variation", "Sicilian-Defense-Najdorf-Variation",
     "e4 c5 Nf3 d6 d4 cxd4 Nxd4 Nf6 Nc3 a6", 10},
    {"B12", "Caro-Kann Defense: Advance Variation", "Caro-Kann-Defense-Advance-Variation",
     "e4 c6 d4 d5 e5 Bf5", 6},
    {"C02", "French Defense: Advance Variation", "French-Defense-Advance-Variation",
     "e4 e6 d4 d5 e5 c5 c3 Nc6", 8},
    {"D37", "Queen's Gambit Declined: Harrwitz Attack", "Queens-Gambit-Declined-Harrwitz-Attack",
     "d4 d5 c4 e6 Nc3 Nf6 Nf3 Be7 Bf4", 9},
    {"E60", "King's Indian Defense", "Kings-Indian-Defense", "d4 Nf6 c4 g6 Nc3 Bg7", 6},
    {"A04", "Réti Opening", "Reti-Opening", "Nf3 d5 g3 Nf6 Bg2 e6", 6},
    {"B01", "Scandinavian Defense: Mieses-Kotroc Variation", "Scandinavian-Defense-Mieses-Kotroc-Variation",
     "e4 d5 exd5 Qxd5 Nc3 Qa5", 6},
    {"A45", "Trompowsky Attack", "Trompowsky-Attack", "d4 Nf6 Bg5 Ne4 Bf4 c5", 6},
    {"C33", "King's Gambit Accepted", "Kings-Gambit-Accepted", "e4 e5 f4 exf4 Bc4 d6", 6},
    {"D02", "London System", "Queens-Pawn-Opening-London-System", "d4 d5 Nf3 Nf6 Bf4 e6 e3 c5", 8},
};

constexpr std::string_view kMoves[] = {
    "O-O",  "Re1",  "d3",   "h3",    "a4",   "b4",  "Nbd2", "Bb3",  "Qe2",  "Rd1",  "c4",   "cxd5",
    "exd5", "Nf1",  "Ng3",  "Bg5",   "Bh4",  "Nd4", "Nxd4", "Qxd4", "Qd2",  "Rad1", "Rfe1", "Kh1",
    "f4",   "fxe5", "dxe5", "Bxf6",  "gxf6", "Nh5", "Qg4+", "Kh8",  "Qh4",  "Rg8",  "g3",   "Bf3",
    "Kg2",  "Rxe8", "Rxe8", "Qxe8+", "Kg7",  "Qe7", "a5",   "b5",   "axb5", "bxc6", "c7",   "c8=Q",
    "Rd8+", "Kf8",  "Ne5",  "Nc6",   "Bxc6", "Rc1", "Rxc6", "Bd4",  "Ke3",  "Kd3",  "Kc4",  "Kb5"};

constexpr std::string_view kNames[] = {
    "Lance5500",   "cherrywall",   "arexx",        "rookwood",     "BishopTakes",
    "nightrider7", "zugzwang_fan", "TalsGhost",    "quietmove",    "pawnstorm88",
    "EndgameNerd", "blitzkid",     "capablancina", "fianchetto",   "Kasparella",
    "mateinfour",  "the_exchange", "GambitGreta",  "stonewaller",  "tempo_loss",
    "luft-please", "IsolatedPawn", "castlelong",   "enpassant_ok", "Zwischenzug"};

constexpr std::string_view kTitles[] = {"GM", "IM", "FM", "CM", "WGM", "NM", "LM", "BOT"};

constexpr std::string_view kFens[] = {"8/5pk1/6p1/3R3p/7P/5KP1/r4P2/8 w - - 4 41",
                                      "r1bq1rk1/pp2bppp/2n1pn2/3p4/3P1B2/2N1PN2/PP3PPP/R2QKB1R w KQ - 0 9",
                                      "6k1/5ppp/8/8/8/5N2/5PPP/2r3K1 w - - 0 33",
                                      "3r2k1/pp3pp1/2p4p/8/4P3/1P3P2/P5PP/3R2K1 b - - 0 27"};

template <typename T, std::size_t N>
const T& Pick(const T (&all)[N], Draw& draw) {
  return all[draw.Below(N)];
}

struct Control {
  std::string_view speed;
  int initial, increment;
};
constexpr Control kControls[] = {{"bullet", 60, 0},  {"bullet", 120, 1},     {"blitz", 180, 0},
                                 {"blitz", 180, 2},  {"blitz", 300, 3},      {"rapid", 600, 0},
                                 {"rapid", 900, 10}, {"blitz", 180, 0},      {"bullet", 60, 0},
                                 {"rapid", 600, 5},  {"classical", 1800, 20}};

void DrawTime(ChessGame& game, Draw& draw, std::int64_t horizon) {
  const Control& control = Pick(kControls, draw);
  game.speed = control.speed;
  game.initial = control.initial;
  game.increment = control.increment;
  game.duration_ms =
      static_cast<std::int64_t>(20'000 + draw.Below(2'000) * static_cast<unsigned>(control.initial));
  const auto days = static_cast<std::int64_t>(1 + draw.Below(20)) * 86'400'000;
  const bool slow = draw.OneIn(40) && game.ref.at_ms + days < horizon;
  if (!slow && !game.ongoing) return;
  game.speed = "correspondence";
  game.initial = game.increment = 0;
  game.days = 1 + static_cast<int>(draw.Below(3));
  game.duration_ms = days;
}

void DrawOpponent(ChessGame& game, Draw& draw) {
  const Player& owner = *game.ref.owner;
  const auto kind = draw.Below(60);
  game.opponent_name = Pick(kNames, draw);
  if (draw.OneIn(3)) game.opponent_name += std::to_string(draw.Below(1000));
  if (draw.OneIn(12)) game.opponent_title = Pick(kTitles, draw);
  if (owner.seed % 2 == 0) game.owner_title = kTitles[owner.seed % 4];
  if (owner.mirror_every > 0 && game.ref.index % owner.mirror_every == 0) {
    game.opponent_name = owner.mirror_name;
    game.opponent_title = {};
  } else if (kind == 0 && owner.api == Api::kLichess) {
    game.opponent = ChessGame::Opponent::kAi;
    game.ai_level = 1 + static_cast<int>(draw.Below(8));
  } else if (kind == 1 && owner.api == Api::kLichess) {
    game.opponent = ChessGame::Opponent::kAnonymous;
  }
  game.rated = game.opponent == ChessGame::Opponent::kUser && !draw.OneIn(9);
  game.owner_rating = static_cast<int>(1800 + owner.seed % 900 + draw.Below(120));
  game.opponent_rating = game.owner_rating - 200 + static_cast<int>(draw.Below(400));
  game.rating_diff = game.rated ? 3 + static_cast<int>(draw.Below(9)) : 0;
}

void DrawMoves(ChessGame& game, Draw& draw) {
  game.opening = &Pick(kOpenings, draw);
  const auto plies = static_cast<std::size_t>(game.opening->plies) + 12 + draw.Below(90);
  game.moves.reserve(plies);
  for (std::string_view line = game.opening->line; !line.empty();) {
    const auto end = std::min(line.find(' '), line.size());
    game.moves.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  std::uint64_t bits = 0;
  while (game.moves.size() < plies) {
    if (bits < std::size(kMoves)) bits = draw.Next();
    game.moves.push_back(kMoves[bits % std::size(kMoves)]);
    bits /= std::size(kMoves);
  }
  if (game.ongoing) game.moves.resize(static_cast<std::size_t>(game.opening->plies) + 4);
}

}  // namespace

ChessGame MakeGame(const GameRef& ref) {
  const Player& owner = *ref.owner;
  ChessGame game;
  game.ref = ref;
  game.code = GameCode(owner.number, ref.index);
  game.seed = Mix(owner.seed, static_cast<std::uint64_t>(ref.index) + 0x5EEDULL);
  Draw draw(game.seed);
  const auto slow = owner.ongoing.find(ref.index);
  const bool was_ongoing = slow != owner.ongoing.end();
  game.ongoing = was_ongoing;  // for the time control; its end is settled below
  const auto segment = std::find_if(owner.segments.rbegin(), owner.segments.rend(),
                                    [&](const Segment& s) { return s.first <= ref.index; });
  DrawTime(game, draw, segment->to_ms);
  game.ongoing = was_ongoing && slow->second == 0;
  if (was_ongoing && slow->second != 0)
    game.duration_ms = std::max<std::int64_t>(1, slow->second - ref.at_ms);
  DrawOpponent(game, draw);
  game.owner_is_white = draw.OneIn(2);
  game.chess960 = draw.OneIn(50);
  const auto outcome = draw.Below(20);
  game.result = outcome < 10 ? ChessGame::Result::kWhite
                             : (outcome < 18 ? ChessGame::Result::kBlack : ChessGame::Result::kDraw);
  game.ending = static_cast<int>(draw.Below(3));
  DrawMoves(game, draw);
  if (game.ongoing) {
    game.result = ChessGame::Result::kNone;
    game.duration_ms = 3'600'000;
  }
  return game;
}

std::int64_t ClockAfter(const ChessGame& game, std::size_t i) {
  const auto plies = static_cast<std::int64_t>(game.moves.size());
  const std::int64_t start = game.initial > 0 ? game.initial : game.days * 86'400;
  return std::max<std::int64_t>(1, start - start * static_cast<std::int64_t>(i) / (plies + 4));
}

void AppendPgnMoves(std::string& out, const ChessGame& game, bool clocks) {
  for (std::size_t i = 0; i < game.moves.size(); ++i) {
    if (i > 0) out += ' ';
    if (i % 2 == 0) {
      fmt::format_to(std::back_inserter(out), "{}. ", i / 2 + 1);
    } else if (clocks) {
      fmt::format_to(std::back_inserter(out), "{}... ", i / 2 + 1);
    }
    out += game.moves[i];
    if (!clocks) continue;
    const std::int64_t s = ClockAfter(game, i);
    fmt::format_to(std::back_inserter(out), " {{[%clk {}:{:02}:{:02}]}}", s / 3600, s / 60 % 60, s % 60);
  }
  static constexpr std::array<std::string_view, 4> kEnd{" 1-0", " 0-1", " 1/2-1/2", " *"};
  out += kEnd[static_cast<std::size_t>(game.result)];
}

std::string_view SomeFen(std::uint64_t seed) { return kFens[seed % std::size(kFens)]; }

}  // namespace weir::sim
