#include <fmt/core.h>

#include "common/ledger/hex.h"
#include "common/ledger/row_blockers.h"
#include "common/ledger/tasks.h"

namespace weir::ledger {
namespace {

std::string Number(std::int64_t value) { return std::to_string(value); }

pg::Param Optional(const std::string& text) { return text.empty() ? pg::Param() : pg::Param(text); }

std::optional<std::int64_t> OptionalInt(const pg::Rows& rows, int column) {
  if (rows.IsNull(0, column)) return std::nullopt;
  return rows.Int(0, column);
}

// The claim. A running task whose owner is another worker ended with that worker: a crash, unless a batch was
// committed since (FenceSql). {0} = this claim finds one crash too many: the task is dead, with its reason,
// in the same statement. {2} = it finds one less than that, and the caller has company: the crash is counted
// and the task not taken. The set_config in FROM bounds the wait for the row's lock within this one
// statement: a zombie stopped inside its COPY holds that lock for as long as it likes (DESIGN §4.2). The
// epoch rises by a random step: a claim that a crash of the server's machine takes back is then never given
// again, so that it need not wait for the disk (docs/adr/0004).
constexpr std::string_view kClaimSql = R"sql(
  update weir.tasks t
     set epoch = t.epoch + 1 + floor(random() * 2147483648)::int8, advanced_at = clock_timestamp(),
         crashes = t.crashes + {1},
         owner = case when not {0} and not {2} then $2 end,
         state = case when {0} then 'dead' when {2} then 'dispatched' else 'running' end,
         dispatched_at = case when {2} then clock_timestamp() else t.dispatched_at end,
         finished_at = case when {0} then clock_timestamp() end,
         error_class = case when {0} then 'poison' else t.error_class end,
         error_message = case when {0} then 'its worker died ' || (t.crashes + {1}) || ' times in a row while it read this page'
                              else t.error_message end,
         error_hint = case when {0} then 'look at the workers'' logs around these times, then: weir replay ' || t.job_id ||
                                         ' --class poison' else t.error_hint end,
         letter_due = {0},
         letter_message = case when {0} then decode($5, 'hex') end,
         letter_from = case when {0} then $6 end
    from (select set_config('lock_timeout', $4, true), set_config('synchronous_commit', 'off', true)) c, weir.jobs j
    join weir.job_accounts ja on ja.job_id = j.id
    left join weir.accounts a on a.source = j.source and a.name = ja.account
   where t.id = $1::int8 and j.id = t.job_id and ja.account = t.account and j.state in ('queued', 'running')
     and j.closing is null and ja.refused_by is null
     and ($7::text is null or (t.meter = $7 and t.lane = $8::int))
     and (t.state in ('planned', 'dispatched', 'running') or (t.state = 'parked' and t.not_before <= clock_timestamp()))
  returning t.state, t.job_id, t.epoch, t.meter, t.lane, j.source, j.stream, t.account, coalesce(a.canonical, t.account),
            ja.mode, j.since_ms, j.until_ms, j.record_limit, t.kind, t.lo, t.hi, t.key, t.budget, ja.empty_at_start,
            j.now_ms, j.traceparent, t.attempts, t.page, t.position, t.digest, t.inserted, ja.lanes,
            coalesce(a.memo, ''), t.requests, coalesce(t.error_class, ''), coalesce(t.error_message, ''))sql";

std::string ClaimSql() {
  const std::string crashed = "(t.state = 'running' and t.owner is distinct from $2)::int";
  return fmt::format(fmt::runtime(kClaimSql), "(t.crashes + " + crashed + " >= $3::int)", crashed,
                     "(not $9::bool and t.crashes + " + crashed + " = $3::int - 1)");
}

ClaimedTask ReadClaim(const pg::Rows& rows, TaskId id) {
  ClaimedTask task;
  task.id = id;
  task.job = JobId{rows.Int(0, 1)};
  task.epoch = Epoch{rows.Int(0, 2)};
  task.lane = LaneId{std::string(rows.Text(0, 3)), static_cast<int>(rows.Int(0, 4))};
  task.source = rows.Text(0, 5);
  task.stream = rows.Text(0, 6);
  task.account = rows.Text(0, 7);
  task.account_canonical = rows.Text(0, 8);
  task.mode = ParseJobMode(rows.Text(0, 9)).value_or(JobMode::kFull);
  task.filter = Filter{OptionalInt(rows, 10), OptionalInt(rows, 11), OptionalInt(rows, 12)};
  task.selector = Selector{static_cast<SelectorKind>(rows.Int(0, 13)), rows.Int(0, 14), rows.Int(0, 15),
                           std::string(rows.Text(0, 16))};
  task.budget = OptionalInt(rows, 17);
  task.empty_at_start = rows.Bool(0, 18);
  task.job_now_ms = rows.Int(0, 19);
  task.traceparent = rows.Text(0, 20);
  task.attempts = static_cast<int>(rows.Int(0, 21));
  task.page = rows.Int(0, 22);
  task.position = rows.Int(0, 23);
  task.digest = rows.Int(0, 24);
  task.inserted = rows.Int(0, 25);
  task.lanes = std::max(1, static_cast<int>(rows.Int(0, 26)));
  task.account_memo = rows.Text(0, 27);
  task.requests = rows.Int(0, 28);
  task.last_error_class = rows.Text(0, 29);
  task.last_error = rows.Text(0, 30);
  return task;
}

Result<pg::Rows> ClaimRow(pg::Session& session, TaskId id, const ClaimOptions& options) {
  const pg::ParamsList params{Number(id.value),
                              options.owner,
                              Number(options.max_crashes),
                              Number(options.lock_timeout.count()),
                              ToHex(options.letter.message),
                              Optional(options.letter.from),
                              options.lane ? pg::Param(options.lane->meter) : pg::Param(),
                              options.lane ? pg::Param(Number(options.lane->index)) : pg::Param(),
                              options.alone ? "true" : "false"};
  static const std::string kSql = ClaimSql();
  auto rows = session.Exec(kSql, params, "task_claim");
  if (rows || rows.error().sqlstate != "55P03") return rows;
  if (auto ended = EndRowBlockers(session, "t.id = " + Number(id.value)); !ended) return Fail(ended.error());
  return session.Exec(kSql, params, "task_claim");
}

// Why no row was claimed.
Result<ClaimResult> Unclaimed(pg::Session& session, TaskId id) {
  auto rows = session.Exec(
      "select t.state, j.state from weir.tasks t join weir.jobs j on j.id = t.job_id where t.id = $1::int8",
      {Number(id.value)}, "task_state");
  if (!rows) return Fail(rows.error());
  ClaimResult result;
  result.kind = ClaimResult::Kind::kEnded;
  result.reason = rows->Empty() ? "unknown task" : std::string(rows->Text(0, 0));
  if (!rows->Empty() && (rows->Text(0, 0) == "parked" || rows->Text(0, 1) == "paused")) {
    result.kind = ClaimResult::Kind::kParked;
  }
  return result;
}

}  // namespace

