#include "tests/e2e/e2e.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/base/clock.h"
#include "common/kafka/producer.h"
#include "common/kafka/testing/kafka_control.h"
#include "tests/support/upstream/http_client.h"

namespace weir::e2e {
namespace {

namespace fs = std::filesystem;

// What can be read of it; "" where there is nothing. A process may end while its files under /proc are read,
// which an ifstream throws for.
std::string ReadAll(const fs::path& path) {
  std::string text;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return text;
  char part[4'096];
  for (ssize_t got = 0; (got = read(file, part, sizeof part)) > 0;)
    text.append(part, static_cast<std::size_t>(got));
  close(file);
  return text;
}

Json ParseOrNull(const std::string& text) { return Json::parse(text, nullptr, false, true); }

}  // namespace

Json Outcome::Account(const std::string& name) const {
  if (!json.is_object() || !json.contains("accounts")) return nullptr;
  for (const Json& account : json["accounts"]) {
    if (account.at("account") == name) return account;
  }
  return nullptr;
}

Broker ChosenBroker() {
  const char* chosen = std::getenv("WEIR_E2E_BROKER");
  return chosen != nullptr && std::string_view(chosen) == "ApacheKafka" ? Broker::kApacheKafka
                                                                        : Broker::kEmbedded;
}

void E2eTest::SetUp() {
  std::string pattern = (fs::temp_directory_path() / "weir-e2e-XXXXXX").string();
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  dir_ = pattern;
  fs::permissions(dir_, fs::perms(0755));  // for root PostgreSQL runs as another user, who must get in
  home_ = dir_ + "/home";
  ASSERT_TRUE(upstream_.Start());
  env_ = {{"HOME", dir_},
          {"XDG_CONFIG_HOME", dir_},
          {"WEIR_HOME", home_},
          {"WEIR_SOURCES_LICHESS_BASE_URL", upstream_.url()},
          {"WEIR_SOURCES_CHESSCOM_BASE_URL", upstream_.url()},
          {"WEIR_SOURCES_HIGHLEVEL_BASE_URL", upstream_.url()},
          {"WEIR_SOURCES_HIGHLEVEL_RETRY_AFTER_FLOOR", "50ms"},
          {"WEIR_SOURCES_LICHESS_RETRY_AFTER_FLOOR", "50ms"},
          {"WEIR_SOURCES_CHESSCOM_RETRY_AFTER_FLOOR", "50ms"},
          {"WEIR_API_PORT", "0"},  // several run at once
          {"WEIR_RETRY_BASE_DELAY", "20ms"},
          {"WEIR_RETRY_MAX_DELAY", "200ms"}};
  if (broker_ == Broker::kApacheKafka) UseKafka();
  if (database_ == Database::kPrivate) return;
  postgres_ = std::make_unique<weir::testing::TestPostgres>();
  env_["WEIR_DATABASE_URL"] = postgres_->url();
  const Outcome migrated = Weir({"migrate", "up"});
  ASSERT_EQ(migrated.Status(), 0) << migrated.err;
}

// A short session, so that a killed worker's partitions are free soon; the node at hand allows it.
void E2eTest::UseKafka() {
  const char* const brokers = std::getenv("WEIR_TEST_KAFKA_BROKERS");
  ASSERT_TRUE(brokers != nullptr && *brokers != '\0') << "WEIR_TEST_KAFKA_BROKERS names no Apache Kafka";
  env_["WEIR_KAFKA_BROKERS"] = brokers;
  env_["WEIR_KAFKA_TOPIC_PREFIX"] = fs::path(dir_).filename().string() + ".";
  env_["WEIR_KAFKA_SESSION_TIMEOUT"] = "4s";
}

void E2eTest::TearDown() {
  StopServices();
  // Services that nobody uses any more need a moment to end.
  const bool gone = process::WaitUntil([this] { return Living().empty(); }, Millis(20'000));
  if (!gone) {
    for (const pid_t pid : Living()) {
      ADD_FAILURE() << "left running: " << pid << " " << ReadAll(fmt::format("/proc/{}/cmdline", pid));
      kill(pid, SIGKILL);
    }
  }
  upstream_.Stop();
  // Hundreds of partitions a test would weigh the node down.
  if (broker_ == Broker::kApacheKafka && gone) {
    const kafka::Topics topics = Topics();
    const auto deleted =
        kafka::testing::DeleteTopics(Brokers(), {topics.tasks, topics.interactive, topics.dead_letters});
    EXPECT_TRUE(deleted) << deleted.error().message;
  }
  if (HasFailure()) {
    for (const char* log : {"supervisor", "broker", "worker-1", "worker-2"}) {
      const std::string text = ReadAll(home_ + "/log/" + log + ".log");
      if (text.empty()) continue;
      fmt::print(stderr, "---- the end of {}.log\n{}\n", log,
                 text.substr(text.size() - std::min<std::size_t>(text.size(), 3'000)));
    }
  }
  std::error_code ignored;
  fs::remove_all(dir_, ignored);
}

process::SpawnOptions E2eTest::Options(const std::string& program, Strings arguments) const {
  process::SpawnOptions options;
  options.argv = {std::string(WEIR_E2E_BIN) + "/" + program};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.env = env_;
  options.clean_env = true;
  options.cwd = dir_;
  return options;
}

std::unique_ptr<Process> E2eTest::Start(const std::string& program, Strings arguments) const {
  auto process = Process::Spawn(Options(program, std::move(arguments)));
  EXPECT_TRUE(process) << process.error().message;
  return process ? std::move(*process) : nullptr;
}

Outcome E2eTest::Finish(Process& process, Millis patience) const {
  Outcome outcome;
  const auto exit = process.Wait(patience);
  if (!exit) {
    ADD_FAILURE() << "did not end in time; its last words: " << process.Err();
    process.Kill();
  } else {
    outcome.exit = *exit;
  }
  outcome.out = process.Out();
  outcome.err = process.Err();
  outcome.json = ParseOrNull(outcome.out);
  if (outcome.json.is_discarded()) outcome.json = nullptr;
  return outcome;
}

Outcome E2eTest::Weir(Strings arguments, Millis patience) const {
  const auto process = Start("weir", std::move(arguments));
  return process ? Finish(*process, patience) : Outcome{};
}

Strings E2eTest::SyncArguments(const std::string& source, const Strings& accounts,
                               const Strings& more) const {
  const bool whole = source.find('/') != std::string::npos;
  Strings arguments{"sync", whole ? source : source + "/games", "--output", "json"};
  // Where a Kafka is configured it would start none.
  const bool chosen = std::find(more.begin(), more.end(), "--workers") != more.end();
  if (broker_ == Broker::kApacheKafka && !chosen) arguments.insert(arguments.end(), {"--workers", "2"});
  for (const std::string& account : accounts) arguments.insert(arguments.end(), {"--account", account});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::unique_ptr<Process> E2eTest::StartSync(const std::string& source, const Strings& accounts,
                                            const Strings& more) const {
  return Start("weir", SyncArguments(source, accounts, more));
}

Outcome E2eTest::Sync(const std::string& source, const Strings& accounts, const Strings& more) const {
  return Weir(SyncArguments(source, accounts, more));
}

std::unique_ptr<Process> E2eTest::StartWorker() {
  auto options = Options("weir-worker", {});
  options.env["WEIR_KAFKA_BROKERS"] = Brokers();
  options.env["WEIR_DATABASE_URL"] = DatabaseUrl();
  options.env["WEIR_KAFKA_SESSION_TIMEOUT"] = "4s";
  auto worker = Process::Spawn(options);
  EXPECT_TRUE(worker) << worker.error().message;
  if (!worker) return nullptr;
  EXPECT_TRUE((*worker)->WaitForErr("partitions assigned", kPatience)) << (*worker)->Err();
  return std::move(*worker);
}

std::unique_ptr<Process> E2eTest::StartServe() const {
  auto options = Options("weir", {"serve"});
  options.env["WEIR_KAFKA_BROKERS"] = Brokers();
  auto serve = Process::Spawn(options);
  EXPECT_TRUE(serve) << serve.error().message;
  return serve ? std::move(*serve) : nullptr;
}

void E2eTest::StartServices() {
  if (database_ == Database::kByUrl && broker_ == Broker::kApacheKafka) {
    // A worker that comes first waits for whoever sends tasks to make their topics.
    auto admin = kafka::Admin::Create(KafkaClient());
    ASSERT_TRUE(admin) << admin.error().message;
    const auto made = (*admin)->EnsureTopics(1, Millis(30'000));
    ASSERT_TRUE(made) << made.error().message;
    return;
  }
  const Outcome up = Weir({"up"});
  ASSERT_EQ(up.Status(), 0) << up.err;
}

void E2eTest::StopServices() {
  if (!fs::exists(home_ + "/run/keep")) return;
  const Outcome down = Weir({"down"});
  EXPECT_EQ(down.Status(), 0) << down.err;
}

std::string E2eTest::Brokers() const {
  return broker_ == Broker::kEmbedded ? "file:" + home_ + "/run/broker.address"
                                      : env_.at("WEIR_KAFKA_BROKERS");
}

kafka::ClientOptions E2eTest::KafkaClient() const {
  kafka::ClientOptions client;
  client.brokers = Brokers();
  client.client_id = "weir-e2e";
  if (broker_ == Broker::kApacheKafka) client.topic_prefix = env_.at("WEIR_KAFKA_TOPIC_PREFIX");
  return client;
}

std::string E2eTest::DatabaseUrl() const {
  if (postgres_) return postgres_->url();
  return ParseOrNull(ReadAll(home_ + "/run/endpoints.json")).value("database_url", "");
}

std::unique_ptr<proxy::FaultProxy> E2eTest::ProxyDatabase() {
  const std::string host =
      Text("select split_part(setting, ',', 1) from pg_settings where name = 'unix_socket_directories'");
  const std::string port = Text("select setting from pg_settings where name = 'port'");
  auto network = std::make_unique<proxy::FaultProxy>(
      proxy::ProxyOptions{.target = host + "/.s.PGSQL." + port, .protocol = proxy::Protocol::kPostgres});
  EXPECT_TRUE(network->Start());
  env_["WEIR_DATABASE_URL"] =
      fmt::format("postgresql://{}@127.0.0.1:{}/{}?sslmode=disable&gssencmode=disable",
                  Text("select current_user"), network->port(), postgres_->database());
  return network;
}

std::optional<std::string> E2eTest::TryText(const std::string& sql) const {
  pg::SessionOptions options;
  options.url = DatabaseUrl();
  options.application_name = "weir-e2e";
  pg::Session session(options);
  const auto rows = session.Script(sql);
  if (!rows) return std::nullopt;
  return rows->Empty() ? std::string() : std::string(rows->Text(0, 0));
}

std::string E2eTest::Text(const std::string& sql) const {
  const auto text = TryText(sql);
  EXPECT_TRUE(text) << "failed: " << sql;
  return text.value_or("");
}

std::int64_t E2eTest::Number(const std::string& sql) const {
  return std::strtoll(Text(sql).c_str(), nullptr, 10);
}

bool E2eTest::Await(const std::string& condition, Millis patience) const {
  const std::string sql = "select " + condition;
  const bool met = process::WaitUntil([&] { return TryText(sql) == "t"; }, patience);
  EXPECT_TRUE(met) << "did not come true: " << condition;
  return met;
}

void E2eTest::Players(std::initializer_list<const char*> specs) {
  for (const char* spec : specs) ASSERT_TRUE(upstream_.AddPlayer(spec)) << spec;
}

void E2eTest::AddGames(const std::string& source, const std::string& player, int n) const {
  const std::int64_t now = SystemClock().UnixMillis();
  Control("games/add",
          {{"source", source}, {"player", player}, {"n", n}, {"from", now - 1'000}, {"to", now}});
}

Json E2eTest::Control(const std::string& call, const Json& body) const {
  const auto answer = sim::Post(upstream_.url() + "/_control/" + call, body.dump());
  EXPECT_TRUE(answer) << call << ": " << answer.error().message;
  return answer ? Json::parse(*answer) : Json();
}

Json E2eTest::Control(const std::string& call) const {
  const auto answer = sim::Get(upstream_.url() + "/_control/" + call);
  EXPECT_TRUE(answer) << call << ": " << answer.error().message;
  return answer ? Json::parse(*answer) : Json();
}

std::int64_t E2eTest::Requests(const std::string& path_class, const std::string& player) const {
  const Json of_class = Control("stats")["requests"].value(path_class, Json::object());
  if (player.empty()) return of_class.value("count", std::int64_t{0});
  return of_class.value("players", Json::object()).value(player, std::int64_t{0});
}

void E2eTest::WaitForRequests(const std::string& path_class, std::int64_t count) const {
  const Json answer = Control(fmt::format("wait?class={}&count={}&timeout_ms=60000", path_class, count));
  EXPECT_TRUE(answer.value("reached", false)) << count << " requests of " << path_class << " never came";
}

void E2eTest::SetPace(double anonymous, double with_token) const {
  Control("settings", {{"pace", {anonymous, with_token}}});
}

void E2eTest::ExpectCopy(const std::string& source, const std::string& player,
                         const std::string& query) const {
  pg::SessionOptions options;
  options.url = DatabaseUrl();
  pg::Session session(options);
  const auto result = sim::CheckUpstream(upstream_.url(), session, {source, player, query});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->ok()) << source << "/" << player << ": " << result->Summary();
}

void E2eTest::ExpectShape(const Outcome& outcome, const std::string& state) {
  static const Strings kCounters{"pages",      "fetched",    "inserted", "updated",  "unchanged", "rejected",
                                 "duplicates", "dead_pages", "stale",    "requests", "seconds"};
  ASSERT_TRUE(outcome.json.is_object()) << outcome.out << outcome.err;
  Strings names;
  for (const auto& [name, value] : outcome.json.items()) names.push_back(name);
  EXPECT_EQ(names, (Strings{"accounts", "job", "mode", "source", "state", "stream", "totals"}));
  EXPECT_EQ(outcome.json.value("state", ""), state) << outcome.out << outcome.err;
  Json sums = Json::object();
  const auto check = [&](const Json& numbers) {
    for (const std::string& name : kCounters) {
      ASSERT_TRUE(numbers.contains(name) && numbers[name].is_number()) << name << " in " << numbers;
    }
    EXPECT_EQ(numbers.at("fetched").get<std::int64_t>(),
              numbers.at("inserted").get<std::int64_t>() + numbers.at("updated").get<std::int64_t>() +
                  numbers.at("unchanged").get<std::int64_t>() + numbers.at("rejected").get<std::int64_t>() +
                  numbers.at("duplicates").get<std::int64_t>())
        << numbers;
  };
  for (const Json& account : outcome.json["accounts"]) {
    check(account);
    for (const std::string& name : kCounters) {
      if (name != "seconds")
        sums[name] = sums.value(name, std::int64_t{0}) + account.at(name).get<std::int64_t>();
    }
  }
  check(outcome.json["totals"]);
  for (const auto& [name, sum] : sums.items()) EXPECT_EQ(outcome.json["totals"][name], sum) << name;
  EXPECT_EQ(outcome.json["totals"].size(), kCounters.size());
}

void E2eTest::ExpectFirstSync(const Outcome& outcome, std::int64_t games) const {
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  ExpectShape(outcome, "succeeded");
  if (!outcome.json.is_object()) return;
  EXPECT_EQ(outcome.Total("fetched"), games);
  EXPECT_EQ(outcome.Total("inserted"), games);
  EXPECT_EQ(outcome.Total("dead_pages"), 0);
  const std::string job = outcome.json.at("job").dump();
  EXPECT_EQ(outcome.Total("pages"),
            Number("select count(*) from weir.tasks where kind <> 0 and job_id = " + job));
  EXPECT_EQ(Number("select count(*) from weir.tasks where state <> 'done' and job_id = " + job), 0);
}

std::vector<pid_t> E2eTest::Living() const {
  std::vector<pid_t> pids;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator("/proc", ec)) {
    const pid_t pid = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
    if (pid <= 0 || pid == getpid()) continue;
    const std::string of = ReadAll(entry.path() / "cmdline") + '\0' + ReadAll(entry.path() / "environ");
    if (of.find(dir_) != std::string::npos) pids.push_back(pid);
  }
  return pids;
}

pid_t E2eTest::PidOf(const std::string& what) const {
  for (const pid_t pid : Living()) {
    std::string line = ReadAll(fmt::format("/proc/{}/cmdline", pid));
    std::replace(line.begin(), line.end(), '\0', ' ');
    if (line.find(what) != std::string::npos) return pid;
  }
  return 0;
}

std::int64_t E2eTest::PeakKib(pid_t pid) {
  const std::string status = ReadAll(fmt::format("/proc/{}/status", pid));
  const auto at = status.find("VmHWM:");
  return at == std::string::npos ? -1 : std::strtoll(status.c_str() + at + 6, nullptr, 10);
}

}  // namespace weir::e2e
