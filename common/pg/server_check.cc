#include "common/pg/server_check.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace weir::pg {
namespace {

constexpr std::chrono::milliseconds kPatience{3'000};

Result<std::int64_t> BackendOf(Session& session) {
  const auto rows = session.Exec("select pg_backend_pid()");
  if (!rows) return Fail(rows.error());
  return rows->Int(0, 0);
}

// Whether the backend of `session` serves others, too, while the session is there. Only a pooler's can: it
// names another backend than the one that answers. One by transaction gives the backend that was used last to
// whoever comes next, or takes turns; where it cannot be shown, it is taken to give each client its own.
Result<bool> SharesBackend(Session& session) {
  const auto own = BackendOf(session);
  if (!own) return Fail(own.error());
  if (*own == session.BackendPid()) return false;
  SessionOptions options = session.Options();
  options.connect_timeout = options.statement_deadline = kPatience;
  Session second(std::move(options));
  for (int round = 0; round < 5; ++round) {
    const auto before = BackendOf(session);
    if (!before) return Fail(before.error());
    if (*before != *own) return true;
    const auto others = BackendOf(second);
    if (!others) return false;  // no connection is free for it
    if (*others == *own) return true;
    // Holds its backend, so that the first one's next statement may have to go elsewhere.
    if (!second.Script("begin") || !BackendOf(second)) return true;
    const auto after = BackendOf(session);
    if (!after) return Fail(after.error());
    if (*after != *own) return true;
    (void)second.Script("rollback");
  }
  return false;
}

}  // namespace

Result<void> CheckServer(Session& session) {
  const auto rows = session.Exec("select getdatabaseencoding(), current_database()");
  if (!rows) return Fail(rows.error());
  if (rows->Text(0, 0) != "UTF8") {
    return Fail(ErrorClass::kConfig,
                fmt::format("weir needs a database with encoding UTF8, and \"{}\" has {}", rows->Text(0, 1),
                            rows->Text(0, 0)),
                "make another one: createdb --template template0 --encoding UTF8 NAME");
  }
  const auto shares = SharesBackend(session);
  if (!shares) return Fail(shares.error());
  if (!*shares) return {};
  return Fail(
      ErrorClass::kConfig,
      fmt::format("the pooler at {} gives a connection to each transaction, and weir needs one for each "
                  "session",
                  session.Describe()),
      "set its pool_mode to session, or point database.url at PostgreSQL itself (or at the pooler's port "
      "for sessions)");
}

Result<void> CheckWritable(Session& session) {
  const auto rows =
      session.Exec("select pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'");
  if (!rows) return Fail(rows.error());
  if (rows->Bool(0, 0)) {
    return Fail(
        ErrorClass::kConfig,
        fmt::format("PostgreSQL at {} is read-only: it is a standby", session.Describe()),
        "point database.url at the primary (target_session_attrs=read-write finds it among several hosts)");
  }
  if (rows->Bool(0, 1)) {
    return Fail(
        ErrorClass::kConfig,
        fmt::format("PostgreSQL at {} is read-only: default_transaction_read_only is on", session.Describe()),
        "set it off for the user of database.url: alter role … set default_transaction_read_only = off");
  }
  return {};
}

namespace {

// The first of the limits that hold for the user, as `which` orders or picks them; none = it picks none.
Result<std::optional<ConnectionLimit>> ReadLimit(Session& session, std::string_view which) {
  // A superuser is bound by max_connections alone. Of other roles' sessions an ordinary role sees database
  // and user, but not what kind of backend it is: those that have both are clients, or (rarely) work for one.
  const auto rows = session.Exec(std::string(R"sql(
    with me as (select rolname, rolsuper, rolconnlimit,
                       exists (select from pg_roles r where r.rolname = 'pg_use_reserved_connections'
                                 and pg_has_role(me.rolname, r.oid, 'usage')) as has_reserved
                  from pg_roles me where me.rolname = session_user),
         db as (select datname, datconnlimit from pg_database where datname = current_database()),
         clients as (select datname, usename from pg_stat_activity
                      where datid is not null and usesysid is not null
                        and coalesce(backend_type, 'client backend') = 'client backend'),
         limits (of, most, used) as (
           select 'the server', current_setting('max_connections')::int8 -
                    case when rolsuper then 0 else current_setting('superuser_reserved_connections')::int8 end -
                    case when rolsuper or has_reserved then 0
                         else coalesce(current_setting('reserved_connections', true)::int8, 0) end,
                  (select count(*) from clients) from me
           union all
           select 'database ' || datname, datconnlimit,
                  (select count(*) from clients c where c.datname = db.datname)
             from db, me where datconnlimit >= 0 and not rolsuper
           union all
           select 'role ' || rolname, rolconnlimit, (select count(*) from clients where usename = rolname)
             from me where rolconnlimit >= 0 and not rolsuper)
    select of, most, used from limits )sql") +
                                 std::string(which) + " limit 1");
  if (!rows) return Fail(rows.error());
  if (rows->Empty()) return std::nullopt;
  return ConnectionLimit{rows->Int(0, 1), rows->Int(0, 2), std::string(rows->Text(0, 0))};
}

}  // namespace

Result<ConnectionLimit> ReadConnectionLimit(Session& session) {
  auto limit = ReadLimit(session, "order by most, of");
  if (!limit) return Fail(limit.error());
  if (!*limit) return Fail(ErrorClass::kInternal, "PostgreSQL does not know the role of this session");
  return std::move(**limit);
}

Result<std::optional<ConnectionLimit>> FindFullLimit(Session& session) {
  return ReadLimit(session, "where used >= most order by most, of");
}

Result<std::string> CheckConnections(Session& session, std::string_view who, int least, int full) {
  const auto limit = ReadConnectionLimit(session);
  if (!limit) return Fail(limit.error());
  if (limit->most >= full) return std::string();
  const std::string what = fmt::format("{} needs {} connections to PostgreSQL, and {} allows {}", who, full,
                                       limit->of, limit->most);
  if (limit->most >= least) return what + ": some will wait for others";
  return Fail(ErrorClass::kConfig, what,
              fmt::format("raise the limit of {} ({} is the least), or run fewer workers or executors",
                          limit->of, least));
}

}  // namespace weir::pg
