#include "common/sources/highlevel/border_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "common/sources/highlevel/key_text.h"

namespace weir::highlevel {
namespace {

// An upstream whose totals are nonsense must not keep us asking: what is left then is one slice.
constexpr std::int64_t kMaxSteps = 5'000;
constexpr std::int64_t kMaxTotal = 1'000'000'000'000;  // keeps the arithmetic within 64 bits

std::int64_t EndDay(const BorderOptions& options) {
  return LastDay(options.filter).value_or(DayOf(options.now_ms) + 2);
}

// The border that would cut off one slice if all that is left were spread evenly.
std::int64_t Guess(std::int64_t from_day, std::int64_t records, const BorderOptions& options) {
  const std::int64_t days = std::max<std::int64_t>(EndDay(options) - from_day, 1);
  return from_day +
         std::max<std::int64_t>(days * options.slice_records / std::max<std::int64_t>(records, 1), 1);
}

// The slice from the search's left edge to `border`, or to the end. It ends at the first record created at or
// after `hi`; `endDate` only spares the upstream work, so it is a day later.
Result<void> SendSlice(const BorderSearch& search, std::optional<std::int64_t> border,
                       std::optional<std::int64_t> hi, const BorderOptions& options, const TaskSink& sink) {
  SlicePage page;
  page.from_day = search.from_day;
  page.to_day = border ? std::optional(*border + 1) : LastDay(options.filter);
  NewTask task;
  task.selector = {SelectorKind::kCursor, search.left_ms,
                   hi.value_or(std::numeric_limits<std::int64_t>::max()), page.Text()};
  return sink(std::move(task));
}

Result<void> Ask(BorderSearch search, std::int64_t day, const TaskSink& sink) {
  search.asked_day = day;
  ++search.steps;
  return sink({{SelectorKind::kDiscover, search.left_ms, 0, search.Text()}, std::nullopt});
}

// Goes on behind a left edge that is settled.
Result<void> AskFirst(BorderSearch search, const BorderOptions& options, const TaskSink& sink) {
  search.near_day = search.left_day;
  search.far_day.reset();
  const std::int64_t day = Guess(search.left_day, search.left_total, options);
  const bool small = search.left_total <= options.slice_records + options.slice_records / 2;
  if (small || day >= EndDay(options) || search.steps >= kMaxSteps) {
    return SendSlice(search, std::nullopt, std::nullopt, options, sink);
  }
  return Ask(std::move(search), day, sink);
}

}  // namespace

std::string BorderSearch::Text() const {
  return fmt::format("border;{};{};{};{};{};{};{};{}", KeyPart(from_day), left_day, left_ms, left_total,
                     near_day, KeyPart(far_day), asked_day, steps);
}

std::optional<BorderSearch> BorderSearch::Parse(std::string_view key) {
  const auto parts = KeyParts(key);
  if (parts.size() != 9 || parts[0] != "border") return std::nullopt;
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
  return search;
}

std::optional<std::int64_t> FirstDay(const Filter& filter) {
  if (!filter.since_ms) return std::nullopt;
  return DayOf(*filter.since_ms) - 1;
}

std::optional<std::int64_t> LastDay(const Filter& filter) {
  if (!filter.until_ms) return std::nullopt;
  return DayOf(*filter.until_ms) + 1;
}

Result<void> BeginBorders(const SearchMeta& answer, const BorderOptions& options, const TaskSink& sink) {
  BorderSearch search;
  search.from_day = FirstDay(options.filter);
  search.left_total = std::min(answer.total.value_or(0), kMaxTotal);
  // Nothing tells where to cut: one slice, whose reading tells what there is.
  if (!answer.next) return SendSlice(search, std::nullopt, std::nullopt, options, sink);
  search.left_day = DayOf(answer.next->after_ms) - 1;
  search.left_ms = answer.next->after_ms;
  if (search.left_total > 0) return AskFirst(std::move(search), options, sink);
  return AskFirst(std::move(search), options, [&sink](NewTask task) {
    task.doubt = "the total is 0, and yet there are records";
    return sink(std::move(task));
  });
}

Result<void> NextBorder(BorderSearch search, const SearchMeta& answer, const BorderOptions& options,
                        const TaskSink& sink) {
  const std::int64_t wanted = options.slice_records;
  const std::int64_t behind = std::min(answer.total.value_or(0), kMaxTotal);
  const std::int64_t count = search.left_total - behind;
  const bool may_ask = search.steps < kMaxSteps;
  const std::int64_t asked = search.asked_day;
  if (may_ask && count > 2 * wanted && asked - search.near_day > 1) {
    search.far_day = asked;
    const std::int64_t nearer = search.left_day + (asked - search.left_day) * wanted / count;
    return Ask(search, std::clamp(nearer, search.near_day + 1, asked - 1), sink);
  }
  // Nothing stands behind the border, as far as is known: what is left is one slice, open to its end.
  if (!answer.next) return SendSlice(search, std::nullopt, std::nullopt, options, sink);
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
  if (auto sent = SendSlice(search, asked, answer.next->after_ms, options, sink); !sent) return sent;
  search.from_day = asked;
  search.left_day = asked;
  search.left_ms = answer.next->after_ms;
  search.left_total = behind;
  return AskFirst(std::move(search), options, sink);
}

}  // namespace weir::highlevel
