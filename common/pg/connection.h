#pragma once

#include <libpq-fe.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::pg {

struct ResultClear {
  void operator()(PGresult* r) const { PQclear(r); }
};
using ResultPtr = std::unique_ptr<PGresult, ResultClear>;

// The PGconn below a Session, with a deadline on every wait. Internal to common/pg. Owned by one thread at a
// time; only Interrupt may come from another.
//
// unopened ──Open──► open ──lost, deadline, interrupt──► lost ──Close──► unopened
// A lost connection is never opened again by itself: whoever held a transaction or a lock on it must notice.
class Connection {
 public:
  using Millis = std::chrono::milliseconds;

  explicit Connection(SessionOptions options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Connects if unopened. Fails if lost or interrupted.
  Result<void> Open();
  // Drops the connection and forgets an interrupt.
  void Close();
  bool IsOpen() const;
  PGconn* raw() const { return conn_; }

  // Writes what libpq has queued, reading what comes meanwhile, so that neither side waits for the other.
  Result<void> Flush();
  // The next result of the query under way; null at its end.
  Result<ResultPtr> Next();
  // COPY FROM STDIN: sends `data`, in pieces.
  Result<void> PutCopy(std::string_view data);
  // Ends it; `error` non-null makes the server fail it.
  Result<void> EndCopy(const char* error);
  // Waits for something to read, at most `timeout`. False = nothing came.
  Result<bool> WaitReadable(Millis timeout);

  // What to return when libpq refused a call: the connection is lost if it says so.
  Error Refused();
  // Gives the connection up.
  Error Lose(std::string why);
  Millis Deadline() const { return options_.statement_deadline; }
  void SetDeadline(Millis deadline) { options_.statement_deadline = deadline; }
  std::string Describe() const { return DescribeUrl(options_.url); }
  void Interrupt();
  const SessionOptions& options() const { return options_; }

 private:
  enum class Woken { kReady, kTimeout };

  Result<void> Dial();
  Result<void> Prepare();
  Result<void> Run(const char* sql);
  // One poll of the socket; `until` is on the boot clock. Errors: kStopped.
  Result<Woken> Poll(short events, Millis until);
  // Poll that gives the connection up at the deadline.
  Result<void> WaitFor(short events);
  Result<void> Consume();
  Error Stopped() const;

  SessionOptions options_;
  SystemClock clock_;
  PGconn* conn_ = nullptr;
  bool lost_ = false;
  int wake_fd_ = -1;  // eventfd; readable = interrupted
  std::atomic<bool> interrupted_{false};
};

}  // namespace weir::pg
