#pragma once

#include <sstream>

#include "producer/cli/app.h"

namespace weir::cli {

// A ledger in memory, for tests of commands.
struct FakeLedger {
  std::vector<std::vector<ledger::JobStatus>> frames;  // what List and Get see, call by call; the last stays
  std::vector<ledger::Failure> failures;
  std::optional<Error> error;  // of every call
  std::optional<ledger::FailureFilter> asked;
  std::vector<ledger::FailureGroup> groups;
  std::optional<ledger::ReplayOptions> replayed;
  std::vector<ledger::ReplayCount> counts = {{"auth", 2, 0, 0}, {"invalid", 3, 0, 0}};
  std::vector<ledger::Garbage> garbage;
  std::optional<std::int64_t> purged_before;
  int purges = 0;
  std::vector<ledger::LaneStatus> lanes;
  std::string lanes_of;
  std::vector<std::string> changes;  // "cancel 12"
  SweepPlan sweep_plan;
  std::optional<SweepRequest> sweep_asked;
  std::vector<ledger::DriftRow> drift;
  std::string drift_of;
  std::vector<pg::MigrationStatus> migrations;
  int down_steps = 0;
};

class FakeJobs final : public JobStore {
 public:
  explicit FakeJobs(FakeLedger* ledger) : ledger_(ledger) {}
  Result<ledger::JobStatus> Get(JobId id) override {
    if (ledger_->error) return tl::unexpected(*ledger_->error);
    const auto jobs = Next();
    for (const auto& job : jobs) {
      if (job.id == id) return job;
    }
    return Fail(ErrorClass::kNotFound, "there is no such job");
  }
  Result<std::vector<ledger::JobStatus>> List(int limit, bool, std::optional<JobId> before) override {
    if (ledger_->error) return tl::unexpected(*ledger_->error);
    std::vector<ledger::JobStatus> page;
    for (const auto& job : Next()) {
      if (static_cast<int>(page.size()) < limit && (!before || job.id < *before)) page.push_back(job);
    }
    return page;
  }
  Result<void> Cancel(JobId id) override { return Change("cancel", id); }
  Result<void> Pause(JobId id) override { return Change("pause", id); }
  Result<void> Resume(JobId id) override { return Change("resume", id); }
  Result<std::vector<ledger::Failure>> Failures(const ledger::FailureFilter& filter) override {
    ledger_->asked = filter;
    return ledger_->failures;
  }
  Result<std::vector<ledger::FailureGroup>> FailureGroups(const ledger::FailureFilter& filter) override {
    ledger_->asked = filter;
    return ledger_->groups;
  }
  Result<std::vector<ledger::ReplayCount>> Replay(const ledger::FailureFilter& filter,
                                                  const ledger::ReplayOptions& options) override {
    ledger_->asked = filter;
    ledger_->replayed = options;
    return ledger_->counts;
  }
  Result<std::vector<ledger::Garbage>> ListGarbage(int) override { return ledger_->garbage; }
  Result<std::int64_t> CountGarbage() override { return static_cast<std::int64_t>(ledger_->garbage.size()); }
  Result<std::int64_t> PurgeGarbage(std::optional<std::int64_t> before_ms) override {
    ledger_->purged_before = before_ms;
    ++ledger_->purges;
    return static_cast<std::int64_t>(ledger_->garbage.size());
  }
  Result<std::vector<ledger::LaneStatus>> Lanes(const std::string& account) override {
    ledger_->lanes_of = account;
    return ledger_->lanes;
  }
  Result<SweepPlan> PlanSweep(const SweepRequest& request, const SweepLimits& limits) override {
    ledger_->sweep_asked = request;
    if (ledger_->error) return tl::unexpected(*ledger_->error);
    SweepPlan plan = ledger_->sweep_plan;
    plan.limits = limits;
    return plan;
  }
  Result<SweepPlan> ApplySweep(std::int64_t plan,
                               const std::function<SweepLimits(std::string_view)>&) override {
    if (ledger_->error) return tl::unexpected(*ledger_->error);
    ledger_->changes.push_back("apply " + std::to_string(plan));
    return ledger_->sweep_plan;
  }
  Result<std::vector<ledger::DriftRow>> Drift(const std::string& source, const std::string& stream) override {
    ledger_->drift_of = source + "/" + stream;
    return ledger_->drift;
  }

