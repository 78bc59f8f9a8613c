#include "common/pg/connection.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "common/pg/errors.h"

namespace weir::pg {
namespace {

constexpr std::size_t kCopyPiece = 64 * 1024;
// TLS: libpq may hold decrypted bytes that the socket no longer announces (before PostgreSQL 19 it cannot say
// so), so a wait looks again this often.
constexpr std::chrono::milliseconds kTlsSlice{250};

void IgnoreNotice(void* /*arg*/, const char* /*message*/) {}

// What a role or a database may have changed, and the code counts on. UTC keeps texts of times stable. Every
// wait has a deadline of ours (SessionOptions), and a transaction that needs another one sets it itself: a
// role's own would end a batch that is merely slow, and its page would be asked for again each time. Read
// committed is what the statements are written for. default_transaction_read_only stays: who sets it means it
// (CheckWritable).
std::string OwnSettings(int server_version) {
  std::string sql =
      "set timezone = 'UTC'; set datestyle = 'ISO'; set standard_conforming_strings = on; "
      "set client_encoding = 'UTF8'; set statement_timeout = 0; set lock_timeout = 0; "
      "set idle_in_transaction_session_timeout = 0; set default_transaction_isolation = 'read committed'; "
      "set default_transaction_deferrable = off";
  if (server_version >= 140000) sql += "; set idle_session_timeout = 0";
  if (server_version >= 170000) sql += "; set transaction_timeout = 0";
  return sql;
}

}  // namespace

Connection::Connection(SessionOptions options) : options_(std::move(options)) {
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Connection::~Connection() {
  Close();
  close(wake_fd_);
}

void Connection::Interrupt() {
  interrupted_.store(true);
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_fd_, &one, sizeof one);  // full = readable already
}

void Connection::Close() {
  if (conn_) PQfinish(conn_);
  conn_ = nullptr;
  lost_ = false;
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(wake_fd_, &count, sizeof count);
  interrupted_.store(false);
}

bool Connection::IsOpen() const { return conn_ && !lost_ && PQstatus(conn_) == CONNECTION_OK; }

Error Connection::Stopped() const { return MakeError(ErrorClass::kStopped, "interrupted"); }

Error Connection::Lose(std::string why) {
  lost_ = true;
  return MakeError(ErrorClass::kDatabase,
                   fmt::format("the connection to PostgreSQL at {} is lost: {}", Describe(), why));
}

Error Connection::Refused() {
  if (!conn_) return MakeError(ErrorClass::kInternal, "no connection to PostgreSQL");
  // Whatever libpq refused, results may be out of step with queries from here on.
  Error lost = Lose(FirstLine(PQerrorMessage(conn_)));
  // A server that ends a backend says why first (57P01, 57P03, …), and that may have been read already. With
  // the connection gone PQgetResult does not wait; the bound is for the COPY states, which repeat themselves.
  for (int i = 0; i < 8 && PQstatus(conn_) == CONNECTION_BAD; ++i) {
    const ResultPtr result(PQgetResult(conn_));
    if (!result) break;
    if (PQresultErrorField(result.get(), PG_DIAG_SQLSTATE)) {
      const Error said = FromResult(result.get());
      lost.sqlstate = said.sqlstate;
      lost.hint = said.hint;
      lost.message += "; " + said.message;
    }
  }
  return lost;
}

Result<void> Connection::Open() {
  if (interrupted_.load()) return Fail(Stopped());
  if (IsOpen()) return {};
  if (conn_) return Fail(Lose("it must be reset before it is used again"));
  Result<void> dialed = Dial();
  if (dialed) dialed = Prepare();
  if (!dialed && conn_) {
    // Nobody had anything on it yet: the next call may simply try again. (Close would forget an interrupt.)
    PQfinish(conn_);
    conn_ = nullptr;
    lost_ = false;
  }
  return dialed;
}

Result<void> Connection::Dial() {
  const std::string where = Describe();
  if (options_.url.empty() || where.empty()) {
    return Fail(ErrorClass::kConfig, "the database URL cannot be read",
                "database.url looks like postgresql://user:password@host:5432/database");
  }
  const std::string user_timeout = std::to_string(options_.statement_deadline.count());
  // What stands before dbname yields to what the URL itself says; what stands behind it does not.
  const char* keywords[] = {"application_name",
                            "keepalives",
                            "keepalives_idle",
                            "keepalives_interval",
                            "keepalives_count",
                            "tcp_user_timeout",
                            "dbname",
                            "client_encoding",
                            nullptr};
  const char* values[] = {options_.application_name.c_str(),
                          "1",
                          "10",
                          "5",
                          "3",
                          user_timeout.c_str(),
                          options_.url.c_str(),
                          "UTF8",
                          nullptr};
  // Resolving the host's name is the one step of libpq that blocks beyond our deadline.
  conn_ = PQconnectStartParams(keywords, values, 1);
  if (!conn_) return Fail(ErrorClass::kInternal, "out of memory");
  PQsetNoticeProcessor(conn_, IgnoreNotice, nullptr);
  PQsetErrorVerbosity(conn_, PQERRORS_VERBOSE);
  const Millis until = clock_.Boot() + options_.connect_timeout;
  PostgresPollingStatusType step =
      PQstatus(conn_) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (step == PGRES_POLLING_READING || step == PGRES_POLLING_WRITING) {
    const Result<Woken> woken = Poll(step == PGRES_POLLING_READING ? POLLIN : POLLOUT, until);
    if (!woken) return Fail(woken.error());
    if (*woken == Woken::kTimeout) {
      return Fail(ErrorClass::kDatabase,
                  fmt::format("PostgreSQL at {} did not answer within {} ms", where,
                              options_.connect_timeout.count()),
                  "is the server running there, and reachable from here?");
    }
    step = PQconnectPoll(conn_);
  }
  if (step != PGRES_POLLING_OK) return Fail(FromConnectFailure(conn_, where));
  return {};
}

Result<void> Connection::Prepare() {
  PQsetErrorVerbosity(conn_, PQERRORS_DEFAULT);
  if (PQsetnonblocking(conn_, 1) != 0) return Fail(Refused());
  if (auto r = Run(OwnSettings(PQserverVersion(conn_)).c_str()); !r) return r;
  // A client that is cut off without a word must not keep its locks for the hours that TCP would wait by
  // itself: the leader's lock is held by a connection. Where the system cannot, it stays so. (No effect on a
  // local socket.)
  if (auto r =
          Run("set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3");
      !r && !IsOpen())
    return r;
  // A backend whose client is gone ends its statement (and frees its locks) instead of finishing it. Servers
  // before 14, or on systems without the means, refuse: then it ends when it next writes.
  if (PQserverVersion(conn_) >= 140000) {
    if (auto r = Run("set client_connection_check_interval = '5s'"); !r && !IsOpen()) return r;
  }
  return options_.setup_sql.empty() ? Result<void>() : Run(options_.setup_sql.c_str());
}

Result<void> Connection::Run(const char* sql) {
  if (!PQsendQuery(conn_, sql)) return Fail(Refused());
  Result<void> outcome;
  while (true) {
    Result<ResultPtr> next = Next();
    if (!next) return Fail(next.error());
    if (!*next) return outcome;
    if (PQresultStatus(next->get()) == PGRES_FATAL_ERROR && outcome) outcome = Fail(FromResult(next->get()));
  }
}

Result<Connection::Woken> Connection::Poll(short events, Millis until) {
  while (true) {
    if (interrupted_.load()) {
      lost_ = true;  // a query may be half-way: nothing more can be asked on this connection
      return Fail(Stopped());
    }
    Millis left = until - clock_.Boot();
    if (left <= Millis::zero()) return Woken::kTimeout;
    const bool sliced = conn_ && PQsslInUse(conn_) && left > kTlsSlice;
    if (sliced) left = kTlsSlice;
    pollfd fds[2] = {{PQsocket(conn_), events, 0}, {wake_fd_, POLLIN, 0}};
    const int n = poll(fds, 2, static_cast<int>(std::min<Millis::rep>(left.count(), 60'000)));
    if (n < 0 && errno != EINTR) return Fail(Lose(std::strerror(errno)));
    if (n > 0 && fds[0].revents != 0) return Woken::kReady;
    if (n == 0 && sliced) {
      const int before = PQisBusy(conn_);
      if (!PQconsumeInput(conn_) || (before && !PQisBusy(conn_))) return Woken::kReady;
    }
  }
}

Result<void> Connection::WaitFor(short events) {
  const Result<Woken> woken = Poll(events, clock_.Boot() + options_.statement_deadline);
  if (!woken) return Fail(woken.error());
  if (*woken == Woken::kReady) return {};
  return Fail(Lose(fmt::format("no answer within {} ms", options_.statement_deadline.count())));
}

Result<void> Connection::Consume() {
  if (PQconsumeInput(conn_)) return {};
  return Fail(Refused());
}

Result<void> Connection::Flush() {
  while (true) {
    const int left = PQflush(conn_);
    if (left == 0) return {};
    if (left < 0) return Fail(Refused());
    if (auto r = WaitFor(POLLIN | POLLOUT); !r) return r;
    if (auto r = Consume(); !r) return r;
  }
}

Result<ResultPtr> Connection::Next() {
  if (auto r = Flush(); !r) return Fail(r.error());
  while (PQisBusy(conn_)) {
    if (auto r = WaitFor(POLLIN); !r) return Fail(r.error());
    if (auto r = Consume(); !r) return Fail(r.error());
  }
  return ResultPtr(PQgetResult(conn_));
}

Result<void> Connection::PutCopy(std::string_view data) {
  while (!data.empty()) {
    const std::string_view piece = data.substr(0, kCopyPiece);
    const int put = PQputCopyData(conn_, piece.data(), static_cast<int>(piece.size()));
    if (put < 0) return Fail(Refused());
    if (put > 0) data.remove_prefix(piece.size());
    // A COPY that failed on the server goes on reading and dropping rows; its error waits for the end.
    if (auto r = Flush(); !r) return r;
  }
  return {};
}

Result<void> Connection::EndCopy(const char* error) {
  while (true) {
    const int put = PQputCopyEnd(conn_, error);
    if (put < 0) return Fail(Refused());
    if (auto r = Flush(); !r || put > 0) return r;
  }
}

Result<bool> Connection::WaitReadable(Millis timeout) {
  const Result<Woken> woken = Poll(POLLIN, clock_.Boot() + timeout);
  if (!woken) return Fail(woken.error());
  if (*woken == Woken::kTimeout) return false;
  if (auto r = Consume(); !r) return Fail(r.error());
  return true;
}

}  // namespace weir::pg
