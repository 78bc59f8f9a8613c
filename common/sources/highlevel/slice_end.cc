#include "common/sources/highlevel/slice_end.h"

#include <fmt/core.h>

#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "common/sources/highlevel/border_plan.h"
#include "common/sources/highlevel/search_page.h"

namespace weir::highlevel {
namespace {

// How often an upstream may say that records follow a place, and send none from there.
constexpr std::int64_t kMostLooks = 3;

bool IsLast(const TaskContext& task) { return task.selector.hi == std::numeric_limits<std::int64_t>::max(); }

// The slice without a bound is the last of its plan: when it ends, the upstream is asked once more. Slices of
// other lanes may still be read then; the ledger has it asked again if what came falls short.
void AskLast(const LastQuestion& question, PageEnd& end) {
  NewTask asked;
  asked.selector = {SelectorKind::kDiscover, 0, 0, question.Text()};
  end.successors.push_back(std::move(asked));
}

// Why the page is not what stands behind its cursor; "" = it is, as far as can be seen. Of the times only
// those count that are the order's: then the cursor behind the page tells the same as its last record.
std::string_view WhyNotBehind(const Cursor& cursor, const PageResult& result, const SearchMeta& meta,
                              bool newest_first) {
  const bool on = !cursor.IsStart();
  if (on && (result.first_id == cursor.after_id || result.last_id == cursor.after_id))
    return "the upstream repeats a page: the record that was to be gone on from came again";
  if (meta.next && !result.last_id.empty() && meta.next->after_id != result.last_id)
    return "the place to go on from is not that of the page's last record";
  if (meta.next && on &&
      (newest_first ? meta.next->after_ms > cursor.after_ms : meta.next->after_ms < cursor.after_ms))
    return "the upstream repeats a page: its cursor does not move on";
  const TimesSeen& times = result.order_times;
  if (times.last == 0) return "";
  const auto place = meta.next ? meta.next->after_ms : times.last;
  if (IsBefore(place, times.last) || IsBefore(times.last, place)) return "";
  const auto begin = newest_first ? times.most : times.least;
  const auto end = newest_first ? times.least : times.most;
  if (on && (newest_first ? IsBefore(cursor.after_ms, begin) : IsBefore(begin, cursor.after_ms)))
    return "records came that do not lie behind the place that was asked for";
  if (newest_first ? IsBefore(end, times.last) : IsBefore(times.last, end))
    return "the page's records are not in the order that was asked for";
  return "";
}

// Where to go on behind a page: where it says, or behind its last record. Nothing: neither tells.
std::optional<Cursor> PlaceBehind(const PageResult& result, const SearchMeta& meta) {
  if (meta.next) return meta.next;
  if (result.order_times.last == 0 || !IsPlainId(result.last_id)) return std::nullopt;
  return Cursor{result.order_times.last, result.last_id};
}

// The slice goes on behind the page. Errors: kTransient where that is no way on: the same place, or too many
// records of one moment.
Result<void> MoveOn(SlicePage& page, Cursor next, const PageResult& result) {
  if (next == page.cursor) return NotWhole("the upstream repeats a page: its cursor does not move on");
  const bool on = !page.cursor.IsStart();
  page.moment =
      on && next.after_ms / 1000 == page.cursor.after_ms / 1000 ? page.moment + DifferentIn(result) : 0;
  if (page.moment > kMostInAMoment) {
    return NotWhole(
        fmt::format("over {} opportunities came of one moment: the upstream may be sending the "
                    "same pages again and again",
                    kMostInAMoment));
  }
  page.cursor = std::move(next);
  return {};
}

// Nothing came, where the last slice may be at its end, and another one ought to have come to a record.
Result<PageEnd> EndEmpty(const TaskContext& task, SlicePage page, const SearchMeta& meta) {
  PageEnd end;
  if (IsLast(task)) {
    if (page.looks >= kMostLooks)
      return NotWhole("the upstream says that more opportunities follow, and sends none of them");
    AskLast({page.cursor, page.looks, page.moment}, end);
    return end;
  }
  if (page.looks == 0) {
    // Once more, and without a last day: a record behind the slice proves that it has ended.
    page.looks = 1;
    page.to_day = LastDay(task.filter);
    Selector selector = task.selector;
    selector.key = page.Text();
    end.successors.push_back({std::move(selector), std::nullopt});
    return end;
  }
  // Nothing follows at all: all that did was deleted since the plan was made, or the upstream hides it. What
  // came is then compared with its totals, if it tells any.
  (meta.total ? end.doubt : end.incomplete) = "a slice ended before the first record of the next one";
  return end;
}

Result<PageEnd> FinishSlice(const TaskContext& task, SlicePage page, const PageResult& result,
                            const FinishOptions& options) {
  const auto meta = ParseMeta(result.envelope);
  if (!meta) return Fail(meta.error());
  // A short page is no end: only an empty one is, or one that reaches the next slice.
  if (result.records == 0) return EndEmpty(task, std::move(page), *meta);
  if (const auto why = WhyNotBehind(page.cursor, result, *meta, false); !why.empty())
    return NotWhole(std::string(why));
  PageEnd end;
  const auto next = PlaceBehind(result, *meta);
  if (!next) {
    end.incomplete = "a page told no place to go on from";
    if (IsLast(task)) AskLast({}, end);
    return end;
  }
  if (next->after_ms >= task.selector.hi) return end;
  if (auto moved = MoveOn(page, *next, result); !moved) return Fail(std::move(moved.error()));
  // Past the job's beginning a short page is enough, and how often it was asked there is counted: who asks on
  // for the records that come meanwhile may never end. They are the next incremental sync's.
  const bool past = IsLast(task) && task.now_ms > 0 && next->after_ms >= task.now_ms;
  if (!past) page.looks = 0;
  if (IsLast(task) && (!meta->next || (past && result.records < kPageRecords))) {
    AskLast({page.cursor, page.looks, page.moment}, end);
    return end;
  }
  GoOn(task, page.Text(), options, end);
  return end;
}

// Newest first, a page a task, until as many new records as wanted are stored.
Result<PageEnd> FinishNewest(const TaskContext& task, SlicePage page, const PageResult& result) {
  PageEnd end;
  const std::int64_t left = task.budget.value_or(0) - result.inserted;
  if (result.budget_spent || left <= 0) return end;
  const auto meta = ParseMeta(result.envelope);
  if (!meta) return Fail(meta.error());
  const std::int64_t total = meta->total.value_or(0);
  if (result.records == 0) {
    if (page.cursor.IsStart() && total > 0)
      return NotWhole(fmt::format("the upstream tells of {} opportunities, and sends none", total));
    if (page.looks > 0) return end;
    page.looks = 1;  // an empty page alone is no proof of an end
  } else {
    if (const auto why = WhyNotBehind(page.cursor, result, *meta, true); !why.empty())
      return NotWhole(std::string(why));
    // All there are; a full page's total may be no more than the page's own length.
    const bool full = result.records >= kPageRecords;
    if (page.cursor.IsStart() && !full && meta->total && DifferentIn(result) == total) return end;
    const auto next = PlaceBehind(result, *meta);
    if (!next) {
      end.incomplete = "a page told no place to go on from";
      return end;
    }
    if (auto moved = MoveOn(page, *next, result); !moved) return Fail(std::move(moved.error()));
    page.looks = 0;
  }
  Selector selector = task.selector;
  selector.key = page.Text();
  end.successors.push_back({std::move(selector), left});
  return end;
}

}  // namespace

void GoOn(const TaskContext& task, std::string key, const FinishOptions& options, PageEnd& end) {
  if (task.page + 1 < options.task_pages) {
    end.next_key = std::move(key);
    return;
  }
  Selector selector = task.selector;
  selector.key = std::move(key);
  end.successors.push_back({std::move(selector), std::nullopt});
}

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
