#include "worker/worker_app.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "common/config/version.h"
#include "common/ledger/migrations.h"
#include "common/obs/log.h"
#include "common/pg/server_check.h"
#include "worker/return_tasks.h"

namespace weir::worker {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPoll{100};
constexpr milliseconds kRenewEvery{1'000};
// Leases are renewed four times in their length, so that one that is late loses nothing.
milliseconds RenewEvery(milliseconds lease) { return std::min(kRenewEvery, lease / 4); }
constexpr milliseconds kConnectAgain{5'000};
constexpr milliseconds kCloseTimeout{5'000};
// Another worker waits for a lane that leaves; its page may end any moment.
constexpr milliseconds kLookForLeaving{100};
// A database that is cut off without a word is given up in time to work again within half a minute.
constexpr milliseconds kStatementDeadline{20'000};
constexpr milliseconds kStuck{
    30'000};  // the poll loop turns every 100 ms; so long without a turn = not alive

kafka::ClientOptions ClientOf(const Config& config, const std::string& id) {
  kafka::ClientOptions options;
  options.brokers = config.kafka_brokers;
  options.properties = config.kafka_properties;
  options.topic_prefix = config.kafka_topic_prefix;
  options.client_id = "weir-worker-" + id;
  options.log = [](int level, std::string_view text) {
    // librdkafka's levels are syslog's; its connection errors repeat while a broker is away.
    Log(level <= 3 ? LogLevel::kWarn : LogLevel::kDebug, text, {{"from", "kafka"}});
  };
  return options;
}

kafka::Assignment AssignmentOf(const Config& config) {
  if (config.kafka_assignment == "eager") return kafka::Assignment::kEager;
  return config.kafka_assignment == "cooperative" ? kafka::Assignment::kCooperative
                                                  : kafka::Assignment::kAuto;
}

LimiterOptions LimiterOptionsOf(const Config& config) {
  return {.initial_delay_ms = static_cast<double>(config.initial_delay.count()),
          .min_delay_ms = static_cast<double>(config.min_delay.count()),
          .max_delay_ms = static_cast<double>(config.max_lane_delay.count()),
          .increase = config.delay_increase,
          .decrease = config.delay_decrease};
}

}  // namespace

WorkerApp::WorkerApp(Config config, WorkerIdentity identity)
    : config_(std::move(config)),
      identity_(std::move(identity)),
      metrics_("weir-worker", Version()),
      pool_(SessionOptionsFor("worker"), config_.sessions),
      scheduler_(&clock_, config_.executors),
      keeper_({.worker = identity_.id, .host = identity_.host, .pid = identity_.pid, .lease = config_.lease},
              &clock_, &scheduler_),
      limiter_(LimiterOptionsOf(config_), config_.base_delay, config_.max_delay,
               std::hash<std::string>{}(identity_.id)),
      garbage_(&finished_),
      loop_(LoopParts()) {
  keeper_.OnRelease([this](pg::Session& session, const LaneId& lane) {
    const auto kept = limiter_.Memory(lane, clock_.Boot(), true);
    return ledger::SaveLane(session, lane, identity_.id, kept.wait, kept.waiting_for, kept.memory);
  });
  keeper_.Watch([this, before = std::vector<std::int64_t>()]() mutable {
    std::vector<std::int64_t> now = held_.All();
    const std::vector<std::int64_t> queued = scheduler_.Claimed();
    now.insert(now.end(), queued.begin(), queued.end());
    std::vector<std::int64_t> said = now;
    // One that was on its way from the queue to an executor was seen a second ago.
    said.insert(said.end(), before.begin(), before.end());
    before = std::move(now);
    return said;
  });
}

WorkerApp::~WorkerApp() = default;

pg::SessionOptions WorkerApp::SessionOptionsFor(const std::string& role) const {
  pg::SessionOptions options;
  options.statement_deadline = kStatementDeadline;
  options.url = config_.database_url.Reveal();
  options.application_name = "weir-" + role + " " + identity_.id;
  // Look-ups go by keyed pages and must stay on the key's index. Right after a first sync there are no
  // statistics, and PostgreSQL took a scan or a hash join over the whole table (DESIGN §3): pin the plan.
  // What has no index then costs so much, by the planner's reckoning, that it was compiled: a lease's renewal
  // took 125 ms of a core, each second.
  options.setup_sql =
      "set jit = off; set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; "
      "set plan_cache_mode = force_generic_plan";
  return options;
}

PollLoop::Parts WorkerApp::LoopParts() {
  PollLoop::Parts parts;
  parts.clock = &clock_;
  parts.scheduler = &scheduler_;
  parts.finished = &finished_;
  parts.garbage = &garbage_;
  parts.metrics = &metrics_;
  parts.topics = kafka::TopicsOf(ClientOf(config_, identity_.id));
  parts.new_consumer = [this](kafka::RebalanceListener* listener) {
    kafka::ConsumerOptions options;
    options.client = ClientOf(config_, identity_.id);
    const kafka::Topics topics = kafka::TopicsOf(options.client);
    options.group = topics.group;
    options.topics = {topics.tasks, topics.interactive};
    options.assignment = AssignmentOf(config_);
    options.session_timeout = config_.session_timeout;
    options.peers = identity_.peers;
    return kafka::Consumer::Create(std::move(options), listener);
  };
  parts.revoked = [this] {
    const std::lock_guard lock(keeper_mutex_);
    lanes_leave_ = true;
    keeper_wake_.notify_all();
  };
  return parts;
}

// A server that says itself that it takes no connection now is waited for: to end, and be started again,
// would only ask it more often.
Result<void> WorkerApp::AwaitDatabase(pg::Session& session, const std::atomic<int>& stop) const {
  for (milliseconds wait{250};; wait = std::min(2 * wait, kConnectAgain)) {
    auto ok = pg::Check(session, ledger::AllMigrations());
    const bool full = !ok && (ok.error().sqlstate == "53300" || ok.error().sqlstate == "57P03");
    if (!full || stop.load() != 0) return ok;
    LogError(LogLevel::kWarn, "waiting for the database", ok.error());
    for (milliseconds left = wait; left > milliseconds(0) && stop.load() == 0; left -= kPoll)
      std::this_thread::sleep_for(kPoll);
  }
}

Result<void> WorkerApp::Start(const std::atomic<int>& stop) {
  pg::Session session(SessionOptionsFor("check"));
  if (auto ok = AwaitDatabase(session, stop); !ok) return ok;
  // One renews the leases.
  const auto few = pg::CheckConnections(session, "a worker", 2, config_.sessions + 1);
  if (!few) return Fail(few.error());
  if (!few->empty()) Log(LogLevel::kWarn, *few);
  auto wall = Limiter::MeasureWall(clock_, [&] { return ledger::DatabaseMillis(session); });
  if (!wall) return Fail(wall.error());
  limiter_.SetWall(*wall);
  auto server =
      HttpServer::Start({.address = config_.metrics_address, .port = config_.metrics_port},
                        RouteByPath({{"/metrics", [this](const HttpServerRequest& r) { return Serve(r); }},
                                     {"/livez", [this](const HttpServerRequest& r) { return Serve(r); }},
                                     {"/readyz", [this](const HttpServerRequest& r) { return Serve(r); }}}));
  if (!server) return Fail(server.error());
  server_ = std::move(*server);
  Log(LogLevel::kInfo, "worker started",
      {{"worker", identity_.id},
       {"metrics", config_.metrics_address + ":" + std::to_string(server_->Port())}});
  return {};
}

HttpReply WorkerApp::Serve(const HttpServerRequest& request) {
  if (request.path == "/metrics") {
    metrics_.SetLanesHeld(static_cast<std::int64_t>(keeper_.LanesHeld()));
    return {.content_type = kMetricsContentType, .body = metrics_.Render(), .headers = {}};
  }
  const bool alive = clock_.Boot() - milliseconds(polled_at_.load()) < kStuck;
  if (request.path == "/livez") {
    return {
        .status = alive ? 200 : 503, .body = alive ? "ok\n" : "the poll loop stands still\n", .headers = {}};
  }
  const bool ready = alive && ready_.load() && !stopping_.load();
  return {.status = ready ? 200 : 503, .body = ready ? "ok\n" : "no partitions assigned\n", .headers = {}};
}

void WorkerApp::Execute(TaskRunner* runner) {
  while (runner->RunOnce()) {
  }
}

Result<void> WorkerApp::KeeperRound(pg::Session& session) {
  auto ok = keeper_.RunOnce(session);
  if (ok) ok = claims_.RunOnce(session);
  if (!ok) session.Reset();
  // What came for a lane after it had begun to wait.
  // On the keeper's own session: a pool that others have emptied must not stop the leases' renewal.
  ReturnTasks(scheduler_.DrainWaiting(kLongWait), &session, scheduler_, finished_);
  return ok;
}

void WorkerApp::KeepLanes() {
  pg::SessionOptions options = SessionOptionsFor("keeper");
  // An answer that comes later than this renews nothing.
  options.statement_deadline = config_.lease;
  options.connect_timeout = options.statement_deadline;
  pg::Session session(options);
  std::unique_lock lock(keeper_mutex_);
  milliseconds next_round{0};
  while (!stopping_.load()) {
    lock.unlock();
    const bool due = clock_.Boot() >= next_round;
    const auto ok = due ? KeeperRound(session) : keeper_.ReleaseIdle(session);
    if (!ok) LogError(LogLevel::kWarn, "lane leases could not be renewed", ok.error());
    if (!ok) session.Reset();
    if (due) next_round = clock_.Boot() + RenewEvery(config_.lease);
    lock.lock();
    // After a failure it is not hurried: the database is away, or full.
    if (!ok) lanes_leave_ = false;
    milliseconds wait = std::max(next_round - clock_.Boot(), milliseconds(0));
    if (ok && scheduler_.Leaving()) wait = std::min(wait, kLookForLeaving);
    keeper_wake_.wait_for(lock, wait, [&] { return stopping_.load() || std::exchange(lanes_leave_, false); });
  }
  lock.unlock();
  if (auto ok = keeper_.ReleaseAll(session); !ok)
    LogError(LogLevel::kWarn, "lanes were not given back", ok.error());
}

void WorkerApp::StartThreads() {
  const Shared shared{.config = &config_,
                      .accounts = &accounts_,
                      .clock = &clock_,
                      .worker_id = identity_.id,
                      .pool = &pool_,
                      .scheduler = &scheduler_,
                      .keeper = &keeper_,
                      .claims = &claims_,
                      .held = &held_,
                      .limiter = &limiter_,
                      .finished = &finished_,
                      .metrics = &metrics_,
                      .buffers = &buffers_,
                      .gate = &gate_,
                      .aborting = &aborting_};
  finished_.OnPush([this] { loop_.Wake(); });
  keeper_thread_ = std::thread([this] { KeepLanes(); });
  garbage_thread_ = std::thread([this] {
    while (garbage_.RunOnce(pool_)) {
    }
  });
  for (int i = 0; i < config_.executors; ++i) {
    runners_.push_back(std::make_unique<TaskRunner>(shared));
    threads_.emplace_back([this, runner = runners_.back().get()] { Execute(runner); });
  }
}

Result<void> WorkerApp::Run(const std::atomic<int>& stop) {
  StartThreads();
  while (stop.load() == 0 && !loop_.Refused()) {
    polled_at_ = clock_.Boot().count();
    loop_.RunOnce(kPoll);
    ready_ = loop_.Ready();
  }
  Drain(stop);
  if (loop_.Refused()) return Fail(*loop_.Refused());
  return {};
}

// Queued tasks are forgotten (their offsets are not stored: another worker gets them). Running ones may end
// in time, under their lanes' leases; the partitions go to other workers at once, which need not wait for
// them.
void WorkerApp::Drain(const std::atomic<int>& stop) {
  Log(LogLevel::kInfo, "draining", {{"running", scheduler_.Running()}});
  loop_.StopTaking();
  scheduler_.DropAll();
  const milliseconds deadline = clock_.Boot() + config_.drain_timeout;
  loop_.Close(kCloseTimeout);
  while (scheduler_.Running() > 0 && clock_.Boot() < deadline && stop.load() < 2) {
    polled_at_ = clock_.Boot().count();
    scheduler_.WaitIdle(clock_.Boot() + kPoll);
  }
  aborting_ = true;
  scheduler_.Stop();
  for (const auto& runner : runners_) runner->Wake();
  for (std::thread& thread : threads_) thread.join();
  StopThreads();
  server_->Stop();
  Log(LogLevel::kInfo, "worker stopped");
}

void WorkerApp::StopThreads() {
  garbage_.Stop();
  garbage_thread_.join();
  {
    std::lock_guard lock(keeper_mutex_);
    stopping_ = true;
  }
  keeper_wake_.notify_all();
  keeper_thread_.join();
  pool_.Stop();
}

}  // namespace weir::worker
