#include "common/sources/chesscom/archive_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/base/json_text.h"
#include "common/base/time_text.h"
#include "common/sources/json_string.h"
#include "common/sources/record_check.h"
#include "common/sources/record_reader.h"
#include "common/sources/upstream_sentence.h"

namespace weir::chesscom {
namespace {

constexpr std::size_t kMaxArchives = 2'000;
constexpr std::size_t kMaxChain = 600;  // months of one chain; older ones: the next time
constexpr int kFirstYear = 2000;        // Chess.com has games since 2005
// Selector::lo of a month that is not in the list: that it holds no game is no wonder.
constexpr std::int64_t kUnlisted = 1;
constexpr std::size_t kMaxUrlBytes = 1'024;
constexpr int kMaxDepth = 8;  // of an element; only text is of use
// An archive may still get games shortly after its month is over; and a game may end that long before or
// after the month in UTC, by whatever clock the upstream sorts it in.
constexpr std::int64_t kLateMs = 86'400'000;
// For estimates: what a month of a keen player takes, and a cautious guess of how many games it holds.
constexpr std::chrono::milliseconds kTypicalRequest{700};
constexpr std::int64_t kTypicalMonth = 50;

std::optional<int> Digits(std::string_view text) {
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

std::int64_t StartOf(int year, int month) {
  using namespace std::chrono;
  const sys_days day = std::chrono::year(year) / month / 1;
  return duration_cast<milliseconds>(day.time_since_epoch()).count();
}

tl::unexpected<Error> NotArchives(std::string_view why, std::string_view shown) {
  Error e = MakeError(ErrorClass::kInvalid, "the answer is not a list of archives: " + std::string(why));
  e.body_start = Printable(shown);
  return Fail(std::move(e));
}

// One element of the list, a JSON string, as its month; nothing = it names none that can be.
Result<std::optional<Month>> MonthOf(std::string_view raw, std::int64_t now_ms) {
  if (auto ok = CheckDocument(raw, kMaxDepth); !ok) return NotArchives("an archive is no JSON", raw);
  if (!raw.starts_with('"')) {
    const Error other = NoRecord(raw, "it names no month");
    if (other.error_class != ErrorClass::kBadRecord) return Fail(other);
    return std::optional<Month>();
  }
  std::string url;
  AppendUnescaped(url, raw.substr(1, raw.size() - 2));
  while (url.ends_with('/')) url.pop_back();
  const auto month =
      url.size() > 7 && url[url.size() - 8] == '/' ? Month::Parse(url.substr(url.size() - 7)) : std::nullopt;
  // A day of grace: their clock, or their time zone, may be ahead of ours.
  if (!month || month->Span().lo > now_ms + kLateMs) return std::optional<Month>();
  return month;
}

const ArchiveState* Find(const AccountState& state, const std::string& key) {
  for (const ArchiveState& archive : state.archives) {
    if (archive.key == key) return &archive;
  }
  return nullptr;
}

bool Overlaps(const Month& month, const Filter& filter) {
  const TimeRange span = month.Span();
  return (!filter.since_ms || span.hi > *filter.since_ms) && (!filter.until_ms || span.lo < *filter.until_ms);
}

bool Covers(const Filter& filter, const Month& month) {
  const TimeRange span = month.Span();
  return (!filter.since_ms || *filter.since_ms <= span.lo) &&
         (!filter.until_ms || *filter.until_ms >= span.hi);
}

// "" where there is none that can be kept.
std::string ValidatorOf(const HttpResponseHead& head, std::string_view header) {
  const std::string_view value = head.Get(header);
  return IsValidator(value) ? std::string(value) : std::string();
}

// That its games are of the month is the proof that the upstream answered what was asked. A game that is not
// may be one that they adjudicated late: it is no reason never to read the others. The text is a doubt; "" =
// none.
Result<std::string> CheckMonth(const Month& month, const PageResult& result) {
  const TimesSeen& seen = result.order_times;
  const TimeRange range = GameTimes(month);
  if (seen.Within(range)) return std::string();
  const auto is_outside = [&](std::int64_t ms) { return ms != 0 && (ms < range.lo || ms >= range.hi); };
  const bool ends = is_outside(result.first_order_ms) && is_outside(seen.last);
  const bool few = seen.asked == range && seen.outside > 0 && seen.outside * 2 < seen.told;
  if (few && !ends) {
    return fmt::format("{} of {} games listed in {} ended in another month", seen.outside, seen.told,
                       month.Key());
  }
  return Fail(ErrorClass::kTransient,
              fmt::format("games of another month than {} came: {} to {}", month.Key(),
                          FormatTime(result.order_times.least), FormatTime(result.order_times.most)));
}

// The months that were read before and are not listed any more, too: whether they are gone is theirs to say.
std::vector<Month> WithStored(std::vector<Month> months, const AccountState& state) {
  const std::vector<Month> listed = months;
  for (const ArchiveState& archive : state.archives) {
    const auto month = Month::Parse(archive.key);
    if (month && !std::binary_search(listed.begin(), listed.end(), *month)) months.push_back(*month);
  }
  std::sort(months.begin(), months.end());
  return months;
}

// The answer's validators, to ask later whether it has changed.
void KeepValidators(const PageResult& result, ArchiveState& archive) {
  if (result.head == nullptr) return;
  archive.etag = ValidatorOf(*result.head, "ETag");
  archive.last_modified = ValidatorOf(*result.head, "Last-Modified");
}

// What an empty month leaves. Only months with games are listed, so that one empty answer is no proof; the
// same one from a later job is.
void FinishEmpty(const TaskContext& task, const PageResult& result, bool over, PageEnd& end,
                 ArchiveState& archive) {
  if (IsUnlisted(task.selector)) return;
  if (!result.budget_spent) KeepValidators(result, archive);
  const bool same = task.archive && task.archive->key == archive.key && !archive.etag.empty() &&
                    task.archive->etag == archive.etag;
  archive.complete = over && same;
  if (!archive.complete) end.doubt = "month " + archive.key + " is listed and holds no game";
}

NewTask ArchiveTask(std::string key, std::optional<std::int64_t> budget) {
  return {{SelectorKind::kArchive, 0, 0, std::move(key)}, budget};
}

Result<void> SendChain(const std::vector<Month>& months, const AccountState& state, const Filter& filter,
                       const TaskSink& sink) {
  std::string key;
  std::size_t count = 0;
  for (auto month = months.rbegin(); month != months.rend() && count < kMaxChain; ++month) {
    const ArchiveState* stored = Find(state, month->Key());
    const bool newest = month == months.rbegin();
    if (!newest && stored != nullptr && stored->complete) continue;
    if (!Overlaps(*month, filter)) continue;
    key += (key.empty() ? "" : ",") + month->Key();
    ++count;
  }
  if (key.empty() || *filter.limit <= 0) return {};
  return sink(ArchiveTask(key, filter.limit));
}

}  // namespace

std::string Month::Key() const { return fmt::format("{:04}/{:02}", year, month); }

TimeRange Month::Span() const {
  return {StartOf(year, month), month == 12 ? StartOf(year + 1, 1) : StartOf(year, month + 1)};
}

std::optional<Month> Month::Parse(std::string_view key) {
  if (key.size() != 7 || key[4] != '/') return std::nullopt;
  const auto y = Digits(key.substr(0, 4));
  const auto m = Digits(key.substr(5));
  if (!y || !m || *y < kFirstYear || *m < 1 || *m > 12) return std::nullopt;
  return Month{*y, *m};
}

Result<Archives> ParseArchives(std::string_view document, std::int64_t now_ms) {
  Archives archives;
  std::vector<Month>& months = archives.months;
  std::size_t seen = 0;
  std::size_t passed_over = 0;
  std::string shown;  // the first one that was passed over
  ReaderLimits limits;
  limits.max_record_bytes = kMaxUrlBytes;
  const auto reader =
      NewJsonArrayReader("archives", limits, [&](std::string_view raw, bool oversize) -> Result<bool> {
        if (seen++ == kMaxArchives) return NotArchives("it has over 2,000", raw);
        auto month = oversize ? std::optional<Month>() : MonthOf(raw, now_ms);
        if (!month) return Fail(month.error());
        if (*month) {
          months.push_back(**month);
        } else if (passed_over++ == 0) {
          shown = Printable(raw, 100);
        }
        return true;
      });
  if (auto fed = reader->Feed(document); !fed) return Fail(std::move(fed.error()));
  if (auto ended = reader->End(); !ended) return Fail(std::move(ended.error()));
  if (passed_over > 0 && months.empty()) return NotArchives("none of it is a month", shown);
  if (passed_over > 0) archives.doubt = fmt::format("{} archives name no month: {}", passed_over, shown);
  std::sort(months.begin(), months.end());
  months.erase(std::unique(months.begin(), months.end()), months.end());
  return archives;
}

Result<void> PlanTasks(const Archives& archives, const AccountState& state, JobMode mode,
                       const Filter& filter, const TaskSink& give) {
  const std::vector<Month>& months = archives.months;
  std::string doubt = archives.doubt;
  const TaskSink sink = [&](NewTask task) {
    task.doubt = std::exchange(doubt, {});
    return give(std::move(task));
  };
  if (filter.limit) return SendChain(months, state, filter, sink);
  const bool all = mode == JobMode::kFull || state.archives.empty();
  std::string oldest, newest;
  if (!all) {
    oldest = state.archives.front().key;
    newest = state.archives.back().key;
  }
  for (const Month& month : mode == JobMode::kFull ? WithStored(months, state) : months) {
    if (!Overlaps(month, filter)) continue;
    const std::string key = month.Key();
    if (!all && key < newest) {
      const ArchiveState* stored = Find(state, key);
      if (stored != nullptr && stored->complete) continue;
      // Older history than was ever read is not asked for, unless the user does by --since. After a full sync
      // there is none: a month that is older was listed later.
      if (key < oldest && !filter.since_ms && !state.full_sync_began_ms) continue;
    }
    NewTask task = ArchiveTask(key, std::nullopt);
    if (!std::binary_search(months.begin(), months.end(), month)) task.selector.lo = kUnlisted;
    if (auto sent = sink(std::move(task)); !sent) return sent;
  }
  return {};
}

PlanEstimate EstimateTasks(const std::vector<NewTask>& tasks) {
  PlanEstimate estimate;
  for (const NewTask& task : tasks) {
    const std::string& key = task.selector.key;
    const auto months = 1 + std::count(key.begin(), key.end(), ',');
    const std::int64_t wanted = task.budget ? *task.budget / kTypicalMonth + 1 : months;
    estimate.requests += std::min<std::int64_t>(months, wanted);
  }
  estimate.time = estimate.requests * kTypicalRequest;
  return estimate;
}

bool IsUnlisted(const Selector& selector) {
  return selector.kind == SelectorKind::kArchive && selector.lo == kUnlisted;
}

TimeRange GameTimes(const Month& month) {
  const TimeRange span = month.Span();
  return {span.lo - kLateMs, span.hi + kLateMs};
}

std::optional<ArchiveKey> ArchiveKey::Parse(std::string_view selector_key) {
  const auto comma = selector_key.find(',');
  const auto month = Month::Parse(selector_key.substr(0, comma));
  if (!month) return std::nullopt;
  return ArchiveKey{*month,
                    comma == std::string_view::npos ? std::string_view() : selector_key.substr(comma + 1)};
}

bool IsValidator(std::string_view header_value) {
  constexpr std::size_t kMaxBytes = 512;
  return !header_value.empty() && header_value.size() <= kMaxBytes &&
         std::all_of(header_value.begin(), header_value.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

Result<PageEnd> FinishArchive(const TaskContext& task, const PageResult& result) {
  const auto key = ArchiveKey::Parse(task.selector.key);
  if (!key) return Fail(ErrorClass::kInternal, "a task's archive key names no month");
  auto doubt = CheckMonth(key->month, result);
  if (!doubt) return Fail(std::move(doubt.error()));
  PageEnd end;
  end.doubt = *doubt;
  // A cache may have kept the answer from before the month was over, and our clock may be ahead.
  const std::int64_t made_ms = result.head != nullptr ? MadeAt(*result.head, task.now_ms) : task.now_ms;
  const bool over = key->month.Span().hi + kLateMs <= made_ms;
  ArchiveState archive;
  archive.key = key->month.Key();
  if (result.not_modified) {
    // Only asked for what was read whole, so that nothing has changed means that all of it is here.
    if (IsUnlisted(task.selector))
      end.doubt = "month " + archive.key + " is neither listed nor found any more";
    if (task.archive) {
      archive = *task.archive;
      archive.key = key->month.Key();
    }
    const bool same = !IsUnlisted(task.selector) && task.archive.has_value();
    archive.complete = archive.complete || (over && same);
  } else if (result.records == 0) {
    FinishEmpty(task, result, over, end, archive);
  } else if (end.doubt.empty() && !result.budget_spent && Covers(task.filter, key->month)) {
    archive.complete = over;
    KeepValidators(result, archive);
  }
  end.archive = std::move(archive);
  if (task.budget && !result.budget_spent && !key->rest.empty()) {
    const std::int64_t left = *task.budget - result.inserted;
    if (left > 0) end.successors.push_back(ArchiveTask(std::string(key->rest), left));
  }
  return end;
}

}  // namespace weir::chesscom
