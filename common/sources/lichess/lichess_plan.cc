#include "common/sources/lichess/lichess_plan.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "common/base/json_text.h"
#include "common/base/time_text.h"
#include "common/sources/field_columns.h"
#include "common/sources/record_check.h"
#include "common/sources/time_windows.h"
#include "common/sources/upstream_sentence.h"

namespace weir::lichess {
namespace {

// Caps for what an upstream, or a much torn history, could blow up.
constexpr std::int64_t kMaxWindows = 10'000;
constexpr std::size_t kMaxChain = 200;
constexpr std::size_t kShownId = 64;
constexpr std::string_view kAgain = "again:";
constexpr std::string_view kOnceMore = "again";  // a window's key, or a chain's item

std::optional<std::int64_t> ParseInt(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The account's whole time, and what of it the filter lets through.
struct Scope {
  TimeRange life;
  TimeRange wanted;
};

Scope ScopeOf(const User& user, const PlanOptions& options) {
  const std::int64_t now = std::max(options.now_ms, kEarliestMs);
  const std::int64_t born = std::clamp(user.created_ms.value_or(kEarliestMs), kEarliestMs, now);
  Scope scope{{born, now}, {born, now}};
  if (options.filter.since_ms) scope.wanted.lo = std::max(born, *options.filter.since_ms);
  if (options.filter.until_ms) scope.wanted.hi = std::min(now, *options.filter.until_ms);
  return scope;
}

Result<void> SendWindows(const User& user, TimeRange hole, const Scope& scope, const PlanOptions& options,
                         const TaskSink& sink) {
  const std::int64_t games = Share(user.games.value_or(0), hole, scope.life);
  const std::int64_t each = std::max<std::int64_t>(options.window_games, 1);
  const std::int64_t windows = games / each + (games % each != 0 ? 1 : 0);
  for (const TimeRange& window : Cut(hole, std::clamp<std::int64_t>(windows, 1, kMaxWindows))) {
    if (auto sent = sink({{SelectorKind::kWindow, window.lo, window.hi, ""}, std::nullopt}); !sent)
      return sent;
  }
  return {};
}

std::string Join(const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) text += (text.empty() ? "" : ",") + id;
  return text;
}

// An id that can stand in a comma-separated list.
bool IsListable(std::string_view id) {
  return !id.empty() && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  });
}

Result<void> SendIds(const std::vector<std::string>& watched, const TaskSink& sink) {
  std::string key;
  std::size_t count = 0;
  for (const std::string& id : watched) {
    if (!IsListable(id)) continue;
    if (count == kIdsPerRequest) {
      if (auto sent = sink({{SelectorKind::kIds, 0, 0, key}, std::nullopt}); !sent) return sent;
      key.clear();
      count = 0;
    }
    if (count++ > 0) key += ',';
    key += id;
  }
  if (count == 0) return {};
  return sink({{SelectorKind::kIds, 0, 0, key}, std::nullopt});
}

Result<void> SendNewest(std::vector<TimeRange> holes, std::int64_t limit, const TaskSink& sink) {
  if (holes.empty() || limit <= 0) return {};
  std::reverse(holes.begin(), holes.end());
  NewestChain chain;
  const std::size_t rest = std::min(holes.size() - 1, kMaxChain);  // older ones: the next time
  chain.rest.assign(holes.begin() + 1, holes.begin() + 1 + static_cast<std::ptrdiff_t>(rest));
  return sink({{SelectorKind::kNewest, holes.front().lo, holes.front().hi, chain.Text()}, limit});
}

// What a filter that ends before any `until` may leaves to be asked for; nothing = the account is younger.
std::optional<TimeRange> OldestOf(const User& user, const Filter& filter) {
  const std::int64_t born = user.created_ms.value_or(0);
  const std::int64_t from = std::max(born, filter.since_ms.value_or(born));
  if (!filter.until_ms || from >= *filter.until_ms) return std::nullopt;
  return TimeRange{born, kEarliestMs};
}

