#include "common/ledger/tasks.h"

#include <fmt/core.h>

#include <algorithm>

#include "common/base/json_text.h"
#include "common/ledger/hex.h"

namespace weir::ledger {
namespace {

using std::chrono::milliseconds;

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
     and ($7::text is null or (t.meter = $7 and t.lane = $8::int))
     and (t.state in ('planned', 'dispatched', 'running') or (t.state = 'parked' and t.not_before <= clock_timestamp()))
  returning t.state, t.job_id, t.epoch, t.meter, t.lane, j.source, j.stream, t.account, coalesce(a.canonical, t.account),
            ja.mode, j.since_ms, j.until_ms, j.record_limit, t.kind, t.lo, t.hi, t.key, t.budget, ja.empty_at_start,
            j.now_ms, j.traceparent, t.attempts, t.page, t.position, t.digest, t.inserted, ja.lanes,
            coalesce(a.memo, ''))sql";

std::string ClaimSql() {
  const std::string crashed = "(t.state = 'running' and t.owner is distinct from $2)::int";
  return fmt::format(fmt::runtime(kClaimSql), "(t.crashes + " + crashed + " >= $3::int)", crashed,
                     "(not $9::bool and t.crashes + " + crashed + " = $3::int - 1)");
}

// Ends the backend that holds the row's lock: the row version's xmax is its transaction. Exact, and needs no
// note in the row, which only a committed statement could have left there.
constexpr std::string_view kEndBlockerSql = R"sql(
  select count(pg_terminate_backend(l.pid))
    from weir.tasks t
    join pg_locks l on l.locktype = 'transactionid' and l.granted and l.transactionid = t.xmax
   where t.id = $1::int8 and l.pid <> pg_backend_pid())sql";

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
  auto ended = session.Exec(kEndBlockerSql, {Number(id.value)}, "task_end_blocker");
  if (!ended) return ended;
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

