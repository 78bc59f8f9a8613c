#include "worker/page_processor.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "common/access/access_token.h"
#include "common/base/json_text.h"
#include "common/base/secret_text.h"
#include "common/http/origin.h"
#include "common/ledger/drift.h"
#include "common/obs/log.h"
#include "common/sources/field_columns.h"
#include "common/sources/upstream_sentence.h"
#include "worker/page_reading.h"
#include "worker/return_tasks.h"

namespace weir::worker {
namespace {

constexpr int kMaxRedirects = 3;
constexpr int kMaxMoves = 3;
// A renewal may take longer than the lane's turn, which was had before it.
constexpr std::chrono::milliseconds kTurnLasts{200};
constexpr std::chrono::milliseconds kLookEvery{100};  // while a turn is waited for in place
constexpr std::size_t kPlanPiece = 32 << 10;          // bytes of planned tasks sent at a time

FetchOptions FetchOptionsOf(const Config& config, const AccountSettings& settings) {
  FetchOptions options;
  options.base_url = settings.base_url;
  options.user_agent = settings.user_agent;
  options.connect_timeout = config.connect_timeout;
  options.idle_timeout = config.idle_timeout;
  options.max_response_bytes = config.max_response_bytes;
  options.ca_file = config.ca_file;
  return options;
}

bool MorePages(const ledger::ClaimedTask& task) {
  return task.selector.kind == SelectorKind::kPages && task.page + 1 < task.selector.hi;
}

// A full sync saw what changed before its first question was answered, by the upstream's clock; the times of
// later changes are by that clock too. ClaimedTask::job_now_ms is right unless that clock is behind.
std::string BeganSql(const pg::Session& session, const ledger::ClaimedTask& task,
                     const HttpResponseHead& head) {
  const std::int64_t answered = AnsweredAt(head, task.job_now_ms);
  const bool behind = task.selector == Selector{} && answered < task.job_now_ms;
  return behind ? ledger::BeganSql(session, task, answered) : "";
}

// Once its page is read: then nothing that comes with its records, or is counted with them, can ask for more.
bool AsksNoMore(const ledger::ClaimedTask& task) {
  return !MorePages(task) && task.selector.kind != SelectorKind::kCursor && !task.budget;
}

}  // namespace

PageProcessor::~PageProcessor() = default;

TaskContext ContextOf(const TaskWork& work) {
  const ledger::ClaimedTask& task = work.task;
  TaskContext context;
  context.stream = task.stream;
  context.account = work.settings.account;
  context.account.name = task.account;
  context.account.canonical = task.account_canonical;
  context.account.memo = task.account_memo;
  context.mode = task.mode;
  context.filter = task.filter;
  context.selector = task.selector;
  context.page = task.page;
  context.budget = task.budget;
  context.archive = task.archive;
  context.now_ms = task.job_now_ms;
  return context;
}

RecordMapper* PageProcessor::Mapper(const TaskWork& work) {
  const std::string of = work.task.source + "/" + work.task.stream;
  if (mapper_of_ != of) {
    mapper_ = work.source->NewMapper(work.task.stream);
    mapper_of_ = of;
  }
  return mapper_.get();
}

// Never a page's failure: what cannot be noted now is noted with the next page, or lost.
void PageProcessor::SaveDrift(const TaskWork& work) {
  DriftLog* const drift = Mapper(work)->Drift();
  if (drift == nullptr || drift->Empty()) return;
  auto session = parts_.pool->Acquire();
  if (!session) return;
  auto added = ledger::AddDrift(**session, work.task.source, work.task.stream, drift->Entries());
  if (added) drift->Clear();
}

Result<std::string> PageProcessor::FollowedTarget(TaskWork& work, const FollowTo& follow,
                                                  const std::string& from) {
  auto target = TargetWithin(work.settings.base_url, follow.location, from);
  if (!target) return target;
  const auto renamed = follow.permanent ? work.source->RenamedTo(follow.location) : std::nullopt;
  if (renamed && *renamed != work.task.account_canonical) {
    auto session = parts_.pool->Acquire();
    if (!session) return Fail(session.error());
    if (auto ok = ledger::SaveCanonicalName(**session, work.task, *renamed); !ok) return Fail(ok.error());
    work.task.account_canonical = *renamed;
  }
  return target;
}

// One page's request, with the redirects an upstream may answer. Leaves in `reading` what came.
Result<void> PageProcessor::FetchPage(TaskWork& work, Reading& reading, const PageHooks& hooks) {
  auto page = work.source->Request(ContextOf(work));
  if (!page) return Fail(page.error());
  HttpRequest request = std::move(page->request);
  const auto secrets = work.source->SecretHeaders(work.settings.secrets);
  parts_.fetcher->SetOptions(FetchOptionsOf(*parts_.config, work.settings));
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    ++work.effort.requests;
    ++work.requests;
    ++work.sent;
    // A redirect or a page's name may be what an upstream made of the token.
    work.last_request =
        request.method + " " + Printable(WithoutSecrets(request.target, work.settings.secrets));
    work.last_head.clear();
    const auto asked = parts_.clock->Boot();
    auto head = parts_.fetcher->Fetch(request, secrets, reading, [&] { return Check(hooks); });
    work.metrics->Request(head ? head->status : 0, parts_.clock->Boot() - asked);
    work.metrics->ResponseBytes(parts_.fetcher->LastStats().body_bytes);
    if (!head) return Fail(WithoutSecrets(head.error(), work.settings.secrets));
    const auto* follow = std::get_if<FollowTo>(&reading.Judged());
    if (follow == nullptr) return {};
    auto target = FollowedTarget(work, *follow, request.target);
    if (!target) return Fail(target.error());
    request.target = std::move(*target);
    if (redirects == kMaxRedirects) break;
    if (auto ok = GoOn(work, hooks); !ok) return ok;
  }
  return Fail(ErrorClass::kInvalid, "more redirects in a row than any API needs");
}

