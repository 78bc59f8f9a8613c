#include "common/sources/highlevel/highlevel_source.h"

#include <fmt/core.h>

#include <algorithm>

#include "common/base/json_text.h"
#include "common/base/time_text.h"
#include "common/sources/highlevel/border_plan.h"
#include "common/sources/highlevel/mappers.h"
#include "common/sources/highlevel/pipelines.h"
#include "common/sources/highlevel/renewal.h"
#include "common/sources/highlevel/search_page.h"
#include "common/sources/highlevel/slice_end.h"
#include "common/sources/settled.h"
#include "common/sources/source_params.h"
#include "common/sources/time_windows.h"
#include "common/sources/upstream_sentence.h"

namespace weir {
namespace {

using highlevel::BorderSearch;
using highlevel::ChangesPage;
using highlevel::LastQuestion;
using highlevel::RunCut;
using highlevel::SlicePage;

constexpr std::string_view kSearchPath = "/opportunities/search";
constexpr std::string_view kPipelines = "pipelines";
constexpr std::string_view kSnake = "snake", kCamel = "camel";  // AccountRef::memo, and param casing
constexpr std::int64_t kLeastOverlapMs = 60'000;
constexpr std::chrono::minutes kIndexDelay{10};  // new records are listed a little late

SourceInfo MakeInfo() {
  SourceInfo info;
  info.name = "highlevel";
  info.description = "HighLevel: opportunities and pipelines of a location";
  info.base_url = "https://services.leadconnectorhq.com";
  info.lanes = 4;
  info.quota = "100/10s, 200000/day";
  info.retry_after_floor = std::chrono::seconds(10);
  info.streams = {{"opportunities",
                   "a location's opportunities, by the time they were created",
                   {"highlevel", "opportunities", highlevel::OpportunityColumns(), "created_at"},
                   {.lists_all = true, .settle = kIndexDelay}},
                  {std::string(kPipelines),
                   "a location's pipelines with their stages",
                   {"highlevel", "pipelines", highlevel::PipelineColumns()},
                   {.lists_all = true}}};
  info.secret_names = {"token", "client_id", "client_secret", "refresh_token"};
  info.params = {
      {"version", "2021-07-28", "the header Version: 2021-07-28 or v3"},
      {"casing", "auto",
       "how the location is named in a search: snake (location_id), camel (locationId), or as the version "
       "wants it"},
      {"slice_records", "5000", "about how many opportunities one slice of a full sync should hold"},
      {"task_pages", "10", "pages a task reads before others of its lane have a turn"},
      {"overlap", "5m",
       "what changed so shortly before is read again: the search's index lags; at least 60s"},
  };
  return info;
}

// How this account's searches name the location: as remembered, as configured, or as the version wants it.
std::string_view CasingOf(const SourceInfo& info, const AccountRef& account) {
  if (account.memo == kSnake) return kSnake;
  if (account.memo == kCamel) return kCamel;
  const std::string_view param = ParamText(info, account, "casing");
  if (param == kSnake || param == kCamel) return param;
  return ParamText(info, account, "version") == "v3" ? kCamel : kSnake;
}

Result<void> CheckParams(const SourceInfo& info, const AccountRef& account) {
  const std::string_view casing = ParamText(info, account, "casing");
  if (casing != "auto" && casing != kSnake && casing != kCamel) {
    return Fail(ErrorClass::kConfig, fmt::format("sources.highlevel.casing is \"{}\"", Printable(casing, 64)),
                "it must be auto, snake or camel");
  }
  const std::string_view version = ParamText(info, account, "version");
  const bool fit = !version.empty() && version.size() <= 32 &&
                   std::all_of(version.begin(), version.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (fit) return {};
  return Fail(ErrorClass::kConfig, fmt::format("sources.highlevel.version is \"{}\"", Printable(version, 64)),
              "it must be 2021-07-28 or v3");
}

// GET: oldest first (kNewest: newest first), from the cursor on. Only ever built here: the upstream's
// nextPageUrl names another host and the wrong casing.
std::string SearchTarget(const SourceInfo& info, const TaskContext& task, const SlicePage& page,
                         std::int64_t limit) {
  const bool camel = CasingOf(info, task.account) == kCamel;
  std::string target =
      fmt::format("{}?{}={}&order={}&limit={}", kSearchPath, camel ? "locationId" : "location_id",
                  PercentEncode(task.account.canonical),
                  task.selector.kind == SelectorKind::kNewest ? "added_desc" : "added_asc", limit);
  if (page.from_day) target += "&date=" + highlevel::DayText(*page.from_day);
  if (page.to_day) target += "&endDate=" + highlevel::DayText(*page.to_day);
  if (!page.cursor.IsStart()) {
    target += fmt::format("&startAfter={}&startAfterId={}", page.cursor.after_ms,
                          PercentEncode(page.cursor.after_id));
  }
  return target;
}

// What a discover task asks: the whole of the sync at first, then one border after another.
Result<SlicePage> AskedSlice(const TaskContext& task) {
  SlicePage page;
  page.from_day = highlevel::FirstDay(task.filter);
  page.to_day = highlevel::LastDay(task.filter);
  if (task.selector.key.empty()) return page;
  if (const auto last = LastQuestion::Parse(task.selector.key)) {
    page.cursor = last->after.value_or(highlevel::Cursor{});
    return page;
  }
  if (const auto search = BorderSearch::Parse(task.selector.key)) {
    page.from_day = search->asked_day;
  } else if (const auto cut = RunCut::Parse(task.selector.key)) {
    page.from_day = cut->search.from_day;
  } else {
    return Fail(ErrorClass::kInternal, "highlevel has no such plan: " + task.selector.key);
  }
  return page;
}

// A question that a sync can do without: where to cut a crowded day.
bool IsOptional(const TaskContext& task) {
  return task.selector.kind == SelectorKind::kDiscover && RunCut::Parse(task.selector.key);
}

// POST: what changed in the window, oldest change first. Without `page`: whether pages count from 0 or from 1
// depends on whom one asks.
HttpRequest ChangesRequest(const TaskContext& task, const ChangesPage& page) {
  HttpRequest request;
  request.method = "POST";
  request.target = kSearchPath;
  request.headers.push_back({"Content-Type", "application/json"});
  std::string location;
  AppendJsonString(location, task.account.canonical);
  request.body = fmt::format(
      R"({{"locationId":{},"limit":{},"filters":[{{"field":"date_updated","operator":"range",)"
      R"("value":{{"gte":"{}","lte":"{}"}}}}],"sort":[{{"field":"date_updated","direction":"asc"}}]{}}})",
      location, highlevel::kPostPageRecords, FormatTime(page.from_ms), FormatTime(task.selector.hi - 1),
      page.after_id.empty() ? "" : fmt::format(R"(,"searchAfter":[{},"{}"])", page.from_ms, page.after_id));
  return request;
}

// A search refused because it names the location the other way.
bool IsCasingRefusal(const HttpResponseHead& head, std::string_view body) {
  return (head.status == 422 || head.status == 400) &&
         body.find("should not exist") != std::string_view::npos &&
         (body.find("locationId") != std::string_view::npos ||
          body.find("location_id") != std::string_view::npos);
}

// What an incremental sync reads: all that may have changed since the last full sync began and was not read.
Result<void> PlanChanges(const TaskContext& task, const AccountState& state, std::int64_t overlap_ms,
                         const TaskSink& sink) {
  const std::int64_t from = std::max<std::int64_t>(state.full_sync_began_ms.value_or(0) - overlap_ms, 0);
  for (const TimeRange& hole : Subtract({from, task.now_ms}, state.read)) {
    NewTask window;
    window.selector = {SelectorKind::kCursor, hole.lo, hole.hi, ChangesPage{hole.lo}.Text()};
    if (auto sent = sink(std::move(window)); !sent) return sent;
  }
  return {};
}

Result<std::int64_t> OverlapMs(const SourceInfo& info, const AccountRef& account) {
  const auto overlap = ParamDuration(info, account, "overlap");
  if (!overlap) return Fail(overlap.error());
  return std::max(overlap->count(), kLeastOverlapMs);
}

}  // namespace

const SourceInfo& HighLevelSource::Info() const {
  static const SourceInfo info = MakeInfo();
  return info;
}

Result<std::string> HighLevelSource::AccountKey(std::string_view name) const {
  const bool known = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
  });
  if (!known || name.empty() || name.size() > 64) {
    return Fail(ErrorClass::kConfig, "\"" + Printable(name, 64) + "\" cannot be a HighLevel location",
                "an account of highlevel is a location's id, e.g. ve9EPM428h8vShlRW1KT");
  }
  return std::string(name);
}

