#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::sim {

// A page's body taken apart: its records as text, and what stands around them.
struct PageText {
  std::vector<std::string> records;
  std::string before, separator, after;

  std::string Text() const;
};

// Of an answer of such a path class; nothing where it holds no records, or fewer than one.
std::optional<PageText> TakeApart(std::string_view path_class, const std::string& body);
// What stands around the records, as a JSON object without them ("{}" for NDJSON), and back.
std::string AroundOf(const PageText& page);
void SetAround(PageText& page, std::string_view path_class, const std::string& object);

// A place to cut `body` where nobody can take what is left for whole: inside a record or document, not at a
// line's end. `draw` chooses it. Nothing for a body too short.
std::optional<std::size_t> PlaceInside(const std::string& body, std::size_t draw);

}  // namespace weir::sim
