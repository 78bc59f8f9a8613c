#include "tests/faults/fault_fixture.h"

#include <fmt/core.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "common/kafka/producer.h"

namespace weir::faults {
namespace {

constexpr int kLanes = 6;

std::uint32_t SeedOfThisRun() {
  const char* given = std::getenv("WEIR_FAULT_SEED");
  if (given != nullptr && *given != '\0') return static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10));
  return std::random_device{}();
}

}  // namespace

std::vector<kafka::testing::TopicSize> TaskTopics() {
  return {{kafka::kTaskTopic, kafka::kTaskPartitions}, {kafka::kInteractiveTopic, kafka::kTaskPartitions}};
}

void FaultTest::SetUp() {
  E2eTest::SetUp();
  seed_ = SeedOfThisRun();
  random_.seed(seed_);
  fmt::print("seed {} (repeat with WEIR_FAULT_SEED={})\n", seed_, seed_);
  std::fflush(stdout);
  kafka_ = std::make_unique<weir::testing::KafkaCluster>(
      weir::testing::KafkaOptions{.dir = dir_, .nodes = kafka_nodes_, .networks = {"NET", "VICTIM"}});
  const auto kafka = kafka_->Start();
  ASSERT_TRUE(kafka) << kafka.error().message;
  const std::string host =
      Text("select split_part(setting, ',', 1) from pg_settings where name = 'unix_socket_directories'");
  const std::string port = Text("select setting from pg_settings where name = 'port'");
  for (auto* net : {&database_net_, &victim_net_}) {
    *net = std::make_unique<proxy::FaultProxy>(
        proxy::ProxyOptions{.target = host + "/.s.PGSQL." + port, .protocol = proxy::Protocol::kPostgres});
    ASSERT_TRUE((*net)->Start());
  }
  env_["WEIR_DATABASE_URL"] = Database(std::to_string(database_net_->port()));
  env_["WEIR_KAFKA_BROKERS"] = kafka_->Brokers("NET");
  env_["WEIR_KAFKA_SESSION_TIMEOUT"] = "4s";
  env_["WEIR_LANES_LEASE"] = "3s";
  env_["WEIR_DISPATCH_LOST_AFTER"] = "10s";
  env_["WEIR_LOG_FORMAT"] = "text";
  env_["IMPORT_BATCH_SIZE"] = "20";
  env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "100";
  env_["WEIR_SOURCES_LICHESS_LANES"] = std::to_string(kLanes);
  env_["WEIR_SOURCES_CHESSCOM_LANES"] = std::to_string(kLanes);
  Control("settings", {{"parallel", {{"lichess", kLanes}, {"chesscom", kLanes}}}});
}