std::string HighLevelSource::Meter(const AccountRef& account, const Secret&) const {
  return "highlevel:" + account.name;
}

std::vector<std::pair<std::string, Secret>> HighLevelSource::SecretHeaders(
    const std::map<std::string, Secret>& secrets) const {
  const auto token = secrets.find("token");
  if (token == secrets.end() || token->second.empty()) return {};
  return {{"Authorization", Secret("Bearer " + token->second.Reveal())}};
}

Result<HttpRequest> HighLevelSource::RenewRequest(const std::map<std::string, Secret>& secrets,
                                                  const Secret& refresh_token) const {
  return highlevel::RenewRequest(secrets, refresh_token);
}

Result<TokenGrant> HighLevelSource::ReadGrant(const HttpResponseHead& head, std::string_view document) const {
  return highlevel::ReadGrant(head, document);
}

Result<PageRequest> HighLevelSource::Request(const TaskContext& task) const {
  if (auto ok = CheckParams(Info(), task.account); !ok) return Fail(std::move(ok.error()));
  PageRequest page;
  const bool plan = task.selector.kind == SelectorKind::kDiscover;
  page.format = plan ? BodyFormat::kDocument : BodyFormat::kJsonArray;
  if (task.stream == kPipelines) {
    page.record_path = kPipelines;
    page.request.target = "/opportunities/pipelines?locationId=" + PercentEncode(task.account.canonical);
  } else if (plan) {
    auto slice = AskedSlice(task);
    if (!slice) return Fail(std::move(slice.error()));
    page.request.target = SearchTarget(Info(), task, *slice, 1);
    if (const auto cut = RunCut::Parse(task.selector.key))
      page.request.target += fmt::format("&page={}", cut->asked);
  } else {
    page.record_path = "opportunities";
    if (const auto slice = SlicePage::Parse(task.selector.key)) {
      page.request.target = SearchTarget(Info(), task, *slice, highlevel::kPageRecords);
    } else if (const auto changes = ChangesPage::Parse(task.selector.key)) {
      page.request = ChangesRequest(task, *changes);
    } else {
      return Fail(ErrorClass::kInternal, "highlevel has no such task: " + Describe(task.selector));
    }
  }
  page.request.headers.push_back({"Accept", "application/json"});
  page.request.headers.push_back({"Version", std::string(ParamText(Info(), task.account, "version"))});
  return page;
}

