#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/selector.h"
#include "common/sources/highlevel/search_page.h"
#include "common/sources/source.h"

namespace weir::highlevel {

// Cuts the creation order into slices, border by border, from the oldest on. A border is a day; asking for
// one record from that day on tells how many there are from there on (the difference to the border before is
// the slice's size) and when the first of them was created, which is exactly where the slice before ends,
// whatever zone the upstream's days are in and whether its `endDate` counts that day or not.
struct BorderSearch {
  std::optional<std::int64_t> from_day;  // `date` of the slice that is being cut; nothing = the beginning
  std::int64_t left_day = 0;             // about where that slice begins
  std::int64_t left_ms = 0;              // when its first record was created
  std::int64_t left_total = 0;           // records from there on
  std::int64_t near_day = 0;             // a border known to cut off too little
  std::optional<std::int64_t> far_day;   // one known to cut off too much
  std::int64_t asked_day = 0;            // the border in question
  std::int64_t steps = 0;                // requests so far
  std::int64_t tries = 0;                // of them for this slice: pages are not to wait for a good border

  std::string Text() const;
  static std::optional<BorderSearch> Parse(std::string_view key);
};

// Cuts what lies between two borders and yet is more than a slice: an import of one day, as a rule. Pages of
// one record are counted from the left border's day on; what stands there is a place in the order by
// creation, and a slice reads from one such place to the next. A page that is not where it was counted
// (records go, totals lie) makes a slice larger or smaller, and no more. Where the upstream does not answer
// such a page, what is left is one slice.
struct RunCut {
  BorderSearch search;                 // its left edge; steps
  std::optional<std::int64_t> border;  // the day that ends it, where the plan goes on; nothing = the end
  std::int64_t hi = 0;                 // when the first record behind the border was created
  std::int64_t count = 0;              // records to cut, about
  std::int64_t asked = 0;              // the record in question, counted from 1
  Cursor from;                         // where the slice begins that is being cut

  std::string Text() const;
  static std::optional<RunCut> Parse(std::string_view key);
};

struct BorderOptions {
  std::int64_t slice_records = 5000;  // about so many a slice
  Filter filter;
  std::int64_t now_ms = 0;
};

// `endDate` of every request of a bounded sync: a day later than the bound, since the upstream's days may be
// another zone's.
std::optional<std::int64_t> LastDay(const Filter& filter);
// `date`, a day earlier.
std::optional<std::int64_t> FirstDay(const Filter& filter);

// What the first request (no border) and each border's answer lead to: slices (kCursor), and until all is cut
// the next border (kDiscover). Errors: the sink's.
Result<void> BeginBorders(const SearchMeta& answer, const BorderOptions& options, const TaskSink& sink);
Result<void> NextBorder(BorderSearch search, const SearchMeta& answer, const BorderOptions& options,
                        const TaskSink& sink);
// The same for a cut's answer; without a place in it, nothing more is cut before the border.
Result<void> NextCut(RunCut cut, const SearchMeta& answer, const BorderOptions& options,
                     const TaskSink& sink);

// Records that were created since the job began stand behind its end, and are left to the next incremental
// sync: the answer's total counts what this one does not read.
bool LeavesNewRecords(const TaskContext& task, const LastQuestion& last, const SearchMeta& answer);

// The end was none if a record stands behind it: reading goes on from there. Records that were created since
// the job began are read too, but not without end: they are the next incremental sync's.
// Errors: kTransient for an answer that proves neither.
Result<void> PlanRest(const TaskContext& task, const LastQuestion& last, std::string_view document,
                      const TaskSink& sink);

}  // namespace weir::highlevel
