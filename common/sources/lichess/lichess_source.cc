#include "common/sources/lichess/lichess_source.h"

#include <fmt/core.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "common/base/json_text.h"
#include "common/sources/http_date.h"
#include "common/sources/lichess/game_mapper.h"
#include "common/sources/lichess/lichess_plan.h"
#include "common/sources/lichess/plan_estimate.h"
#include "common/sources/source_params.h"

namespace weir {
namespace {

using lichess::kEarliestMs;

// A new game is listed a little late. As long as param "settle" is by default.
constexpr std::chrono::minutes kIndexDelay{10};

// Our params that say what a game should hold, and the upstream's names and defaults of them.
struct Flag {
  const char* param;
  const char* upstream;
  bool upstream_default;
};
constexpr std::array<Flag, 8> kFlags{{
    {"moves", "moves", true},
    {"opening", "opening", false},
    {"clocks", "clocks", false},
    {"evals", "evals", false},
    {"accuracy", "accuracy", false},
    {"division", "division", false},
    {"pgn_in_json", "pgnInJson", false},
    {"last_fen", "lastFen", false},
}};

SourceInfo MakeInfo() {
  SourceInfo info;
  info.name = "lichess";
  info.description = "lichess.org: games of a player";
  info.base_url = "https://lichess.org";
  info.lanes = 1;  // one request at a time per token or address
  info.retry_after_floor = std::chrono::seconds(60);
  info.streams = {{"games",
                   "a player's games, by the time they were created",
                   {"lichess", "games", lichess::GameColumns(), "created_at"},
                   {.lists_all = true, .settle = kIndexDelay}}};
  info.secret_names = {"token"};
  info.params = {
      {"window_games", "1000", "about how many games one window (task) should hold"},
      {"settle", "10m", "what is newer than this is read again next time: new games appear with a delay"},
      {"moves", "true", "the moves (SAN)"},
      {"opening", "true", "the opening's ECO code and name"},
      {"clocks", "false", "the clock at each move"},
      {"evals", "false", "computer evaluations, where a game has them"},
      {"accuracy", "false", "the players' accuracy, where a game has it"},
      {"division", "false", "where middle game and endgame begin"},
      {"pgn_in_json", "false", "the whole PGN in column pgn"},
      {"last_fen", "false", "the last position in column last_fen"},
  };
  info.check_account = "lichess";
  return info;
}

// The content flags that differ from the upstream's defaults, each "&name=value".
Result<std::string> ContentFlags(const SourceInfo& info, const AccountRef& account) {
  std::string query;
  for (const Flag& flag : kFlags) {
    const auto value = ParamBool(info, account, flag.param);
    if (!value) return Fail(value.error());
    if (*value != flag.upstream_default) query += fmt::format("&{}={}", flag.upstream, *value);
  }
  return query;
}

// Never perfType, analysed, color or rated: with these another index answers, which lags and repeats games.
Result<std::string> WindowTarget(const TaskContext& task, const std::string& flags) {
  const Selector& s = task.selector;
  std::string target = fmt::format("/api/games/user/{}?", PercentEncode(task.account.canonical));
  // There are older games, which no `since` reaches.
  if (s.lo > kEarliestMs) target += fmt::format("since={}&", s.lo);
  target += fmt::format("until={}", std::max(s.hi, kEarliestMs));
  if (s.kind == SelectorKind::kNewest) {
    const auto chain = lichess::NewestChain::Parse(s.key);
    if (!chain || !task.budget) return Fail(ErrorClass::kInternal, "a newest-first task without its budget");
    target += "&sort=dateDesc";
    // What is older than any `until` comes whole: the filter may drop what is newest of it.
    if (s.hi > kEarliestMs) target += fmt::format("&max={}", *task.budget + (chain->tie ? 1 : 0));
  } else {
    target += "&sort=dateAsc";
  }
  return target + "&ongoing=true&finished=true" + flags;
}

// Nothing later than this can be claimed as read: games appear in the upstream's index a little late. Its
// clock counts if it tells it and is not ahead of ours, else ours. A clock that is far behind claims nothing
// later than the games that came: better little is read twice than a change is never read.
std::int64_t SettledMs(const TaskContext& task, const PageResult& result, std::chrono::milliseconds settle) {
  std::int64_t now = task.now_ms;
  if (result.head != nullptr) {
    const auto date = ParseHttpDate(result.head->Get("Date"), task.now_ms);
    if (date) now = std::min(now, std::max(*date, result.order_times.most));
  }
  return now - settle.count();
}

bool TypeHas(const HttpResponseHead& head, std::string_view word) {
  return head.Get("Content-Type").find(word) != std::string_view::npos;
}

// Lichess tells that it sends NDJSON; what a proxy makes of the type is left to the content, since games
// prove themselves. An answer without any proves nothing where it is of another type.
bool MayBeNoGames(const HttpResponseHead& head) {
  return head.Get("Content-Type").empty() || TypeHas(head, "ndjson");
}

Error NotGames(const HttpResponseHead& head) {
  Error e = MakeError(ErrorClass::kTransient,
                      fmt::format("HTTP {}: the answer is not games as NDJSON: its type is \"{}\"",
                                  head.status, Printable(head.Get("Content-Type"), 100)),
                      "check sources.lichess.base_url; a proxy may answer in the upstream's place");
  e.http_status = head.status;
  return e;
}

std::string Sha256Hex12(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha256(), nullptr);
  std::string hex;
  for (std::size_t i = 0; i < 6; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace

const SourceInfo& LichessSource::Info() const {
  static const SourceInfo info = MakeInfo();
  return info;
}

Result<std::string> LichessSource::AccountKey(std::string_view name) const {
  std::string key;
  for (const char c : name) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool known = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!known) break;
    key += upper ? static_cast<char>(c - 'A' + 'a') : c;
  }
  if (key.size() != name.size() || key.size() < 2 || key.size() > 30) {
    return Fail(ErrorClass::kConfig, "\"" + Printable(name, 64) + "\" cannot be a Lichess player",
                "a player's name has 2 to 30 letters, digits, _ or -");
  }
  return key;
}

std::string LichessSource::Meter(const AccountRef&, const Secret& token) const {
  return token.empty() ? "lichess:anonymous" : "lichess:token:" + Sha256Hex12(token.Reveal());
}

std::vector<std::pair<std::string, Secret>> LichessSource::SecretHeaders(
    const std::map<std::string, Secret>& secrets) const {
  const auto token = secrets.find("token");
  if (token == secrets.end() || token->second.empty()) return {};
  return {{"Authorization", Secret("Bearer " + token->second.Reveal())}};
}

Result<PageRequest> LichessSource::Request(const TaskContext& task) const {
  PageRequest page;
  if (task.selector.kind == SelectorKind::kDiscover) {
    page.format = BodyFormat::kDocument;
    page.request.target = "/api/user/" + PercentEncode(task.account.canonical);
    page.request.headers = {{"Accept", "application/json"}};
    return page;
  }
  auto flags = ContentFlags(Info(), task.account);
  if (!flags) return Fail(std::move(flags.error()));
  page.format = BodyFormat::kNdjson;
  page.request.headers = {{"Accept", "application/x-ndjson"}};
  switch (task.selector.kind) {
    case SelectorKind::kWindow:
    case SelectorKind::kNewest: {
      auto target = WindowTarget(task, *flags);
      if (!target) return Fail(std::move(target.error()));
      page.request.target = std::move(*target);
      return page;
    }
    case SelectorKind::kIds:
      page.request.method = "POST";
      page.request.target = "/api/games/export/_ids";
      if (!flags->empty()) page.request.target += "?" + flags->substr(1);
      page.request.headers.push_back({"Content-Type", "text/plain"});
      page.request.body = lichess::IdsOf(task.selector.key);
      return page;
    default:
      return Fail(ErrorClass::kInternal, "lichess has no tasks of kind " + Describe(task.selector));
  }
}

Verdict LichessSource::Judge(const TaskContext& task, const HttpResponseHead& head,
                             std::string_view body_start) const {
  Verdict verdict = JudgeHttp(head, body_start, task.now_ms);
  const bool games = task.selector.kind != SelectorKind::kDiscover;
  if (games && std::holds_alternative<ReadBody>(verdict) && TypeHas(head, "chess-pgn")) return NotGames(head);
  if (auto* e = std::get_if<Error>(&verdict); e != nullptr && e->error_class == ErrorClass::kGone) {
    e->message =
        fmt::format("HTTP {}: Lichess knows no player \"{}\"", head.status, Printable(task.account.name, 64));
    e->hint = "check the name's spelling at " + Info().base_url + "/@/" + Printable(task.account.name, 64);
  }
  return verdict;
}

std::optional<std::string> LichessSource::RenamedTo(std::string_view) const { return std::nullopt; }

Result<void> LichessSource::Plan(const TaskContext& task, const AccountState& state,
                                 std::string_view document, const TaskSink& sink) const {
  const auto window_games = ParamCount(Info(), task.account, "window_games");
  if (!window_games) return Fail(window_games.error());
  auto user = lichess::ParseUser(document);
  if (!user) {
    if (user.error().error_class == ErrorClass::kGone) {
      user.error().message = "the Lichess account \"" + Printable(task.account.name, 64) + "\" is closed";
    }
    return Fail(std::move(user.error()));
  }
  // A plan rests on its account's age, so another player's would leave games out.
  const auto key = AccountKey(task.account.canonical);
  if (!user->id.empty() && key && user->id != *key) {
    return Fail(ErrorClass::kTransient,
                fmt::format("the answer is about another player: \"{}\"", Printable(user->id, 64)));
  }
  return lichess::PlanTasks(*user, state, {task.mode, task.filter, task.now_ms, *window_games}, sink);
}

std::optional<std::int64_t> LichessSource::EstimateIn(const TaskContext& task,
                                                      std::string_view document) const {
  const bool all =
      task.mode == JobMode::kFull && !task.filter.since_ms && !task.filter.until_ms && !task.filter.limit;
  if (!all) return std::nullopt;
  const auto user = lichess::ParseUser(document);
  return user && user->games.value_or(0) > 0 ? user->games : std::nullopt;
}

PlanEstimate LichessSource::EstimatePlan(const TaskContext& task, std::string_view document,
                                         const std::vector<NewTask>& tasks) const {
  const auto user = lichess::ParseUser(document);
  return lichess::EstimateTasks(user.value_or(lichess::User{}), tasks, task.now_ms, task.account.has_token);
}

Result<PageEnd> LichessSource::FinishPage(const TaskContext& task, const PageResult& result) const {
  const auto settle = ParamDuration(Info(), task.account, "settle");
  if (!settle) return Fail(settle.error());
  if (result.records == 0 && !result.budget_spent && result.head != nullptr && !MayBeNoGames(*result.head)) {
    return Fail(NotGames(*result.head));
  }
  const std::int64_t settled = SettledMs(task, result, *settle);
  switch (task.selector.kind) {
    case SelectorKind::kWindow:
      return lichess::FinishWindow(task.selector, result, settled);
    case SelectorKind::kNewest:
      return lichess::FinishNewest(task.selector, task.budget.value_or(0), result, settled);
    case SelectorKind::kIds:
      return lichess::FinishIds(task.selector, result);
    default:
      return PageEnd{};
  }
}

std::unique_ptr<RecordMapper> LichessSource::NewMapper(std::string_view) const {
  return lichess::NewGameMapper();
}

}  // namespace weir