void FaultTest::TearDown() {
  if (HasFailure()) {
    fmt::print(stderr, "---- seed {}\n", seed_);
    const auto tail = [](const std::string& name, const std::string& text) {
      fmt::print(stderr, "---- the end of {}\n{}\n", name,
                 text.substr(text.size() - std::min<std::size_t>(text.size(), 4'000)));
    };
    for (const auto& member : members_) tail(member->id, member->process->Err());
    if (producer_) tail("weir serve", producer_->Err());
    if (kafka_) tail("Apache Kafka", kafka_->Log());
  }
  producer_.reset();
  members_.clear();
  kafka_.reset();
  database_net_.reset();
  victim_net_.reset();
  E2eTest::TearDown();
  if (!own_postgres_) return;
  postgres_.reset();
  EXPECT_TRUE(own_postgres_->Stop());
  unsetenv("WEIR_TEST_DATABASE_URL");
  if (given_database_) setenv("WEIR_TEST_DATABASE_URL", given_database_->c_str(), 1);
}

// Through the variable that TestPostgres reads: from here on it makes its databases there.
void FaultTest::UseOwnPostgres(const std::string& home, Strings settings) {
  pg::EmbeddedPostgresOptions options;
  options.home = home;
  options.settings = std::move(settings);
  options.durable = false;
  options.dies_with_parent = true;
  own_postgres_ = std::make_unique<pg::EmbeddedPostgres>(options);
  const auto url = own_postgres_->Start();
  ASSERT_TRUE(url) << url.error().message;
  const char* before = std::getenv("WEIR_TEST_DATABASE_URL");
  if (before != nullptr) given_database_ = before;
  setenv("WEIR_TEST_DATABASE_URL", own_postgres_->Url("postgres").c_str(), 1);
}

Millis FaultTest::Between(Millis least, Millis most) {
  return Millis(std::uniform_int_distribution<Millis::rep>(least.count(), most.count())(random_));
}

std::string FaultTest::Database(const std::string& port_of) const {
  const std::string user = TryText("select current_user").value_or("postgres");
  const std::string name =
      TryText("select current_database()").value_or(postgres_ ? postgres_->database() : "");
  return fmt::format("postgresql://{}@127.0.0.1:{}/{}?sslmode=disable&gssencmode=disable", user, port_of,
                     name);
}

std::unique_ptr<Process> FaultTest::Launch(process::SpawnOptions options) const {
  options.argv.insert(options.argv.begin(), under_.begin(), under_.end());
  auto process = Process::Spawn(options);
  EXPECT_TRUE(process) << process.error().message;
  return process ? std::move(*process) : nullptr;
}

void FaultTest::StartProducer() {
  producer_ = Launch(Options("weir", {"serve"}));
  ASSERT_TRUE(producer_);
  ASSERT_TRUE(producer_->WaitForErr("serving", kPatience)) << producer_->Err();
}

std::unique_ptr<Process> FaultTest::StartVictimServe() const {
  auto options = Options("weir", {"serve"});
  options.env["WEIR_DATABASE_URL"] = Database(std::to_string(victim_net_->port()));
  options.env["WEIR_KAFKA_BROKERS"] = kafka_->Brokers("VICTIM");
  return Launch(std::move(options));
}

void FaultTest::KillServe(Process& serve) {
  serve.Kill();
  ASSERT_TRUE(serve.Wait(kPatience));
  ResetVictim();
}

// Its sockets are closed; what the proxies still hold of it must not outlive it.
void FaultTest::ResetVictim() {
  victim_net_->ResetAll();
  for (int i = 0; i < kafka_nodes_; ++i) kafka_->Proxy("VICTIM", i).ResetAll();
}

Member& FaultTest::StartWorker(bool victim) {
  auto member = std::make_unique<Member>();
  const std::string name = fmt::format("w{}", ++started_);
  member->id = name + "-1";
  member->victim = victim;
  auto options = Options("weir-worker", {});
  options.env["WEIR_WORKER_ID"] = name;
  options.env["WEIR_WORKER_INCARNATION"] = "1";
  if (victim) {
    options.env["WEIR_DATABASE_URL"] = Database(std::to_string(victim_net_->port()));
    options.env["WEIR_KAFKA_BROKERS"] = kafka_->Brokers("VICTIM");
  }
  member->process = Launch(std::move(options));
  return *members_.emplace_back(std::move(member));
}

void FaultTest::StartWorkers(int count) {
  for (int i = 0; i < count; ++i) StartWorker();
}

void FaultTest::Kill(Member& member) {
  member.process->Kill();
  ASSERT_TRUE(member.process->Wait(kPatience));
  if (member.victim) ResetVictim();
  // What it had sent is still carried out: only then the ledger tells what it was reading.
  EXPECT_TRUE(
      Await(fmt::format("count(*) = 0 from pg_stat_activity where datname = current_database() and "
                        "application_name like 'weir-% {}'",
                        member.id)));
  NoteInFlight(member);
}

void FaultTest::Forget(const Member& member) {
  std::erase_if(members_, [&](const auto& one) { return one.get() == &member; });
}

Member& FaultTest::Victim() {
  const auto at = std::find_if(members_.begin(), members_.end(), [](const auto& one) { return one->victim; });
  return at == members_.end() ? StartWorker(true) : **at;
}

std::int64_t FaultTest::Enqueue(const std::string& source, const Strings& accounts, const Strings& more) {
  Strings arguments{"enqueue", source + "/games", "--output", "json"};
  for (const std::string& account : accounts) arguments.insert(arguments.end(), {"--account", account});
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Outcome outcome = Weir(arguments);
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  return outcome.json.is_object() ? outcome.json.value("job", std::int64_t{0}) : 0;
}

std::int64_t FaultTest::OpenTasks() const {
  const auto open = TryText(
      "select count(*) from weir.tasks where state in ('planned', 'dispatched', 'running', 'parked')");
  return open ? std::strtoll(open->c_str(), nullptr, 10) : -1;
}

bool FaultTest::AwaitEnded(Millis patience) const {
  const bool ended =
      Await("count(*) > 0 and count(*) filter (where finished_at is null) = 0 from weir.jobs", patience);
  if (!ended) {
    pg::Session session(postgres_->Options());
    const auto rows = session.Exec(
        "select t.state || ' ' || t.meter || '#' || t.lane || ' owner ' || coalesce(t.owner, '-') || ' "
        "dispatches ' || "
        "dispatches || ' epoch ' || epoch || ' attempts ' || attempts || ' lane: ' || coalesce(l.holder, "
        "'-') || ' ' || "
        "coalesce(l.waiting_for, '') || coalesce((l.lease_until - clock_timestamp())::text, '') "
        "from weir.tasks t left join weir.lanes l using (meter, lane) where t.finished_at is null order by "
        "t.id limit 20");
    for (int i = 0; rows && i < rows->Size(); ++i) fmt::print(stderr, "  open: {}\n", rows->Text(i, 0));
  }
  return ended;
}

}  // namespace weir::faults
