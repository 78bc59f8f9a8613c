#include <fmt/core.h>

#include "common/base/json_text.h"
#include "common/ledger/hex.h"
#include "common/ledger/tasks.h"
#include "common/sources/field_columns.h"

namespace weir::ledger {
namespace {

std::string Number(std::int64_t value) { return std::to_string(value); }

constexpr std::size_t kMaxDoubt = 200;
constexpr std::size_t kMaxHeader = 512;

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

// A header's value, as received: kept only if the database can hold it, and a later request may send it back.
std::string HeaderSql(const pg::Session& session, const std::string& value) {
  return session.Quote(IsPlainText(value, kMaxHeader) ? value : "");
}

std::string ArchiveSql(const pg::Session& session, const ClaimedTask& task, const ArchiveState& archive) {
  return fmt::format(
      "insert into weir.archives values ({}, {}, {}, {}, {}) on conflict (source, stream, account, key) do "
      "update set "
      "etag = excluded.etag, last_modified = excluded.last_modified, complete = excluded.complete, read_at = "
      "now(); ",
      AccountKeySql(session, task), session.Quote(archive.key), HeaderSql(session, archive.etag),
      HeaderSql(session, archive.last_modified), archive.complete);
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
  // Asks for what the fence did, not for what the row says: only the fence's own transaction has written the
  // row's version that is visible now. A row that left `running` with its epoch unchanged would pass the
  // latter.
  constexpr std::string_view kGuard =
      "select 1 / count(*) from weir.tasks "
      "where id = $1 and epoch = $2 and xmin = pg_current_xact_id()::xid";
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
  if (!end.incomplete.empty()) {
    sql += fmt::format(
        "update weir.tasks set incomplete = coalesce(incomplete, {}) where id = {} and epoch = {}; ",
        session.Quote(Doubt(end.incomplete)), task.id.value, task.epoch.value);
  }
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
  const std::string estimate =
      note.estimate ? fmt::format(", estimate = coalesce(estimate, {})", *note.estimate) : "";
  return fmt::format(
      "update weir.job_accounts set planned = {}, empty_at_start = {}{}{} where job_id = {} and account = "
      "{}; ",
      note.whole, note.empty_at_start ? (*note.empty_at_start ? "true" : "false") : "empty_at_start", totals,
      estimate, discover.job.value, session.Quote(discover.account));
}

}  // namespace weir::ledger
