#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/config/config.h"
#include "common/ledger/drift.h"
#include "common/ledger/failures.h"
#include "common/ledger/garbage.h"
#include "common/ledger/jobs.h"
#include "common/ledger/lane_list.h"
#include "common/pg/migrations.h"
#include "producer/sweeper/sweep_plan.h"

namespace weir::cli {

// What commands need of the world, so that tests can stand in for it.

// The ledger as the command line uses it (common/ledger/jobs.h). Holds a session; one thread.
class JobStore {
 public:
  virtual ~JobStore() = default;
  virtual Result<ledger::JobStatus> Get(JobId id) = 0;
  virtual Result<std::vector<ledger::JobStatus>> List(int limit, bool open_only,
                                                      std::optional<JobId> before) = 0;
  virtual Result<void> Cancel(JobId id) = 0;
  virtual Result<void> Pause(JobId id) = 0;
  virtual Result<void> Resume(JobId id) = 0;
  virtual Result<std::vector<ledger::Failure>> Failures(const ledger::FailureFilter& filter) = 0;
  virtual Result<std::vector<ledger::FailureGroup>> FailureGroups(const ledger::FailureFilter& filter) = 0;
  virtual Result<std::vector<ledger::ReplayCount>> Replay(const ledger::FailureFilter& filter,
                                                          const ledger::ReplayOptions& options) = 0;
  virtual Result<std::vector<ledger::Garbage>> ListGarbage(int limit) = 0;
  virtual Result<std::int64_t> CountGarbage() = 0;
  virtual Result<std::int64_t> PurgeGarbage(std::optional<std::int64_t> before_ms) = 0;
  virtual Result<std::vector<ledger::LaneStatus>> Lanes(const std::string& account) = 0;
  // As producer/sweeper/sweep_plan.h has them, but `request.account` in any spelling.
  virtual Result<SweepPlan> PlanSweep(const SweepRequest& request, const SweepLimits& limits) = 0;
  virtual Result<SweepPlan> ApplySweep(std::int64_t plan,
                                       const std::function<SweepLimits(std::string_view source)>& limits) = 0;
  virtual Result<std::vector<ledger::DriftRow>> Drift(const std::string& source,
                                                      const std::string& stream) = 0;
};

// The database's schema (common/pg/migrations.h) against the migrations that this program carries.
class SchemaStore {
 public:
  virtual ~SchemaStore() = default;
  virtual Result<std::vector<pg::MigrationStatus>> Status() = 0;
  // Each returns the numbers of what was done, in its order. Down takes the newest `steps` back.
  virtual Result<std::vector<int>> Up() = 0;
  virtual Result<std::vector<int>> Down(int steps) = 0;
};

// One line of `weir doctor`.
struct Check {
  std::string name;
  std::string state;  // "ok" | "warn" | "fail"
  std::string detail, hint;
  bool configured = false;  // it fails for what is configured: exit 2
};

class Services {
 public:
  virtual ~Services() = default;
  // Errors: kNotFound when there is no database yet, kDatabase, kConfig (a schema this program does not
  // know).
  virtual Result<std::unique_ptr<JobStore>> OpenJobs(const Config& config) = 0;
  virtual Result<std::unique_ptr<SchemaStore>> OpenSchema(const Config& config) = 0;
  // Each looks at one thing and takes a few seconds at most. Nothing is started or changed.
  virtual std::vector<Check> CheckDatabase(const Config& config) = 0;
  virtual Check CheckBroker(const Config& config) = 0;
  virtual Check CheckHome(const Config& config) = 0;
  virtual std::vector<Check> CheckSources(const Config& config) = 0;  // asks each upstream for its front page
};

// The private PostgreSQL for as long as `hold` lives.
struct DatabaseLease {
  std::string url;
  std::shared_ptr<void> hold;
};
using LeaseDatabase = std::function<Result<DatabaseLease>(const Config&)>;

// Starts the private PostgreSQL under home, or joins the one that runs; who started it stops it.
Result<DatabaseLease> LeasePrivateDatabase(const Config& config);

// With PostgreSQL, Kafka and curl. `lease` is asked when no database.url is configured.
std::unique_ptr<Services> MakeServices(LeaseDatabase lease = LeasePrivateDatabase);

}  // namespace weir::cli