Verdict HighLevelSource::Judge(const TaskContext& task, const HttpResponseHead& head,
                               std::string_view body_start) const {
  if (task.stream != kPipelines && IsCasingRefusal(head, body_start)) {
    return AskAgain{std::string(CasingOf(Info(), task.account) == kCamel ? kSnake : kCamel)};
  }
  // Its documentation knows one status of an answer that was read, for POST too; nothing is asked for
  // conditionally. Another one's body may be a part, or nothing.
  if (head.status != 200 && ((head.status > 200 && head.status < 300) || head.status == 304)) {
    Error error = MakeError(ErrorClass::kTransient,
                            fmt::format("HTTP {}: not the answer of HighLevel to a search", head.status));
    error.http_status = head.status;
    error.body_start = Printable(body_start);
    return error;
  }
  Verdict verdict = JudgeHttp(head, body_start, task.now_ms);
  auto* e = std::get_if<Error>(&verdict);
  if (e == nullptr) return verdict;
  // An answer without the place or the number that was asked for is one, too.
  if (e->error_class == ErrorClass::kInvalid && IsOptional(task)) return ReadBody{};
  const std::string name = Printable(task.account.name, 64);
  const std::string said = UpstreamSentence(body_start);
  const std::string words = said.empty() ? "" : fmt::format(": \"{}\"", said);
  if (e->error_class == ErrorClass::kAuth && (head.status == 403 || SaysARightIsMissing(said))) {
    e->message = fmt::format("HTTP {}: HighLevel does not let this token see location \"{}\"{}", head.status,
                             name, words);
    e->hint = "check that the location still exists and that the token's scopes hold opportunities.readonly";
  } else if (e->error_class == ErrorClass::kAuth) {
    e->message = fmt::format("HTTP {}: HighLevel refuses the access token of location \"{}\"{}", head.status,
                             name, words);
    e->hint = "renew the account's token in weir.yaml, then: weir replay --class auth";
  } else if (e->error_class == ErrorClass::kGone) {
    e->message = fmt::format("HTTP {}: HighLevel knows no location \"{}\"", head.status, name);
    e->hint = "check the location's id: Settings > Business Profile";
  }
  return verdict;
}

