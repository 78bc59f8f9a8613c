#include "common/sources/highlevel/search_page.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "common/base/json_text.h"
#include "common/base/time_text.h"
#include "common/sources/field_columns.h"
#include "common/sources/highlevel/key_text.h"
#include "common/sources/record_check.h"
#include "common/sources/source.h"
#include "common/sources/upstream_sentence.h"

namespace weir::highlevel {
namespace {

tl::unexpected<Error> NoSearch(std::string_view envelope, std::string_view why) {
  Error e =
      MakeError(ErrorClass::kTransient, "the answer is not a search of opportunities: " + std::string(why));
  e.body_start = Printable(envelope);
  return Fail(std::move(e));
}

// A number, or its digits in a text; both are seen.
std::optional<std::int64_t> NumberOf(const JsonField& field) {
  return field.kind == JsonField::Kind::kString ? KeyNumber(field.text) : AsInt(field);
}

std::optional<std::int64_t> MillisOf(const JsonField& field) {
  const auto value = NumberOf(field);
  return value && *value >= kMinRecordMs && *value <= kMaxRecordMs ? value : std::nullopt;
}

std::optional<std::int64_t> TotalOf(const JsonField& field) {
  const auto value = NumberOf(field);
  return value && *value >= 0 ? value : std::nullopt;
}

bool HasElements(std::string_view array) { return array.find_first_not_of(" \t\r\n", 1) != array.rfind(']'); }

}  // namespace

Result<SearchMeta> ParseMeta(std::string_view envelope) {
  static const FieldTree kTree(
      {"meta.total", "total", "meta.startAfter", "meta.startAfterId", "opportunities"});
  std::string padded(envelope);
  padded.append(RecordMapper::kRecordPadding, '\0');
  RecordCheck check(kTree);
  if (auto whole = check.Whole({padded.data(), envelope.size()}); !whole) {
    return NoSearch(envelope, whole.error().message);
  }
  if (const auto said = ErrorIn(envelope)) return NoSearch(envelope, "the upstream says \"" + *said + "\"");
  const JsonField& records = check.Field(4);
  if (records.kind != JsonField::Kind::kArray) return NoSearch(envelope, "it has no list of them");
  SearchMeta meta;
  meta.records = HasElements(records.text);
  meta.total = TotalOf(check.Field(0));
  if (!meta.total) meta.total = TotalOf(check.Field(1));
  const auto after = MillisOf(check.Field(2));
  const auto id = AsId(check.Field(3));
  if (after && id) {
    if (!IsPlainId(*id)) return NoSearch(envelope, "its cursor's id is none");
    meta.next = Cursor{*after, *id};
  }
  return meta;
}

bool IsPlainId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
  });
}

tl::unexpected<Error> NotWhole(std::string what, std::string hint) {
  return Fail(ErrorClass::kTransient, std::move(what), std::move(hint));
}

bool IsBefore(std::int64_t ms, std::int64_t floor) {
  return ms < floor && (ms % 1000 != 0 || ms + 999 < floor);
}

std::int64_t DifferentIn(const PageResult& result) {
  return result.distinct > 0 ? result.distinct : result.records;
}

std::int64_t DayOf(std::int64_t unix_ms) {
  return unix_ms >= 0 ? unix_ms / kDayMs : -((-unix_ms + kDayMs - 1) / kDayMs);
}

std::string DayText(std::int64_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day))};
  return fmt::format("{:02}-{:02}-{:04}", static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), static_cast<int>(date.year()));
}

std::string LastQuestion::Text() const {
  if (!after) return "total";
  const std::string text = fmt::format("total;{};{};{}", after->after_ms, after->after_id, looks);
  return moment == 0 ? text : fmt::format("{};{}", text, moment);
}

std::optional<LastQuestion> LastQuestion::Parse(std::string_view key) {
  if (key == "total") return LastQuestion{};
  const auto parts = KeyParts(key);
  if ((parts.size() != 4 && parts.size() != 5) || parts[0] != "total") return std::nullopt;
  const auto ms = KeyNumber(parts[1]);
  const auto looks = KeyNumber(parts[3]);
  const auto moment = parts.size() == 5 ? KeyNumber(parts[4]) : 0;
  if (!ms || !looks || !moment) return std::nullopt;
  return LastQuestion{Cursor{*ms, std::string(parts[2])}, *looks, *moment};
}

std::string SlicePage::Text() const {
  const std::string text =
      fmt::format("slice;{};{};{};{}", KeyPart(from_day), KeyPart(to_day), cursor.after_ms, cursor.after_id);
  if (moment > 0) return fmt::format("{};{};{}", text, looks, moment);
  return looks == 0 ? text : fmt::format("{};{}", text, looks);
}

std::optional<SlicePage> SlicePage::Parse(std::string_view key) {
  const auto parts = KeyParts(key);
  if (parts.size() < 5 || parts.size() > 7 || parts[0] != "slice") return std::nullopt;
  const auto from = KeyNumber(parts[1]);
  const auto to = KeyNumber(parts[2]);
  const auto after = KeyNumber(parts[3]);
  const auto looks = parts.size() >= 6 ? KeyNumber(parts[5]) : 0;
  const auto moment = parts.size() == 7 ? KeyNumber(parts[6]) : 0;
  if (!after || !looks || !moment || (!from && !parts[1].empty()) || (!to && !parts[2].empty()))
    return std::nullopt;
  return SlicePage{from, to, {*after, std::string(parts[4])}, *looks, *moment};
}

std::string ChangesPage::Text() const {
  return fmt::format("changes;{};{};{};{}", from_ms, after_id, seen, looks);
}

// "changes;MS;N", page N of what changed at or after MS, is how it was written once: it begins there again.
std::optional<ChangesPage> ChangesPage::Parse(std::string_view key) {
  const auto parts = KeyParts(key);
  if ((parts.size() != 3 && parts.size() != 5) || parts[0] != "changes") return std::nullopt;
  const auto from = KeyNumber(parts[1]);
  const auto seen = parts.size() == 5 ? KeyNumber(parts[3]) : 0;
  const auto looks = parts.size() == 5 ? KeyNumber(parts[4]) : 0;
  const auto page = parts.size() == 3 ? KeyNumber(parts[2]) : 1;
  if (!from || !seen || !looks || !page || *page < 1) return std::nullopt;
  return ChangesPage{*from, parts.size() == 5 ? std::string(parts[2]) : std::string(), *seen, *looks};
}

}  // namespace weir::highlevel
