#include "producer/cli/services.h"

#include <fmt/core.h>

#include <filesystem>

#include "common/ledger/known_account.h"
#include "common/ledger/migrations.h"
#include "common/pg/embedded_postgres.h"
#include "common/pg/session.h"
#include "producer/cli/checks.h"

namespace weir::cli {
namespace {

// A table of any size is read through in this time.
constexpr std::chrono::minutes kSweepDeadline{10};

// A session and what keeps its server up, let go in the right order.
struct OpenDatabase {
  std::shared_ptr<void> hold;
  std::unique_ptr<pg::Session> session;
};

class LedgerJobs final : public JobStore {
 public:
  explicit LedgerJobs(OpenDatabase database) : database_(std::move(database)) {}
  Result<ledger::JobStatus> Get(JobId id) override { return ledger::GetJob(*database_.session, id); }
  Result<std::vector<ledger::JobStatus>> List(int limit, bool open_only,
                                              std::optional<JobId> before) override {
    return ledger::ListJobs(*database_.session, limit, open_only, before);
  }
  Result<void> Cancel(JobId id) override { return ledger::CancelJob(*database_.session, id); }
  Result<void> Pause(JobId id) override { return ledger::PauseJob(*database_.session, id); }
  Result<void> Resume(JobId id) override { return ledger::ResumeJob(*database_.session, id); }
  Result<std::vector<ledger::Failure>> Failures(const ledger::FailureFilter& filter) override {
    return ledger::ListFailures(*database_.session, filter);
  }
  Result<std::vector<ledger::FailureGroup>> FailureGroups(const ledger::FailureFilter& filter) override {
    return ledger::GroupFailures(*database_.session, filter);
  }
  Result<std::vector<ledger::ReplayCount>> Replay(const ledger::FailureFilter& filter,
                                                  const ledger::ReplayOptions& options) override {
    return ledger::Replay(*database_.session, filter, options);
  }
  Result<std::vector<ledger::Garbage>> ListGarbage(int limit) override {
    return ledger::ListGarbage(*database_.session, limit);
  }
  Result<std::int64_t> CountGarbage() override { return ledger::CountGarbage(*database_.session); }
  Result<std::int64_t> PurgeGarbage(std::optional<std::int64_t> before_ms) override {
    return ledger::PurgeGarbage(*database_.session, before_ms);
  }
  Result<std::vector<ledger::LaneStatus>> Lanes(const std::string& account) override {
    return ledger::ListLanes(*database_.session, account);
  }
  Result<SweepPlan> PlanSweep(const SweepRequest& asked, const SweepLimits& limits) override {
    SweepRequest request = asked;
    const Source* source = FindSource(request.source);
    if (source == nullptr) return Fail(ErrorClass::kConfig, "there is no source " + request.source);
    const auto key = source->AccountKey(request.account);
    if (!key) return tl::unexpected(key.error());
    auto known = ledger::FindKnownAccount(*database_.session, request.source, request.stream, *key);
    if (!known) return tl::unexpected(known.error());
    if (*known) request.account = (*known)->name;
    database_.session->SetStatementDeadline(kSweepDeadline);
    return weir::PlanSweep(*database_.session, request, limits);
  }
  Result<SweepPlan> ApplySweep(std::int64_t plan,
                               const std::function<SweepLimits(std::string_view)>& limits) override {
    database_.session->SetStatementDeadline(kSweepDeadline);
    return weir::ApplySweep(*database_.session, plan, limits);
  }
  Result<std::vector<ledger::DriftRow>> Drift(const std::string& source, const std::string& stream) override {
    return ledger::ListDrift(*database_.session, source, stream);
  }

 private:
  OpenDatabase database_;
};

class DatabaseSchema final : public SchemaStore {
 public:
  explicit DatabaseSchema(OpenDatabase database) : database_(std::move(database)) {}
  Result<std::vector<pg::MigrationStatus>> Status() override {
    return pg::Status(*database_.session, ledger::AllMigrations());
  }
  Result<std::vector<int>> Up() override { return pg::Up(*database_.session, ledger::AllMigrations()); }
  Result<std::vector<int>> Down(int steps) override {
    const auto states = Status();
    if (!states) return tl::unexpected(states.error());
    std::vector<int> applied;
    for (const auto& m : *states) {
      if (m.state != pg::MigrationState::kPending) applied.push_back(m.number);
    }
    const auto keep = static_cast<int>(applied.size()) - steps;
    const int to = keep > 0 ? applied[static_cast<std::size_t>(keep - 1)] : 0;
    return pg::Down(*database_.session, ledger::AllMigrations(), to);
  }

 private:
  OpenDatabase database_;
};

class RealServices final : public Services {
 public:
  explicit RealServices(LeaseDatabase lease) : lease_(std::move(lease)) {}

  Result<std::unique_ptr<JobStore>> OpenJobs(const Config& config) override {
    // Asking what was done must not set up a database to find nothing in.
    if (config.database_url.empty() && !HasPrivateDatabase(config)) {
      return Fail(ErrorClass::kNotFound,
                  fmt::format("nothing was synced here yet: {} holds no database", config.home),
                  "start a sync, or set database.url (WEIR_DATABASE_URL) or WEIR_HOME");
    }
    auto database = Open(config);
    if (!database) return tl::unexpected(database.error());
    if (auto known = pg::Check(*database->session, ledger::AllMigrations()); !known)
      return tl::unexpected(known.error());
    return std::make_unique<LedgerJobs>(std::move(*database));
  }

  Result<std::unique_ptr<SchemaStore>> OpenSchema(const Config& config) override {
    auto database = Open(config);
    if (!database) return tl::unexpected(database.error());
    return std::make_unique<DatabaseSchema>(std::move(*database));
  }

  std::vector<Check> CheckDatabase(const Config& config) override { return cli::CheckDatabase(config); }
  Check CheckBroker(const Config& config) override { return cli::CheckBroker(config); }
  Check CheckHome(const Config& config) override { return cli::CheckHome(config); }
  std::vector<Check> CheckSources(const Config& config) override { return cli::CheckSources(config); }

 private:
  Result<OpenDatabase> Open(const Config& config) const {
    OpenDatabase database;
    pg::SessionOptions options;
    options.url = config.database_url.Reveal();
    if (options.url.empty()) {
      auto lease = lease_(config);
      if (!lease) return tl::unexpected(lease.error());
      options.url = lease->url;
      database.hold = std::move(lease->hold);
    }
    database.session = std::make_unique<pg::Session>(std::move(options));
    if (auto connected = database.session->Connect(); !connected) return tl::unexpected(connected.error());
    return database;
  }

  LeaseDatabase lease_;
};

}  // namespace

Result<DatabaseLease> LeasePrivateDatabase(const Config& config) {
  pg::EmbeddedPostgresOptions options;
  options.home = config.home;
  auto server = std::make_unique<pg::EmbeddedPostgres>(std::move(options));
  auto url = server->Start();
  if (!url) return tl::unexpected(url.error());
  // The next one starts it again: a server that does not stop is no error of this command.
  const auto stop = [](pg::EmbeddedPostgres* running) {
    if (!running->adopted()) (void)running->Stop();
    delete running;
  };
  return DatabaseLease{*url, std::shared_ptr<pg::EmbeddedPostgres>(server.release(), stop)};
}

std::unique_ptr<Services> MakeServices(LeaseDatabase lease) {
  return std::make_unique<RealServices>(std::move(lease));
}

}  // namespace weir::cli
