#include "tests/support/upstream/poison.h"

#include <fmt/core.h>

#include <algorithm>

namespace weir::sim {
namespace {

constexpr std::string_view kUuidStart = "00000000-dead-4000-8000-0000000000";

// Replaces the value of `"key":"…"`, or removes the member if `value` is empty.
void SetText(std::string& record, std::string_view key, std::string_view value) {
  const std::string start = fmt::format("\"{}\":\"", key);
  const auto at = record.find(start);
  if (at == std::string::npos) return;
  const auto end = record.find('"', at + start.size());
  if (!value.empty()) {
    record.replace(at + start.size(), end - at - start.size(), value);
  } else {
    const bool comma = end + 1 < record.size() && record[end + 1] == ',';
    record.erase(at, end + 1 - at + (comma ? 1 : 0));
  }
}

std::string Value(std::string_view kind) {
  if (kind == "nul") return R"("a\u0000b")";
  if (kind == "surrogate") return R"("a\ud800b")";
  if (kind == "utf8") return "\"a\xC3\x28\xFF b\"";
  if (kind == "digits30") return "123456789012345678901234567890";
  if (kind == "exp131000") return "1e131000";
  if (kind == "deep") return std::string(100'000, '[') + std::string(100'000, ']');
  if (kind == "huge") return '"' + std::string(5'000'000, 'h') + '"';
  if (kind == "over_cap") return '"' + std::string(1'100'000, 'c') + '"';
  if (kind == "broken") return "{\"unfinished\":";
  return "true";
}

}  // namespace

const std::vector<std::string>& PoisonKinds() {
  static const std::vector<std::string> kinds{
      "nul",  "surrogate", "utf8",     "no_id",     "digits30",         "exp131000",
      "deep", "huge",      "over_cap", "duplicate", "duplicate_changed"};
  return kinds;
}

std::string PoisonId(Api api, std::string_view kind) {
  const auto& kinds = PoisonKinds();
  const auto number = std::find(kinds.begin(), kinds.end(), kind) - kinds.begin();
  if (kind == "no_id" || kind.substr(0, 9) == "duplicate") return {};
  return api == Api::kChessCom ? fmt::format("{}{:02}", kUuidStart, number)
                               : fmt::format("poison{:02}", number);
}

bool IsPoisonId(std::string_view id) {
  return (id.size() == 8 && id.substr(0, 6) == "poison") || id.substr(0, kUuidStart.size()) == kUuidStart;
}

std::string MakePoison(Api api, std::string_view kind, const std::string& good) {
  std::string bad = good;
  if (kind == "duplicate") return bad;
  if (kind != "duplicate_changed") {
    SetText(bad, api == Api::kChessCom ? "uuid" : "id", PoisonId(api, kind));
    if (api == Api::kChessCom && kind == "no_id") SetText(bad, "url", {});
  }
  bad.insert(bad.rfind('}'), ",\"poison\":" + Value(kind));
  return bad;
}

RecordWriter::RecordWriter(Api api, const std::optional<Fault>& fault, Sink sink, std::string_view between,
                           std::string_view end)
    : api_(api), at_(fault ? fault->at : 0), sink_(std::move(sink)), between_(between), end_(end) {
  if (!fault || fault->kind != Fault::Kind::kPoison) return;
  for (const std::string& kind : fault->records) {
    if (kind == "all") {
      poison_ = PoisonKinds();
    } else {
      poison_.push_back(kind);
    }
  }
}

bool RecordWriter::Put(std::string_view record) {
  if (!first_ && !between_.empty() && !sink_(between_)) return false;
  first_ = false;
  return sink_(record) && (end_.empty() || sink_(end_));
}

bool RecordWriter::Poison(const std::string& good) {
  for (const std::string& kind : poison_) {
    if (!Put(MakePoison(api_, kind, good))) return false;
  }
  poison_.clear();
  return true;
}

bool RecordWriter::Add(const std::string& record) {
  if (!poison_.empty()) {
    last_ = record;
    if (count_ == at_ && !Poison(record)) return false;
  }
  ++count_;
  return Put(record);
}

bool RecordWriter::Finish() {
  // The page was shorter than `at`. Its last record comes once more after its poison, so that of copies the
  // good one is the last.
  if (poison_.empty() || last_.empty()) return true;
  const bool copies = std::any_of(poison_.begin(), poison_.end(),
                                  [](const std::string& kind) { return kind.rfind("duplicate", 0) == 0; });
  return Poison(last_) && (!copies || Put(last_));
}

}  // namespace weir::sim
