#include "common/sources/chesscom/pgn_text.h"

#include <algorithm>

namespace weir::chesscom {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// What ends a token of the moves.
struct TokenEnds {
  bool is[256] = {};
  constexpr TokenEnds() {
    for (const unsigned char c : {' ', '\n', '\r', '\t', '{', '(', ')', ';', '}'}) is[c] = true;
  }
};
constexpr TokenEnds kTokenEnds;

bool IsResult(std::string_view token) {
  return token == "1-0" || token == "0-1" || token == "1/2-1/2" || token == "*";
}

// Where the moves begin: after the header lines.
std::size_t MovesBegin(std::string_view pgn) {
  std::size_t at = 0;
  while (at < pgn.size()) {
    if (IsBlank(pgn[at])) {
      ++at;
    } else if (pgn[at] == '[') {
      const auto newline = pgn.find('\n', at);
      at = newline == std::string_view::npos ? pgn.size() : newline + 1;
    } else {
      break;
    }
  }
  return at;
}

// "12." and "12..." before a move, also when they stick to it.
std::string_view WithoutNumber(std::string_view token) {
  const auto digits = token.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos || token[digits] != '.') return token;
  const auto move = token.find_first_not_of('.', digits);
  return move == std::string_view::npos ? std::string_view() : token.substr(move);
}

// The byte after a comment or variation that begins at `at`; both may be cut off.
std::size_t SkipAside(std::string_view pgn, std::size_t at) {
  const char kind = pgn[at];
  if (kind != '(') {
    const auto close = pgn.find(kind == '{' ? '}' : '\n', at);
    return close == std::string_view::npos ? pgn.size() : close + 1;
  }
  for (int depth = 0; at < pgn.size(); ++at) {
    if (pgn[at] == '{') {
      at = pgn.find('}', at);
      if (at == std::string_view::npos) return pgn.size();
    } else if (pgn[at] == '(') {
      ++depth;
    } else if (pgn[at] == ')' && --depth == 0) {
      return at + 1;
    }
  }
  return at;
}

}  // namespace

std::string_view PgnHeader(std::string_view pgn, std::string_view name) {
  const std::string_view headers = pgn.substr(0, MovesBegin(pgn));
  for (auto at = headers.find('['); at != std::string_view::npos; at = headers.find("\n[", at)) {
    if (headers[at] == '\n') ++at;
    std::string_view line = headers.substr(at + 1, headers.find('\n', at) - at - 1);
    if (line.starts_with(name) && line.substr(name.size()).starts_with(" \"")) {
      line.remove_prefix(name.size() + 2);
      return line.substr(0, line.rfind('"'));
    }
  }
  return {};
}

void AppendMoves(std::string& out, std::string_view pgn) {
  const std::size_t start = out.size();
  std::size_t at = MovesBegin(pgn);
  while (at < pgn.size()) {
    const char c = pgn[at];
    if (IsBlank(c) || c == ')' || c == '}') {
      ++at;
      continue;
    }
    if (c == '{' || c == '(' || c == ';') {
      at = SkipAside(pgn, at);
      continue;
    }
    const std::size_t from = at;
    while (at < pgn.size() && !kTokenEnds.is[static_cast<unsigned char>(pgn[at])]) ++at;
    const std::string_view token = WithoutNumber(pgn.substr(from, at - from));
    if (token.empty() || token.front() == '$' || IsResult(token)) continue;
    if (out.size() > start) out += ' ';
    out += token;
  }
}

std::string OpeningName(std::string_view eco_url) {
  const auto slash = eco_url.rfind('/');
  if (slash == std::string_view::npos) return {};
  std::string name(eco_url.substr(slash + 1));
  std::replace(name.begin(), name.end(), '-', ' ');
  return name;
}

}  // namespace weir::chesscom