 private:
  Result<void> Change(const std::string& what, JobId id) {
    if (ledger_->error) return tl::unexpected(*ledger_->error);
    ledger_->changes.push_back(what + " " + std::to_string(id.value));
    return {};
  }
  std::vector<ledger::JobStatus> Next() {
    auto& frames = ledger_->frames;
    auto frame = frames.empty() ? std::vector<ledger::JobStatus>() : frames.front();
    if (frames.size() > 1) frames.erase(frames.begin());
    return frame;
  }
  FakeLedger* ledger_;
};

class FakeSchema final : public SchemaStore {
 public:
  explicit FakeSchema(FakeLedger* ledger) : ledger_(ledger) {}
  Result<std::vector<pg::MigrationStatus>> Status() override { return ledger_->migrations; }
  Result<std::vector<int>> Up() override { return std::vector<int>{1, 2}; }
  Result<std::vector<int>> Down(int steps) override {
    ledger_->down_steps = steps;
    return std::vector<int>{2};
  }

 private:
  FakeLedger* ledger_;
};

class FakeServices final : public Services {
 public:
  explicit FakeServices(FakeLedger* ledger) : ledger_(ledger) {}
  Result<std::unique_ptr<JobStore>> OpenJobs(const Config&) override {
    return std::make_unique<FakeJobs>(ledger_);
  }
  Result<std::unique_ptr<SchemaStore>> OpenSchema(const Config&) override {
    return std::make_unique<FakeSchema>(ledger_);
  }
  std::vector<Check> CheckDatabase(const Config&) override { return {database}; }
  Check CheckBroker(const Config&) override { return {"broker", "ok", "there", ""}; }
  Check CheckHome(const Config&) override { return {"home", "warn", "small", "make room"}; }
  std::vector<Check> CheckSources(const Config&) override {
    return {{"source lichess", "ok", "answers", ""}};
  }

  Check database{"database", "ok", "there", ""};

 private:
  FakeLedger* ledger_;
};

class FakeStop final : public StopSignal {
 public:
  int Received() const override { return signal_; }
  bool WaitFor(std::chrono::milliseconds) override {
    if (++waits_ == stop_at) signal_ = stop_with;
    return signal_ != 0;
  }
  int stop_at = 0;  // the wait during which the signal comes; 0 = never
  int stop_with = 2;

 private:
  int signal_ = 0;
  int waits_ = 0;
};

inline ledger::JobStatus MakeJob(std::int64_t id, std::string state,
                                 std::vector<ledger::AccountStatus> accounts) {
  ledger::JobStatus job;
  job.id = JobId{id};
  job.source = "lichess";
  job.stream = "games";
  job.mode = "full";
  job.state = std::move(state);
  job.seconds = 12;
  job.accounts = std::move(accounts);
  for (const auto& account : job.accounts) job.totals.Add(account.counters);
  job.totals.seconds = 12;
  return job;
}

inline ledger::AccountStatus MakeAccount(std::string name, std::string state, std::int64_t inserted = 0) {
  ledger::AccountStatus account;
  account.account = std::move(name);
  account.state = std::move(state);
  account.counters.pages = inserted / 100;
  account.counters.fetched = account.counters.inserted = inserted;
  account.counters.seconds = 4;
  return account;
}

// The command line with everything faked but its parsing.
class CliHarness {
 public:
  CliHarness() : services(&ledger) {
    environment.io.out = &out_stream;
    environment.io.err = &err_stream;
    environment.inputs.env = {{"HOME", "/nonexistent"}};
    environment.inputs.working_directory = "/nonexistent";
    environment.services = &services;
    environment.stop = &stop;
    environment.clock = &clock;
    const auto keep = [this](const SyncOptions& options, CommandContext&) -> Result<int> {
      sync = options;
      return 0;
    };
    environment.actions.sync = environment.actions.enqueue = environment.actions.plan = keep;
    environment.actions.check = [](const CheckOptions&, CommandContext&) -> Result<int> { return 0; };
    environment.actions.preview = [](const PreviewOptions&, CommandContext&) -> Result<int> { return 0; };
    environment.actions.serve = environment.actions.up =
        environment.actions.down = [](CommandContext&) -> Result<int> { return 0; };
  }

  int Run(const std::vector<std::string>& args) {
    out_stream.str("");
    err_stream.str("");
    const int code = RunCli(args, environment);
    out = out_stream.str();
    err = err_stream.str();
    return code;
  }

  FakeLedger ledger;
  FakeServices services;
  FakeStop stop;
  ManualClock clock;
  CliEnvironment environment;
  std::optional<SyncOptions> sync;  // what the last sync, enqueue or plan was asked for
  std::string out, err;

 private:
  std::ostringstream out_stream, err_stream;
};

}  // namespace weir::cli
