// How a window of changes is read, oldest change first, by the time of the last one seen: what changes
// meanwhile leaves the window for a later one, and would shift pages. So no page is counted, and none is
// taken for whole that is not: each answer's total is that of the rest of the window.

#include <fmt/core.h>

#include <algorithm>

#include "common/sources/highlevel/slice_end.h"
#include "common/sources/time_windows.h"

namespace weir::highlevel {
namespace {

constexpr std::int64_t kMostWindows = 64;
constexpr const char* kFullSync = "a full sync reads them: weir sync highlevel/opportunities --mode full";

// The rest of a window that holds too much for one task, cut evenly in time.
void CutRest(const TaskContext& task, TimeRange rest, std::int64_t records, const FinishOptions& options,
             PageEnd& end) {
  const std::int64_t parts = std::clamp<std::int64_t>(records / options.slice_records, 1, kMostWindows);
  for (const TimeRange& part : Cut(rest, parts)) {
    Selector selector = task.selector;
    selector.lo = part.lo;
    selector.hi = part.hi;
    selector.key = ChangesPage{part.lo}.Text();
    end.successors.push_back({std::move(selector), std::nullopt});
  }
}

// One page on its way through.
class Changes {
 public:
  Changes(const TaskContext& task, const ChangesPage& page, const PageResult& result, const SearchMeta& meta,
          const FinishOptions& options)
      : task_(task),
        page_(page),
        result_(result),
        meta_(meta),
        options_(options),
        count_(DifferentIn(result)) {}

  Result<PageEnd> Finish() {
    if (count_ == 0) return EndEmpty();
    const TimesSeen& times = result_.change_times;
    // Records from before the window do no harm as long as some are from within it.
    const bool outside =
        times.told > 0 && (IsBefore(times.most, page_.from_ms) || times.most >= task_.selector.hi);
    if (outside) {
      return NotWhole("the upstream did not keep to the window of changes it was asked for",
                      "a full sync reads all without it: weir sync highlevel/opportunities --mode full");
    }
    const bool moment = !page_.after_id.empty();
    // A full page's total may be no more than the page's own length.
    const bool full = result_.records >= kPostPageRecords;
    if (!moment && !full && meta_.total == count_) return EndHere();
    if (!times.rising || times.last == 0)
      return NotWhole("the upstream's changes are not in the order that was asked for");
    if (times.last > page_.from_ms) return GoOnFrom(SafePlace(), moment);
    return moment ? GoOnInMoment() : BeginMoment();
  }

 private:
  // Where the page surely ends. A record that changed a moment ago may stand at the place of its former
  // change: what lies between that place and its new time would be passed over.
  std::int64_t SafePlace() const {
    const TimesSeen& times = result_.change_times;
    const bool jumps =
        times.last_but_one > page_.from_ms && times.last - times.last_but_one > options_.overlap_ms;
    return jumps ? times.last_but_one : times.last;
  }

  // What changed from this page's place until then is read.
  void Claim(std::int64_t until) {
    const bool bounded = task_.filter.since_ms || task_.filter.until_ms;
    const std::int64_t hi = std::min(until, options_.settled_ms);
    if (!bounded && page_.from_ms < hi) end_.read.push_back({page_.from_ms, hi});
  }

  PageEnd EndHere() {
    Claim(task_.selector.hi);
    return std::move(end_);
  }

  PageEnd GoOnAt(const ChangesPage& next) {
    GoOn(task_, next.Text(), options_, end_);
    return std::move(end_);
  }

  Result<PageEnd> EndEmpty() {
    const std::int64_t more = meta_.total.value_or(0) - page_.seen;
    if (more > 0)
      return NotWhole(fmt::format("the upstream tells of {} more changes, and sends none of them", more));
    // Behind a record it is the proof that nothing follows it. Alone it may be a slip: it is asked once more.
    if (!page_.after_id.empty() || page_.looks > 0) return EndHere();
    return GoOnAt({page_.from_ms, "", 0, 1});
  }

  PageEnd GoOnFrom(std::int64_t last, bool moment) {
    Claim(last);
    const std::int64_t left = meta_.total.value_or(0) - count_;
    if (task_.page > 0 || moment || left <= 2 * options_.slice_records) return GoOnAt({last});
    CutRest(task_, {last, task_.selector.hi}, left, options_, end_);
    return std::move(end_);
  }

  // All of the page lies in one millisecond: behind its last record the search goes on by `searchAfter`.
  Result<PageEnd> BeginMoment() {
    if (!IsPlainId(result_.last_id)) return NotWhole("the upstream's last change has no id to go on from");
    return GoOnAt({page_.from_ms, result_.last_id, count_, 0});
  }

  Result<PageEnd> GoOnInMoment() {
    // The upstream does not look at `searchAfter`: it begins at the same place again.
    const bool same = result_.last_id == page_.after_id;
    const bool more = meta_.total && *meta_.total > page_.seen;
    if (!same && page_.seen + count_ <= kMostInAMoment) {
      if (!IsPlainId(result_.last_id)) return NotWhole("the upstream's last change has no id to go on from");
      return GoOnAt({page_.from_ms, result_.last_id, page_.seen + count_, 0});
    }
    if (!same || more) {
      return NotWhole(fmt::format("over {} opportunities were changed in one moment, and the search does not "
                                  "go on behind them",
                                  page_.seen),
                      kFullSync);
    }
    // Nothing says that there are more of that millisecond.
    Claim(page_.from_ms + 1);
    if (page_.from_ms + 1 >= task_.selector.hi) return std::move(end_);
    return GoOnAt({page_.from_ms + 1});
  }

  const TaskContext& task_;
  const ChangesPage& page_;
  const PageResult& result_;
  const SearchMeta& meta_;
  const FinishOptions& options_;
  const std::int64_t count_;
  PageEnd end_;
};

}  // namespace

Result<PageEnd> FinishChanges(const TaskContext& task, const ChangesPage& page, const PageResult& result,
                              const FinishOptions& options) {
  const auto meta = ParseMeta(result.envelope);
  if (!meta) return Fail(meta.error());
  return Changes(task, page, result, *meta, options).Finish();
}

}  // namespace weir::highlevel
