#include "common/pg/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "common/pg/connection.h"
#include "common/pg/errors.h"

namespace weir::pg {
namespace {

// libpq takes C strings: a NUL would silently cut the statement or the value short. It comes from data, and
// PostgreSQL cannot hold it.
bool HoldsNul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Error NulError() {
  Error e = MakeError(ErrorClass::kBadRecord, "PostgreSQL refused the data: U+0000 cannot be stored (22021)");
  e.sqlstate = "22021";
  return e;
}

bool IsOpenTransaction(PGTransactionStatusType status) {
  return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

}  // namespace

struct Session::Impl {
  explicit Impl(SessionOptions options) : connection(std::move(options)) {}

  // Opens, and refuses while a batch is pending.
  Result<void> Ready();
  // Reads all that a query answers: its last result, or its first error.
  Result<ResultPtr> Collect();
  // Reads up to the end, or to the COPY that wants its rows (true), counting results; remembers the first
  // error and what the fence said.
  Result<bool> Advance();
  Result<void> Rollback();
  Result<void> SendFenced(std::string_view sql);
  // Ends a batch: with `error`, or with what its results said.
  Result<void> Settle();
  Result<void> Prepare(std::string_view sql, const std::string& name);
  Error OfPrepared(Error failed, std::string_view name);

