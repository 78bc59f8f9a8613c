#include "tests/support/hostile/page_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace weir::sim {
namespace {

using Json = nlohmann::ordered_json;

const char* ListOf(std::string_view path_class) {
  if (path_class == "chesscom.month") return "games";
  if (path_class == "highlevel.search" || path_class == "highlevel.changes") return "opportunities";
  return nullptr;
}

PageText Lines(const std::string& body) {
  PageText page;
  page.separator = page.after = "\n";
  for (std::size_t from = 0; from < body.size();) {
    const auto end = std::min(body.find('\n', from), body.size());
    if (end > from) page.records.push_back(body.substr(from, end - from));
    from = end + 1;
  }
  return page;
}

}  // namespace

std::string PageText::Text() const {
  std::string text = before;
  for (std::size_t i = 0; i < records.size(); ++i) text += (i == 0 ? "" : separator) + records[i];
  return text + (records.empty() && separator == "\n" ? "" : after);
}

std::optional<PageText> TakeApart(std::string_view path_class, const std::string& body) {
  PageText page;
  if (path_class == "lichess.games") {
    page = Lines(body);
  } else if (const char* list = ListOf(path_class)) {
    Json document = Json::parse(body, nullptr, false);
    if (!document.is_object() || !document.contains(list) || !document[list].is_array()) return std::nullopt;
    for (const Json& record : document[list]) page.records.push_back(record.dump());
    document.erase(list);
    page.separator = ",";
    SetAround(page, path_class, document.dump());
  }
  if (page.records.empty()) return std::nullopt;
  return page;
}

std::string AroundOf(const PageText& page) {
  if (page.separator == "\n") return "{}";
  return page.after.size() > 2 ? "{" + page.after.substr(2) : "{}";
}

void SetAround(PageText& page, std::string_view path_class, const std::string& object) {
  const char* list = ListOf(path_class);
  if (list == nullptr) return;
  page.before = std::string("{\"") + list + "\":[";
  page.after = object.size() > 2 ? "]," + object.substr(1) : "]}";
}

std::optional<std::size_t> PlaceInside(const std::string& body, std::size_t draw) {
  if (body.size() < 8) return std::nullopt;
  for (std::size_t tries = 0; tries < 64; ++tries, draw += 7) {
    const std::size_t at = 1 + draw % (body.size() - 1);
    // The last line's text without its newline is whole, and so is what ends with a line.
    const bool line_end = body[at] == '\n' || body[at - 1] == '\n';
    const bool only_blanks_left = body.find_first_not_of(" \t\r\n", at) == std::string::npos;
    if (!line_end && !only_blanks_left) return at;
  }
  return std::nullopt;
}

}  // namespace weir::sim
