#include "common/sources/drift_log.h"

#include "common/base/json_text.h"

namespace weir {

std::string_view ToString(DriftKind kind) {
  switch (kind) {
    case DriftKind::kUnknown:
      return "unknown";
    case DriftKind::kType:
      return "type";
    case DriftKind::kMissing:
      return "missing";
  }
  return "unknown";
}

void DriftLog::Add(std::string_view field, DriftKind kind, std::string_view expected,
                   std::string_view found) {
  // A name is an upstream's: cut, and safe to show, before it is compared, so that what is stored as one is
  // one.
  const std::string name = Printable(field, kMaxField);
  for (Entry& entry : entries_) {
    if (entry.kind != kind || entry.field != name) continue;
    ++entry.count;
    return;
  }
  if (entries_.size() < kMostEntries) {
    entries_.push_back({name, kind, std::string(expected), std::string(found), 1});
    return;
  }
  // Full: the last entry stands for all that has no place.
  Entry& rest = entries_.back();
  if (rest.field != "…") rest = {"…", kind, "", "", rest.count};
  ++rest.count;
}

}  // namespace weir
