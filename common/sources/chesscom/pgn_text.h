#pragma once

#include <string>
#include <string_view>

namespace weir::chesscom {

// The value of a PGN header such as [ECO "B20"], or "". Escapes (\" and \\) stay as they are.
std::string_view PgnHeader(std::string_view pgn, std::string_view name);

// Appends the moves (SAN, separated by blanks) of a PGN: without numbers, comments, variations, glyphs and
// result.
void AppendMoves(std::string& out, std::string_view pgn);

// "…/openings/Sicilian-Defense-Open-2...Nc6" → "Sicilian Defense Open 2...Nc6"; "" if there is no such name.
std::string OpeningName(std::string_view eco_url);

}  // namespace weir::chesscom