  Connection connection;
  std::set<std::string, std::less<>> prepared;
  // The batch under way.
  bool pending = false;
  int results = 0;
  bool fenced = false;
  std::optional<Error> error;
};

Session::Session(SessionOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Session::~Session() = default;

Result<void> Session::Connect() { return impl_->connection.Open(); }
bool Session::Connected() const { return impl_->connection.IsOpen(); }
bool Session::Pending() const { return impl_->pending; }
void Session::Interrupt() { impl_->connection.Interrupt(); }
std::string Session::Describe() const { return impl_->connection.Describe(); }

void Session::SetStatementDeadline(std::chrono::milliseconds deadline) {
  impl_->connection.SetDeadline(deadline);
}

void Session::Reset() {
  impl_->connection.Close();
  impl_->prepared.clear();
  impl_->pending = false;
}

std::chrono::milliseconds Session::StatementDeadline() const { return impl_->connection.Deadline(); }

const SessionOptions& Session::Options() const { return impl_->connection.options(); }

int Session::BackendPid() const { return Connected() ? PQbackendPID(impl_->connection.raw()) : 0; }

bool Session::InTransaction() const {
  return Connected() && IsOpenTransaction(PQtransactionStatus(impl_->connection.raw()));
}

std::string Session::Quote(std::string_view text) const {
  const bool escapes = text.find('\\') != std::string_view::npos;
  std::string out = escapes ? " E'" : "'";
  if (!escapes && text.find('\'') == std::string_view::npos) return out.append(text) += '\'';
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  out += '\'';
  return out;
}

Result<void> Session::Impl::Ready() {
  if (pending) return Fail(ErrorClass::kInternal, "the session still has a batch to await");
  return connection.Open();
}

Result<ResultPtr> Session::Impl::Collect() {
  ResultPtr last;
  std::optional<Error> first_error;
  while (true) {
    Result<ResultPtr> next = connection.Next();
    // The server's own reason, if it gave one before the connection went, says more.
    if (!next) return Fail(first_error ? *first_error : next.error());
    if (!*next) break;
    const ExecStatusType status = PQresultStatus(next->get());
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      // Its protocol state would have to be drained; nobody means to come here.
      (void)connection.Lose("a COPY outside a batch");
      return Fail(ErrorClass::kInternal, "COPY is only for SubmitFenced");
    }
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
      if (!first_error) first_error = FromResult(next->get());
    } else {
      last = std::move(*next);
    }
  }
  if (first_error) return Fail(std::move(*first_error));
  return last;
}

Result<void> Session::Impl::Prepare(std::string_view sql, const std::string& name) {
  if (prepared.contains(name)) return {};
  if (!PQsendPrepare(connection.raw(), name.c_str(), std::string(sql).c_str(), 0, nullptr)) {
    return Fail(connection.Refused());
  }
  if (const auto r = Collect(); !r) return Fail(OfPrepared(r.error(), {}));
  prepared.insert(name);
  return {};
}

Result<void> Session::Prepare(std::string_view name, std::string_view sql) {
  if (impl_->prepared.contains(name) && Connected()) return {};
  if (HoldsNul(sql)) return Fail(NulError());
  if (auto r = impl_->Ready(); !r) return r;
  return impl_->Prepare(sql, std::string(name));
}

Result<Rows> Session::Exec(std::string_view sql, const ParamsList& params, std::string_view name) {
  if (HoldsNul(sql)) return Fail(NulError());
  std::vector<const char*> values;
  values.reserve(params.size());
  for (const Param& param : params) {
    if (param && HoldsNul(*param)) return Fail(NulError());
    values.push_back(param ? param->c_str() : nullptr);
  }
  if (auto r = impl_->Ready(); !r) return Fail(r.error());
  PGconn* conn = impl_->connection.raw();
  const int count = static_cast<int>(values.size());
  int sent = 0;
  if (name.empty()) {
    sent =
        PQsendQueryParams(conn, std::string(sql).c_str(), count, nullptr, values.data(), nullptr, nullptr, 0);
  } else {
    const std::string statement(name);
    if (auto r = impl_->Prepare(sql, statement); !r) return Fail(r.error());
    sent = PQsendQueryPrepared(conn, statement.c_str(), count, values.data(), nullptr, nullptr, 0);
  }
  if (!sent) return Fail(impl_->connection.Refused());
  Result<ResultPtr> result = impl_->Collect();
  if (!result) return Fail(impl_->OfPrepared(std::move(result.error()), name));
  return Rows(result->release());
}

// Of a prepared statement whose result somebody's change of a table altered, 0A000 says no more than that it
// must be prepared again.
Error Session::Impl::OfPrepared(Error failed, std::string_view name) {
  const bool altered = !name.empty() && failed.sqlstate == "0A000";
  if (altered) failed.error_class = ErrorClass::kDatabase;
  if (altered || IsLostStatement(failed.sqlstate)) (void)connection.Lose("its prepared statements are gone");
  return failed;
}

Result<Rows> Session::Script(std::string_view sql) {
  if (HoldsNul(sql)) return Fail(NulError());
  if (auto r = impl_->Ready(); !r) return Fail(r.error());
  if (!PQsendQuery(impl_->connection.raw(), std::string(sql).c_str()))
    return Fail(impl_->connection.Refused());
  Result<ResultPtr> result = impl_->Collect();
  if (!result) {
    Error error = std::move(result.error());
    // Its failure leaves the connection lost, which the next call says; what went wrong first is what
    // matters.
    (void)impl_->Rollback();
    return Fail(std::move(error));
  }
  return Rows(result->release());
}

Result<void> Session::Impl::Rollback() {
  if (!connection.IsOpen() || !IsOpenTransaction(PQtransactionStatus(connection.raw()))) return {};
  if (!PQsendQuery(connection.raw(), "rollback")) return Fail(connection.Refused());
  const auto r = Collect();
  if (!r) return Fail(r.error());
  return {};
}

Result<bool> Session::Impl::Advance() {
  while (true) {
    Result<ResultPtr> next = connection.Next();
    if (!next) return Fail(error ? *error : next.error());
    if (!*next) return false;
    switch (PQresultStatus(next->get())) {
      case PGRES_COPY_IN:
        return true;
      case PGRES_COMMAND_OK:
      case PGRES_TUPLES_OK:
        // Result 0 is `begin`, result 1 the fence.
        if (results++ == 1) fenced = std::string_view(PQcmdTuples(next->get())) == "0";
        break;
      case PGRES_FATAL_ERROR:
        if (!error) error = FromResult(next->get());
        break;
      default:
        (void)connection.Lose("a batch answered with something that is no batch's");
        return Fail(ErrorClass::kInternal, "a batch answered with something that is no batch's");
    }
  }
}

Result<void> Session::Impl::SendFenced(std::string_view sql) {
  if (HoldsNul(sql)) return Fail(NulError());
  if (auto r = Ready(); !r) return r;
  results = 0;
  fenced = false;
  error.reset();
  if (!PQsendQuery(connection.raw(), std::string(sql).c_str())) return Fail(connection.Refused());
  return {};
}

Result<void> Session::SubmitFenced(std::string_view sql, std::string_view copy_data) {
  if (!copy_data.empty()) return SubmitFenced(sql, [&](const CopyPut& put) { return put(copy_data); });
  if (auto r = impl_->SendFenced(sql); !r) return r;
  if (auto r = impl_->connection.Flush(); !r) return r;
  impl_->pending = true;
  return {};
}

Result<void> Session::SubmitFenced(std::string_view sql, const CopyRows& rows) {
  if (auto r = impl_->SendFenced(sql); !r) return r;
  const Result<bool> copying = impl_->Advance();
  if (!copying) return Fail(copying.error());
  if (!*copying) {
    // It ended before it came to the COPY: an error of a statement before it, as a rule.
    if (!impl_->error && !impl_->fenced) {
      impl_->error = MakeError(ErrorClass::kInternal, "a batch has rows but no COPY");
    }
    return impl_->Settle();
  }
  if (impl_->fenced) {
    if (auto r = impl_->connection.EndCopy("fenced by a newer epoch"); !r) return r;
    return impl_->Settle();
  }
  auto put =
      rows([this](std::string_view piece) -> Result<void> { return impl_->connection.PutCopy(piece); });
  if (!put) {
    // The caller's own error is the one that matters; what the server says of the broken-off COPY is not.
    if (impl_->connection.IsOpen() && impl_->connection.EndCopy("broken off by the client"))
      (void)impl_->Settle();
    return put;
  }
  if (auto r = impl_->connection.EndCopy(nullptr); !r) return r;
  impl_->pending = true;
  return {};
}

Result<void> Session::Await() {
  if (!impl_->pending) return Fail(ErrorClass::kInternal, "no batch to await");
  impl_->pending = false;
  return impl_->Settle();
}

bool Session::ResultReady() {
  if (!impl_->pending || !Connected()) return true;
  PGconn* conn = impl_->connection.raw();
  return PQconsumeInput(conn) == 0 || PQisBusy(conn) == 0;
}

Result<void> Session::Impl::Settle() {
  while (true) {
    const Result<bool> copying = Advance();
    if (!copying) return Fail(copying.error());
    if (!*copying) break;
    // A COPY for which there are no rows.
    if (auto r = connection.EndCopy(nullptr); !r) return r;
  }
  if (!connection.IsOpen() && !error) return Fail(connection.Refused());
  const bool left_open = connection.IsOpen() && IsOpenTransaction(PQtransactionStatus(connection.raw()));
  if (auto r = Rollback(); !r && !error) return r;
  // The fence first: what failed after it was not the task's to write.
  if (fenced) return Fail(ErrorClass::kFenced, "a newer claim owns the task");
  if (error) return Fail(OfPrepared(*error, {}));
  if (left_open) return Fail(ErrorClass::kInternal, "a batch without commit");
  if (results < 2) return Fail(ErrorClass::kInternal, "a batch without a fence");
  return {};
}

Result<bool> Session::WaitNotify(std::chrono::milliseconds timeout) {
  if (auto r = impl_->Ready(); !r) return Fail(r.error());
  const SystemClock clock;
  const auto until = clock.Boot() + timeout;
  while (true) {
    bool came = false;
    while (PGnotify* notify = PQnotifies(impl_->connection.raw())) {
      PQfreemem(notify);
      came = true;
    }
    if (came) return true;
    const auto left = std::max(until - clock.Boot(), std::chrono::milliseconds::zero());
    const Result<bool> readable = impl_->connection.WaitReadable(left);
    if (!readable) return readable;
    if (!*readable) return false;
  }
}

}  // namespace weir::pg
