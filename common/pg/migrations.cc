#include "common/pg/migrations.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "common/pg/server_check.h"

namespace weir::pg {
namespace {

// Any number that nothing else in this database locks: "weirmigr" in ASCII.
constexpr std::string_view kLock = "select pg_advisory_xact_lock(x'776569726d696772'::bigint)";
// An index over a large table takes what it takes, and another process may be at it before us.
constexpr std::chrono::hours kDeadline{6};

constexpr std::string_view kMakeTable =
    "create schema weir_meta;\n"
    "create table if not exists weir_meta.migrations (number int primary key, name text not null, "
    "checksum text not null, applied_at timestamptz not null default now())";

struct Applied {
  std::string name;
  std::string checksum;
  std::string applied_at;
};

std::string Checksum(const Migration& m) {
  return fmt::format("{:016x}", XXH3_64bits(m.up.data(), m.up.size()));
}

std::string Title(int number, std::string_view name) { return fmt::format("{:04}_{}", number, name); }

Result<std::map<int, Applied>> ReadApplied(Session& session) {
  std::map<int, Applied> out;
  const auto table = session.Exec("select to_regclass('weir_meta.migrations') is not null");
  if (!table) return Fail(table.error());
  if (!table->Bool(0, 0)) return out;
  const auto rows = session.Exec(
      "select number, name, checksum, to_char(applied_at at time zone 'UTC', "
      "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') "
      "from weir_meta.migrations");
  if (!rows) return Fail(rows.error());
  for (int i = 0; i < rows->Size(); ++i) {
    out[static_cast<int>(rows->Int(i, 0))] = {std::string(rows->Text(i, 1)), std::string(rows->Text(i, 2)),
                                              std::string(rows->Text(i, 3))};
  }
  return out;
}

std::vector<MigrationStatus> Compare(const std::vector<Migration>& list,
                                     const std::map<int, Applied>& applied) {
  std::map<int, MigrationStatus> out;
  for (const auto& [number, a] : applied)
    out[number] = {number, a.name, a.applied_at, MigrationState::kUnknown};
  for (const Migration& m : list) {
    MigrationStatus& status = out[m.number];
    status.number = m.number;
    status.name = m.name;
    const auto found = applied.find(m.number);
    if (found != applied.end()) {
      status.state =
          found->second.checksum == Checksum(m) ? MigrationState::kApplied : MigrationState::kChanged;
    }
  }
  std::vector<MigrationStatus> by_number;
  for (auto& [number, status] : out) by_number.push_back(std::move(status));
  return by_number;
}

// Changed and unknown ones stop everything: what this program's SQL would do to such a schema nobody knows.
Result<void> Refuse(const std::vector<MigrationStatus>& all) {
  for (const MigrationStatus& s : all) {
    if (s.state == MigrationState::kChanged) {
      return Fail(ErrorClass::kConfig,
                  fmt::format("the database's migration {} (applied {}) is not the one of this weir",
                              Title(s.number, s.name), s.applied_at),
                  "use the weir that applied it; `weir migrate status` shows all");
    }
    if (s.state == MigrationState::kUnknown) {
      return Fail(ErrorClass::kConfig,
                  fmt::format("the database has migration {}, which this weir does not know",
                              Title(s.number, s.name)),
                  "upgrade weir, or use the newer weir to `weir migrate down`");
    }
  }
  return {};
}

// The deadline of a migration, for the time of one call.
class LongDeadline {
 public:
  explicit LongDeadline(Session& session) : session_(session), before_(session.StatementDeadline()) {
    session_.SetStatementDeadline(kDeadline);
  }
  ~LongDeadline() { session_.SetStatementDeadline(before_); }
  LongDeadline(const LongDeadline&) = delete;
  LongDeadline& operator=(const LongDeadline&) = delete;

