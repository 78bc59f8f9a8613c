#include "producer/cli/checks.h"

#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>

#include "common/base/clock.h"
#include "common/config/references.h"
#include "common/config/version.h"
#include "common/http/fetcher.h"
#include "common/kafka/producer.h"
#include "common/ledger/lane_list.h"
#include "common/ledger/migrations.h"
#include "common/pg/embedded_postgres.h"
#include "common/pg/server_binaries.h"
#include "common/pg/server_check.h"
#include "common/pg/session.h"
#include "common/sources/source.h"
#include "producer/cli/output.h"

namespace weir::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{5'000};
constexpr std::uintmax_t kLittleSpace = 1ull << 30;
constexpr std::uintmax_t kNoSpace = 100ull << 20;

Check Failed(std::string name, const Error& error) {
  return {std::move(name), "fail", error.message, error.hint};
}

Check CheckPrivateDatabase(const Config& config) {
  const auto binaries = pg::ServerBinaries::Find();
  if (!binaries) return Failed("database", binaries.error());
  std::string state = "not made yet";
  if (HasPrivateDatabase(config)) {
    pg::EmbeddedPostgresOptions options;
    options.home = config.home;
    state = pg::EmbeddedPostgres(std::move(options)).RunningPid() != 0 ? "running" : "stopped";
  }
  return {"database", "ok",
          fmt::format("private PostgreSQL {} ({}), {}", binaries->major, binaries->bin_dir, state), ""};
}

// Takes the head only.
class HeadSink final : public BodySink {
 public:
  Result<bool> OnHead(const HttpResponseHead&) override { return false; }
  Result<bool> OnBody(std::string_view) override { return false; }
};

Check CheckSource(const Config& config, const SourceInfo& info) {
  const std::string name = "source " + info.name;
  FetchOptions options;
  options.base_url = info.base_url;
  options.user_agent = DefaultUserAgent(info.name);
  if (const auto own = config.sources.find(info.name); own != config.sources.end()) {
    options.base_url = own->second.base_url.value_or(options.base_url);
    options.user_agent = own->second.user_agent.value_or(options.user_agent);
  }
  options.connect_timeout = options.idle_timeout = kPatience;
  options.ca_file = config.ca_file;
  const SystemClock clock;
  Fetcher fetcher(options, clock);
  HttpRequest request;
  request.target = "/";
  HeadSink sink;
  const auto head = fetcher.Fetch(request, {}, sink, [] { return std::optional<Error>(); });
  if (!head) return Failed(name, head.error());
  const std::string detail = fmt::format("{} answers (HTTP {})", options.base_url, head->status);
  if (head->status == 403 || head->status == 429 || head->status >= 500)
    return {name, "warn", detail, "it answers, but turns us away at its front page"};
  return {name, "ok", detail, ""};
}

}  // namespace

bool HasPrivateDatabase(const Config& config) {
  std::error_code ec;
  // The data folder may be closed to us, so its own files are not looked for.
  return fs::exists(config.home + "/postgres", ec);
}

namespace {

// A server that no command can work with.
Check Unfit(const std::string& what, const Error& error) {
  return {"database", "fail", what + ": " + error.message, error.hint,
          error.error_class == ErrorClass::kConfig};
}

// What lanes wait for: a server may answer, and yet not take what they read.
std::optional<Check> CheckWrites(pg::Session& session) {
  const auto waits = ledger::ListDatabaseWaits(session);
  if (!waits) return Failed("writes", waits.error());
  if (waits->lanes == 0 && waits->reason.empty()) return std::nullopt;
  return Check{"writes", "warn",
               fmt::format("{} {}", Counted(waits->lanes, "lane"), WaitsForDatabase(waits->reason)),
               "what is read cannot be written; the lanes go on by themselves once it can"};
}

std::vector<Check> CheckPrivate(const Config& config) {
  std::vector<Check> checks = {CheckPrivateDatabase(config)};
  if (!HasPrivateDatabase(config)) return checks;
  const pg::EmbeddedPostgres server({.home = config.home, .settings = {}});
  if (server.RunningPid() == 0) return checks;
  pg::SessionOptions options;
  options.url = server.Url();
  options.connect_timeout = options.statement_deadline = kPatience;
  pg::Session session(std::move(options));
  if (!pg::Check(session, ledger::AllMigrations())) return checks;  // being started: nothing waits yet
  if (auto writes = CheckWrites(session)) checks.push_back(std::move(*writes));
  return checks;
}

}  // namespace

std::vector<Check> CheckDatabase(const Config& config) {
  if (config.database_url.empty()) return CheckPrivate(config);
  pg::SessionOptions options;
  options.url = config.database_url.Reveal();
  options.connect_timeout = options.statement_deadline = kPatience;
  pg::Session session(std::move(options));
  auto rows = session.Connect().and_then([&] { return session.Exec("show server_version"); });
  if (!rows) return {Failed("database", rows.error())};
  const std::string what =
      fmt::format("PostgreSQL {} at {}", rows->Text(0, 0), RedactDatabaseUrl(config.database_url.Reveal()));
  if (auto fit = pg::CheckServer(session); !fit) return {Unfit(what, fit.error())};
  if (auto writable = pg::CheckWritable(session); !writable) return {Unfit(what, writable.error())};
  if (auto known = pg::Check(session, ledger::AllMigrations()); !known)
    return {{"database", "fail", what + ": " + known.error().message, known.error().hint}};
  std::vector<Check> checks = {{"database", "ok", what + ", schema up to date", ""}};
  if (auto writes = CheckWrites(session)) checks.push_back(std::move(*writes));
  return checks;
}

Check CheckBroker(const Config& config) {
  if (config.kafka_brokers.empty()) return {"broker", "ok", "embedded, started when needed", ""};
  kafka::ClientOptions options;
  options.brokers = config.kafka_brokers;
  options.properties = config.kafka_properties;
  options.topic_prefix = config.kafka_topic_prefix;
  auto admin = kafka::Admin::Create(std::move(options));
  if (!admin) return Failed("broker", admin.error());
  if (auto reached = (*admin)->Check(kPatience); !reached) return Failed("broker", reached.error());
  // A producer's user need not have the right: no failure of this machine's.
  if (auto group = (*admin)->CheckGroup(kPatience); !group)
    return {"broker", "warn", group.error().message, group.error().hint};
  return {"broker", "ok", config.kafka_brokers + " answers and has the topics", ""};
}

Check CheckHome(const Config& config) {
  std::error_code ec;
  fs::path folder = config.home;
  while (!fs::exists(folder, ec) && folder.has_relative_path()) folder = folder.parent_path();
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    return {"home", "fail", fmt::format("{} cannot be written to", folder.string()),
            "set WEIR_HOME to a folder of your own"};
  }
  const fs::space_info space = fs::space(folder, ec);
  const std::string detail = fmt::format("{}, {} MiB free", config.home, space.available >> 20);
  if (ec) return {"home", "warn", config.home, "its free space cannot be told"};
  if (space.available < kNoSpace) return {"home", "fail", detail, "free some space"};
  if (space.available < kLittleSpace) return {"home", "warn", detail, "a long sync may fill it"};
  return {"home", "ok", detail, ""};
}

std::vector<Check> CheckSources(const Config& config) {
  std::vector<Check> checks;
  for (const Source* source : AllSources()) checks.push_back(CheckSource(config, source->Info()));
  return checks;
}

}  // namespace weir::cli
