#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/pg/server_home.h"

namespace weir::pg {

struct EmbeddedPostgresOptions {
  std::string home;                   // WEIR_HOME, absolute
  std::vector<std::string> settings;  // further "name=value" of the server
  // Bytes that are free for `folder`; empty = the system's own answer.
  std::function<std::uintmax_t(const std::string& folder)> free_space = {};
  bool durable = true;  // false: no fsync, for tests
  // The server ends (immediate shutdown) when the thread that called Start does. Only for tests.
  bool dies_with_parent = false;
  std::chrono::milliseconds start_timeout{60'000};
  std::chrono::milliseconds stop_timeout{60'000};
};

// A private PostgreSQL of Debian's server package, for a machine without a configured database.
//
// Owns below home: `postgres` (data), `run/postgres` (socket), `log/postgres.log`, `log/initdb.log`, two lock
// files. It listens on the socket only; the socket's folder is 0700 and belongs to the server's user (root:
// `postgres`, else the caller), which is why `trust` suffices. Where home is too long for a socket's name,
// the socket is in /tmp/weir-<hash of home>.
//
// The server is a child of the process that started it but outlives it: the next Start, by whatever process,
// adopts it. Destroying this object leaves it running; Stop ends it. Start and Stop of several processes on
// one home take turns. Not thread-safe.
class EmbeddedPostgres {
 public:
  explicit EmbeddedPostgres(EmbeddedPostgresOptions options);

  // Makes the data folder on first use, starts the server or adopts the one that runs, waits until it
  // answers, makes sure of database `weir`, and returns its URL ("host=… port=5432 dbname=weir user=weir").
  // Errors: kConfig (no server installed, other version's data, folder out of reach), kDatabase (does not
  // come up, disk full, data held by another), each with what the server said.
  Result<std::string> Start();
  // Whether the disk has room for Start. A server that runs needs none. Errors: kDatabase.
  Result<void> CheckRoom() const;
  // Fast shutdown, by whomever it was started; returns when the server is gone. Nothing to stop is no error;
  // a server that is not visible here (another container's) is: kDatabase.
  Result<void> Stop();
  // SIGKILL to the postmaster, as a crash would; for tests.
  void Kill();

  bool adopted() const { return adopted_; }  // Start found it running
  pid_t RunningPid() const { return home_.RunningPid(); }
  std::string Url(const std::string& database = "weir") const;
  const ServerHome& home() const { return home_; }

 private:
  using Millis = std::chrono::milliseconds;
  enum class Came { kReady, kEnded, kLate };

  Result<void> InitData();
  std::string Settings() const;
  // True if one runs and answers; false if none runs (any more).
  Result<bool> Adopt(Millis until);
  Result<void> Launch(Millis until);
  Came AwaitReady(pid_t pid, Millis until);
  Result<void> EnsureDatabase();
  Result<void> AwaitRelease();

  EmbeddedPostgresOptions options_;
  ServerHome home_;
  bool adopted_ = false;
};

}  // namespace weir::pg