std::optional<std::string> HighLevelSource::RenamedTo(std::string_view) const { return std::nullopt; }

Result<void> HighLevelSource::Plan(const TaskContext& task, const AccountState& state,
                                   std::string_view document, const TaskSink& sink) const {
  if (task.stream == kPipelines) return highlevel::PlanPipelines(task, document, sink);
  if (const auto last = LastQuestion::Parse(task.selector.key))
    return highlevel::PlanRest(task, *last, document, sink);
  const auto answer = highlevel::ParseMeta(document);
  const auto cut = RunCut::Parse(task.selector.key);
  if (!answer && !cut) return Fail(answer.error());
  if (task.filter.limit) {
    const SlicePage first{highlevel::FirstDay(task.filter), highlevel::LastDay(task.filter), {}};
    return sink({{SelectorKind::kNewest, 0, task.now_ms, first.Text()}, task.filter.limit});
  }
  const auto overlap = OverlapMs(Info(), task.account);
  if (!overlap) return Fail(overlap.error());
  if (task.mode == JobMode::kIncremental) return PlanChanges(task, state, *overlap, sink);
  const auto slice_records = ParamCount(Info(), task.account, "slice_records");
  if (!slice_records) return Fail(slice_records.error());
  const highlevel::BorderOptions options{*slice_records, task.filter, task.now_ms};
  if (cut) return highlevel::NextCut(*cut, answer.value_or(highlevel::SearchMeta{}), options, sink);
  const auto search = BorderSearch::Parse(task.selector.key);
  if (search) return highlevel::NextBorder(*search, *answer, options, sink);
  return highlevel::BeginBorders(*answer, options, sink);
}

std::optional<std::int64_t> HighLevelSource::TotalIn(const TaskContext& task,
                                                     std::string_view document) const {
  const auto last = LastQuestion::Parse(task.selector.key);
  const bool whole = task.selector.key.empty() || last;
  if (task.stream == kPipelines || task.mode != JobMode::kFull || task.filter.limit || !whole)
    return std::nullopt;
  const auto answer = highlevel::ParseMeta(document);
  if (!answer || (last && highlevel::LeavesNewRecords(task, *last, *answer))) return std::nullopt;
  return answer->total;
}

PlanEstimate HighLevelSource::EstimatePlan(const TaskContext& task, std::string_view document,
                                           const std::vector<NewTask>& tasks) const {
  constexpr std::chrono::milliseconds kRequest{300};
  PlanEstimate estimate;
  estimate.requests = static_cast<std::int64_t>(tasks.size());
  const auto answer = highlevel::ParseMeta(document);
  const bool full = task.stream != kPipelines && task.mode == JobMode::kFull;
  if (full && answer && answer->total) {
    const std::int64_t records = std::max<std::int64_t>(*answer->total, 0);
    const auto slice = ParamCount(Info(), task.account, "slice_records").value_or(1);
    estimate.records = records;
    estimate.requests = records / highlevel::kPageRecords + 2 * (records / slice) + 1;
  }
  estimate.time = estimate.requests * kRequest;
  return estimate;
}

Result<PageEnd> HighLevelSource::FinishPage(const TaskContext& task, const PageResult& result) const {
  if (task.stream == kPipelines) return highlevel::FinishPipelines(task, result);
  if (task.selector.kind != SelectorKind::kCursor && task.selector.kind != SelectorKind::kNewest) {
    return PageEnd{};
  }
  const auto task_pages = ParamCount(Info(), task.account, "task_pages");
  if (!task_pages) return Fail(task_pages.error());
  const auto slice_records = ParamCount(Info(), task.account, "slice_records");
  if (!slice_records) return Fail(slice_records.error());
  const auto overlap = OverlapMs(Info(), task.account);
  if (!overlap) return Fail(overlap.error());
  const std::int64_t settled =
      SettledMs(task, result, result.change_times.most, std::chrono::milliseconds(*overlap));
  const highlevel::FinishOptions options{*task_pages, *slice_records, settled, *overlap};
  return highlevel::FinishSearch(task, result, options);
}

std::unique_ptr<RecordMapper> HighLevelSource::NewMapper(std::string_view stream) const {
  return stream == kPipelines ? highlevel::NewPipelineMapper() : highlevel::NewOpportunityMapper();
}

}  // namespace weir
