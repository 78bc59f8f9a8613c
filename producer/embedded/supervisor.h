#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/pg/embedded_postgres.h"
#include "producer/embedded/endpoints.h"
#include "producer/embedded/file_lock.h"
#include "producer/embedded/home_paths.h"

namespace weir {

// The process `weir supervise`: keeps one machine's private PostgreSQL and embedded broker running while
// anyone uses them. There is one for a WEIR_HOME (run/supervisor.lock). It is started by the first user, in
// the background, and ends when nobody holds a byte of run/users.lock and `weir up` has not asked it to stay.
// When it is killed PostgreSQL lives on and the broker dies with it; the next supervisor adopts the one and
// starts the other.
class Supervisor {
 public:
  // `program`: this program, for the broker's process. `status_fd`: where it tells its starter what it does,
  // a line each, -1 = nowhere.
  Supervisor(HomePaths paths, std::string program, int status_fd, const Clock& clock);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // False when another one runs. Errors: kConfig.
  Result<bool> Lead();
  // One round: starts the parts that are wanted, or that died; false when it is time to end. A part that
  // cannot be started is not wanted any more (Endpoints::error); one that has run before is tried again and
  // again. Errors: kConfig.
  Result<bool> RunOnce();
  // Ends both parts, and then lets users in again, who start another supervisor. What is still used stays
  // marked for it.
  void Stop();

 private:
  void KeepParts();
  void PartFailed(const Error& error, bool ran_before, const std::string& mark);
  Result<void> KeepPostgres();
  Result<void> KeepBroker();
  Result<void> StartBroker();
  void Publish();
  // Holds the users' lock from then on: nobody comes in.
  bool NobodyUsesThem();
  void BoundLogs();
  void Tell(std::string_view progress);

  const HomePaths paths_;
  const std::string program_;
  int status_fd_;
  const Clock& clock_;
  pg::EmbeddedPostgres postgres_;
  std::optional<FileLock> lock_;   // of the supervisor
  std::optional<FileLock> users_;  // all bytes: nobody uses it, and nobody comes in
  Endpoints endpoints_, published_;
  pid_t postmaster_ = 0;
  pid_t broker_ = 0;
  int failures_ = 0;  // of a part that ran before, in a row
  std::chrono::milliseconds retry_at_{0};
  std::chrono::milliseconds bound_logs_at_{0};
  Backoff backoff_;
};

// The body of `weir supervise`: runs until nobody needs it or SIGTERM. Returns the exit code.
int RunSupervisor(const std::string& home, int status_fd);
// The body of `weir broker`: the embedded broker until SIGTERM, its address in a file. Returns the exit code.
int RunBroker(const std::string& address_file);

}  // namespace weir
