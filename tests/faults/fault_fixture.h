#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "common/kafka/producer.h"
#include "common/kafka/testing/kafka_control.h"
#include "common/pg/embedded_postgres.h"
#include "tests/e2e/e2e.h"
#include "tests/support/fault_proxy/fault_proxy.h"
#include "tests/support/kafka/kafka_cluster.h"

namespace weir::faults {

using e2e::Json;
using e2e::kPatience;
using e2e::Outcome;
using e2e::Strings;
using process::Millis;
using process::Process;
using proxy::StopPoint;
using Steady = std::chrono::steady_clock;

// `weir-worker` as one of a pool.
struct Member {
  std::string id;  // WEIR_WORKER_ID
  bool victim = false;
  std::unique_ptr<Process> process;
};

// The whole of weir as processes: `weir serve`, workers, Apache Kafka of the test's own and a PostgreSQL,
// each reached through a fault proxy. A worker started as a victim has proxies to itself, so that what is
// seen there is its doing. Whatever a test did to them, ExpectWhole at its end says that nothing of it is
// left.
class FaultTest : public e2e::E2eTest {
 protected:
  // The Kafka is the test's own, whatever others run on.
  explicit FaultTest(int kafka_nodes = 1)
      : E2eTest(e2e::Database::kByUrl, e2e::Broker::kEmbedded), kafka_nodes_(kafka_nodes) {}
  void SetUp() override;
  void TearDown() override;

  // What a fault run draws from; printed, and repeated with WEIR_FAULT_SEED.
  std::mt19937& Random() { return random_; }
  Millis Between(Millis least, Millis most);

  // The programs; a command that runs another (`prlimit …`) goes before theirs as `under_`.
  std::unique_ptr<Process> Launch(process::SpawnOptions options) const;
  void StartProducer();
  // A `weir serve` behind the victim's proxies, for KillServe.
  std::unique_ptr<Process> StartVictimServe() const;
  void KillServe(Process& serve);
  Member& StartWorker(bool victim = false);
  void StartWorkers(int count);
  // SIGKILL, and its end awaited; the pages it was reading are noted.
  void Kill(Member& member);
  void ResetVictim();
  void NoteInFlight(const Member& dead);
  void Forget(const Member& member);
  Member& Victim();
  // Leaves it to the pool; the job's id.
  std::int64_t Enqueue(const std::string& source, const Strings& accounts, const Strings& more = {});

  // The state of things.
  std::string Database(const std::string& port_of) const;
  bool AwaitEnded(Millis patience = Millis(120'000)) const;
  std::int64_t OpenTasks() const;

  // The oracle: all jobs ended well, tables equal the upstream, counters as in a run without faults, every
  // task done, the upstream's limits kept, and nothing left on Kafka within 60 s.
  struct Expected {
    std::string source, account;
    std::int64_t games = 0;
  };
  void Make(const Expected& player);  // at the upstream; part of ExpectWhole
  void ExpectWhole();
  void ExpectLimitsKept() const;
  void ExpectLagGone();
  // The tables and the counters alone: each record came once, and was inserted.
  void ExpectCopies();
  // Each page was asked for again at most as often as a worker was killed while the ledger had it running
  // there.
  void ExpectNothingReadTwice() const;
  // Pages that were running when their worker was killed, so far.
  int InFlight() const;

  // Of another PostgreSQL server than the run's: for tests that stop it, or fill its disk.
  void UseOwnPostgres(const std::string& home, Strings settings = {});

  const int kafka_nodes_;
  std::unique_ptr<weir::testing::KafkaCluster> kafka_;
  std::unique_ptr<pg::EmbeddedPostgres> own_postgres_;
  std::optional<std::string> given_database_;  // WEIR_TEST_DATABASE_URL before UseOwnPostgres
  std::unique_ptr<proxy::FaultProxy> database_net_, victim_net_;
  std::unique_ptr<Process> producer_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<Expected> expected_;
  Strings under_;
  std::map<std::string, int> in_flight_;  // by what a page asks for: how often its reader was killed
  int started_ = 0;
  std::uint32_t seed_ = 0;
  std::mt19937 random_;
};

// weir's topics, as kafka_control.h wants them.
std::vector<kafka::testing::TopicSize> TaskTopics();

}  // namespace weir::faults