// Runs an update that names the epoch; no row = fenced.
Result<void> Fenced(Result<pg::Rows> rows) {
  if (!rows) return Fail(rows.error());
  if (rows->Affected() == 0) return Fail(ErrorClass::kFenced, "a newer epoch owns the task");
  return {};
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

Result<void> PrepareFence(pg::Session& session) {
  constexpr std::string_view kFence =
      "update weir.tasks set page = $1, position = $2, digest = $3, pages = pages + $4, fetched = fetched + "
      "$5, "
      "inserted = inserted + $6, updated = updated + $7, unchanged = unchanged + $8, rejected = rejected + "
      "$9, "
      "duplicates = duplicates + $10, requests = requests + $11, busy_ms = busy_ms + $12, crashes = 0, "
      "advanced_at = clock_timestamp(), key = coalesce($13, key), "
      "state = case when $14 then 'done' else state end, owner = case when not $14 then owner end, "
      "finished_at = case when $14 then clock_timestamp() else finished_at end "
      "where id = $15 and epoch = $16 and state = 'running'";
  constexpr std::string_view kGuard = "select 1 / count(*) from weir.tasks where id = $1 and epoch = $2";
  if (auto ok = session.Prepare("weir_fence", kFence); !ok) return ok;
  return session.Prepare("weir_guard", kGuard);
}

std::string FenceSql(const ClaimedTask& task, const Advance& a) {
  return fmt::format("execute weir_fence({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}); ",
                     a.page, a.position, a.digest, a.pages, a.fetched, a.inserted, a.updated, a.unchanged,
                     a.rejected, a.duplicates, a.requests, a.busy_ms, a.quoted_key.value_or("null"), a.done,
                     task.id.value, task.epoch.value);
}

std::string GuardSql(const ClaimedTask& task) {
  return fmt::format("execute weir_guard({}, {}); ", task.id.value, task.epoch.value);
}

namespace {

constexpr std::size_t kMaxDoubt = 200;

std::string Doubt(const std::string& text) { return Printable(text, kMaxDoubt); }

// "'source', 'stream', 'account'": the key of everything that is remembered of an account's stream.
std::string AccountKeySql(const pg::Session& session, const ClaimedTask& task) {
  return session.Quote(task.source) + ", " + session.Quote(task.stream) + ", " + session.Quote(task.account);
}

std::string QuoteList(const pg::Session& session, const std::vector<std::string>& ids) {
  std::string list;
  for (const std::string& id : ids) list += (list.empty() ? "" : ", ") + session.Quote(id);
  return list;
}

std::string ReadRangesSql(const pg::Session& session, const ClaimedTask& task,
                          const std::vector<TimeRange>& ranges) {
  std::string literal;
  for (const TimeRange& range : ranges) {
    if (range.lo < range.hi)
      literal += fmt::format("{}[{},{})", literal.empty() ? "" : ",", range.lo, range.hi);
  }
  if (literal.empty()) return "";
  return fmt::format(
      "insert into weir.read_ranges as r values ({}, '{{{}}}') on conflict (source, stream, account) "
      "do update set ranges = r.ranges + excluded.ranges; ",
      AccountKeySql(session, task), literal);
}

std::string ArchiveSql(const pg::Session& session, const ClaimedTask& task, const ArchiveState& archive) {
  return fmt::format(
      "insert into weir.archives values ({}, {}, {}, {}, {}) on conflict (source, stream, account, key) do "
      "update set "
      "etag = excluded.etag, last_modified = excluded.last_modified, complete = excluded.complete, read_at = "
      "now(); ",
      AccountKeySql(session, task), session.Quote(archive.key), session.Quote(archive.etag),
      session.Quote(archive.last_modified), archive.complete);
}

// The first goes on in the task's lane, others beside it.
std::string SuccessorSql(const pg::Session& session, const ClaimedTask& task, const NewTask& next, int nth) {
  return fmt::format(
      "insert into weir.tasks (job_id, account, meter, lane, kind, lo, hi, key, budget, doubt) "
      "values ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}); ",
      task.job.value, session.Quote(task.account), session.Quote(task.lane.meter),
      (task.lane.index + nth) % task.lanes, static_cast<int>(next.selector.kind), next.selector.lo,
      next.selector.hi, session.Quote(next.selector.key), next.budget ? std::to_string(*next.budget) : "null",
      next.doubt.empty() ? "null" : session.Quote(Doubt(next.doubt)));
}

}  // namespace

std::string WatchSql(const pg::Session& session, const ClaimedTask& task,
                     const std::vector<std::string>& watch, const std::vector<std::string>& unwatch) {
  std::string sql;
  if (!watch.empty()) {
    sql += fmt::format(
        "insert into weir.watched (source, stream, account, id) select {}, unnest(array[{}]) "
        "on conflict do nothing; ",
        AccountKeySql(session, task), QuoteList(session, watch));
  }
  if (!unwatch.empty()) {
    sql += fmt::format("delete from weir.watched where (source, stream, account) = ({}) and id in ({}); ",
                       AccountKeySql(session, task), QuoteList(session, unwatch));
  }
  return sql;
}

std::string PageEndSql(const pg::Session& session, const ClaimedTask& task, const PageEnd& end) {
  std::string sql = ReadRangesSql(session, task, end.read);
  if (end.archive) sql += ArchiveSql(session, task, *end.archive);
  int nth = 0;
  for (const NewTask& next : end.successors) sql += SuccessorSql(session, task, next, nth++);
  sql += WatchSql(session, task, {}, end.unwatch);
  return sql + DoubtSql(session, task, end.doubt);
}

std::string DoubtSql(const pg::Session& session, const ClaimedTask& task, const std::string& doubt) {
  if (doubt.empty()) return "";
  return fmt::format("update weir.tasks set doubt = coalesce(doubt, {}) where id = {} and epoch = {}; ",
                     session.Quote(Doubt(doubt)), task.id.value, task.epoch.value);
}

std::string RejectsSql(const pg::Session& session, const ClaimedTask& task,
                       const std::vector<Reject>& rejects) {
  std::string sql;
  for (const Reject& r : rejects) {
    const std::string hex = ToHex(std::string_view(r.body_start).substr(0, 4096));
    sql += fmt::format(
        "insert into weir.rejects values ({}, {}, {}, {}, {}, {}, '\\x{}') on conflict do nothing; ",
        task.id.value, r.page, r.position, session.Quote(task.account),
        r.record_id.empty() ? "null" : session.Quote(Printable(r.record_id)),
        session.Quote(Printable(r.reason)), hex);
  }
  return sql;
}

std::string CopyTaskSql() {
  return "copy weir.tasks (job_id, account, meter, lane, kind, lo, hi, key, budget, doubt) from stdin; ";
}

void AppendTaskCopy(std::string& out, const ClaimedTask& discover, int lane, const NewTask& task) {
  // Names, meters and keys are checked when they enter (Source::AccountKey, Meter) but a key may come from an
  // upstream.
  const auto append_text = [&out](std::string_view text) {
    for (const char c : text) {
      if (c == '\\' || c == '\t' || c == '\n' || c == '\r') out += '\\';
      out += c == '\t' ? 't' : c == '\n' ? 'n' : c == '\r' ? 'r' : c;
    }
  };
  out += Number(discover.job.value) + "\t";
  append_text(discover.account);
  out += '\t';
  append_text(discover.lane.meter);
  out += fmt::format("\t{}\t{}\t{}\t{}\t", lane, static_cast<int>(task.selector.kind), task.selector.lo,
                     task.selector.hi);
  append_text(task.selector.key);
  out += '\t';
  out += task.budget ? Number(*task.budget) : std::string("\\N");
  out += '\t';
  if (task.doubt.empty()) {
    out += "\\N";
  } else {
    append_text(Doubt(task.doubt));
  }
  out += '\n';
}

std::string PlannedSql(const pg::Session& session, const ClaimedTask& discover, const PlanNote& note) {
  const std::string totals =
      note.total ? fmt::format(", total_before = coalesce(total_before, {0}), total_after = {0}", *note.total)
                 : "";
  return fmt::format(
      "update weir.job_accounts set planned = {}, empty_at_start = {}{} where job_id = {} and account = {}; ",
      note.whole, note.empty_at_start ? (*note.empty_at_start ? "true" : "false") : "empty_at_start", totals,
      discover.job.value, session.Quote(discover.account));
}

Result<void> ParkTask(pg::Session& session, const ClaimedTask& task, milliseconds wait, bool count_attempt,
                      const std::optional<Error>& error, const Effort& effort) {
  return Fenced(session.Exec(
      R"sql(
      update weir.tasks set state = 'parked', not_before = clock_timestamp() + $3::int8 * interval '1 ms', owner = null,
        attempts = attempts + $4::int, crashes = 0, requests = requests + $5::int8, busy_ms = busy_ms + $6::int8,
        error_class = $7, http_status = $8::int, error_message = $9, error_hint = $10, error_body = $11
      where id = $1::int8 and epoch = $2::int8 and state = 'running')sql",
      {Number(task.id.value), Number(task.epoch.value), Number(wait.count()), count_attempt ? "1" : "0",
       Number(effort.requests), Number(effort.busy_ms),
       error ? pg::Param(std::string(ToString(error->error_class))) : pg::Param(),
       error ? pg::Param(Number(error->http_status)) : pg::Param(),
       error ? Optional(error->message) : pg::Param(), error ? Optional(error->hint) : pg::Param(),
       error ? Optional(error->body_start) : pg::Param()},
      "task_park"));
}