Result<ClaimResult> ClaimTask(pg::Session& session, TaskId id, const ClaimOptions& options) {
  auto rows = ClaimRow(session, id, options);
  if (!rows) return Fail(rows.error());
  if (rows->Empty()) return Unclaimed(session, id);
  ClaimResult result;
  result.task = ReadClaim(*rows, id);
  result.task->letter = options.letter;
  if (rows->Text(0, 0) == "dead") {
    result.kind = ClaimResult::Kind::kPoison;
    return result;
  }
  if (rows->Text(0, 0) == "dispatched") {
    result.kind = ClaimResult::Kind::kSuspect;
    return result;
  }
  result.kind = ClaimResult::Kind::kClaimed;
  if (result.task->selector.kind == SelectorKind::kArchive) {
    const ClaimedTask& task = *result.task;
    auto archive = session.Exec(
        "select key, etag, last_modified, complete from weir.archives "
        "where source = $1 and stream = $2 and account = $3 and key = split_part($4, ',', 1)",
        {task.source, task.stream, task.account, task.selector.key}, "task_archive");
    if (!archive) return Fail(archive.error());
    if (!archive->Empty()) {
      result.task->archive = ArchiveState{std::string(archive->Text(0, 0)), std::string(archive->Text(0, 1)),
                                          std::string(archive->Text(0, 2)), archive->Bool(0, 3)};
    }
  }
  return result;
}

}  // namespace weir::ledger
