#include "common/sources/chesscom/chesscom_source.h"

#include <fmt/core.h>

#include <algorithm>

#include "common/base/json_text.h"
#include "common/sources/chesscom/archive_plan.h"
#include "common/sources/chesscom/game_mapper.h"
#include "common/sources/upstream_sentence.h"

namespace weir {
namespace {

constexpr std::string_view kPlayerPath = "/pub/player/";
// Answers are cached for up to 12 hours, and not by one cache: an older one may follow a newer one.
constexpr std::chrono::hours kCacheTime{24};

SourceInfo MakeInfo() {
  SourceInfo info;
  info.name = "chesscom";
  info.description = "Chess.com: games of a player";
  info.base_url = "https://api.chess.com";
  info.lanes = 1;  // serial access is unlimited, parallel requests are refused
  info.retry_after_floor = std::chrono::seconds(10);
  info.streams = {{"games",
                   "a player's games, by the month they ended",
                   {"chesscom", "games", chesscom::GameColumns(), "end_time"},
                   {.lists_all = true, .settle = kCacheTime}}};
  info.check_account = "erik";
  return info;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string PlayerPath(const AccountRef& account) {
  std::string name = account.canonical;
  std::transform(name.begin(), name.end(), name.begin(), Lower);  // upper case is answered with a redirect
  return std::string(kPlayerPath) + PercentEncode(name);
}

// The header by which a month is asked for only if it changed; none = it is asked for whatever it holds. Full
// asks unconditionally; what was cut has neither ETag nor Last-Modified stored.
std::optional<HttpHeader> Condition(const TaskContext& task) {
  const auto key = chesscom::ArchiveKey::Parse(task.selector.key);
  if (!key || task.selector.kind != SelectorKind::kArchive) return std::nullopt;
  if (task.mode != JobMode::kIncremental || !task.archive || task.archive->key != key->month.Key()) {
    return std::nullopt;
  }
  if (chesscom::IsValidator(task.archive->etag)) return HttpHeader{"If-None-Match", task.archive->etag};
  if (chesscom::IsValidator(task.archive->last_modified)) {
    return HttpHeader{"If-Modified-Since", task.archive->last_modified};
  }
  return std::nullopt;
}

bool SaysNotFound(std::string_view body_start) {
  std::string said = UpstreamSentence(body_start);
  std::transform(said.begin(), said.end(), said.begin(), Lower);
  return said.find("not found") != std::string::npos;
}

// In its outages Chess.com answers 404 too, with "An internal error has occurred": only "not found" says that
// something is not there.
Error Outage(const HttpResponseHead& head, std::string_view body_start) {
  const std::string said = UpstreamSentence(body_start);
  Error e = MakeError(ErrorClass::kTransient,
                      fmt::format("HTTP {}: Chess.com does not say what it has: \"{}\"", head.status, said));
  e.http_status = head.status;
  e.body_start = Printable(body_start);
  return e;
}

}  // namespace

const SourceInfo& ChesscomSource::Info() const {
  static const SourceInfo info = MakeInfo();
  return info;
}

Result<std::string> ChesscomSource::AccountKey(std::string_view name) const {
  std::string key(name);
  std::transform(key.begin(), key.end(), key.begin(), Lower);
  const bool known = std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (!known || key.empty() || key.size() > 50) {
    return Fail(ErrorClass::kConfig, "\"" + Printable(name, 64) + "\" cannot be a Chess.com player",
                "a player's name has letters, digits, _ or -");
  }
  return key;
}

std::string ChesscomSource::Meter(const AccountRef&, const Secret&) const { return "chesscom"; }

std::vector<std::pair<std::string, Secret>> ChesscomSource::SecretHeaders(
    const std::map<std::string, Secret>&) const {
  return {};
}

Result<PageRequest> ChesscomSource::Request(const TaskContext& task) const {
  PageRequest page;
  page.request.headers = {{"Accept", "application/json"}};
  page.request.target = PlayerPath(task.account) + "/games/archives";
  if (task.selector.kind == SelectorKind::kDiscover) {
    page.format = BodyFormat::kDocument;
    return page;
  }
  const auto key = chesscom::ArchiveKey::Parse(task.selector.key);
  if (task.selector.kind != SelectorKind::kArchive || !key) {
    return Fail(ErrorClass::kInternal, "chesscom has no such task: " + Describe(task.selector));
  }
  const std::string month = key->month.Key();
  page.format = BodyFormat::kJsonArray;
  page.record_path = "games";
  page.request.target = PlayerPath(task.account) + "/games/" + month;
  page.times = chesscom::GameTimes(key->month);
  if (auto condition = Condition(task)) page.request.headers.push_back(std::move(*condition));
  return page;
}

Verdict ChesscomSource::Judge(const TaskContext& task, const HttpResponseHead& head,
                              std::string_view body_start) const {
  Verdict verdict =
      JudgeHttp(head, body_start, task.now_ms, {.asked_conditionally = Condition(task).has_value()});
  auto* e = std::get_if<Error>(&verdict);
  if (e == nullptr || e->error_class != ErrorClass::kGone) return verdict;
  if (head.status == 404 && !SaysNotFound(body_start)) return Outage(head, body_start);
  // It is not listed either, so that nothing is missing; what was read of it stays.
  if (chesscom::IsUnlisted(task.selector)) return NotModified{.absent = true};
  const std::string name = Printable(task.account.name, 64);
  if (head.status == 410) {
    e->message = fmt::format("HTTP 410: the data of \"{}\" is gone for good", name);
    e->hint = "Chess.com asks not to ask for it again: remove the account from weir.yaml";
  } else if (task.selector.kind == SelectorKind::kDiscover) {
    e->message = fmt::format("HTTP {}: Chess.com knows no player \"{}\"", head.status, name);
    e->hint = "check the name's spelling at https://www.chess.com/member/" + name;
  } else {
    e->message =
        fmt::format("HTTP {}: Chess.com has no {} of \"{}\"", head.status, Describe(task.selector), name);
  }
  return verdict;
}

std::optional<std::string> ChesscomSource::RenamedTo(std::string_view location) const {
  const auto at = location.find(kPlayerPath);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = location.substr(at + kPlayerPath.size());
  const auto key = AccountKey(rest.substr(0, rest.find_first_of("/?#")));
  if (!key) return std::nullopt;
  return *key;
}

Result<void> ChesscomSource::Plan(const TaskContext& task, const AccountState& state,
                                  std::string_view document, const TaskSink& sink) const {
  const auto archives = chesscom::ParseArchives(document, task.now_ms);
  if (!archives) return Fail(archives.error());
  return chesscom::PlanTasks(*archives, state, task.mode, task.filter, sink);
}

PlanEstimate ChesscomSource::EstimatePlan(const TaskContext&, std::string_view,
                                          const std::vector<NewTask>& tasks) const {
  return chesscom::EstimateTasks(tasks);
}

Result<PageEnd> ChesscomSource::FinishPage(const TaskContext& task, const PageResult& result) const {
  if (task.selector.kind != SelectorKind::kArchive) return PageEnd{};
  return chesscom::FinishArchive(task, result);
}

std::unique_ptr<RecordMapper> ChesscomSource::NewMapper(std::string_view) const {
  return chesscom::NewGameMapper();
}

}  // namespace weir
