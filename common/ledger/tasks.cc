#include "common/ledger/tasks.h"

#include <fmt/core.h>

#include <algorithm>

#include "common/base/json_text.h"
#include "common/ledger/hex.h"
#include "common/ledger/leave_running.h"

namespace weir::ledger {
namespace {

using std::chrono::milliseconds;

std::string Number(std::int64_t value) { return std::to_string(value); }

pg::Param Optional(const std::string& text) { return text.empty() ? pg::Param() : pg::Param(text); }

// What an upstream or a library said, as the database takes it: bytes that are not UTF-8 and U+0000 must not
// keep a task from ending. Lines stay lines.
std::string Storable(std::string_view text) {
  constexpr std::size_t kMost = 16 << 10;
  std::string out;
  while (!text.empty() && out.size() < kMost) {
    const auto end = std::min(text.find('\n'), text.size());
    out += Printable(text.substr(0, end), kMost - out.size());
    if (end < text.size()) out += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

// Runs an update that names the epoch; no row = fenced.
Result<void> Fenced(Result<pg::Rows> rows) {
  if (!rows) return Fail(rows.error());
  if (rows->Affected() == 0) return Fail(ErrorClass::kFenced, "a newer epoch owns the task");
  return {};
}

}  // namespace

Result<void> ParkTask(pg::Session& session, const ClaimedTask& task, milliseconds wait, bool count_attempt,
                      const std::optional<Error>& error, const Effort& effort) {
  static const std::string kSql = "update weir.tasks t set " + LeaveRunning("'parked'") + R"sql(,
        not_before = clock_timestamp() + $3::int8 * interval '1 ms',
        attempts = attempts + $4::int, crashes = 0, requests = greatest(requests + $5::int8, $12::int8), busy_ms = busy_ms + $6::int8,
        error_class = $7, http_status = $8::int, error_message = $9, error_hint = $10, error_body = $11
      where id = $1::int8 and epoch = $2::int8 and state = 'running')sql";
  return Fenced(
      session.Exec(kSql,
                   {Number(task.id.value), Number(task.epoch.value), Number(wait.count()),
                    count_attempt ? "1" : "0", Number(effort.requests), Number(effort.busy_ms),
                    error ? pg::Param(std::string(ToString(error->error_class))) : pg::Param(),
                    error ? pg::Param(Number(error->http_status)) : pg::Param(),
                    error ? Optional(Storable(error->message)) : pg::Param(),
                    error ? Optional(Storable(error->hint)) : pg::Param(),
                    error ? Optional(Storable(error->body_start)) : pg::Param(), Number(effort.sent)},
                   "task_park"));
}

Result<void> KillTask(pg::Session& session, const ClaimedTask& task, const Error& error,
                      const std::string& request, const std::string& head, const Effort& effort) {
  // One statement, so that an account's other tasks are sure to die with the one that found its credentials
  // or its table refused, or none does: from now on none of them is claimed. The leader ends them
  // (CloseRefused).
  const bool whole_account =
      error.error_class == ErrorClass::kAuth || error.error_class == ErrorClass::kSchema;
  static const std::string kSql = "with mine as (update weir.tasks t set " + LeaveRunning("'dead'") + R"sql(,
          finished_at = clock_timestamp(), attempts = attempts + 1,
          requests = greatest(requests + $5::int8, $17::int8), busy_ms = busy_ms + $6::int8, error_class = $7, http_status = $8::int,
          error_message = $9, error_hint = $10, error_request = $11, error_head = $12, error_body = $13,
          letter_due = true, letter_message = decode($15, 'hex'), letter_from = $16
        where id = $1::int8 and epoch = $2::int8 and state = 'running' returning id)
      , account as (
        update weir.job_accounts set refused_by = $1::int8
        where $14::bool and job_id = $3::int8 and account = $4 and refused_by is null and exists (select from mine))
      select id from mine)sql";
  return Fenced(
      session.Exec(kSql,
                   {Number(task.id.value), Number(task.epoch.value), Number(task.job.value), task.account,
                    Number(effort.requests), Number(effort.busy_ms), std::string(ToString(error.error_class)),
                    Number(error.http_status), Storable(error.message), Optional(Storable(error.hint)),
                    Optional(Storable(request)), Optional(Storable(head)),
                    Optional(Storable(error.body_start)), whole_account ? "true" : "false",
                    ToHex(task.letter.message), Optional(task.letter.from), Number(effort.sent)},
                   "task_kill"));
}

Result<void> YieldTask(pg::Session& session, const ClaimedTask& task, const Effort& effort) {
  static const std::string kSql =
      "update weir.tasks t set " + LeaveRunning("'dispatched'") +
      ", dispatched_at = clock_timestamp(), "
      "requests = greatest(requests + $3::int8, $5::int8), busy_ms = busy_ms + $4::int8 "
      "where id = $1::int8 and epoch = $2::int8 and state = 'running'";
  return Fenced(session.Exec(kSql,
                             {Number(task.id.value), Number(task.epoch.value), Number(effort.requests),
                              Number(effort.busy_ms), Number(effort.sent)},
                             "task_yield"));
}

Result<void> ReturnTasks(pg::Session& session, const std::vector<ReturnedTask>& tasks) {
  std::vector<std::int64_t> ids, epochs;
  ids.reserve(tasks.size());
  epochs.reserve(tasks.size());
  for (const ReturnedTask& task : tasks) {
    ids.push_back(task.id.value);
    epochs.push_back(task.claimed.value);
  }
  static const std::string kSql =
      "update weir.tasks t set " +
      LeaveRunning("case t.state when 'parked' then 'parked' else 'planned' end") +
      " from (select set_config('lock_timeout', '500ms', true)) c, unnest($1::int8[], $2::int8[]) u (id, "
      "epoch) "
      "where t.id = u.id "
      "and (t.state in ('planned', 'parked', 'dispatched') or (t.state = 'running' and t.epoch = u.epoch))";
  auto rows = session.Exec(kSql, {pg::ArrayLiteral(ids), pg::ArrayLiteral(epochs)}, "task_return");
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

std::string BeganSql(const pg::Session& session, const ClaimedTask& discover, std::int64_t upstream_ms) {
  return fmt::format(
      "update weir.job_accounts set began_ms = least(began_ms, {}) where job_id = {} and account = {}; ",
      upstream_ms, discover.job.value, session.Quote(discover.account));
}

}  // namespace weir::ledger
