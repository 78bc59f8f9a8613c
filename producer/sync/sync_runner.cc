#include "producer/sync/sync_runner.h"
#include "common/config/inherited_settings.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "common/ledger/leader.h"
#include "common/ledger/migrations.h"
#include "common/obs/log.h"
#include "common/pg/migrations.h"
#include "common/pg/server_check.h"
#include "producer/cli/output.h"
#include "producer/embedded/child_process.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLookEvery{500};
constexpr milliseconds kLiveWorker{10'000};
constexpr milliseconds kSayWhoLeads{10'000};
constexpr milliseconds kLookForRoom{5'000};
// As the workers': a database that is cut off without a word is given up in time to work again within half a
// minute.
constexpr milliseconds kEngineDeadline{20'000};
// The embedded broker answers at once and forgets often.
constexpr milliseconds kEmbeddedIdle{15'000};

// Short enough that what follows it still fits into an application_name of 63 bytes.
std::string HostName() {
  char host[256] = "localhost";
  gethostname(host, sizeof host - 1);
  return std::string(host).substr(0, 32);
}

bool IsEmbedded(const std::string& brokers) { return brokers.starts_with("file:"); }

bool IsDefault(const Config& config, const std::string& key) {
  const auto setting = config.settings.find(key);
  return setting == config.settings.end() || setting->second.origin == Origin::kDefault;
}

}  // namespace

ConnectionNeed ConnectionsOfSync(int workers, int sessions) {
  constexpr int kOwn = Engine::kConnections + 1;  // and who watches the job
  if (workers == 0) return {kOwn, kOwn};
  // Each worker has one that renews its leases; and who starts them again has one.
  return {kOwn + 2 * workers, kOwn + 1 + workers * (sessions + 1)};
}

int LocalWorkerCount(std::optional<int> asked, bool embedded_broker) {
  return asked.value_or(embedded_broker ? 2 : 0);
}

LocalWorkersOptions WorkersFor(const Config& config, const LocalServices& services,
                               const std::vector<std::string>& config_arguments, int count) {
  LocalWorkersOptions options;
  options.count = count;
  options.arguments = config_arguments;
  // Several on one machine cannot share a port; where each listens is in its log.
  options.arguments.insert(options.arguments.end(), {"--set", "metrics.port=0"});
  if (IsEmbedded(services.Brokers()) && IsDefault(config, "kafka.session_timeout")) {
    options.arguments.insert(options.arguments.end(), {"--set", "kafka.session_timeout=4s"});
  }
  options.environment = {{"WEIR_DATABASE_URL", services.DatabaseUrl()},
                         {"WEIR_KAFKA_BROKERS", services.Brokers()},
                         {"WEIR_HOME", config.home}};
  options.log_dir = HomePaths{config.home}.Log();
  options.database.url = services.DatabaseUrl();
  options.database.application_name = "weir workers";
  options.drain_timeout = config.drain_timeout;
  return options;
}

kafka::ClientOptions KafkaFor(const Config& config, const std::string& brokers) {
  kafka::ClientOptions client;
  client.brokers = brokers;
  client.properties = config.kafka_properties;
  client.topic_prefix = config.kafka_topic_prefix;
  client.client_id = "weir";
  client.log = [](int level, std::string_view text) {
    // librdkafka's levels are syslog's; its connection errors repeat while a broker is away.
    Log(level <= 3 ? LogLevel::kWarn : LogLevel::kDebug, text, {{"from", "kafka"}});
  };
  return client;
}

EngineOptions EngineFor(const Config& config, const std::string& database_url, const std::string& brokers) {
  EngineOptions options;
  options.database.url = database_url;
  options.database.application_name = fmt::format("weir engine {} pid {}", HostName(), getpid());
  options.database.statement_deadline = kEngineDeadline;
  kafka::ClientOptions client = KafkaFor(config, brokers);
  options.topics = kafka::TopicsOf(client);
  options.producers = KafkaPublisher(std::move(client), config.kafka_replication_factor);
  // By value: the engine may outlive what it was made from.
  options.sweep_limits = [config](std::string_view source) { return SweepLimitsOf(config, source); };
  options.retention = {config.keep_tasks, config.keep_failures, config.keep_jobs};
  options.idle = config.lost_after;
  if (IsEmbedded(brokers)) {
    options.idle = std::min(options.idle, kEmbeddedIdle);
    options.broker_forgets = true;
  }
  return options;
}

SyncRunner::SyncRunner(const Config& config, SyncRequest request, SyncCallbacks callbacks, const Clock& clock)
    : config_(config), request_(std::move(request)), callbacks_(std::move(callbacks)), clock_(clock) {}

SyncRunner::~SyncRunner() = default;

Result<SyncOutcome> SyncRunner::Run() {
  LocalServicesOptions options;
  options.stopped = [this] { return callbacks_.stop_signal() != 0; };
  auto services = LocalServices::Acquire(config_, callbacks_.say, options);
  if (!services) return Fail(services.error());
  services_ = std::move(*services);
  if (auto opened = Open(); !opened) return Fail(opened.error());
  StartEngine();
  if (auto started = StartWorkers(); !started) return Fail(started.error());
  auto outcome = Watch();
  if (outcome) TakeDown(*outcome);
  return outcome;
}

Result<void> SyncRunner::Open() {
  session_ = std::make_unique<pg::Session>(Database("weir sync"));
  if (!services_->PrivateDatabase()) {
    if (auto known = pg::Check(*session_, ledger::AllMigrations()); !known) return Fail(known.error());
    if (auto writable = pg::CheckWritable(*session_); !writable) return Fail(writable.error());
    const int workers = LocalWorkerCount(request_.workers, services_->EmbeddedBroker());
    const ConnectionNeed need = ConnectionsOfSync(workers, config_.sessions);
    const auto few = pg::CheckConnections(*session_, fmt::format("weir sync with {} local workers", workers),
                                          need.least, need.full);
    if (!few) return Fail(few.error());
    if (!few->empty()) callbacks_.say(*few);
  }
  auto opened = ledger::OpenJob(*session_, request_.job);
  if (!opened) return Fail(opened.error());
  opened_ = *opened;
  if (opened_.resumed)
    callbacks_.say(fmt::format("going on with job {}, which had not ended", opened_.id.value));
  auto listening = session_->Exec("listen weir_jobs");
  if (!listening) return Fail(listening.error());
  return {};
}

void SyncRunner::StartEngine() {
  engine_ =
      std::make_unique<Engine>(EngineFor(config_, services_->DatabaseUrl(), services_->Brokers()), clock_);
  engine_->Start();
}

Result<void> SyncRunner::StartWorkers() {
  const int count = LocalWorkerCount(request_.workers, services_->EmbeddedBroker());
  if (count == 0) {
    auto live = ledger::CountLiveWorkers(*session_, kLiveWorker);
    if (live && *live == 0) {
      callbacks_.say(
          "no worker is running, so nothing will be fetched until one is: start weir-worker with the same "
          "database and "
          "brokers, or sync with --workers 2");
    }
    return {};
  }
  if (auto made = HomePaths{config_.home}.Make(); !made) return Fail(made.error());
  LocalWorkersOptions options = WorkersFor(config_, *services_, request_.config_arguments, count);
  options.environment[kInheritedSettings] = PackSettings(request_.settings);
  options.program = request_.worker_program;
  if (options.program.empty()) {
    auto program = FindProgram("weir-worker");
    if (!program) return Fail(program.error());
    options.program = *program;
  }
  workers_ = std::make_unique<LocalWorkers>(std::move(options), clock_);
  workers_->Start();
  return {};
}

Result<SyncOutcome> SyncRunner::Watch() {
  SyncOutcome outcome;
  outcome.resumed = opened_.resumed;
  outcome.job.id = opened_.id;
  const milliseconds begin = clock_.Boot();
  queued_since_ = begin;
  for (;;) {
    const milliseconds before = clock_.Boot();
    if (auto job = Look()) outcome.job = std::move(*job);
    queued_ = outcome.job.state == "queued";
    if (outcome.job.Ended() && !outcome.job.state.empty()) return outcome;
    SayPaused(outcome.job);
    outcome.stop_signal = callbacks_.stop_signal();
    if (outcome.stop_signal != 0) {
      Interrupted(outcome);
      return outcome;
    }
    // The job expires by itself; this is for one that has a later deadline, or for a database that does not
    // answer.
    if (request_.job.deadline && clock_.Boot() - begin > *request_.job.deadline + milliseconds(2'000)) {
      outcome.deadline_passed = true;
      return outcome;
    }
    if (auto fine = LookAround(); !fine) return Fail(fine.error());
    if (standstill_.Look(outcome.job, clock_.Boot())) {
      if (auto fine = CheckGroup(); !fine) return Fail(fine.error());
    }
    WaitForNews(clock_.Boot() - before);
  }
}

std::optional<ledger::JobStatus> SyncRunner::Look() {
  auto job = ledger::GetJob(*session_, opened_.id);
  if (!job) {
    session_->Reset();
    if (session_->Exec("listen weir_jobs")) return std::nullopt;
    if (last_trouble_ != job.error().message)
      callbacks_.say(cli::WaitsForDatabase(last_trouble_ = job.error().message));
    return std::nullopt;
  }
  const auto workers = ledger::LiveWorkersMemory(*session_, kLiveWorker);
  callbacks_.snapshot(*job, workers ? *workers : ledger::WorkersMemory{});
  return std::move(*job);
}

// Who paused a job had a reason: running the same sync does not end the pause, but says why nothing happens.
void SyncRunner::SayPaused(const ledger::JobStatus& job) {
  const bool paused = job.state == "paused";
  if (paused && !paused_said_)
    callbacks_.say(fmt::format("job {0} is paused; to let it go on: weir resume {0}", job.id.value));
  paused_said_ = paused;
}

// What else a user should know of, once: the engine's trouble, workers that died. Errors: no worker can run.
Result<void> SyncRunner::LookAround() {
  services_->Maintain();
  const auto trouble = engine_->Trouble();
  if (trouble && trouble->message != last_trouble_) {
    last_trouble_ = trouble->message;
    const bool broker = trouble->error_class == ErrorClass::kBroker;
    callbacks_.say(broker ? "waiting: " + last_trouble_ : cli::WaitsForDatabase(last_trouble_));
  }
  if (!trouble) last_trouble_.clear();
  if (!trouble) SayWhoLeads();
  SayFull();
  if (!workers_) return {};
  if (const int restarts = workers_->Restarts(); restarts > restarts_said_) {
    callbacks_.say(fmt::format("a worker ended and was started again ({} so far)", restarts));
    restarts_said_ = restarts;
  }
  const auto failed = workers_->Failed();
  if (!failed) return {};
  auto live = ledger::CountLiveWorkers(*session_, kLiveWorker);
  if (!live || *live > 0) return {};
  Error error = *failed;
  error.hint += fmt::format("; job {} stays open: run the same sync again to go on", opened_.id.value);
  return Fail(std::move(error));
}

// A job that another process leads, and does not get to: that process may be cut off from Kafka.
void SyncRunner::SayWhoLeads() {
  if (!queued_ || engine_->Leading()) {
    queued_since_ = clock_.Boot();
    return;
  }
  if (leader_said_ || clock_.Boot() - queued_since_ < kSayWhoLeads) return;
  const auto leader = ledger::FindLeader(*session_);
  if (!leader || !*leader) return;
  callbacks_.say(fmt::format("waiting: another process leads and has sent nothing of this job for {} s: {}",
                             std::chrono::duration_cast<std::chrono::seconds>(kSayWhoLeads).count(),
                             **leader));
  leader_said_ = true;
}

// While no worker asks for anything. Errors: Kafka keeps ours out of their group, which work as the same
// user.
Result<void> SyncRunner::CheckGroup() {
  if (!group_) group_ = std::make_unique<GroupCheck>(KafkaFor(config_, services_->Brokers()), clock_);
  const auto refused = group_->Look();
  if (!refused) return {};
  Error error = *refused;
  if (!workers_) {
    if (!std::exchange(group_said_, true)) callbacks_.say("waiting: " + error.message + "; " + error.hint);
    return {};
  }
  error.hint += fmt::format("; job {} stays open: run the same sync again to go on", opened_.id.value);
  return Fail(std::move(error));
}

// Workers and engine wait for connections that others have, and those who wait cannot say so in the database.
void SyncRunner::SayFull() {
  if (services_->PrivateDatabase() || clock_.Boot() < full_look_) return;
  full_look_ = clock_.Boot() + kLookForRoom;
  const auto found = pg::FindFullLimit(*session_);
  if (!found) return;
  const auto& limit = *found;
  const bool full = limit.has_value();
  if (full && !full_said_) {
    const int workers = LocalWorkerCount(request_.workers, services_->EmbeddedBroker());
    callbacks_.say(cli::WaitsForDatabase(
        fmt::format("too many connections: {} allows {}, and {} are in use; this sync may need {}", limit->of,
                    limit->most, limit->used, ConnectionsOfSync(workers, config_.sessions).full)));
  }
  full_said_ = full;
}

// Wakes when a job changes state. A look at a job of a million tasks takes its time: it must not be most of
// what the database does.
void SyncRunner::WaitForNews(milliseconds look_time) {
  const milliseconds until = clock_.Boot() + std::max(kLookEvery, 10 * look_time);
  while (clock_.Boot() < until && callbacks_.stop_signal() == 0) {
    const milliseconds slice = std::min<milliseconds>(until - clock_.Boot(), milliseconds(100));
    auto news = session_->WaitNotify(std::max(slice, milliseconds(1)));
    if (!news) {
      std::this_thread::sleep_for(slice);
      return;
    }
    if (*news) return;
  }
}

void SyncRunner::Interrupted(SyncOutcome& outcome) {
  if (!request_.cancel_on_interrupt) {
    callbacks_.say(
        fmt::format("stopping; job {} stays open: run the same sync again to go on", opened_.id.value));
    return;
  }
  auto cancelled = ledger::CancelJob(*session_, opened_.id);
  if (!cancelled) callbacks_.say(cancelled.error().message);
  if (auto job = Look()) outcome.job = std::move(*job);
}

// Workers first, while the engine still ends what they finish; then the numbers as they stand.
void SyncRunner::TakeDown(SyncOutcome& outcome) {
  const bool ended = outcome.job.Ended();
  if (workers_) workers_->Stop();
  engine_->Stop();
  if (!ended) {
    if (auto job = Look()) outcome.job = std::move(*job);
  }
  session_->Reset();
  services_->Release();
}

pg::SessionOptions SyncRunner::Database(const std::string& name) const {
  pg::SessionOptions options;
  options.url = services_->DatabaseUrl();
  options.application_name = name;
  return options;
}

}  // namespace weir