Result<void> SendOldest(const User& user, const AccountState& state, const PlanOptions& options,
                        const TaskSink& sink) {
  const bool incremental = options.mode == JobMode::kIncremental;
  const auto oldest = OldestOf(user, options.filter);
  // Older history than was ever read is not asked for, unless the user does by --since.
  const bool asked = !incremental || state.read.empty() || options.filter.since_ms;
  if (oldest && asked) {
    const auto& limit = options.filter.limit;
    const auto kind = limit ? SelectorKind::kNewest : SelectorKind::kWindow;
    if (auto sent = sink({{kind, oldest->lo, oldest->hi, ""}, limit}); !sent) return sent;
  }
  return incremental ? SendIds(state.watched, sink) : Result<void>();
}

std::vector<std::string> SplitIds(std::string_view key) {
  std::vector<std::string> ids;
  while (!key.empty()) {
    const auto comma = key.find(',');
    ids.emplace_back(key.substr(0, comma));
    key = comma == std::string_view::npos ? std::string_view() : key.substr(comma + 1);
  }
  return ids;
}

// Ids that did not come. One answer is no proof that they are gone, nor are two without any game: an outage
// answers so for minutes. So they are asked for again together with `came`, one that did, "" = none did; and
// are gone when it comes again without them.
void LeaveMissing(const Selector& selector, std::vector<std::string> missing, const std::string& came,
                  PageEnd& end) {
  if (!selector.key.starts_with(kAgain)) {
    std::string key = std::string(kAgain) + Join(missing);
    if (!came.empty()) key += "," + came;
    end.successors.push_back({{SelectorKind::kIds, 0, 0, std::move(key)}, std::nullopt});
  } else if (!came.empty()) {
    end.unwatch = std::move(missing);
  }
}

// The caller did not keep the ids that came.
PageEnd FinishUnnamedIds(const Selector& selector, const std::vector<std::string>& ids,
                         const PageResult& result) {
  PageEnd end;
  if (result.records >= static_cast<std::int64_t>(ids.size())) return end;
  if (result.records == 0) {
    LeaveMissing(selector, ids, "", end);
    return end;
  }
  // Some are missing, but which? Ask for each half alone until a request comes back whole or empty.
  const auto middle = ids.begin() + static_cast<std::ptrdiff_t>(ids.size() / 2);
  for (const auto& half : {std::vector(ids.begin(), middle), std::vector(middle, ids.end())}) {
    end.successors.push_back({{SelectorKind::kIds, 0, 0, Join(half)}, std::nullopt});
  }
  return end;
}

tl::unexpected<Error> NoUser(const std::string& why, std::string_view document) {
  Error e = MakeError(ErrorClass::kTransient, "the answer is not a Lichess user: " + why);
  e.body_start = Printable(document);
  return Fail(std::move(e));
}

// That the games lie in the time that was asked for is the proof that the upstream understood the question. A
// range that begins with the earliest `since` was asked for without one.
Result<void> CheckTimes(const Selector& selector, const PageResult& result) {
  const std::int64_t lo = selector.lo > kEarliestMs ? selector.lo : std::numeric_limits<std::int64_t>::min();
  if (result.order_times.Within({lo, selector.hi})) return {};
  return Fail(ErrorClass::kTransient,
              "games of another time came than was asked for: " + FormatTime(result.order_times.least) +
                  " to " + FormatTime(result.order_times.most));
}

// A range of games that are older than any `until`.
bool IsOldest(const Selector& selector) { return selector.hi <= kEarliestMs; }

tl::unexpected<Error> NotNewestFirst() {
  return Fail(ErrorClass::kTransient, "games came in another order than newest first");
}

constexpr std::string_view kNoEnd = "an answer told neither its length nor its end";

// Else the connection alone ended it, and it may have been cut off between two games.
bool TellsItsEnd(const PageResult& result) { return result.head == nullptr || result.head->TellsItsEnd(); }

}  // namespace