 private:
  Session& session_;
  std::chrono::milliseconds before_;
};

Error FailedAt(const std::string& title, Error error) {
  error.message = fmt::format("migration {} failed: {}", title, error.message);
  // Data that a change of the schema refuses is no record of a batch.
  if (error.error_class == ErrorClass::kBadRecord) error.error_class = ErrorClass::kDatabase;
  return error;
}

// Runs `sql` and `record` in the transaction that is open, and commits.
Result<void> Apply(Session& session, const std::string& title, std::string_view sql,
                   const std::string& record) {
  const auto ran = session.Script(sql);
  if (!ran) return Fail(FailedAt(title, ran.error()));
  if (!session.InTransaction()) {
    return Fail(ErrorClass::kInternal, fmt::format("migration {} ended its own transaction", title));
  }
  const auto recorded = session.Script(record + "; commit");
  if (!recorded) return Fail(FailedAt(title, recorded.error()));
  return {};
}

// The schemas that `sql` makes: of its statements "create schema NAME" and no more.
struct MadeSchema {
  std::string name;
  std::size_t at = 0, size = 0;  // of the statement, with its semicolon
};
std::vector<MadeSchema> SchemasMade(std::string_view sql) {
  constexpr std::string_view kCreate = "create schema ";
  std::vector<MadeSchema> made;
  for (auto at = sql.find(kCreate); at != std::string_view::npos; at = sql.find(kCreate, at + 1)) {
    if (at != 0 && sql[at - 1] != '\n') continue;
    const auto end = std::min(sql.find(';', at), sql.size());
    const std::string_view name = sql.substr(at + kCreate.size(), end - at - kCreate.size());
    const bool plain =
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789") == std::string_view::npos;
    if (plain) made.push_back({std::string(name), at, std::min(end + 1, sql.size()) - at});
  }
  return made;
}

Result<bool> SchemaExists(Session& session, const std::string& name) {
  const auto rows = session.Exec("select exists (select from pg_namespace where nspname = $1)", {name});
  if (!rows) return Fail(rows.error());
  return rows->Bool(0, 0);
}

// `sql` without the making of schemas that are there: an administrator may have made them, for a user who may
// make none. (`if not exists` asks for that right, too.)
Result<std::string> WithoutPresentSchemas(Session& session, std::string_view sql) {
  std::string text(sql);
  const std::vector<MadeSchema> made = SchemasMade(sql);
  for (auto schema = made.rbegin(); schema != made.rend(); ++schema) {
    const auto exists = SchemaExists(session, schema->name);
    if (!exists) return Fail(exists.error());
    if (*exists) text.erase(schema->at, schema->size);
  }
  return text;
}

// Says which schemas an administrator has to make, or to give, before all that is pending can be applied.
Result<void> MayMakeSchemas(Session& session, const std::vector<Migration>& list,
                            const std::vector<MigrationStatus>& all) {
  std::vector<std::string> names;
  for (const MadeSchema& schema : SchemasMade(kMakeTable)) names.push_back(schema.name);
  for (const MigrationStatus& status : all) {
    if (status.state != MigrationState::kPending) continue;
    const auto migration =
        std::find_if(list.begin(), list.end(), [&](const Migration& m) { return m.number == status.number; });
    for (const MadeSchema& schema : SchemasMade(migration->up)) names.push_back(schema.name);
  }
  const auto rows = session.Exec(
      "select coalesce(string_agg(n.name, ', ') filter (where s.oid is null), ''), "
      "coalesce(string_agg(n.name, ', ') filter (where s.oid is not null and not has_schema_privilege(s.oid, "
      "'create')), ''), "
      "has_database_privilege(current_database(), 'create'), current_user, current_database(), "
      "coalesce(string_agg(format('create schema %s authorization %I', n.name, current_user), '; ') "
      "         filter (where s.oid is null), '') "
      "from unnest($1::text[]) n (name) left join pg_namespace s on s.nspname = n.name",
      {ArrayLiteral(names)});
  if (!rows) return Fail(rows.error());
  const std::string who = fmt::format("user {} of database {}", rows->Text(0, 3), rows->Text(0, 4));
  if (!rows->Text(0, 0).empty() && !rows->Bool(0, 2)) {
    return Fail(ErrorClass::kConfig, fmt::format("{} may not make the schemas {}", who, rows->Text(0, 0)),
                fmt::format("have an administrator run there: {} (or: grant create on the database)",
                            rows->Text(0, 5)));
  }
  if (!rows->Text(0, 1).empty()) {
    return Fail(
        ErrorClass::kConfig, fmt::format("{} may not make tables in the schemas {}", who, rows->Text(0, 1)),
        fmt::format("have an administrator run, for each: alter schema … owner to {}", rows->Text(0, 3)));
  }
  return {};
}

// Begins a transaction under the lock and reads the state anew: another process may have been faster.
Result<std::vector<MigrationStatus>> Begin(Session& session, const std::vector<Migration>& list) {
  const auto begun = session.Script("begin; " + std::string(kLock));
  if (!begun) return Fail(begun.error());
  Result<std::map<int, Applied>> applied = ReadApplied(session);
  if (!applied) return Fail(applied.error());
  std::vector<MigrationStatus> all = Compare(list, *applied);
  if (auto r = Refuse(all); !r) return Fail(r.error());
  return all;
}

using Choose = std::optional<MigrationStatus> (*)(const std::vector<MigrationStatus>& all, int to_number);

std::optional<MigrationStatus> NextUp(const std::vector<MigrationStatus>& all, int /*to_number*/) {
  for (const MigrationStatus& s : all) {
    if (s.state == MigrationState::kPending) return s;
  }
  return std::nullopt;
}

std::optional<MigrationStatus> NextDown(const std::vector<MigrationStatus>& all, int to_number) {
  for (auto s = all.rbegin(); s != all.rend(); ++s) {
    if (s->state == MigrationState::kApplied && s->number > to_number) return *s;
  }
  return std::nullopt;
}

Result<bool> Step(Session& session, const std::vector<Migration>& list, Choose choose, int to_number,
                  std::vector<int>& done) {
  const auto all = Begin(session, list);
  if (!all) return Fail(all.error());
  const std::optional<MigrationStatus> next = choose(*all, to_number);
  if (!next) return false;
  const auto migration =
      std::find_if(list.begin(), list.end(), [&](const Migration& m) { return m.number == next->number; });
  const std::string title = Title(next->number, next->name);
  Result<void> applied;
  if (next->state == MigrationState::kPending) {
    if (auto r = MayMakeSchemas(session, list, *all); !r) return Fail(r.error());
    const auto sql = WithoutPresentSchemas(session, migration->up);
    if (!sql) return Fail(sql.error());
    const auto table = WithoutPresentSchemas(session, kMakeTable);
    if (!table) return Fail(table.error());
    applied = Apply(
        session, title, *sql,
        fmt::format("{}; insert into weir_meta.migrations (number, name, checksum) values ({}, {}, '{}')",
                    *table, next->number, session.Quote(next->name), Checksum(*migration)));
  } else {
    applied = Apply(session, title, migration->down,
                    fmt::format("delete from weir_meta.migrations where number = {}", next->number));
  }
  if (!applied) return Fail(applied.error());
  done.push_back(next->number);
  return true;
}

Result<std::vector<int>> Walk(Session& session, const std::vector<Migration>& list, Choose choose,
                              int to_number) {
  if (auto fit = CheckServer(session); !fit) return Fail(fit.error());
  if (auto writable = CheckWritable(session); !writable) return Fail(writable.error());
  const LongDeadline deadline(session);
  std::vector<int> done;
  while (true) {
    const Result<bool> more = Step(session, list, choose, to_number, done);
    if (session.InTransaction()) (void)session.Script("rollback");
    if (!more) return Fail(more.error());
    if (!*more) return done;
  }
}

}  // namespace

std::string_view ToString(MigrationState state) {
  switch (state) {
    case MigrationState::kApplied:
      return "applied";
    case MigrationState::kPending:
      return "pending";
    case MigrationState::kChanged:
      return "changed";
    case MigrationState::kUnknown:
      return "unknown";
  }
  return "unknown";
}

Result<std::vector<MigrationStatus>> Status(Session& session, const std::vector<Migration>& list) {
  const Result<std::map<int, Applied>> applied = ReadApplied(session);
  if (!applied) return Fail(applied.error());
  return Compare(list, *applied);
}

Result<std::vector<int>> Up(Session& session, const std::vector<Migration>& list) {
  return Walk(session, list, NextUp, 0);
}

Result<std::vector<int>> Down(Session& session, const std::vector<Migration>& list, int to_number) {
  return Walk(session, list, NextDown, to_number);
}

Result<void> Check(Session& session, const std::vector<Migration>& list) {
  if (auto fit = CheckServer(session); !fit) return fit;
  const auto all = Status(session, list);
  if (!all) return Fail(all.error());
  if (auto r = Refuse(*all); !r) return r;
  const std::optional<MigrationStatus> pending = NextUp(*all, 0);
  if (!pending) return {};
  const auto count = std::count_if(
      all->begin(), all->end(), [](const MigrationStatus& s) { return s.state == MigrationState::kPending; });
  return Fail(ErrorClass::kConfig,
              fmt::format("the database's schema is not up to date: {} migration(s) pending, the first is {}",
                          count, Title(pending->number, pending->name)),
              "weir migrate up");
}

}  // namespace weir::pg
