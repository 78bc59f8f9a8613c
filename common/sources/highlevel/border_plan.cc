#include "common/sources/highlevel/border_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "common/sources/highlevel/key_text.h"

namespace weir::highlevel {
namespace {

// An upstream whose totals are nonsense must not keep us asking: what is left then is one slice.
constexpr std::int64_t kMaxSteps = 5'000;
// Questions for one border. Where records are spread unevenly a good one may take dozens, and a sync with a
// short deadline would read nothing: then a slice is too small, or is cut by places.
constexpr std::int64_t kMaxTries = 4;
constexpr std::int64_t kMaxTotal = 1'000'000'000'000;  // keeps the arithmetic within 64 bits

// The `endDate` of what ends at `ms`: two days later, since the upstream's days may be another zone's, and
// its last day may not be counted in.
std::int64_t DayBehind(std::int64_t ms) { return DayOf(ms) + 2; }

std::int64_t EndDay(const BorderOptions& options) {
  return LastDay(options.filter).value_or(DayBehind(options.now_ms));
}

// The border that would cut off one slice if all that is left were spread evenly.
std::int64_t Guess(std::int64_t from_day, std::int64_t records, const BorderOptions& options) {
  const std::int64_t days = std::max<std::int64_t>(EndDay(options) - from_day, 1);
  return from_day +
         std::max<std::int64_t>(days * options.slice_records / std::max<std::int64_t>(records, 1), 1);
}

// The slice from `from`, a place behind the search's left edge or that edge itself, to `hi`, or to the end.
// It ends at the first record created at or after `hi`, which must lie before its `endDate`: that only spares
// the upstream work.
Result<void> SendSlice(const BorderSearch& search, const Cursor& from, std::optional<std::int64_t> hi,
                       const BorderOptions& options, const TaskSink& sink) {
  SlicePage page;
  page.from_day = search.from_day;
  page.to_day = hi ? std::optional(DayBehind(*hi)) : LastDay(options.filter);
  page.cursor = from;
  NewTask task;
  task.selector = {SelectorKind::kCursor, from.IsStart() ? search.left_ms : from.after_ms,
                   hi.value_or(std::numeric_limits<std::int64_t>::max()), page.Text()};
  return sink(std::move(task));
}

Result<void> Ask(BorderSearch search, std::int64_t day, const TaskSink& sink) {
  search.asked_day = day;
  ++search.steps;
  ++search.tries;
  return sink({{SelectorKind::kDiscover, search.left_ms, 0, search.Text()}, std::nullopt});
}

Result<void> AskFirst(BorderSearch search, std::int64_t stride, const BorderOptions& options,
                      const TaskSink& sink);

// Goes on behind a border whose slices are all sent; `stride` days behind it where it cut off too little, so
// that totals that do not move are not asked for every few days.
Result<void> CrossBorder(BorderSearch search, std::int64_t border, std::int64_t hi, std::int64_t behind,
                         std::int64_t stride, const BorderOptions& options, const TaskSink& sink) {
  search.from_day = border;
  search.left_day = border;
  search.left_ms = hi;
  search.left_total = behind;
  return AskFirst(std::move(search), stride, options, sink);
}

// All from the search's left edge to the border, as one slice, or cut further when it is too much for one.
Result<void> Settle(BorderSearch search, std::optional<std::int64_t> border, std::int64_t hi,
                    std::int64_t count, const BorderOptions& options, const TaskSink& sink) {
  if (count > 2 * options.slice_records && search.steps < kMaxSteps) {
    RunCut cut;
    cut.search = search;
    ++cut.search.steps;
    cut.border = border;
    cut.hi = hi;
    cut.count = count;
    cut.asked = options.slice_records;
    return sink({{SelectorKind::kDiscover, search.left_ms, 0, cut.Text()}, std::nullopt});
  }
  if (!border) return SendSlice(search, {}, std::nullopt, options, sink);
  if (auto sent = SendSlice(search, {}, hi, options, sink); !sent) return sent;
  const std::int64_t behind = search.left_total - count;
  const std::int64_t stride = count < options.slice_records / 2 ? 2 * (*border - search.left_day) : 0;
  return CrossBorder(std::move(search), *border, hi, behind, stride, options, sink);
}

// Goes on behind a left edge that is settled.
Result<void> AskFirst(BorderSearch search, std::int64_t stride, const BorderOptions& options,
                      const TaskSink& sink) {
  search.near_day = search.left_day;
  search.far_day.reset();
  search.tries = 0;
  const std::int64_t day =
      std::max(Guess(search.left_day, search.left_total, options),
               std::min(search.left_day + stride, (search.left_day + EndDay(options)) / 2));
  const bool small = search.left_total <= options.slice_records + options.slice_records / 2;
  if (small || day >= EndDay(options) || search.steps >= kMaxSteps) {
    const std::int64_t left = search.left_total;
    return Settle(std::move(search), std::nullopt, 0, left, options, sink);
  }
  return Ask(std::move(search), day, sink);
}

}  // namespace

std::string BorderSearch::Text() const {
  return fmt::format("border;{};{};{};{};{};{};{};{};{}", KeyPart(from_day), left_day, left_ms, left_total,
                     near_day, KeyPart(far_day), asked_day, steps, tries);
}

std::optional<BorderSearch> BorderSearch::Parse(std::string_view key) {
  const auto parts = KeyParts(key);
  if ((parts.size() != 9 && parts.size() != 10) || parts[0] != "border") return std::nullopt;
  BorderSearch search;
  search.from_day = KeyNumber(parts[1]);
  search.far_day = KeyNumber(parts[6]);
  std::int64_t* const numbers[] = {&search.left_day, &search.left_ms,   &search.left_total,
                                   &search.near_day, &search.asked_day, &search.steps};
  const std::size_t places[] = {2, 3, 4, 5, 7, 8};
  for (std::size_t i = 0; i < std::size(places); ++i) {
    const auto value = KeyNumber(parts[places[i]]);
    if (!value) return std::nullopt;
    *numbers[i] = *value;
  }
  const auto tries = parts.size() == 10 ? KeyNumber(parts[9]) : 0;  // an older version did not count them
  if (!tries) return std::nullopt;
  search.tries = *tries;
  return search;
}

std::optional<std::int64_t> FirstDay(const Filter& filter) {
  if (!filter.since_ms) return std::nullopt;
  return DayOf(*filter.since_ms) - 1;
}

std::optional<std::int64_t> LastDay(const Filter& filter) {
  if (!filter.until_ms) return std::nullopt;
  return DayBehind(*filter.until_ms);
}

Result<void> BeginBorders(const SearchMeta& answer, const BorderOptions& options, const TaskSink& sink) {
  BorderSearch search;
  search.from_day = FirstDay(options.filter);
  search.left_total = std::min(answer.total.value_or(0), kMaxTotal);
  // Nothing tells where to cut: one slice, whose reading tells what there is.
  if (!answer.next) return SendSlice(search, {}, std::nullopt, options, sink);
  search.left_day = DayOf(answer.next->after_ms) - 1;
  search.left_ms = answer.next->after_ms;
  if (search.left_total > 0) return AskFirst(std::move(search), 0, options, sink);
  return AskFirst(std::move(search), 0, options, [&sink](NewTask task) {
    task.doubt = "the total is 0, and yet there are records";
    return sink(std::move(task));
  });
}

Result<void> NextBorder(BorderSearch search, const SearchMeta& answer, const BorderOptions& options,
                        const TaskSink& sink) {
  const std::int64_t wanted = options.slice_records;
  const std::int64_t behind = std::min(answer.total.value_or(0), kMaxTotal);
  const std::int64_t count = search.left_total - behind;
  const bool may_ask = search.steps < kMaxSteps && search.tries < kMaxTries;
  const std::int64_t asked = search.asked_day;
  if (may_ask && count > 2 * wanted && asked - search.near_day > 1) {
    search.far_day = asked;
    const std::int64_t nearer = search.left_day + (asked - search.left_day) * wanted / count;
    return Ask(search, std::clamp(nearer, search.near_day + 1, asked - 1), sink);
  }
  // Nothing stands behind the border, as far as is known: what is left is one slice, open to its end.
  if (!answer.next) {
    const std::int64_t left = search.left_total;
    return Settle(std::move(search), std::nullopt, 0, left, options, sink);
  }
  if (may_ask && count < wanted / 2) {
    // At least twice as far as before: totals that do not move must not be asked for day by day.
    const std::int64_t further = search.far_day
                                     ? (asked + *search.far_day) / 2
                                     : std::max(Guess(asked, behind, options), 2 * asked - search.left_day);
    if (further > asked && further < EndDay(options)) {
      search.near_day = asked;
      return Ask(search, further, sink);
    }
  }
  return Settle(std::move(search), asked, answer.next->after_ms, count, options, sink);
}

std::string RunCut::Text() const {
  return fmt::format("cut;{};{};{};{};{};{};{};{};{};{};{}", KeyPart(search.from_day), search.left_day,
                     search.left_ms, search.left_total, search.steps, KeyPart(border), hi, count, asked,
                     from.after_ms, from.after_id);
}

std::optional<RunCut> RunCut::Parse(std::string_view key) {
  const auto parts = KeyParts(key);
  if (parts.size() != 12 || parts[0] != "cut") return std::nullopt;
  RunCut cut;
  cut.search.from_day = KeyNumber(parts[1]);
  cut.border = KeyNumber(parts[6]);
  std::int64_t* const numbers[] = {
      &cut.search.left_day, &cut.search.left_ms, &cut.search.left_total, &cut.search.steps, &cut.hi,
      &cut.count,           &cut.asked,          &cut.from.after_ms};
  const std::size_t places[] = {2, 3, 4, 5, 7, 8, 9, 10};
  for (std::size_t i = 0; i < std::size(places); ++i) {
    const auto value = KeyNumber(parts[places[i]]);
    if (!value) return std::nullopt;
    *numbers[i] = *value;
  }
  cut.from.after_id = parts[11];
  return cut;
}

Result<void> NextCut(RunCut cut, const SearchMeta& answer, const BorderOptions& options,
                     const TaskSink& sink) {
  const auto hi = cut.border ? std::optional(cut.hi) : std::nullopt;
  const bool found = answer.next && (!hi || answer.next->after_ms < *hi);
  const bool moves = found && (cut.from.IsStart() || std::tie(answer.next->after_ms, answer.next->after_id) >
                                                         std::tie(cut.from.after_ms, cut.from.after_id));
  if (moves) {
    // The slice ends behind all of that millisecond; the next one begins behind that record.
    const auto end = std::optional(answer.next->after_ms + 1);
    if (auto sent = SendSlice(cut.search, cut.from, end, options, sink); !sent) return sent;
    cut.from = *answer.next;
    cut.asked += options.slice_records;
    if (cut.count - cut.asked > options.slice_records / 2 && cut.search.steps < kMaxSteps) {
      ++cut.search.steps;
      return sink({{SelectorKind::kDiscover, cut.from.after_ms, 0, cut.Text()}, std::nullopt});
    }
  }
  if (auto sent = SendSlice(cut.search, cut.from, hi, options, sink); !sent) return sent;
  if (!cut.border) return {};
  const std::int64_t behind = cut.search.left_total - cut.count;
  return CrossBorder(std::move(cut.search), *cut.border, cut.hi, behind, 0, options, sink);
}

bool LeavesNewRecords(const TaskContext& task, const LastQuestion& last, const SearchMeta& answer) {
  constexpr std::int64_t kMostLooksForNew = 2;
  return last.after && answer.next && answer.next->after_ms >= task.now_ms && last.looks >= kMostLooksForNew;
}

Result<void> PlanRest(const TaskContext& task, const LastQuestion& last, std::string_view document,
                      const TaskSink& sink) {
  const auto answer = ParseMeta(document);
  if (!answer) return Fail(answer.error());
  if (!last.after || (!answer->records && !answer->next)) return {};
  if (answer->next) {
    const auto& next = *answer->next;
    const bool behind =
        last.after->IsStart() || (next.after_ms >= last.after->after_ms && next != *last.after);
    if (!behind && !answer->records) return {};  // the place that was asked for, said again
    if (!behind) return NotWhole("the upstream's next record does not lie behind the last one");
    if (LeavesNewRecords(task, last, *answer)) return {};
  }
  const SlicePage rest{FirstDay(task.filter), LastDay(task.filter), *last.after, last.looks + 1, last.moment};
  return sink(
      {{SelectorKind::kCursor, last.after->after_ms, std::numeric_limits<std::int64_t>::max(), rest.Text()},
       std::nullopt});
}

}  // namespace weir::highlevel