Result<User> ParseUser(std::string_view document) {
  static const FieldTree kTree({"id", "createdAt", "count.all", "disabled"});
  document = WithoutByteOrderMark(document);
  std::string padded(document);
  padded.append(RecordMapper::kRecordPadding, '\0');
  RecordCheck check(kTree);
  if (auto whole = check.Whole({padded.data(), document.size()}); !whole) {
    return NoUser(whole.error().message, document);
  }
  if (const auto said = ErrorIn(document)) return NoUser("the upstream says: \"" + *said + "\"", document);
  if (check.Field(0).kind != JsonField::Kind::kString && !AsTime(check.Field(1))) {
    const std::string said = UpstreamSentence(document);
    return NoUser(said.empty() ? "it has no id" : "\"" + said + "\"", document);
  }
  if (AsBool(check.Field(3)).value_or(false)) {
    return Fail(ErrorClass::kGone, "the Lichess account is closed", "its games cannot be read any more");
  }
  User user;
  user.created_ms = AsTime(check.Field(1));
  user.games = AsInt(check.Field(2));
  user.id = AsId(check.Field(0)).value_or("");
  return user;
}

Result<void> PlanTasks(const User& user, const AccountState& state, const PlanOptions& options,
                       const TaskSink& sink) {
  if (options.filter.until_ms && *options.filter.until_ms <= kEarliestMs) {
    return SendOldest(user, state, options, sink);
  }
  Scope scope = ScopeOf(user, options);
  const bool incremental = options.mode == JobMode::kIncremental;
  if (options.filter.limit) {
    auto sent = SendNewest(Subtract(scope.wanted, state.read), *options.filter.limit, sink);
    if (!sent || !incremental) return sent;
    return SendIds(state.watched, sink);
  }
  if (!incremental) {
    if (scope.wanted.hi <= scope.wanted.lo) return {};
    return SendWindows(user, scope.wanted, scope, options, sink);
  }
  // Older history than was ever read is not asked for, unless the user does by --since.
  if (!state.read.empty() && !options.filter.since_ms) {
    scope.wanted.lo = std::max(scope.wanted.lo, state.read.front().lo);
  }
  for (const TimeRange& hole : Subtract(scope.wanted, state.read)) {
    if (auto sent = SendWindows(user, hole, scope, options, sink); !sent) return sent;
  }
  return SendIds(state.watched, sink);
}

std::string NewestChain::Text() const {
  std::string text = tie ? "tie" : "";
  if (again) text += std::string(tie ? "," : "") + std::string(kOnceMore);
  for (const TimeRange& hole : rest) {
    if (!text.empty()) text += ',';
    text += std::to_string(hole.lo) + "-" + std::to_string(hole.hi);
  }
  return text;
}

std::optional<NewestChain> NewestChain::Parse(std::string_view text) {
  NewestChain chain;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    if (item == "tie" && chain.rest.empty()) {
      chain.tie = true;
      continue;
    }
    if (item == kOnceMore && chain.rest.empty()) {
      chain.again = true;
      continue;
    }
    const auto dash = item.find('-', 1);
    if (dash == std::string_view::npos) return std::nullopt;
    const auto lo = ParseInt(item.substr(0, dash));
    const auto hi = ParseInt(item.substr(dash + 1));
    if (!lo || !hi || *hi <= *lo || chain.rest.size() > kMaxChain) return std::nullopt;
    chain.rest.push_back({*lo, *hi});
  }
  return chain;
}

Result<PageEnd> FinishWindow(const Selector& selector, const PageResult& result, std::int64_t settled_ms) {
  if (auto ok = CheckTimes(selector, result); !ok) return Fail(std::move(ok.error()));
  PageEnd end;
  std::int64_t hi = std::min(selector.hi, settled_ms);
  if (selector.lo < hi && result.records == 0 && selector.key != kOnceMore) {
    end.successors.push_back(
        {{SelectorKind::kWindow, selector.lo, selector.hi, std::string(kOnceMore)}, std::nullopt});
    return end;
  }
  if (!TellsItsEnd(result)) hi = result.order_times.rising ? std::min(hi, result.last_order_ms) : selector.lo;
  if (selector.lo < hi && !IsOldest(selector)) end.read.push_back({selector.lo, hi});
  // All that was asked for came, as far as can be seen; for a sweep that is not enough.
  if (!result.order_times.rising) end.doubt = "games came in another order than was asked for";
  if (!TellsItsEnd(result)) end.doubt = kNoEnd;
  return end;
}

