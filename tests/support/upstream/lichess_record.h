#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tests/support/upstream/chess_game.h"
#include "tests/support/upstream/http_server.h"

namespace weir::sim {

// The content flags of a Lichess export, with the API's defaults.
struct LichessContent {
  bool moves = true, tags = true, pgn_in_json = false, clocks = false, evals = false, accuracy = false,
       opening = false, division = false, last_fen = false;

  static LichessContent FromQuery(const Request& request, LichessContent defaults);
};

// Eight characters of [0-9A-Za-z].
std::string LichessId(std::uint64_t code);
std::optional<std::uint64_t> ParseLichessId(std::string_view id);

// One game object, without a line end.
void AppendLichessGame(std::string& out, const GameRef& ref, const LichessContent& content);
// The same game as PGN, ending in a blank line.
void AppendLichessPgn(std::string& out, const GameRef& ref, const LichessContent& content);

}  // namespace weir::sim