Result<void> PageProcessor::Remember(TaskWork& work, const AskAgain& again, int times) {
  if (times > 1) {
    return Fail(ErrorClass::kInvalid, "the upstream refuses every form of the request",
                "see what it answered: weir failures show");
  }
  auto session = parts_.pool->Acquire();
  if (!session) return Fail(session.error());
  if (auto ok = ledger::SaveMemo(**session, work.task, again.memo); !ok) return ok;
  work.task.account_memo = again.memo;
  return {};
}

// Before another request in the same turn of the lane.
Result<void> PageProcessor::AskQuota(TaskWork& work, const PageHooks& hooks) {
  work.pause = hooks.again();
  if (!work.pause) return {};
  return Fail(ErrorClass::kStopped, "the lane waits for its limit");
}

Result<void> PageProcessor::GoOn(TaskWork& work, const PageHooks& hooks) {
  while ((work.pause = hooks.onward())) {
    if (work.pause->wait > kLongWait) return Fail(ErrorClass::kStopped, "the lane waits for its limit");
    const auto until = parts_.clock->Boot() + work.pause->wait;
    for (auto left = work.pause->wait; left > left.zero(); left = until - parts_.clock->Boot()) {
      if (auto error = Check(hooks)) return Fail(std::move(*error));
      std::this_thread::sleep_for(std::min(left, kLookEvery));
    }
  }
  return {};
}

// A batch of the page may be on its way meanwhile.
std::optional<Error> PageProcessor::Check(const PageHooks& hooks) {
  if (auto error = hooks.abort()) return error;
  if (auto ok = parts_.writer->Poll(); !ok) return ok.error();
  return std::nullopt;
}