Result<PageEnd> FinishNewest(const Selector& selector, std::int64_t budget, const PageResult& result,
                             std::int64_t settled_ms) {
  auto chain = NewestChain::Parse(selector.key);
  if (!chain) return Fail(ErrorClass::kInternal, "a task's chain of ranges cannot be read");
  if (auto ok = CheckTimes(selector, result); !ok) return Fail(std::move(ok.error()));
  PageEnd end;
  const auto claim = [&](std::int64_t lo) {
    const std::int64_t hi = std::min(selector.hi, settled_ms);
    if (lo < hi) end.read.push_back({lo, hi});
  };
  if (result.records == 0 && !chain->again && selector.lo < std::min(selector.hi, settled_ms)) {
    chain->again = true;
    end.successors.push_back({{SelectorKind::kNewest, selector.lo, selector.hi, chain->Text()}, budget});
    return end;
  }
  if (IsOldest(selector)) {
    if (!TellsItsEnd(result)) end.doubt = kNoEnd;
    // Where reading stopped at the budget, the newest must have come first.
    if (result.budget_spent && !result.order_times.falling) return NotNewestFirst();
    return end;
  }
  const std::int64_t asked = budget + (chain->tie ? 1 : 0);
  const std::int64_t left = budget - result.inserted;
  const std::int64_t oldest = result.last_order_ms;
  const bool older = selector.lo <= kEarliestMs && result.records > 0 && oldest < selector.lo;
  if (!TellsItsEnd(result)) {
    end.doubt = kNoEnd;
    if (result.records > 0 && result.order_times.falling && oldest >= selector.lo) claim(oldest + 1);
    return end;
  }
  // The range is read to its end; or past it, to games that are older than any `until`.
  if ((!result.budget_spent && result.records < asked) || older) {
    claim(selector.lo);
    if (result.budget_spent || left <= 0 || chain->rest.empty()) return end;
    const TimeRange next = chain->rest.front();
    const NewestChain after{false, {chain->rest.begin() + 1, chain->rest.end()}};
    end.successors.push_back({{SelectorKind::kNewest, next.lo, next.hi, after.Text()}, left});
    return end;
  }
  // The oldest that came bounds what is claimed, so it must be the last one.
  if (!result.order_times.falling) return NotNewestFirst();
  // Cut off by `max` or the budget. Records of the oldest millisecond seen may be missing, so it is left out.
  if (oldest < selector.lo || oldest >= selector.hi) return end;
  claim(oldest + 1);
  if (result.budget_spent || left <= 0) return end;
  NewestChain after{true, chain->rest};
  std::int64_t hi = oldest + 1;
  if (hi >= selector.hi) {  // nothing but this one millisecond came: step over it, or the chain never ends
    after.tie = false;
    hi = oldest;
  }
  if (hi > selector.lo) {
    end.successors.push_back({{SelectorKind::kNewest, selector.lo, hi, after.Text()}, left});
  } else if (!after.rest.empty()) {
    const TimeRange next = after.rest.front();
    const NewestChain rest{false, {after.rest.begin() + 1, after.rest.end()}};
    end.successors.push_back({{SelectorKind::kNewest, next.lo, next.hi, rest.Text()}, left});
  }
  return end;
}

std::string_view IdsOf(std::string_view key) {
  return key.starts_with(kAgain) ? key.substr(kAgain.size()) : key;
}

Result<PageEnd> FinishIds(const Selector& selector, const PageResult& result) {
  PageEnd end;
  const std::vector<std::string> ids = SplitIds(IdsOf(selector.key));
  if (!result.seen_ids) return FinishUnnamedIds(selector, ids, result);
  std::vector<std::string> seen = *result.seen_ids;
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  std::erase(seen, std::string());
  for (const std::string& id : seen) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) {
      return Fail(ErrorClass::kTransient,
                  "a game came that was not asked for: \"" + Printable(id, kShownId) + "\"");
    }
  }
  // Copies, or records without an id, which may be any of those that are missing.
  if (result.records > static_cast<std::int64_t>(seen.size())) return end;
  std::vector<std::string> missing;
  for (const std::string& id : ids) {
    if (!std::binary_search(seen.begin(), seen.end(), id)) missing.push_back(id);
  }
  if (!missing.empty()) LeaveMissing(selector, std::move(missing), seen.empty() ? "" : seen.front(), end);
  return end;
}

}  // namespace weir::lichess
