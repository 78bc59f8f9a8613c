#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/pg/child_process.h"

namespace weir::pg {

// Where a private server keeps its things below WEIR_HOME, and who it runs as. Internal to EmbeddedPostgres.
class ServerHome {
 public:
  using Millis = std::chrono::milliseconds;

  // `home` is absolute.
  explicit ServerHome(const std::string& home);

  const std::string& path() const { return home_; }
  const Identity& identity() const { return identity_; }
  std::string Data() const { return home_ + "/postgres"; }
  std::string Log() const { return home_ + "/log/postgres.log"; }
  std::string InitLog() const { return home_ + "/log/initdb.log"; }
  // Below home, or in /tmp where home is too long for a socket's name.
  std::string Socket() const;

  // Finds the identity and makes all folders but the data's. Errors: kConfig.
  Result<void> Make();
  // Makes a folder that only the server's user may enter, or checks that it is one.
  Result<void> MakePrivate(const std::string& path) const;

  // Each is an open file, locked: closing it (by all who inherited it) unlocks. Errors: kDatabase after
  // `timeout`. `Turn` is held by whoever starts or stops the server.
  Result<int> LockTurn(Millis timeout) const;
  // `Data` is held by the server itself, postmaster and backends, so that it tells of one that this process
  // cannot see (another container) and of a crashed one's backends.
  Result<int> LockData(Millis timeout) const;

  // Of the postmaster that holds the data folder; 0 = none that is visible here.
  pid_t RunningPid() const;
  // Somebody holds `LockData`: a server, visible here or not, or a crashed one's backends.
  bool DataHeld() const;
  // Appends to a file that the server's user owns, and to no other: it owns the folder too, and could put a
  // link there while root writes. Errors: kConfig.
  Result<void> AppendToOwn(const std::string& path, std::string_view text) const;
  // `what` failed: with the last grave line of `log` after its first `from` bytes, or how full the disk is.
  Error Explain(const std::string& what, const std::string& log, std::uintmax_t from) const;

 private:
  Result<int> Lock(const std::string& path, Millis timeout, const std::string& busy) const;

  std::string home_;
  Identity identity_;
};

// The text of a file from byte `from`; "" if it cannot be read.
std::string ReadText(const std::string& path, std::uintmax_t from = 0);
// In bytes; 0 if it is not there.
std::uintmax_t SizeOf(const std::string& path);

}  // namespace weir::pg
