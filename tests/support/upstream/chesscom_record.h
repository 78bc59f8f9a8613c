#pragma once

#include <string>

#include "tests/support/upstream/chess_game.h"

namespace weir::sim {

std::string ChessComUuid(std::uint64_t code, std::uint64_t seed);
// The id weir must give it: its uuid, or its url where it has none.
std::string ChessComKey(const GameRef& ref);
// One element of a month's "games".
void AppendChessComGame(std::string& out, const GameRef& ref);

}  // namespace weir::sim
