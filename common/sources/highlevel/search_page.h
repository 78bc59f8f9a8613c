#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/sources/source.h"

namespace weir::highlevel {

constexpr std::int64_t kDayMs = 86'400'000;
constexpr std::int64_t kPageRecords = 100;      // GET: the most a page may hold
constexpr std::int64_t kPostPageRecords = 500;  // POST
// Records of one moment, before the upstream is believed to send the same ones without end.
constexpr std::int64_t kMostInAMoment = 100'000;

// A place in the order by creation: behind the record of that time and id. Both are sent or neither is: with
// one alone the upstream repeats its first page.
struct Cursor {
  std::int64_t after_ms = 0;
  std::string after_id;

  bool IsStart() const { return after_id.empty(); }
  friend bool operator==(const Cursor&, const Cursor&) = default;
};

// What stands around a search's records.
struct SearchMeta {
  std::optional<std::int64_t> total;
  std::optional<Cursor> next;  // nothing behind the last record
  bool records = false;        // there are some; of a page's envelope, which has none, it says nothing
};

// `envelope`: the answer, with its records or without. Errors: kTransient for an answer that is no search of
// opportunities, e.g. an error that came with status 200: asked again, it may be one.
Result<SearchMeta> ParseMeta(std::string_view envelope);

// An id that can stand in a query and in a key as it is.
bool IsPlainId(std::string_view id);

// What the answer does not prove: it is asked again, and its task is dead if that is of no use.
tl::unexpected<Error> NotWhole(std::string what, std::string hint = "try again later; what was read is kept");

// Whether `ms` lies before `floor`, as far as a time that may have been cut to the second tells.
bool IsBefore(std::int64_t ms, std::int64_t floor);

// How many different records a page holds.
std::int64_t DifferentIn(const PageResult& result);

// What is asked when all is read, Selector::key: how many there are by now, and whether any stands behind the
// place where reading ended. An empty page alone is no proof of an end.
struct LastQuestion {
  std::optional<Cursor> after;  // nothing = only how many
  std::int64_t looks = 0;       // how often reading has ended there, before this time
  std::int64_t moment = 0;      // as SlicePage's

  std::string Text() const;
  static std::optional<LastQuestion> Parse(std::string_view key);
};

// Days since 1970-01-01 and the upstream's "mm-dd-yyyy".
std::int64_t DayOf(std::int64_t unix_ms);
std::string DayText(std::int64_t day);

// Where a task stands in its slice of the creation order; Selector::key.
struct SlicePage {
  std::optional<std::int64_t> from_day;  // `date`; nothing = from the beginning
  std::optional<std::int64_t> to_day;    // `endDate`; nothing = to the end
  Cursor cursor;
  std::int64_t looks = 0;  // how often nothing came from here that should have
  // Records that came since the cursor last reached another second. Within one, an upstream that sends the
  // same pages in turns looks like one that goes on.
  std::int64_t moment = 0;

  std::string Text() const;
  static std::optional<SlicePage> Parse(std::string_view key);
};

// Where a task stands in its window of changes: at the first of those at or after `from_ms`; within that
// millisecond behind the record `after_id`, if all that came lay in it.
struct ChangesPage {
  std::int64_t from_ms = 0;
  std::string after_id = {};
  std::int64_t seen = 0;   // records of that millisecond that have come; 0 without after_id
  std::int64_t looks = 0;  // how often nothing came from here

  std::string Text() const;
  static std::optional<ChangesPage> Parse(std::string_view key);
};

}  // namespace weir::highlevel