Result<void> KillTask(pg::Session& session, const ClaimedTask& task, const Error& error,
                      const std::string& request, const std::string& head, const Effort& effort) {
  // One statement, so that an account's other tasks die with the one that found its credentials refused, or
  // none does.
  const bool whole_account = error.error_class == ErrorClass::kAuth;
  return Fenced(session.Exec(
      R"sql(
      with mine as (
        update weir.tasks set state = 'dead', owner = null, finished_at = clock_timestamp(), attempts = attempts + 1,
          requests = requests + $5::int8, busy_ms = busy_ms + $6::int8, error_class = $7, http_status = $8::int,
          error_message = $9, error_hint = $10, error_request = $11, error_head = $12, error_body = $13,
          letter_due = true, letter_message = decode($15, 'hex'), letter_from = $16
        where id = $1::int8 and epoch = $2::int8 and state = 'running' returning id)
      , others as (
        update weir.tasks t set state = 'dead', owner = null, finished_at = clock_timestamp(), epoch = t.epoch + 1,
          error_class = $7, http_status = $8::int, error_message = $9, error_hint = $10, letter_due = true,
          letter_message = null, letter_from = null
        where $14::bool and t.job_id = $3::int8 and t.account = $4 and t.id <> $1::int8
          and t.state in ('planned', 'dispatched', 'running', 'parked') and exists (select from mine))
      select id from mine)sql",
      {Number(task.id.value), Number(task.epoch.value), Number(task.job.value), task.account,
       Number(effort.requests), Number(effort.busy_ms), std::string(ToString(error.error_class)),
       Number(error.http_status), error.message, Optional(error.hint), Optional(request), Optional(head),
       Optional(error.body_start), whole_account ? "true" : "false", ToHex(task.letter.message),
       Optional(task.letter.from)},
      "task_kill"));
}

