#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/kafka/client_options.h"
#include "common/kafka/producer.h"
#include "tests/support/fault_proxy/fault_proxy.h"
#include "tests/support/postgres/test_postgres.h"
#include "tests/support/process/process.h"
#include "tests/support/upstream/sample_upstream.h"
#include "tests/support/upstream/upstream_check.h"

namespace weir::e2e {

using Json = nlohmann::json;
using process::Millis;
using process::Process;
using Strings = std::vector<std::string>;

inline constexpr Millis kPatience{60'000};  // for anything that should happen soon

// How a program ended, with its stdout as JSON where it is.
struct Outcome {
  process::Exit exit;
  std::string out, err;
  Json json;  // null when stdout is no JSON

  // The status as a shell tells it: 128 + the signal that ended it.
  int Status() const { return exit.signal != 0 ? 128 + exit.signal : exit.code; }
  // The account of a job's object; null when it has none such.
  Json Account(const std::string& name) const;
  std::int64_t Total(const char* counter) const { return json.at("totals").at(counter); }
};

enum class Database { kPrivate, kByUrl };
enum class Broker { kEmbedded, kApacheKafka };
// Which one the tests of this run are on: WEIR_E2E_BROKER=ApacheKafka is that at WEIR_TEST_KAFKA_BROKERS,
// where each test has topics of its own.
Broker ChosenBroker();

// The real programs as processes, each test in a temporary folder of its own with its own upstream. Nothing
// of it may be left at the end: a process that still uses the folder fails the test.
class E2eTest : public ::testing::Test {
 protected:
  E2eTest(Database database, Broker broker) : database_(database), broker_(broker) {}
  void SetUp() override;
  void TearDown() override;

  // The programs. Arguments are as on the command line.
  process::SpawnOptions Options(const std::string& program, Strings arguments) const;
  std::unique_ptr<Process> Start(const std::string& program, Strings arguments) const;
  Outcome Finish(Process& process, Millis patience = kPatience) const;
  Outcome Weir(Strings arguments, Millis patience = kPatience) const;
  // `weir sync SOURCE/games --account … --output json …`; `source` may name its stream itself.
  Strings SyncArguments(const std::string& source, const Strings& accounts, const Strings& more = {}) const;
  std::unique_ptr<Process> StartSync(const std::string& source, const Strings& accounts,
                                     const Strings& more = {}) const;
  Outcome Sync(const std::string& source, const Strings& accounts, const Strings& more = {}) const;
  // A worker by hand, joined to the group; the services must run (StartServices).
  std::unique_ptr<Process> StartWorker();
  // `weir serve` on this test's parts.
  std::unique_ptr<Process> StartServe() const;
  // `weir up`, so that database and broker are there between the programs; nothing where neither is embedded.
  void StartServices();
  void StopServices();

  // The database.
  std::string DatabaseUrl() const;
  // From now on the programs reach the test's PostgreSQL through a proxy; nothing else does.
  std::unique_ptr<proxy::FaultProxy> ProxyDatabase();
  std::string Brokers() const;
  kafka::ClientOptions KafkaClient() const;
  kafka::Topics Topics() const { return kafka::TopicsOf(KafkaClient()); }
  // The first column of the first row, "" if there is none.
  std::string Text(const std::string& sql) const;
  std::int64_t Number(const std::string& sql) const;
  // Waits until the query's result is "t".
  bool Await(const std::string& condition, Millis patience = kPatience) const;
  // As Text, but a database that does not answer gives nullopt.
  std::optional<std::string> TryText(const std::string& sql) const;
  std::int64_t Fetched() const;  // records, over all jobs; −1 while the database is away
  bool AwaitFetched(std::int64_t least, Millis patience = kPatience) const;
  // Messages for each task of the ledger: on its own lane, and on both topics with keys that send them
  // anywhere.
  std::vector<kafka::OutgoingMessage> EveryTask() const;

  // The upstream.
  void Players(std::initializer_list<const char*> specs);
  // New games, begun within the last second: after the plan of any sync that has ended.
  void AddGames(const std::string& source, const std::string& player, int n) const;
  Json Control(const std::string& call, const Json& body) const;
  Json Control(const std::string& call) const;
  void Faults(Json rules) const { Control("faults", {{"rules", std::move(rules)}}); }
  std::int64_t Requests(const std::string& path_class, const std::string& player = "") const;
  void WaitForRequests(const std::string& path_class, std::int64_t count) const;
  void SetPace(double anonymous, double with_token) const;

  // The oracle.
  void ExpectCopy(const std::string& source, const std::string& player, const std::string& query = "") const;
  // The shape that the issue promises, and that the numbers of the job add up.
  static void ExpectShape(const Outcome& outcome, const std::string& state);
  // A first sync's numbers: all of `games` inserted, nothing else, pages = tasks.
  void ExpectFirstSync(const Outcome& outcome, std::int64_t games) const;

  void UseKafka();

  // Processes of this test, by their environment or arguments.
  std::vector<pid_t> Living() const;
  pid_t PidOf(const std::string& what) const;  // whose command line contains it; 0 = none
  static std::int64_t PeakKib(pid_t pid);      // VmHWM

  const Database database_;
  const Broker broker_;
  std::string dir_, home_;
  std::map<std::string, std::string> env_;
  std::unique_ptr<weir::testing::TestPostgres> postgres_;
  sim::SampleUpstream upstream_;
};

// Nothing configured: a private PostgreSQL and the embedded broker.
class OnNothing : public E2eTest {
 protected:
  OnNothing() : E2eTest(Database::kPrivate, Broker::kEmbedded) {}
};

// A database by URL, migrated by `weir migrate up`, and the embedded broker or, where that is chosen, a
// Kafka.
class OnDatabase : public E2eTest {
 protected:
  explicit OnDatabase(Broker broker = ChosenBroker()) : E2eTest(Database::kByUrl, broker) {}
};

}  // namespace weir::e2e
