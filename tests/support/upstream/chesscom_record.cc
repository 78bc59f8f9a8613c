#include "tests/support/upstream/chesscom_record.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "common/base/json_text.h"
#include "common/base/time_text.h"
#include "tests/support/upstream/hash.h"

namespace weir::sim {
namespace {

template <typename... Args>
void Put(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

std::string Url(const ChessGame& game) {
  return fmt::format("https://www.chess.com/game/{}/{}", game.days > 0 ? "daily" : "live", game.code);
}

bool HasUuid(const GameRef& ref) {
  return ref.owner->no_uuid_every == 0 || ref.index % ref.owner->no_uuid_every != 0;
}

std::string TimeControl(const ChessGame& game) {
  if (game.days > 0) return fmt::format("1/{}", game.days * 86'400);
  return game.increment > 0 ? fmt::format("{}+{}", game.initial, game.increment)
                            : std::to_string(game.initial);
}

std::string_view TimeClass(const ChessGame& game) {
  if (game.days > 0) return "daily";
  return game.speed == "classical" ? "rapid" : game.speed;
}

std::string_view SideResult(const ChessGame& game, bool white) {
  static constexpr std::array<std::string_view, 3> kLost{"checkmated", "resigned", "timeout"};
  static constexpr std::array<std::string_view, 3> kDrawn{"agreed", "stalemate", "repetition"};
  const auto ending = static_cast<std::size_t>(game.ending);
  if (game.result == ChessGame::Result::kDraw) return kDrawn[ending];
  return (game.result == ChessGame::Result::kWhite) == white ? "win" : kLost[ending];
}

void AppendSide(std::string& out, const ChessGame& game, bool white) {
  const bool owner = white == game.owner_is_white;
  const std::string_view name = owner ? game.OwnerName() : game.opponent_name;
  Put(out, "{{\"rating\":{},\"result\":\"{}\",\"@id\":\"https://api.chess.com/pub/player/{}\",",
      owner ? game.owner_rating : game.opponent_rating, SideResult(game, white), Fold(name));
  Put(out, "\"username\":\"{}\",\"uuid\":\"{}\"}}", name,
      ChessComUuid(Mix(Fold(name), 1) >> 17, Mix(Fold(name), 2)));
}

std::string Pgn(const ChessGame& game) {
  std::string date = FormatTime(game.ref.at_ms).substr(0, 10);
  std::replace(date.begin(), date.end(), '-', '.');
  const std::string& owner = game.OwnerName();
  std::string pgn = fmt::format("[Event \"{}\"]\n[Site \"Chess.com\"]\n[Date \"{}\"]\n[Round \"-\"]\n",
                                game.days > 0 ? "Let's Play!" : "Live Chess", date);
  Put(pgn, "[White \"{}\"]\n[Black \"{}\"]\n[ECO \"{}\"]\n[TimeControl \"{}\"]\n[Link \"{}\"]\n\n",
      game.owner_is_white ? owner : game.opponent_name, game.owner_is_white ? game.opponent_name : owner,
      game.opening->eco, TimeControl(game), Url(game));
  AppendPgnMoves(pgn, game, false);
  return pgn + "\n";
}

}  // namespace

std::string ChessComUuid(std::uint64_t code, std::uint64_t seed) {
  return fmt::format("{:08x}-{:04x}-11ee-{:04x}-{:012x}", seed >> 32, seed >> 16 & 0xFFFF,
                     0x8000 | (seed & 0x3FFF), code);
}

std::string ChessComKey(const GameRef& ref) {
  if (HasUuid(ref)) {
    return ChessComUuid(GameCode(ref.owner->number, ref.index),
                        Mix(ref.owner->seed, static_cast<std::uint64_t>(ref.index) + 0x5EEDULL));
  }
  return Url(MakeGame(ref));
}

void AppendChessComGame(std::string& out, const GameRef& ref) {
  const ChessGame game = MakeGame(ref);
  const std::int64_t end = ref.at_ms / 1000;
  Put(out, "{{\"url\":\"{}\",\"pgn\":", Url(game));
  AppendJsonString(out, Pgn(game));
  Put(out, ",\"time_control\":\"{}\",\"end_time\":{},\"rated\":{}", TimeControl(game), end, game.rated);
  const int alterations = ref.owner->Alterations(ref.index);
  if (alterations > 0 || game.seed % 3 == 0) {
    Put(out, ",\"accuracies\":{{\"white\":{}.{:02},\"black\":{}.{:02}}}", 60 + game.seed % 40, game.seed % 97,
        55 + game.seed % 40, (game.seed + static_cast<unsigned>(alterations)) % 89);
  }
  out += ",\"tcn\":\"";
  for (std::size_t i = 0; i < std::min<std::size_t>(game.moves.size(), 40); ++i) {
    const std::uint64_t h = Mix(game.seed, i);
    out += static_cast<char>('a' + h % 26);
    out += static_cast<char>('A' + h / 26 % 26);
  }
  out += '"';
  if (HasUuid(ref)) Put(out, ",\"uuid\":\"{}\"", ChessComUuid(game.code, game.seed));
  Put(out, ",\"initial_setup\":\"{}\",\"fen\":\"{}\"",
      "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1", SomeFen(game.seed));
  if (game.days > 0) Put(out, ",\"start_time\":{}", end - game.duration_ms / 1000);
  Put(out, ",\"time_class\":\"{}\",\"rules\":\"{}\",\"white\":", TimeClass(game),
      game.chess960 ? "chess960" : "chess");
  AppendSide(out, game, true);
  out += ",\"black\":";
  AppendSide(out, game, false);
  if (!game.chess960) Put(out, ",\"eco\":\"https://www.chess.com/openings/{}\"", game.opening->slug);
  if (game.seed % 4 == 0)
    out += ",\"tournament\":\"https://api.chess.com/pub/tournament/titled-tuesday-blitz\"";
  out += '}';
}

}  // namespace weir::sim