Result<void> YieldTask(pg::Session& session, const ClaimedTask& task, const Effort& effort) {
  return Fenced(session.Exec(
      "update weir.tasks set state = 'dispatched', owner = null, dispatched_at = clock_timestamp(), "
      "requests = requests + $3::int8, busy_ms = busy_ms + $4::int8 "
      "where id = $1::int8 and epoch = $2::int8 and state = 'running'",
      {Number(task.id.value), Number(task.epoch.value), Number(effort.requests), Number(effort.busy_ms)},
      "task_yield"));
}

Result<void> ReturnTasks(pg::Session& session, const std::vector<TaskId>& ids) {
  std::vector<std::int64_t> values;
  for (const TaskId id : ids) values.push_back(id.value);
  auto rows = session.Exec(
      "update weir.tasks set epoch = epoch + 1, "
      "state = case state when 'parked' then 'parked' else 'planned' end "
      "where id = any($1::int8[]) and state in ('planned', 'parked', 'dispatched')",
      {pg::ArrayLiteral(values)}, "task_return");
  if (!rows) return Fail(rows.error());
  return {};
}

Result<bool> TableIsEmpty(pg::Session& session, const TableSpec& table, const std::string& account) {
  auto rows = session.Exec(
      fmt::format("select not exists (select from {}.{} where account = $1)", table.schema, table.name),
      {account});
  if (!rows) return Fail(rows.error());
  return rows->Bool(0, 0);
}

Result<void> SaveCanonicalName(pg::Session& session, const ClaimedTask& task, const std::string& canonical) {
  auto rows = session.Exec("update weir.accounts set canonical = $3 where source = $1 and name = $2",
                           {task.source, task.account, canonical});
  if (!rows) return Fail(rows.error());
  return {};
}

Result<void> SaveMemo(pg::Session& session, const ClaimedTask& task, const std::string& memo) {
  auto rows = session.Exec("update weir.accounts set memo = $3 where source = $1 and name = $2",
                           {task.source, task.account, memo});
  if (!rows) return Fail(rows.error());
  return {};
}

Result<AccountState> LoadAccountState(pg::Session& session, const ClaimedTask& task) {
  const pg::ParamsList key{task.source, task.stream, task.account};
  AccountState state;
  auto ranges = session.Exec(
      "select lower(r), upper(r) from weir.read_ranges, unnest(ranges) r where (source, stream, account) = "
      "($1, $2, $3) "
      "order by 1",
      key);
  if (!ranges) return Fail(ranges.error());
  for (int i = 0; i < ranges->Size(); ++i) state.read.push_back({ranges->Int(i, 0), ranges->Int(i, 1)});
  auto archives = session.Exec(
      "select key, etag, last_modified, complete from weir.archives where (source, stream, account) = ($1, "
      "$2, $3) "
      "order by key collate \"C\"",
      key);
  if (!archives) return Fail(archives.error());
  for (int i = 0; i < archives->Size(); ++i) {
    state.archives.push_back({std::string(archives->Text(i, 0)), std::string(archives->Text(i, 1)),
                              std::string(archives->Text(i, 2)), archives->Bool(i, 3)});
  }
  auto watched = session.Exec(
      "select id from weir.watched where (source, stream, account) = ($1, $2, $3) order by id collate \"C\"",
      key);
  if (!watched) return Fail(watched.error());
  for (int i = 0; i < watched->Size(); ++i) state.watched.emplace_back(watched->Text(i, 0));
  auto full = session.Exec(
      "select began_ms from weir.full_syncs where (source, stream, account) = ($1, $2, $3)", key);
  if (!full) return Fail(full.error());
  if (!full->Empty()) state.full_sync_began_ms = full->Int(0, 0);
  return state;
}

}  // namespace weir::ledger