Result<void> PageProcessor::RunPage(TaskWork& work, const PageHooks& hooks) {
  const LogScope scope({{"page", work.task.page}});
  int asked_again = 0;
  work.next_key.reset();
  for (int moves = 0; moves < kMaxMoves;) {
    auto page = work.source->Request(ContextOf(work));
    if (!page) return Fail(page.error());
    parts_.writer->StartPage(work.task.position, work.task.digest);
    Reading reading(parts_, Mapper(work), &batch_, &work, ContextOf(work), *page);
    if (auto ok = FetchPage(work, reading, hooks); !ok && !reading.Moved()) return ok;
    if (const auto* again = std::get_if<AskAgain>(&reading.Judged())) {
      if (auto ok = Remember(work, *again, ++asked_again); !ok) return ok;
      if (auto ok = AskQuota(work, hooks); !ok) return ok;
      continue;
    }
    if (!reading.Moved()) {
      if (const auto* error = std::get_if<Error>(&reading.Judged())) return Fail(*error);
      if (auto ok = reading.End(); !ok) return ok;
    }
    if (!reading.Moved()) {
      if (AsksNoMore(work.task)) hooks.answered();
      if (auto ok = reading.Commit(); !ok) return ok;
      Log(LogLevel::kDebug, "page committed", {{"records", reading.Records()}});
      return {};
    }
    Log(LogLevel::kInfo, "the page's records moved since its last try: it is read whole again");
    ++moves;
    // What an earlier attempt committed is no longer what the page begins with: read it whole again; the
    // look-up tells what is known. Counters then count both readings, and still add up.
    work.task.position = 0;
    work.task.digest = 0;
    if (moves == kMaxMoves) break;
    if (auto ok = GoOn(work, hooks); !ok) return ok;
  }
  return Fail(ErrorClass::kTransient, "the page's records keep moving while it is read");
}

Result<void> PageProcessor::RunDiscover(TaskWork& work, const PageHooks& hooks) {
  for (int asked_again = 0;;) {
    auto page = work.source->Request(ContextOf(work));
    if (!page) return Fail(page.error());
    Reading reading(parts_, Mapper(work), &batch_, &work, ContextOf(work), *page);
    if (auto ok = FetchPage(work, reading, hooks); !ok) return ok;
    if (const auto* error = std::get_if<Error>(&reading.Judged())) return Fail(*error);
    const auto* again = std::get_if<AskAgain>(&reading.Judged());
    if (again == nullptr) {
      auto written = WritePlan(work, reading.Head(), reading.Document());
      // It was rolled back, and the document is in hand.
      if (!written && pg::IsContention(written.error().sqlstate))
        written = WritePlan(work, reading.Head(), reading.Document());
      return written;
    }
    if (auto ok = Remember(work, *again, ++asked_again); !ok) return ok;
    if (auto ok = AskQuota(work, hooks); !ok) return ok;
  }
}

Result<void> PageProcessor::WritePlan(TaskWork& work, const HttpResponseHead& head,
                                      std::string_view document) {
  auto session = parts_.pool->Acquire();
  if (!session) return Fail(session.error());
  auto state = ledger::LoadAccountState(**session, work.task);
  if (!state) return Fail(state.error());
  ledger::PlanNote note;
  note.total = work.source->TotalIn(ContextOf(work), document);
  note.estimate = work.source->EstimateIn(ContextOf(work), document);
  if (work.task.selector == Selector{}) {
    auto empty = ledger::TableIsEmpty(**session, work.stream->table, work.task.account);
    if (!empty) return Fail(empty.error());
    note.empty_at_start = *empty;
  }
  const auto plan = [&](const TaskSink& sink) {
    return work.source->Plan(ContextOf(work), *state, document, sink);
  };
  // Made twice, so that it is never held, whatever its size: to know what it is (and that it can be made)
  // before anything is written, and straight into the COPY.
  auto planned = plan([&](const NewTask& task) -> Result<void> {
    if (!task.selector.key.empty() && !IsPlainText(task.selector.key, kMostKeyBytes)) {
      return Fail(ErrorClass::kInvalid, "the answer names a part of the data that cannot be stored");
    }
    if (task.selector.kind == SelectorKind::kDiscover) note.whole = false;
    return {};
  });
  if (!planned) return planned;
  ledger::Advance advance;
  advance.requests = work.effort.requests;
  advance.busy_ms = work.effort.busy_ms;
  advance.done = true;
  if (auto ok = ledger::PrepareFence(**session); !ok) return ok;
  std::string sql = "begin; " + ledger::FenceSql(work.task, advance) + ledger::GuardSql(work.task) +
                    ledger::PlannedSql(**session, work.task, note) + BeganSql(**session, work.task, head) +
                    "notify weir_dispatch; ";
  sql += ledger::CopyTaskSql() + "commit";
  std::string rows;
  int lane = work.task.lane.index;
  auto sent = (*session)->SubmitFenced(sql, [&](const pg::Session::CopyPut& put) -> Result<void> {
    auto ok = plan([&](const NewTask& task) -> Result<void> {
      ledger::AppendTaskCopy(rows, work.task, lane % work.task.lanes, task);
      ++lane;
      if (rows.size() < kPlanPiece) return {};
      auto piece = put(rows);
      rows.clear();
      return piece;
    });
    return ok ? put(rows) : ok;
  });
  if (!sent) return sent;
  auto done = (*session)->Await();
  if (done) work.effort = {};
  return done;
}

