#include "common/base/selector.h"

#include <algorithm>

#include "common/base/time_text.h"

namespace weir {

std::string_view ToString(SelectorKind kind) {
  switch (kind) {
    case SelectorKind::kDiscover:
      return "discover";
    case SelectorKind::kPages:
      return "pages";
    case SelectorKind::kWindow:
      return "window";
    case SelectorKind::kNewest:
      return "newest";
    case SelectorKind::kArchive:
      return "archive";
    case SelectorKind::kIds:
      return "ids";
    case SelectorKind::kCursor:
      return "cursor";
  }
  return "unknown";
}

std::string Describe(const Selector& s) {
  std::string text(ToString(s.kind));
  switch (s.kind) {
    case SelectorKind::kDiscover:
      break;
    case SelectorKind::kPages:
      text += " " + std::to_string(s.lo) + ".." + std::to_string(s.hi);
      break;
    case SelectorKind::kWindow:
    case SelectorKind::kNewest:
      text += " " + FormatTime(s.lo) + ".." + FormatTime(s.hi);
      break;
    case SelectorKind::kArchive:
      text += " " + s.key;
      break;
    case SelectorKind::kIds:
      text = std::to_string(std::count(s.key.begin(), s.key.end(), ',') + 1) + " ids from " +
             s.key.substr(0, s.key.find(','));
      break;
    case SelectorKind::kCursor:
      text += " " + s.key.substr(0, 64);
      break;
  }
  return text;
}

std::string_view ToString(JobMode mode) { return mode == JobMode::kFull ? "full" : "incremental"; }

std::optional<JobMode> ParseJobMode(std::string_view text) {
  if (text == "full") return JobMode::kFull;
  if (text == "incremental") return JobMode::kIncremental;
  return std::nullopt;
}

}  // namespace weir
