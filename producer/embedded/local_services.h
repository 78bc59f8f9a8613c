#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/config/config.h"
#include "producer/embedded/endpoints.h"
#include "producer/embedded/file_lock.h"
#include "producer/embedded/home_paths.h"

namespace weir {

// What happens, for the user to read.
using SayProgress = std::function<void(const std::string&)>;

struct LocalServicesOptions {
  std::string program;  // that has the commands `supervise` and `broker`; "" = this program
  std::chrono::milliseconds timeout{120'000};
  std::function<bool()> stopped = [] { return false; };  // asked while waiting
  // As EmbeddedPostgresOptions::free_space.
  std::function<std::uintmax_t(const std::string& folder)> free_space = {};
};

// A database and a broker to work with: those that are configured, and private ones on this machine for those
// that are not, started in the background when they do not run (Supervisor). They stay while anyone uses
// them: this object is the use, and it ends with the process however that ends. One thread.
class LocalServices {
 public:
  // Errors: kConfig, kDatabase, kBroker (with what the part said), kStopped.
  static Result<std::unique_ptr<LocalServices>> Acquire(const Config& config, SayProgress say,
                                                        LocalServicesOptions options = {});
  ~LocalServices();
  LocalServices(const LocalServices&) = delete;
  LocalServices& operator=(const LocalServices&) = delete;

  const std::string& DatabaseUrl() const { return database_url_; }  // may hold a password
  const std::string& Brokers() const { return brokers_; }
  bool PrivateDatabase() const { return private_database_; }
  bool EmbeddedBroker() const { return embedded_broker_; }
  // The supervisor may have been killed: starts another if need be. To be called every second or so; does not
  // wait.
  void Maintain();
  // Ends the use.
  void Release();

 private:
  LocalServices(const Config& config, SayProgress say, LocalServicesOptions options);
  Result<void> CheckRoom() const;
  Result<void> Enter();
  // Marks, for a supervisor to see, what we need; whether all of that is marked.
  Result<void> MarkWanted();
  bool MarksStand() const;
  void AskAgain();
  Result<void> AwaitParts();
  Result<void> StartSupervisor();
  // What the supervisor that we started has to say, for up to `wait`.
  Result<void> Listen(std::chrono::milliseconds wait);
  Result<bool> Ready();
  Result<void> MigratePrivate();

  HomePaths paths_;
  SayProgress say_;
  LocalServicesOptions options_;
  bool private_database_, embedded_broker_;
  std::string database_url_, brokers_;
  std::optional<FileLock> use_;
  pid_t supervisor_ = 0;  // the one we started; 0 = none
  int status_ = -1;       // its status pipe
  std::string heard_;     // of an unfinished line
  std::chrono::milliseconds ask_again_at_{0};
  std::string said_error_;  // of a part that was given up
};

// `weir up`: the private parts go on without users until `weir down`.
Result<void> KeepServices(const Config& config);

struct DownReport {
  bool was_running = false;
  std::vector<pid_t> users;  // who still uses them: they stay until these end
};
// `weir down`: lets the private parts end and waits for it, for up to `timeout` when nobody uses them.
Result<DownReport> EndServices(const Config& config, std::chrono::milliseconds timeout);

}  // namespace weir
