#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/secret.h"

struct pg_conn;
struct pg_result;

namespace weir::pg {

// One statement's parameters in PostgreSQL's text format; nullopt = NULL.
using Param = std::optional<std::string>;
using ParamsList = std::vector<Param>;

// "{…}" array literal of texts or numbers, for `= any($1)` and unnest.
std::string ArrayLiteral(const std::vector<std::string>& values);
std::string ArrayLiteral(std::span<const std::string_view> values);
std::string ArrayLiteral(const std::vector<std::int64_t>& values);

// The rows of one statement. Movable; owns libpq's result.
class Rows {
 public:
  explicit Rows(pg_result* result) : result_(result) {}
  int Size() const;
  bool Empty() const { return Size() == 0; }
  bool IsNull(int row, int column) const;
  std::string_view Text(int row, int column) const;  // "" for NULL
  std::int64_t Int(int row, int column) const;       // 0 for NULL
  double Double(int row, int column) const;
  bool Bool(int row, int column) const;
  std::int64_t Affected() const;  // of INSERT, UPDATE, DELETE, COPY
  int Columns() const;
  std::string_view Name(int column) const;

 private:
  struct Clear {
    void operator()(pg_result* r) const;
  };
  std::unique_ptr<pg_result, Clear> result_;
};

struct SessionOptions {
  std::string url;  // postgresql://… or key=value; may hold a password: never logged
  std::string application_name = "weir";
  std::chrono::milliseconds connect_timeout{5'000};
  // No answer within this = the connection is given up (also when the network was cut without a reset).
  std::chrono::milliseconds statement_deadline{30'000};
  std::string setup_sql;  // run on every new connection, e.g. "set plan_cache_mode = force_generic_plan"
};

// One PostgreSQL connection over libpq, driven non-blocking so that every wait has a deadline. Connects when
// first used and never reconnects inside a transaction: after a lost connection each call fails with
// kDatabase until Reset(). (docs/adr: why libpq and not libpqxx.) Owned by one thread at a time.
class Session {
 public:
  explicit Session(SessionOptions options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Connects if not connected. Errors: kDatabase (unreachable), kConfig (bad url, password, missing database)
  // with hint.
  Result<void> Connect();
  bool Connected() const;
  // Drops the connection; the next call connects anew. Prepared statements are forgotten.
  void Reset();

  // One statement with parameters ($1…). `name` non-empty = prepared once per connection under that name.
  // An error inside a transaction that the caller began leaves it to the caller to roll back.
  Result<Rows> Exec(std::string_view sql, const ParamsList& params = {}, std::string_view name = {});
  // Prepares a statement under a name, once per connection, for `execute name(…)` in a Script or a batch.
  // Connects if not connected.
  Result<void> Prepare(std::string_view name, std::string_view sql);
  // Several statements without parameters, in one round trip; returns the last one's rows. An error rolls
  // back.
  Result<Rows> Script(std::string_view sql);

  // The write of one batch (DESIGN §3, Write): `sql` is one query string, e.g.
  //   begin; update weir.tasks … where id = 7 and epoch = 3; <more statements>; copy t (…) from stdin; commit
  // whose FIRST statement after `begin` is the fence. The fence's tag is checked before any row is sent: if
  // it touched no row the transaction is rolled back and the error is kFenced. `copy_data` is rows in
  // the format that it names, empty if `sql` has no COPY. Submit sends everything and returns without waiting
  // for the commit; Await waits for it. Between the two the session takes no other call. Data errors
  // (SQLSTATE class 22, 23505, 54001, …) come back as kBadRecord with the sqlstate; everything else as
  // kDatabase.
  //
  // With a COPY, Submit has the fence's answer before it sends a row, and nothing is committed when it fails.
  // Without one (`copy_data` empty) Submit does not wait at all and the string's `commit` runs whatever the
  // fence said: Await tells kFenced, but each further statement must itself be guarded in SQL, e.g.
  // `… where exists (select 1 from weir.tasks where id = 7 and epoch = 3)`.
  // After any error the transaction is rolled back and the session idle, unless the connection is lost; if it
  // was lost after Submit, the commit may have happened: read the task's row to know.
  Result<void> SubmitFenced(std::string_view sql, std::string_view copy_data);
  // The same for rows too many to hold: `sql` has a COPY, and once the fence has held and it has begun,
  // `rows` is called, once, and puts them piece by piece (whole rows or not). An error of `rows` rolls back
  // and is returned.
  using CopyPut = std::function<Result<void>(std::string_view piece)>;
  using CopyRows = std::function<Result<void>(const CopyPut& put)>;
  Result<void> SubmitFenced(std::string_view sql, const CopyRows& rows);
  Result<void> Await();
  bool Pending() const;
  // True when Await would not wait (or there is nothing to await). Never waits itself.
  bool ResultReady();

  // Waits up to `timeout` for a NOTIFY on a channel this session LISTENs to. True = one came (those that came
  // together count once).
  Result<bool> WaitNotify(std::chrono::milliseconds timeout);

  int BackendPid() const;  // 0 when not connected
  // Wakes a call that waits, from another thread, with kStopped (shutdown). Sticky until Reset.
  void Interrupt();

  std::string Quote(std::string_view text) const;  // a literal with its quotes
  const SessionOptions& Options() const;

  // Begun with `begin` and not ended yet, or failed and not rolled back yet.
  bool InTransaction() const;
  // For what is slow by right (a migration that builds an index). The default is the options'.
  void SetStatementDeadline(std::chrono::milliseconds deadline);
  std::chrono::milliseconds StatementDeadline() const;
  // What the session talks to, for messages: "localhost:5432/weir as weir". Never a password.
  std::string Describe() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// "host:port/database as user" of a connection string, without its password; "" if it cannot be read.
std::string DescribeUrl(const std::string& url);

// What a SQLSTATE says of the same statement later on. Those of none of these are not known: try again, but
// not for ever. It blames the data: splitting the batch finds the record. kBadRecord.
bool IsDataError(std::string_view sqlstate);
// The server is ill, or the way to it ("" = the connection broke): waiting may cure it. kDatabase.
bool IsOutage(std::string_view sqlstate);
// An outage of a moment: others were at the same rows (a deadlock, a serialization failure, a lock), and the
// transaction was rolled back.
bool IsContention(std::string_view sqlstate);
// Waiting cures nothing: somebody must change a table, a right, a trigger, a policy. kSchema.
bool IsRefusal(std::string_view sqlstate);

// Sessions shared by executors. Thread-safe. A session that comes back failed, inside a transaction or with a
// batch pending is Reset before it is handed out again. Every lease must be gone before the pool is.
class SessionPool {
 public:
  SessionPool(SessionOptions options, int size);
  ~SessionPool();

  class Lease {
   public:
    Lease(SessionPool* pool, std::unique_ptr<Session> session);
    Lease(Lease&&) noexcept;
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    Session& operator*() const { return *session_; }
    Session* operator->() const { return session_.get(); }

   private:
    SessionPool* pool_;
    std::unique_ptr<Session> session_;
  };
  // Waits until one is free. Errors: kStopped after Stop.
  Result<Lease> Acquire();
  // No more leases. Those that are out go on undisturbed.
  void Stop();
  // Stop, and interrupt the sessions that are out: their calls end with kStopped.
  void Interrupt();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::pg
