#include "common/ledger/failures.h"

#include <fmt/core.h>

#include "common/base/selector.h"
#include "common/ledger/failure_filter.h"

namespace weir::ledger {
namespace {

std::string TimeSql(const std::string& column) {
  return "coalesce(to_char(" + column + " at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), '')";
}

}  // namespace

Result<std::vector<Failure>> ListFailures(pg::Session& session, const FailureFilter& filter) {
  if (auto named = CheckNamed(session, filter); !named) return Fail(named.error());
  pg::ParamsList params = FailureParams(filter);
  params.push_back(std::to_string(filter.limit));
  auto rows = session.Exec(
      "select t.id, t.job_id, j.source, j.stream, t.account, t.kind, t.lo, t.hi, t.key, "
      "coalesce(t.error_class, ''), coalesce(t.error_message, ''), coalesce(t.error_hint, ''), "
      "coalesce(t.http_status, 0), t.attempts, t.replays, " +
          TimeSql("t.finished_at") +
          ", coalesce(t.error_request, ''), coalesce(t.error_head, ''), coalesce(t.error_body, '') " +
          std::string(kDeadSql) + " order by t.job_id desc, t.id limit $8::int",
      params);
  if (!rows) return Fail(rows.error());
  std::vector<Failure> failures;
  for (int i = 0; i < rows->Size(); ++i) {
    Failure f;
    f.task = TaskId{rows->Int(i, 0)};
    f.job = JobId{rows->Int(i, 1)};
    f.source = rows->Text(i, 2);
    f.stream = rows->Text(i, 3);
    f.account = rows->Text(i, 4);
    f.page = Describe(Selector{static_cast<SelectorKind>(rows->Int(i, 5)), rows->Int(i, 6), rows->Int(i, 7),
                               std::string(rows->Text(i, 8))});
    f.error_class = rows->Text(i, 9);
    f.message = rows->Text(i, 10);
    f.hint = rows->Text(i, 11);
    f.http_status = static_cast<int>(rows->Int(i, 12));
    f.attempts = static_cast<int>(rows->Int(i, 13));
    f.replays = static_cast<int>(rows->Int(i, 14));
    f.finished_at = rows->Text(i, 15);
    f.request = rows->Text(i, 16);
    f.head = rows->Text(i, 17);
    f.body = rows->Text(i, 18);
    failures.push_back(std::move(f));
  }
  return failures;
}

Result<std::vector<FailureGroup>> GroupFailures(pg::Session& session, const FailureFilter& filter) {
  if (auto named = CheckNamed(session, filter); !named) return Fail(named.error());
  const std::string last = "(array_agg({} order by t.finished_at desc nulls last, t.id desc))[1]";
  auto rows = session.Exec(
      fmt::format(
          "select coalesce(t.error_class, ''), count(*), count(distinct t.job_id), "
          "count(distinct j.source || ' ' || t.account), {}, {}, coalesce({}, ''), coalesce({}, ''), {} {} "
          "group by 1 order by 2 desc, 1",
          TimeSql("min(t.finished_at)"), TimeSql("max(t.finished_at)"),
          fmt::format(fmt::runtime(last), "t.error_message"), fmt::format(fmt::runtime(last), "t.error_hint"),
          fmt::format(fmt::runtime(last), "t.id"), kDeadSql),
      FailureParams(filter));
  if (!rows) return Fail(rows.error());
  std::vector<FailureGroup> groups;
  for (int i = 0; i < rows->Size(); ++i) {
    FailureGroup g;
    g.error_class = rows->Text(i, 0);
    g.tasks = rows->Int(i, 1);
    g.jobs = rows->Int(i, 2);
    g.accounts = rows->Int(i, 3);
    g.first_at = rows->Text(i, 4);
    g.last_at = rows->Text(i, 5);
    g.message = rows->Text(i, 6);
    g.hint = rows->Text(i, 7);
    g.last = TaskId{rows->Int(i, 8)};
    groups.push_back(std::move(g));
  }
  return groups;
}

}  // namespace weir::ledger
