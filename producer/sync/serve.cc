#include "producer/sync/serve.h"

#include <fmt/core.h>

#include <memory>

#include "common/config/version.h"
#include "common/http/http_server.h"
#include "common/ledger/backlog.h"
#include "common/ledger/migrations.h"
#include "common/ledger/transaction.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "common/obs/producer_metrics.h"
#include "common/pg/migrations.h"
#include "common/pg/server_check.h"
#include "producer/api/control_api.h"
#include "producer/engine/engine.h"
#include "producer/sync/group_check.h"
#include "producer/sync/job_request.h"
#include "producer/sync/sync_runner.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

// A loop that has not gone round for so long hangs: whoever watches this process should start it anew.
constexpr milliseconds kHangs{120'000};
// To PostgreSQL: the engine's, the backlog's numbers, the control API.
constexpr int kConnections = Engine::kConnections + 2;

HttpReply Health(bool healthy, const std::string& text) {
  HttpReply reply;
  reply.status = healthy ? 200 : 503;
  reply.body = text + "\n";
  return reply;
}

HttpReply Live(const Engine& engine, const Clock& clock, milliseconds started) {
  const milliseconds last = std::max(engine.LastPass(), started);
  const bool waits = engine.Trouble().has_value();
  return waits || clock.Boot() - last < kHangs ? Health(true, "ok") : Health(false, "the loop hangs");
}

HttpReply Ready(const Engine& engine) {
  const auto trouble = engine.Trouble();
  if (trouble) return Health(false, trouble->message);
  if (engine.LastPass() == milliseconds(0)) return Health(false, "starting");
  return Health(true, engine.Leading() ? "leading" : "standing by");
}

HttpReply Exposition(const Engine& engine, ProducerMetrics& metrics) {
  metrics.SetEngine(engine.Leading(), engine.Sent(), engine.Trouble().has_value());
  const RetentionCounts gone = engine.Deleted();
  metrics.SetDeleted({{"tasks", gone.tasks},
                      {"rejects", gone.rejects},
                      {"jobs", gone.jobs},
                      {"garbage", gone.garbage},
                      {"lanes", gone.lanes},
                      {"workers", gone.workers}});
  return {.content_type = kMetricsContentType, .body = metrics.Render(), .headers = {}};
}

// Looks at the ledger's backlog now and then, on a session of its own that gives up soon: a sick database
// must not keep the process from being stopped.
class BacklogWatch {
 public:
  BacklogWatch(std::string url, const Clock& clock, ProducerMetrics& metrics)
      : clock_(clock), metrics_(metrics), session_(Options(std::move(url))) {}

  void Look() {
    if (clock_.Boot() < next_) return;
    auto backlog = ledger::GetBacklog(session_);
    if (backlog) {
      metrics_.SetBacklog(backlog->open_jobs, backlog->oldest);
      untaken_ = HasUntaken();
    } else {
      session_.Reset();  // the engine says what ails the database
    }
    next_ = clock_.Boot() + kEvery;
  }
  // At the last look: tasks were sent a while ago, and no worker has taken them.
  bool Untaken() const { return untaken_; }

 private:
  static constexpr milliseconds kEvery{5'000};
  // A lane is sent no more than what keeps it busy for a second or two; one that waits takes nothing.
  bool HasUntaken() {
    auto rows = session_.Exec(
        "select exists (select from weir.tasks t where t.state = 'dispatched' "
        "and t.dispatched_at < clock_timestamp() - interval '10 s' and not exists (select from weir.lanes l "
        "where l.meter = t.meter and l.lane = t.lane and l.not_before > clock_timestamp()))",
        {}, "untaken");
    return rows && rows->Bool(0, 0);
  }
  static pg::SessionOptions Options(std::string url) {
    pg::SessionOptions options;
    options.url = std::move(url);
    options.application_name = "weir-backlog";
    options.connect_timeout = milliseconds(1'000);
    options.statement_deadline = milliseconds(2'000);
    return options;
  }

  const Clock& clock_;
  ProducerMetrics& metrics_;
  pg::Session session_;
  milliseconds next_{0};
  bool untaken_ = false;
};

// Tasks that were sent and that no worker takes: the workers may be kept out of their group, which they say
// in their own logs only. Said once, and again when it is another reason.
class WorkersWatch {
 public:
  WorkersWatch(kafka::ClientOptions client, const Clock& clock) : group_(std::move(client), clock) {}

  void Look(bool untaken) {
    if (!untaken) return;
    const auto refused = group_.Look();
    if (!refused || refused->message == said_) return;
    said_ = refused->message;
    LogError(LogLevel::kWarn, "no worker takes the tasks that were sent", *refused);
  }

 private:
  GroupCheck group_;
  std::string said_;
};

Result<std::unique_ptr<HttpServer>> StartHealth(const Config& config, const Engine& engine,
                                                ProducerMetrics& metrics, const Clock& clock) {
  HttpServerOptions options;
  options.address = config.metrics_address;
  options.port = config.metrics_port;
  const milliseconds started = clock.Boot();
  return HttpServer::Start(
      options, RouteByPath({{"/livez", [&, started](const auto&) { return Live(engine, clock, started); }},
                            {"/readyz", [&](const auto&) { return Ready(engine); }},
                            {"/metrics", [&](const auto&) { return Exposition(engine, metrics); }}}));
}

// Opens and shows jobs for the control API, on its thread for slow requests: a session of its own, which
// gives up soon, since all who ask for jobs wait for it.
class JobDesk {
 public:
  JobDesk(const Config& config, std::string url)
      : config_(config), accounts_(config), session_(Options(std::move(url))) {}

  Result<ledger::OpenedJob> Open(const cli::SyncOptions& options) {
    const auto request = MakeJobRequest(config_, accounts_, options, ReadBy::kOthers);
    if (!request) return Fail(request.error());
    auto opened = ledger::OpenJob(session_, *request);
    if (!opened) return Failed(opened.error());
    Log(LogLevel::kInfo, opened->resumed ? "a job was asked for that is open already" : "a job was opened",
        {{"job", std::to_string(opened->id.value)}, {"from", "api"}});
    return opened;
  }
  Result<ledger::JobStatus> Get(JobId id) {
    return Read<ledger::JobStatus>([&] { return ledger::GetJob(session_, id); });
  }
  Result<std::vector<ledger::JobStatus>> List(const api::JobsAsked& asked) {
    return Read<std::vector<ledger::JobStatus>>(
        [&] { return ledger::ListJobs(session_, asked.limit, asked.open_only, asked.before); });
  }

 private:
  // An open job's tasks are added up, however many they are: for so long, and no longer.
  template <typename T, typename Look>
  Result<T> Read(Look look) {
    ledger::Transaction transaction(session_);
    auto begun = transaction.Begin(fmt::format("set local statement_timeout = {}", kLook.count()));
    if (!begun) return Failed(begun.error());
    Result<T> found = look();
    if (!found && found.error().sqlstate == "57014") {
      return Fail(ErrorClass::kDatabase,
                  fmt::format("adding up the tasks of jobs that have not ended took longer than {} s",
                              kLook.count() / 1000),
                  "try again when the database has less to do, or: weir status JOB");
    }
    if (!found) return Failed(found.error());
    if (auto done = transaction.Commit(); !done) return Failed(done.error());
    return found;
  }
  static constexpr milliseconds kLook{5'000};
  static pg::SessionOptions Options(std::string url) {
    pg::SessionOptions options;
    options.url = std::move(url);
    options.application_name = "weir api";
    options.connect_timeout = milliseconds(2'000);
    options.statement_deadline = milliseconds(10'000);
    return options;
  }
  tl::unexpected<Error> Failed(const Error& error) {
    if (error.error_class == ErrorClass::kDatabase) session_.Reset();
    return Fail(error);
  }

  const Config& config_;
  const AccountBook accounts_;
  pg::Session session_;
};

api::Health HealthOf(const Engine& engine) {
  // The class alone: what ails a database, and where that is, is for the log.
  if (const auto trouble = engine.Trouble()) return {false, std::string(ToString(trouble->error_class))};
  if (engine.LastPass() == milliseconds(0)) return {false, "starting"};
  return {true, engine.Leading() ? "leading" : "standing by"};
}

Result<std::unique_ptr<HttpServer>> StartControl(const Config& config, const HttpServerOptions& options,
                                                 const Engine& engine, JobDesk& desk) {
  api::ControlParts parts;
  parts.token = config.api_token;
  parts.health = [&engine] { return HealthOf(engine); };
  parts.open = [&desk](const cli::SyncOptions& asked) { return desk.Open(asked); };
  parts.get = [&desk](JobId id) { return desk.Get(id); };
  parts.list = [&desk](const api::JobsAsked& asked) { return desk.List(asked); };
  auto server = HttpServer::Start(options, api::ControlHandler(std::move(parts)));
  if (server) return server;
  Error error = server.error();
  error.message = "control API: " + error.message;
  error.hint =
      "another program, maybe another `weir serve`, listens there: choose a port by --port or WEIR_API_PORT, "
      "0 for any free one";
  return Fail(std::move(error));
}

}  // namespace

Result<int> Serve(const Config& config, const ServeCallbacks& callbacks, const Clock& clock) {
  const auto control_options = api::ControlServerOptions(config);
  if (!control_options) return Fail(control_options.error());
  LocalServicesOptions local;
  local.stopped = [&] { return callbacks.wait_stop(milliseconds(0)) != 0; };
  auto services = LocalServices::Acquire(config, callbacks.say, local);
  if (!services) return Fail(services.error());
  if (!(*services)->PrivateDatabase()) {
    pg::SessionOptions options;
    options.url = (*services)->DatabaseUrl();
    pg::Session session(options);
    if (auto known = pg::Check(session, ledger::AllMigrations()); !known) return Fail(known.error());
    if (auto writable = pg::CheckWritable(session); !writable) return Fail(writable.error());
    const auto few = pg::CheckConnections(session, "weir serve", kConnections, kConnections);
    if (!few) return Fail(few.error());
  }
  Engine engine(EngineFor(config, (*services)->DatabaseUrl(), (*services)->Brokers()), clock);
  ProducerMetrics metrics(Version());
  BacklogWatch backlog((*services)->DatabaseUrl(), clock, metrics);
  WorkersWatch workers(KafkaFor(config, (*services)->Brokers()), clock);
  auto health = StartHealth(config, engine, metrics, clock);
  if (!health) return Fail(health.error());
  JobDesk desk(config, (*services)->DatabaseUrl());
  auto control = StartControl(config, *control_options, engine, desk);
  if (!control) return Fail(control.error());
  engine.Start();
  callbacks.say(fmt::format("serving; health and metrics on {}:{}, control API on {}:{}{}",
                            config.metrics_address, (*health)->Port(), config.api_address, (*control)->Port(),
                            config.api_token.empty() ? " (without a token)" : ""));
  int signal = 0;
  while (signal == 0) {
    signal = callbacks.wait_stop(milliseconds(1'000));
    (*services)->Maintain();
    backlog.Look();
    workers.Look(backlog.Untaken() && !engine.Trouble());
  }
  (*control)->Stop();
  engine.Stop();
  (*health)->Stop();
  return signal;
}

}  // namespace weir
