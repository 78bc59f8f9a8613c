#include "tests/support/upstream/lichess_record.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "common/base/json_text.h"
#include "common/base/time_text.h"
#include "tests/support/upstream/hash.h"

namespace weir::sim {
namespace {

constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

template <typename... Args>
void Put(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

std::string_view Status(const ChessGame& game) {
  static constexpr std::array<std::string_view, 3> kWon{"mate", "resign", "outoftime"};
  static constexpr std::array<std::string_view, 3> kDrawn{"draw", "stalemate", "draw"};
  if (game.result == ChessGame::Result::kNone) return "started";
  const auto ending = static_cast<std::size_t>(game.ending);
  return game.result == ChessGame::Result::kDraw ? kDrawn[ending] : kWon[ending];
}

void AppendUser(std::string& out, std::string_view name, std::string_view title, std::uint64_t seed) {
  Put(out, "\"user\":{{\"name\":\"{}\",", name);
  if (!title.empty()) Put(out, "\"title\":\"{}\",", title);
  if (seed % 17 == 0) out += "\"flair\":\"nature.seedling\",";
  if (seed % 11 == 0) out += "\"patron\":true,\"patronColor\":10,";
  Put(out, "\"id\":\"{}\"}}", Fold(name));
}

void AppendSide(std::string& out, const ChessGame& game, bool white, const LichessContent& content) {
  const bool owner = white == game.owner_is_white;
  const auto opponent = owner ? ChessGame::Opponent::kUser : game.opponent;
  out += '{';
  if (opponent == ChessGame::Opponent::kAi) {
    Put(out, "\"aiLevel\":{}", game.ai_level);
  } else if (opponent == ChessGame::Opponent::kUser) {
    AppendUser(out, owner ? game.OwnerName() : game.opponent_name,
               owner ? game.owner_title : game.opponent_title, owner ? game.ref.owner->seed : game.seed);
    Put(out, ",\"rating\":{}", owner ? game.owner_rating : game.opponent_rating);
    const bool won = game.result == (white ? ChessGame::Result::kWhite : ChessGame::Result::kBlack);
    const bool draw = game.result == ChessGame::Result::kDraw;
    if (game.rated && !game.ongoing)
      Put(out, ",\"ratingDiff\":{}", draw ? 0 : (won ? game.rating_diff : -game.rating_diff));
    if (!owner && game.seed % 23 == 0) out += ",\"provisional\":true";
  }
  const int alterations = game.ref.owner->Alterations(game.ref.index);
  if (alterations > 0 || game.seed % 8 == 0) {
    if (out.back() != '{') out += ',';
    Put(out, "\"analysis\":{{\"inaccuracy\":{},\"mistake\":{},\"blunder\":{},\"acpl\":{}", game.seed % 7,
        game.seed % 5, game.seed % 3 + static_cast<unsigned>(alterations), 10 + game.seed % 60);
    if (content.accuracy) Put(out, ",\"accuracy\":{}", 60 + game.seed % 40);
    out += '}';
  }
  out += '}';
}

void AppendClocks(std::string& out, const ChessGame& game) {
  out += ",\"clocks\":[";
  for (std::size_t i = 0; i < game.moves.size(); ++i)
    Put(out, "{}{}", i > 0 ? "," : "", ClockAfter(game, i) * 100 + 3);
  out += ']';
}

void AppendEvals(std::string& out, const ChessGame& game) {
  out += ",\"analysis\":[";
  for (std::size_t i = 0; i < game.moves.size(); ++i)
    Put(out, "{}{{\"eval\":{}}}", i > 0 ? "," : "", static_cast<int>(Mix(game.seed, i) % 300) - 150);
  out += ']';
}

void AppendMoveParts(std::string& out, const ChessGame& game, const LichessContent& content) {
  if (content.opening && !game.chess960) {
    Put(out, ",\"opening\":{{\"eco\":\"{}\",\"name\":\"{}\",\"ply\":{}}}", game.opening->eco,
        game.opening->name, game.opening->plies);
  }
  if (content.moves) {
    out += ",\"moves\":\"";
    for (std::size_t i = 0; i < game.moves.size(); ++i) {
      if (i > 0) out += ' ';
      out += game.moves[i];
    }
    out += '"';
  }
  if (content.clocks && game.days == 0) AppendClocks(out, game);
  if (content.pgn_in_json) {
    std::string pgn;
    AppendLichessPgn(pgn, game.ref, content);
    out += ",\"pgn\":";
    AppendJsonString(out, pgn);
  }
  if (content.last_fen) Put(out, ",\"lastFen\":\"{}\"", SomeFen(game.seed));
}

}  // namespace

LichessContent LichessContent::FromQuery(const Request& request, LichessContent defaults) {
  const auto read = [&](std::string_view name, bool& flag) {
    if (request.Has(name)) flag = request.Query(name) == "true" || request.Query(name) == "1";
  };
  read("moves", defaults.moves);
  read("tags", defaults.tags);
  read("pgnInJson", defaults.pgn_in_json);
  read("clocks", defaults.clocks);
  read("evals", defaults.evals);
  read("accuracy", defaults.accuracy);
  read("opening", defaults.opening);
  read("division", defaults.division);
  read("lastFen", defaults.last_fen);
  return defaults;
}

std::string LichessId(std::uint64_t code) {
  std::string id(8, '0');
  for (auto it = id.rbegin(); it != id.rend(); ++it, code /= 62) *it = kDigits[code % 62];
  return id;
}

std::optional<std::uint64_t> ParseLichessId(std::string_view id) {
  if (id.size() != 8) return std::nullopt;
  std::uint64_t code = 0;
  for (const char c : id) {
    const auto digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    code = code * 62 + digit;
  }
  return code;
}

void AppendLichessGame(std::string& out, const GameRef& ref, const LichessContent& content) {
  const ChessGame game = MakeGame(ref);
  Put(out, "{{\"id\":\"{}\",\"rated\":{},\"variant\":\"{}\",\"speed\":\"{}\",\"perf\":\"{}\"",
      LichessId(game.code), game.rated, game.chess960 ? "chess960" : "standard", game.speed,
      game.chess960 ? "chess960" : game.speed);
  Put(out, ",\"createdAt\":{},\"lastMoveAt\":{},\"status\":\"{}\",\"source\":\"{}\"", ref.at_ms,
      ref.at_ms + game.duration_ms, Status(game),
      game.opponent == ChessGame::Opponent::kAi ? "ai" : (game.seed % 4 == 0 ? "arena" : "pool"));
  out += ",\"players\":{\"white\":";
  AppendSide(out, game, true, content);
  out += ",\"black\":";
  AppendSide(out, game, false, content);
  out += '}';
  if (game.chess960) Put(out, ",\"initialFen\":\"{}\"", SomeFen(game.seed));
  if (game.result == ChessGame::Result::kWhite) out += ",\"winner\":\"white\"";
  if (game.result == ChessGame::Result::kBlack) out += ",\"winner\":\"black\"";
  AppendMoveParts(out, game, content);
  if (game.days > 0) {
    Put(out, ",\"daysPerTurn\":{}", game.days);
  } else {
    Put(out, ",\"clock\":{{\"initial\":{},\"increment\":{},\"totalTime\":{}}}", game.initial, game.increment,
        game.initial + 40 * game.increment);
  }
  if (content.division) Put(out, ",\"division\":{{\"middle\":{}}}", 14 + game.seed % 20);
  if (content.evals && game.seed % 8 == 0) AppendEvals(out, game);
  if (game.seed % 4 == 0 && !game.ongoing)
    out += ",\"arenaTour\":{\"id\":\"Xg7M4och\",\"name\":\"Daily Arena\"}";
  out += '}';
}

void AppendLichessPgn(std::string& out, const GameRef& ref, const LichessContent& content) {
  const ChessGame game = MakeGame(ref);
  static constexpr std::array<std::string_view, 4> kResult{"1-0", "0-1", "1/2-1/2", "*"};
  const std::string at = FormatTime(ref.at_ms);
  std::string date = at.substr(0, 10);
  std::replace(date.begin(), date.end(), '-', '.');
  const std::string_view owner = game.OwnerName();
  const std::string_view other = game.opponent == ChessGame::Opponent::kAi ? "lichess AI"
                                 : game.opponent == ChessGame::Opponent::kAnonymous
                                     ? "Anonymous"
                                     : std::string_view(game.opponent_name);
  if (content.tags) {
    Put(out, "[Event \"{} {} game\"]\n[Site \"https://lichess.org/{}\"]\n[Date \"{}\"]\n",
        game.rated ? "Rated" : "Casual", game.speed, LichessId(game.code), date);
    Put(out, "[White \"{}\"]\n[Black \"{}\"]\n[Result \"{}\"]\n[UTCTime \"{}\"]\n",
        game.owner_is_white ? owner : other, game.owner_is_white ? other : owner,
        kResult[static_cast<std::size_t>(game.result)], at.substr(11, 8));
    if (content.opening) Put(out, "[ECO \"{}\"]\n[Opening \"{}\"]\n", game.opening->eco, game.opening->name);
    out += '\n';
  }
  AppendPgnMoves(out, game, content.clocks);
  out += "\n\n\n";
}

}  // namespace weir::sim