// No session is held while the upstream is asked for a token: commits and leases need them. While another
// process renews, or nobody may yet, the lane waits and no attempt is spent.
Result<void> PageProcessor::HaveToken(TaskWork& work, std::optional<std::int64_t> refused) {
  RenewalParts parts{parts_.config, parts_.clock, parts_.fetcher, [this](const auto& use) -> Result<void> {
                       auto session = parts_.pool->Acquire();
                       if (!session) return Fail(session.error());
                       return use(**session);
                     }};
  auto token = HaveAccessToken(parts, *work.source, work.settings, refused);
  if (!token) {
    const Error& error = token.error();
    if (error.error_class == ErrorClass::kStopped && error.retry_after)
      work.pause = Pause{*error.retry_after, "token"};
    return Fail(error);
  }
  work.settings.secrets["token"] = std::move(token->token);
  work.token_generation = token->generation;
  return {};
}

// An access token that is refused is renewed once; the task goes on where it stood. The request that was
// refused has counted, so that the quota is asked before it is sent again.
Result<void> PageProcessor::Run(TaskWork& work, const PageHooks& hooks) {
  if (!work.settings.secrets.contains("refresh_token")) return RunTask(work, hooks);
  const auto began = parts_.clock->Boot();
  if (auto ok = HaveToken(work, std::nullopt); !ok) return ok;
  if (parts_.clock->Boot() - began > kTurnLasts) {
    if (auto ok = AskQuota(work, hooks); !ok) return ok;
  }
  auto done = RunTask(work, hooks);
  if (done || done.error().error_class != ErrorClass::kAuth || done.error().http_status != 401) return done;
  // Another token of the same app lacks the right too, and a refresh token would be spent for each task.
  if (SaysARightIsMissing(UpstreamSentence(done.error().body_start))) return done;
  if (auto ok = HaveToken(work, work.token_generation); !ok) return ok;
  if (auto ok = AskQuota(work, hooks); !ok) return ok;
  return RunTask(work, hooks);
}

Result<void> PageProcessor::RunTask(TaskWork& work, const PageHooks& hooks) {
  if (work.task.selector.kind == SelectorKind::kDiscover) return RunDiscover(work, hooks);
  parts_.writer->Measure(work.metrics);
  parts_.writer->KeepOut(&work.settings.secrets);
  parts_.writer->Begin(&work.task, work.stream, Mapper(work), !work.task.empty_at_start);
  batch_ = parts_.writer->Buffers().TakeRecords();
  auto done = RunPages(work, hooks);
  if (!done) {
    parts_.writer->Abandon();
    work.effort.requests += parts_.writer->TakeUnwritten().requests;
  }
  parts_.writer->Buffers().Give(std::exchange(batch_, RecordBatch()));
  return done;
}

Result<void> PageProcessor::RunPages(TaskWork& work, const PageHooks& hooks) {
  while (true) {
    if (auto ok = RunPage(work, hooks); !ok) return ok;
    work.metrics->Page();
    SaveDrift(work);
    if (!MorePages(work.task) && !work.next_key) return {};
    if (work.next_key) work.task.selector.key = *std::exchange(work.next_key, std::nullopt);
    ++work.task.page;
    work.task.position = 0;
    work.task.digest = 0;
    work.pause = hooks.between();
    if (work.pause) return Fail(ErrorClass::kStopped, "the lane waits for its limit");
  }
}

}  // namespace weir::worker
