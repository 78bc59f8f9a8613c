#include "common/pg/embedded_postgres.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <sstream>
#include <utility>

#include "common/base/clock.h"
#include "common/pg/server_binaries.h"
#include "common/pg/session.h"

namespace weir::pg {
namespace {

namespace fs = std::filesystem;
using Millis = std::chrono::milliseconds;

constexpr std::uintmax_t kMaxLog = 10 << 20;
// A new data folder with its first log file takes 40 MB, weir's database 8 more; a server that starts writes
// some hundred KB before it serves.
constexpr std::uintmax_t kRoomToInit = 64 << 20;
constexpr std::uintmax_t kRoomToStart = 4 << 20;
constexpr Millis kLook{20};             // between two tries to connect
constexpr Millis kBackendsEnd{10'000};  // after their postmaster

// A value of a key=value connection string.
std::string QuoteValue(const std::string& value) {
  if (value.find_first_of(" '\\") == std::string::npos && !value.empty()) return value;
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

class Closer {
 public:
  explicit Closer(int fd) : fd_(fd) {}
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;
  ~Closer() { close(fd_); }

 private:
  int fd_;
};

}  // namespace

EmbeddedPostgres::EmbeddedPostgres(EmbeddedPostgresOptions options)
    : options_(std::move(options)), home_(options_.home) {}

std::string EmbeddedPostgres::Url(const std::string& database) const {
  return fmt::format("host={} port=5432 dbname={} user=weir", QuoteValue(home_.Socket()),
                     QuoteValue(database));
}

Result<void> EmbeddedPostgres::CheckRoom() const {
  if (home_.RunningPid() != 0) return {};
  const std::uintmax_t bytes = fs::exists(home_.Data()) ? kRoomToStart : kRoomToInit;
  std::error_code error;
  fs::path folder = home_.path();
  while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
  const std::uintmax_t left =
      options_.free_space ? options_.free_space(folder.string()) : fs::space(folder, error).available;
  if (error || left >= bytes) return {};
  return Fail(
      ErrorClass::kDatabase,
      fmt::format("the disk of {} is full: the private PostgreSQL needs {} MiB to start, and {} are left",
                  home_.path(), bytes >> 20, left >> 20),
      "free disk space, or choose another WEIR_HOME");
}

Result<std::string> EmbeddedPostgres::Start() {
  const SystemClock clock;
  const Millis until = clock.Boot() + options_.start_timeout;
  // Before anything is written: on a full disk that fails in as many ways as there are files.
  if (auto r = CheckRoom(); !r) return Fail(r.error());
  if (auto r = home_.Make(); !r) return Fail(r.error());
  const Result<int> turn = home_.LockTurn(options_.start_timeout);
  if (!turn) return Fail(turn.error());
  const Closer unlock(*turn);
  if (!fs::exists(home_.Data() + "/PG_VERSION")) {
    if (auto r = InitData(); !r) return Fail(r.error());
  }
  const Result<bool> adopted = Adopt(until);
  if (!adopted) return Fail(adopted.error());
  adopted_ = *adopted;
  if (!adopted_) {
    if (auto r = Launch(until); !r) return Fail(r.error());
  }
  if (auto r = EnsureDatabase(); !r) return Fail(r.error());
  return Url();
}

std::string EmbeddedPostgres::Settings() const {
  std::string out =
      "\n# weir: a private server of modest size, reached by its socket only\n"
      "listen_addresses = ''\nunix_socket_permissions = 0700\nmax_connections = 50\nshared_buffers = 64MB\n"
      "max_wal_size = 1GB\nwal_compression = on\njit = off\nlog_line_prefix = '%m [%p] '\n";
  if (!options_.durable) out += "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n";
  return out;
}

Result<void> EmbeddedPostgres::InitData() {
  const Result<ServerBinaries> server = ServerBinaries::Find();
  if (!server) return Fail(server.error());
  // Made aside and renamed, so that a data folder is whole or not there.
  const std::string fresh = home_.Data() + ".new";
  std::error_code error;
  fs::remove_all(fresh, error);
  if (auto r = home_.MakePrivate(fresh); !r) return r;
  const auto from = SizeOf(home_.InitLog());
  ChildProcess initdb;
  initdb.argv = {server->bin_dir + "/initdb", "-D",         fresh,         "-U", "weir",
                 "--encoding=UTF8",           "--locale=C", "--auth=trust"};
  if (!options_.durable) initdb.argv.push_back("--no-sync");
  initdb.identity = home_.identity();
  initdb.output_file = home_.InitLog();
  const Result<pid_t> pid = initdb.Spawn();
  if (!pid) return Fail(pid.error());
  const std::optional<int> status = WaitExit(*pid, options_.start_timeout);
  if (!status) {
    kill(*pid, SIGKILL);
    WaitExit(*pid, options_.stop_timeout);
  }
  if (status != 0) return Fail(home_.Explain("initdb failed", home_.InitLog(), from));
  if (auto r = home_.AppendToOwn(fresh + "/postgresql.conf", Settings()); !r)
    return Fail(home_.Explain(r.error().message, home_.InitLog(), from));
  fs::rename(fresh, home_.Data(), error);
  if (!error) return {};
  return Fail(ErrorClass::kConfig, fmt::format("cannot make {}: {}", home_.Data(), error.message()));
}

Result<bool> EmbeddedPostgres::Adopt(Millis until) {
  const pid_t pid = home_.RunningPid();
  if (pid == 0) return false;
  switch (AwaitReady(pid, until)) {
    case Came::kReady:
      return true;
    case Came::kEnded:  // it was about to
      return false;
    case Came::kLate:
      break;
  }
  return Fail(
      ErrorClass::kDatabase,
      fmt::format("the private PostgreSQL (pid {}) of {} runs but does not answer", pid, home_.path()),
      fmt::format("see {}", home_.Log()));
}

Result<void> EmbeddedPostgres::Launch(Millis until) {
  int major = 0;
  std::istringstream(ReadText(home_.Data() + "/PG_VERSION")) >> major;
  const Result<ServerBinaries> server = ServerBinaries::Find(major);
  if (!server) return Fail(server.error());
  // A crashed postmaster's backends may hold it for a moment.
  const SystemClock clock;
  const Result<int> data = home_.LockData(std::max(until - clock.Boot(), Millis::zero()));
  if (!data) return Fail(data.error());
  const Closer unlock(*data);  // ours; the server's copy holds on
  std::error_code error;
  // No server has the data, so what it says is stale. PostgreSQL sees through a dead pid by itself, but not
  // through one that another process of its user has by now.
  fs::remove(home_.Data() + "/postmaster.pid", error);
  if (SizeOf(home_.Log()) > kMaxLog) fs::rename(home_.Log(), home_.Log() + ".1", error);
  ChildProcess postgres;
  postgres.argv = {server->bin_dir + "/postgres", "-D", home_.Data(), "-k", home_.Socket()};
  for (const std::string& setting : options_.settings) {
    postgres.argv.insert(postgres.argv.end(), {"-c", setting});
  }
  postgres.identity = home_.identity();
  postgres.output_file = home_.Log();
  postgres.inherit_fd = *data;
  if (options_.dies_with_parent) postgres.parent_death_signal = SIGQUIT;
  const auto from = SizeOf(home_.Log());
  const Result<pid_t> pid = postgres.Spawn();
  if (!pid) return Fail(pid.error());
  const Came came = AwaitReady(*pid, until);
  if (came == Came::kReady) return {};
  if (came == Came::kLate) {
    kill(*pid, SIGQUIT);
    WaitExit(*pid, options_.stop_timeout);
  }
  return Fail(home_.Explain("the private PostgreSQL does not start", home_.Log(), from));
}

EmbeddedPostgres::Came EmbeddedPostgres::AwaitReady(pid_t pid, Millis until) {
  const SystemClock clock;
  SessionOptions options;
  options.url = Url("postgres");
  Session session(options);
  while (true) {
    if (session.Connect()) return Came::kReady;
    if (WaitExit(pid, kLook)) return Came::kEnded;
    if (clock.Boot() >= until) return Came::kLate;
  }
}

Result<void> EmbeddedPostgres::EnsureDatabase() {
  SessionOptions options;
  options.url = Url("postgres");
  Session session(options);
  const auto found = session.Exec("select 1 from pg_database where datname = 'weir'");
  if (!found) return Fail(found.error());
  if (!found->Empty()) return {};
  const auto made = session.Exec("create database weir");
  if (!made) return Fail(made.error());
  return {};
}

Result<void> EmbeddedPostgres::Stop() {
  if (!fs::exists(home_.Data())) return {};
  const Result<int> turn = home_.LockTurn(options_.stop_timeout);
  if (!turn) return Fail(turn.error());
  const Closer unlock(*turn);
  const pid_t pid = home_.RunningPid();
  if (pid == 0) return AwaitRelease();
  if (kill(pid, SIGINT) != 0 && errno != ESRCH) {
    return Fail(ErrorClass::kConfig,
                fmt::format("cannot stop PostgreSQL (pid {}): {}", pid, std::strerror(errno)));
  }
  if (WaitExit(pid, options_.stop_timeout)) return {};
  return Fail(
      ErrorClass::kDatabase,
      fmt::format("PostgreSQL (pid {}) did not stop within {} s", pid, options_.stop_timeout.count() / 1000),
      fmt::format("see {}", home_.Log()));
}

// No postmaster is visible here; backends of one that crashed may still be ending. Errors: one that is not.
Result<void> EmbeddedPostgres::AwaitRelease() {
  if (!home_.DataHeld()) return {};
  const Result<int> data = home_.LockData(std::min(kBackendsEnd, options_.stop_timeout));
  if (!data) return Fail(data.error());
  close(*data);
  return {};
}

void EmbeddedPostgres::Kill() {
  if (const pid_t pid = home_.RunningPid(); pid != 0) {
    kill(pid, SIGKILL);
    WaitExit(pid, options_.stop_timeout);
  }
}

}  // namespace weir::pg
