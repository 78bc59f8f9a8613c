#include "producer/sync/actions.h"

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>

#include "common/ledger/migrations.h"
#include "common/obs/log.h"
#include "common/pg/migrations.h"
#include "common/pg/server_check.h"
#include "producer/cli/exit_code.h"
#include "producer/cli/job_view.h"
#include "producer/cli/progress_printer.h"
#include "producer/embedded/local_services.h"
#include "producer/embedded/supervisor.h"
#include "producer/sync/job_request.h"
#include "producer/sync/serve.h"
#include "producer/sync/sync_runner.h"

namespace weir {
namespace {

using cli::CommandContext;
using cli::SyncOptions;
using std::chrono::milliseconds;

// The configuration, with what the embedded parts need: an absolute home. Logs go as it says.
Result<Config> LoadConfig(CommandContext& context, bool daemon) {
  auto config = context.Load();
  if (!config) return config;
  std::error_code error;
  config->home = std::filesystem::absolute(config->home, error).string();
  // A client talks to its user in its own words; its log lines are for when things go wrong.
  const bool quiet = !daemon && config->log_level == "info";
  if (auto set = SetupLogging(quiet ? "error" : config->log_level, config->log_format, "weir"); !set) {
    return Fail(set.error());
  }
  return config;
}

SayProgress SayTo(CommandContext& context) {
  return [&context](const std::string& text) { cli::PrintRemark(context.io, text); };
}

// --config for the workers.
std::vector<std::string> ConfigArguments(const Config& config) {
  std::error_code error;
  if (config.file.empty()) return {};
  return {"--config", std::filesystem::absolute(config.file, error).string()};
}

// --set for the workers, without what they get in their environment.
std::vector<std::string> SettingsForWorkers(const ConfigInputs& inputs) {
  std::vector<std::string> settings;
  for (const std::string& set : inputs.sets) {
    if (set.starts_with("database.url=") || set.starts_with("kafka.brokers=")) continue;
    settings.push_back(set);
  }
  return settings;
}

Result<int> Sync(const SyncOptions& options, CommandContext& context) {
  auto config = LoadConfig(context, false);
  if (!config) return Fail(config.error());
  auto job = MakeJobRequest(*config, AccountBook(*config), options, ReadBy::kUs);
  if (!job) return Fail(job.error());
  SyncRequest request;
  request.job = std::move(*job);
  request.workers = options.workers;
  request.cancel_on_interrupt = options.on_interrupt == SyncOptions::OnInterrupt::kCancel;
  request.config_arguments = ConfigArguments(*config);
  request.settings = SettingsForWorkers(context.inputs);
  cli::ProgressPrinter progress(context.io);
  SyncCallbacks callbacks;
  callbacks.say = [&](const std::string& text) {
    progress.Clear();
    cli::PrintRemark(context.io, text);
  };
  callbacks.snapshot = [&](const ledger::JobStatus& now, const ledger::WorkersMemory& workers) {
    progress.Update(now, context.clock->Boot(), workers);
  };
  callbacks.stop_signal = [&] { return context.stop->Received(); };
  SyncRunner runner(*config, std::move(request), std::move(callbacks), *context.clock);
  auto outcome = runner.Run();
  progress.Clear();
  if (!outcome) return Fail(outcome.error());
  cli::PrintJob(context.io, context.output, outcome->job);
  if (context.output == cli::OutputFormat::kTable) progress.PrintPeaks();
  if (config->database_url.empty()) {
    *context.io.err << "the data stays in the private PostgreSQL; to look at it: weir up" << std::endl;
  }
  if (outcome->stop_signal != 0) return 128 + outcome->stop_signal;
  return cli::ExitCodeOf(outcome->job);
}

// The database alone: the broker of a cluster or of a later sync is none of its business.
Result<std::unique_ptr<LocalServices>> DatabaseOnly(const Config& config, SayProgress say) {
  Config part = config;
  part.kafka_brokers = "none";
  return LocalServices::Acquire(part, std::move(say));
}

Result<int> Enqueue(const SyncOptions& options, CommandContext& context) {
  auto config = LoadConfig(context, false);
  if (!config) return Fail(config.error());
  auto request = MakeJobRequest(*config, AccountBook(*config), options, ReadBy::kOthers);
  if (!request) return Fail(request.error());
  auto services = DatabaseOnly(*config, SayTo(context));
  if (!services) return Fail(services.error());
  pg::SessionOptions database;
  database.url = (*services)->DatabaseUrl();
  pg::Session session(database);
  if (auto known = pg::Check(session, ledger::AllMigrations()); !known) return Fail(known.error());
  if (auto writable = pg::CheckWritable(session); !writable) return Fail(writable.error());
  auto opened = ledger::OpenJob(session, *request);
  if (!opened) return Fail(opened.error());
  if (context.output == cli::OutputFormat::kJson) {
    auto job = ledger::GetJob(session, opened->id);
    if (!job) return Fail(job.error());
    cli::PrintJson(*context.io.out, cli::JobJson(*job));
  } else {
    *context.io.out << fmt::format("job {} {}\n", opened->id.value,
                                   opened->resumed ? "is open already" : "is queued");
    *context.io.err << fmt::format("watch it: weir status {} --watch\n", opened->id.value);
  }
  return static_cast<int>(cli::kOk);
}

Result<int> ServeUntilStopped(CommandContext& context) {
  auto config = LoadConfig(context, true);
  if (!config) return Fail(config.error());
  ServeCallbacks callbacks;
  callbacks.say = [](const std::string& text) { Log(LogLevel::kInfo, text); };
  callbacks.wait_stop = [&](milliseconds timeout) {
    context.stop->WaitFor(timeout);
    return context.stop->Received();
  };
  auto signal = Serve(*config, callbacks, *context.clock);
  if (!signal) return Fail(signal.error());
  // To be asked to stop is how a daemon ends well.
  return static_cast<int>(cli::kOk);
}

// What runs by `weir up`; null = configured, so that there is nothing to start here.
nlohmann::ordered_json UpJson(const LocalServices& services) {
  nlohmann::ordered_json json{{"database_url", nullptr}, {"kafka_brokers", nullptr}};
  if (services.PrivateDatabase()) json["database_url"] = services.DatabaseUrl();
  if (services.EmbeddedBroker()) json["kafka_brokers"] = services.Brokers();
  return json;
}

Result<int> Up(CommandContext& context) {
  auto config = LoadConfig(context, false);
  if (!config) return Fail(config.error());
  auto acquired = LocalServices::Acquire(*config, SayTo(context));
  if (!acquired) return Fail(acquired.error());
  const LocalServices& services = **acquired;
  const bool any = services.PrivateDatabase() || services.EmbeddedBroker();
  if (any) {
    if (auto kept = KeepServices(*config); !kept) return Fail(kept.error());
  }
  if (context.output == cli::OutputFormat::kJson) {
    cli::PrintJson(*context.io.out, UpJson(services));
  } else {
    if (services.PrivateDatabase())
      *context.io.out << "PostgreSQL: psql '" << services.DatabaseUrl() << "'\n";
    if (services.EmbeddedBroker())
      *context.io.out << "Kafka: WEIR_KAFKA_BROKERS=" << services.Brokers() << "\n";
  }
  *context.io.err << (any ? "they run until: weir down"
                          : "database.url and kafka.brokers are configured: there is nothing to start here")
                  << std::endl;
  return static_cast<int>(cli::kOk);
}

void SayDown(const cli::Io& io, const DownReport& report, const std::string& home) {
  if (!report.was_running) {
    *io.err << "nothing is running" << std::endl;
  } else if (!report.users.empty()) {
    std::string pids;
    for (const pid_t pid : report.users) pids += (pids.empty() ? "" : ", ") + std::to_string(pid);
    *io.err << "still in use by process " << pids << ": they end when it does" << std::endl;
  } else {
    *io.err << "stopped; the data stays in " << home << std::endl;
  }
}

Result<int> Down(CommandContext& context) {
  auto config = LoadConfig(context, false);
  if (!config) return Fail(config.error());
  auto report = EndServices(*config, milliseconds(90'000));
  if (!report) return Fail(report.error());
  if (context.output == cli::OutputFormat::kJson) {
    cli::PrintJson(
        *context.io.out,
        {{"was_running", report->was_running}, {"used_by", report->users}, {"home", config->home}});
  }
  SayDown(context.io, *report, config->home);
  return static_cast<int>(cli::kOk);
}

class SuperviseCommand final : public cli::Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("--home", home_)->required();
    app.add_option("--status-fd", status_fd_);
  }
  Result<int> Run(CommandContext&) override {
    if (auto set = SetupLogging("info", "text", "weir supervise"); !set) return Fail(set.error());
    return RunSupervisor(home_, status_fd_);
  }

 private:
  std::string home_;
  int status_fd_ = -1;
};

class BrokerCommand final : public cli::Command {
 public:
  void Declare(CLI::App& app) override { app.add_option("--address-file", address_file_)->required(); }
  Result<int> Run(CommandContext&) override {
    if (auto set = SetupLogging("info", "text", "weir broker"); !set) return Fail(set.error());
    return RunBroker(address_file_);
  }

 private:
  std::string address_file_;
};

}  // namespace

void AddSyncActions(cli::Actions& actions) {
  actions.sync = Sync;
  actions.enqueue = Enqueue;
  actions.serve = ServeUntilStopped;
  actions.up = Up;
  actions.down = Down;
}

std::vector<cli::CommandEntry> BackgroundCommands() {
  return {{"supervise", "Keep the private services running while they are used", "weir supervise --home DIR",
           [] { return std::make_unique<SuperviseCommand>(); }, true},
          {"broker", "Run the embedded broker", "weir broker --address-file FILE",
           [] { return std::make_unique<BrokerCommand>(); }, true}};
}

Result<cli::DatabaseLease> LeaseSupervisedDatabase(const Config& config) {
  Config absolute = config;
  std::error_code error;
  absolute.home = std::filesystem::absolute(config.home, error).string();
  auto services = DatabaseOnly(absolute, [](const std::string&) {});
  if (!services) return Fail(services.error());
  const std::string url = (*services)->DatabaseUrl();
  return cli::DatabaseLease{url, std::shared_ptr<LocalServices>(std::move(*services))};
}

}  // namespace weir
