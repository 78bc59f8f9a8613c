#include "common/sources/highlevel/slice_end.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "common/sources/highlevel/search_page.h"
#include "common/sources/time_windows.h"

namespace weir::highlevel {
namespace {

constexpr std::int64_t kMostWindows = 64;
// How often an upstream may say that records follow a place, and send none from there.
constexpr std::int64_t kMostLooks = 3;

tl::unexpected<Error> Repeats() {
  return Fail(ErrorClass::kInvalid, "the upstream repeats a page: its cursor does not move on",
              "try again later; what was read is kept");
}

// The task's next page: in place, until it has had its turn.
void GoOn(const TaskContext& task, std::string key, const FinishOptions& options, PageEnd& end) {
  if (task.page + 1 < options.task_pages) {
    end.next_key = std::move(key);
    return;
  }
  Selector selector = task.selector;
  selector.key = std::move(key);
  end.successors.push_back({std::move(selector), std::nullopt});
}

bool IsLast(const TaskContext& task) { return task.selector.hi == std::numeric_limits<std::int64_t>::max(); }

// The slice without a bound is the last of its plan: when it ends, the upstream is asked once more. Slices of
// other lanes may still be read then; a total is never more than a hint.
void AskLast(const TaskContext& task, const LastQuestion& question, PageEnd& end) {
  if (!IsLast(task)) return;
  NewTask asked;
  asked.selector = {SelectorKind::kDiscover, 0, 0, question.Text()};
  end.successors.push_back(std::move(asked));
}

// Nothing came, where the last slice may be at its end, and another one ought to have come to a record.
Result<PageEnd> EndEmpty(const TaskContext& task, SlicePage page, std::int64_t total) {
  PageEnd end;
  if (IsLast(task)) {
    if (page.looks >= kMostLooks) {
      return Fail(ErrorClass::kInvalid,
                  "the upstream says that more opportunities follow, and sends none of them",
                  "try again later; what was read is kept");
    }
    if (page.cursor.IsStart() && total > 0) end.doubt = fmt::format("none of {} opportunities came", total);
    AskLast(task, {page.cursor, page.looks}, end);
    return end;
  }
  if (page.looks == 0) {
    // Once more: only a record that was deleted since the plan was made explains it.
    page.looks = 1;
    Selector selector = task.selector;
    selector.key = page.Text();
    end.successors.push_back({std::move(selector), std::nullopt});
  } else {
    end.doubt = "a slice ended before the first record of the next one";
  }
  return end;
}

Result<PageEnd> FinishSlice(const TaskContext& task, SlicePage page, const PageResult& result,
                            const FinishOptions& options) {
  const auto meta = ParseMeta(result.envelope);
  if (!meta) return Fail(meta.error());
  // A short page is no end: only an empty one is, or one without a cursor, or one that reaches the next
  // slice.
  if (result.records == 0) return EndEmpty(task, std::move(page), meta->total.value_or(0));
  PageEnd end;
  if (!meta->next) {
    if (!IsLast(task)) end.doubt = "a slice ended before the first record of the next one";
    AskLast(task, {}, end);
    return end;
  }
  if (meta->next->after_ms >= task.selector.hi) return end;
  const Cursor& next = *meta->next;
  if (next == page.cursor || (!page.cursor.IsStart() && next.after_ms < page.cursor.after_ms)) {
    return Repeats();
  }
  page.cursor = next;
  page.looks = 0;
  // Past the job's beginning a short page is enough: who asks on for the records that come meanwhile may
  // never end. They are the next incremental sync's.
  if (result.records < kPageRecords && task.now_ms > 0 && next.after_ms >= task.now_ms) {
    AskLast(task, {}, end);
    return end;
  }
  GoOn(task, page.Text(), options, end);
  return end;
}

// Newest first, a page a task, until as many new records as wanted are stored.
Result<PageEnd> FinishNewest(const TaskContext& task, SlicePage page, const PageResult& result) {
  const auto meta = ParseMeta(result.envelope);
  PageEnd end;
  const std::int64_t left = task.budget.value_or(0) - result.inserted;
  if (result.budget_spent || left <= 0) return end;
  if (!meta) return Fail(meta.error());
  if (result.records == 0 || !meta->next) return end;
  const Cursor& next = *meta->next;
  if (next == page.cursor || (!page.cursor.IsStart() && next.after_ms > page.cursor.after_ms))
    return Repeats();
  page.cursor = next;
  Selector selector = task.selector;
  selector.key = page.Text();
  end.successors.push_back({std::move(selector), left});
  return end;
}

// The rest of a window that holds too much for one task, cut evenly in time.
void CutRest(const TaskContext& task, TimeRange rest, std::int64_t records, const FinishOptions& options,
             PageEnd& end) {
  const std::int64_t parts = std::clamp<std::int64_t>(records / options.slice_records, 1, kMostWindows);
  for (const TimeRange& part : Cut(rest, parts)) {
    Selector selector = task.selector;
    selector.lo = part.lo;
    selector.hi = part.hi;
    selector.key = ChangesPage{part.lo, 1}.Text();
    end.successors.push_back({std::move(selector), std::nullopt});
  }
}

// Changes are read by the time of the last one, always from that time's first page on: what changes meanwhile
// leaves the window for a later one, and would shift its pages. Only within one millisecond pages are
// counted.
Result<PageEnd> FinishChanges(const TaskContext& task, const ChangesPage& page, const PageResult& result,
                              const FinishOptions& options) {
  const auto meta = ParseMeta(result.envelope);
  if (!meta) return Fail(meta.error());
  PageEnd end;
  const bool bounded = task.filter.since_ms || task.filter.until_ms;
  const auto claim = [&](std::int64_t until) {
    const std::int64_t hi = std::min(until, options.settled_ms);
    if (!bounded && page.from_ms < hi) end.read.push_back({page.from_ms, hi});
  };
  if (result.records < kPostPageRecords) {
    claim(task.selector.hi);
    return end;
  }
  const std::int64_t last = result.last_changed_ms;
  if (last < page.from_ms || last >= task.selector.hi) {
    return Fail(ErrorClass::kInvalid, "the upstream did not keep to the window of changes it was asked for",
                "a full sync reads all without it: weir sync highlevel/opportunities --mode full");
  }
  claim(last);
  if (last == page.from_ms) {
    if ((page.page + 1) * kPostPageRecords > kPostReach) {
      return Fail(
          ErrorClass::kInvalid,
          fmt::format("over {} opportunities were changed in one moment, and the search reaches no further",
                      kPostReach),
          "a full sync reads them: weir sync highlevel/opportunities --mode full");
    }
    GoOn(task, ChangesPage{last, page.page + 1}.Text(), options, end);
    return end;
  }
  const std::int64_t left = meta->total.value_or(0) - result.records;
  if (task.page == 0 && left > 2 * options.slice_records) {
    CutRest(task, {last, task.selector.hi}, left, options, end);
  } else {
    GoOn(task, ChangesPage{last, 1}.Text(), options, end);
  }
  return end;
}

}  // namespace

Result<PageEnd> FinishSearch(const TaskContext& task, const PageResult& result,
                             const FinishOptions& options) {
  if (auto slice = SlicePage::Parse(task.selector.key)) {
    if (task.selector.kind == SelectorKind::kNewest) return FinishNewest(task, std::move(*slice), result);
    return FinishSlice(task, std::move(*slice), result, options);
  }
  if (const auto changes = ChangesPage::Parse(task.selector.key)) {
    return FinishChanges(task, *changes, result, options);
  }
  return Fail(ErrorClass::kInternal, "highlevel has no such task: " + Describe(task.selector));
}

}  // namespace weir::highlevel
