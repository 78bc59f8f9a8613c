#include "producer/embedded/local_services.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/base/clock.h"
#include "common/kafka/client_options.h"
#include "common/kafka/producer.h"
#include "common/pg/embedded_postgres.h"
#include "common/pg/session.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A WEIR_HOME of its own; the background program is tests' own (testing/background_program.cc).
class LocalServicesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.home = dir_.string();
    options_.program = WEIR_BACKGROUND_PROGRAM;
  }
  void TearDown() override {
    auto report = EndServices(config_, seconds(60));
    EXPECT_TRUE(report) << (report ? "" : report.error().message);
    std::filesystem::remove_all(dir_);
  }

  std::unique_ptr<LocalServices> Acquire(const Config& config) {
    auto services = LocalServices::Acquire(
        config, [this](const std::string& text) { said_ += text + "\n"; }, options_);
    EXPECT_TRUE(services) << (services ? "" : services.error().message + " " + services.error().hint);
    return services ? std::move(*services) : nullptr;
  }
  static std::string Ask(const LocalServices& services, const std::string& sql) {
    pg::SessionOptions options;
    options.url = services.DatabaseUrl();
    pg::Session session(options);
    auto rows = session.Exec(sql);
    EXPECT_TRUE(rows) << (rows ? "" : rows.error().message);
    return rows && !rows->Empty() ? std::string(rows->Text(0, 0)) : std::string();
  }
  pid_t Supervisor() {
    const auto endpoints = ReadEndpoints(paths_.Endpoints());
    return endpoints ? endpoints->supervisor : 0;
  }
  template <typename Condition>
  void Await(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + seconds(60);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), until);
      usleep(10'000);
    }
  }
  bool BrokerAnswers(const std::string& brokers) {
    kafka::ClientOptions client;
    client.brokers = brokers;
    auto admin = kafka::Admin::Create(client);
    return admin && (*admin)->Check(seconds(5));
  }
  void AwaitEnd() {
    Await([&] { return !IsLocked(paths_.SupervisorLock()); });
    pg::EmbeddedPostgresOptions options;
    options.home = config_.home;
    EXPECT_EQ(pg::EmbeddedPostgres(options).RunningPid(), 0);
  }

  const std::filesystem::path dir_ =
      std::filesystem::temp_directory_path() / ("weir-home-" + std::to_string(getpid()));
  const HomePaths paths_{dir_.string()};
  Config config_;
  LocalServicesOptions options_;
  std::string said_;
};

TEST_F(LocalServicesTest, TheFirstUserStartsThemTheLastOneEndsThem) {
  auto first = Acquire(config_);
  ASSERT_TRUE(first);
  EXPECT_NE(said_.find("private PostgreSQL"), std::string::npos) << said_;
  EXPECT_EQ(Ask(*first, "select count(*) from weir.jobs"), "0");
  EXPECT_TRUE(BrokerAnswers(first->Brokers()));
  Ask(*first, "create table kept (x int)");

  auto second = Acquire(config_);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->DatabaseUrl(), first->DatabaseUrl());
  first.reset();
  EXPECT_EQ(Ask(*second, "select count(*) from kept"), "0");
  second.reset();
  AwaitEnd();

  auto third = Acquire(config_);
  ASSERT_TRUE(third);
  EXPECT_EQ(Ask(*third, "select count(*) from kept"), "0");
}

TEST_F(LocalServicesTest, OnlyWhatIsNotConfiguredIsStarted) {
  config_.database_url = Secret("host=db.example");
  auto services = Acquire(config_);
  ASSERT_TRUE(services);
  EXPECT_EQ(services->DatabaseUrl(), "host=db.example");
  EXPECT_TRUE(BrokerAnswers(services->Brokers()));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "postgres"));

  // Another user wants the other part too: the same supervisor starts it.
  const pid_t supervisor = Supervisor();
  Config both = config_;
  both.database_url = Secret();
  auto more = Acquire(both);
  ASSERT_TRUE(more);
  EXPECT_EQ(Ask(*more, "select 1"), "1");
  EXPECT_EQ(Supervisor(), supervisor);
}

TEST_F(LocalServicesTest, NothingIsStartedWhereBothAreConfigured) {
  config_.database_url = Secret("host=db.example");
  config_.kafka_brokers = "kafka:9092";
  auto services = Acquire(config_);
  ASSERT_TRUE(services);
  EXPECT_EQ(services->Brokers(), "kafka:9092");
  EXPECT_FALSE(std::filesystem::exists(dir_));
}

TEST_F(LocalServicesTest, UpKeepsThemDownEndsThemAndNamesWhoIsLeft) {
  auto services = Acquire(config_);
  ASSERT_TRUE(services);
  ASSERT_TRUE(KeepServices(config_));
  const pid_t supervisor = Supervisor();
  services.reset();
  services = Acquire(config_);
  EXPECT_EQ(Supervisor(), supervisor);

  auto report = EndServices(config_, seconds(60));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->users, std::vector<pid_t>{getpid()});
  services.reset();
  report = EndServices(config_, seconds(60));
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->users.empty());
  EXPECT_FALSE(IsLocked(paths_.SupervisorLock()));
  report = EndServices(config_, seconds(60));
  EXPECT_FALSE(report->was_running);
}

TEST_F(LocalServicesTest, AKilledUserIsNoUser) {
  const pid_t pid = fork();
  if (pid == 0) {
    auto services = LocalServices::Acquire(
        config_, [](const std::string&) {}, options_);
    if (services) raise(SIGKILL);
    _exit(1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  AwaitEnd();
}

TEST_F(LocalServicesTest, AKilledSupervisorIsReplacedAndPostgresAdopted) {
  auto services = Acquire(config_);
  ASSERT_TRUE(services);
  const std::string postmaster = Ask(*services, "select pg_postmaster_start_time()");
  const pid_t killed = Supervisor();
  const std::string brokers = kafka::ResolveBrokers(services->Brokers());
  kill(killed, SIGKILL);
  Await([&] {
    services->Maintain();
    return Supervisor() != 0 && Supervisor() != killed && !ReadEndpoints(paths_.Endpoints())->brokers.empty();
  });
  EXPECT_EQ(Ask(*services, "select pg_postmaster_start_time()"), postmaster);
  EXPECT_NE(kafka::ResolveBrokers(services->Brokers()), brokers);
  EXPECT_TRUE(BrokerAnswers(services->Brokers()));
}

// Who stops the supervisor does not know that somebody uses it.
TEST_F(LocalServicesTest, ASupervisorThatIsAskedToEndIsReplacedWhileItIsUsed) {
  auto services = Acquire(config_);
  ASSERT_TRUE(services);
  const pid_t first = Supervisor();
  kill(first, SIGTERM);
  Await([&] {
    services->Maintain();
    const auto endpoints = ReadEndpoints(paths_.Endpoints());
    return endpoints && endpoints->supervisor != first && !endpoints->brokers.empty() &&
           !endpoints->database_url.empty();
  });
  EXPECT_EQ(Ask(*services, "select count(*) from weir.jobs"), "0");
  EXPECT_TRUE(BrokerAnswers(services->Brokers()));
}

// Someone took the mark away, as a supervisor does that could not start a part: it is asked for again.
TEST_F(LocalServicesTest, APartThatWasGivenUpIsAskedForAgain) {
  auto services = Acquire(config_);
  ASSERT_TRUE(services);
  unlink(paths_.WantPostgres().c_str());
  services->Maintain();
  EXPECT_TRUE(HasMark(paths_.WantPostgres()));
}

// It may live for days.
TEST_F(LocalServicesTest, TheSupervisorHoldsNoSecretAndNoFolderOfItsStarter) {
  setenv("CRM_TOKEN", "hidden", 1);
  auto services = Acquire(config_);
  unsetenv("CRM_TOKEN");
  ASSERT_TRUE(services);
  const std::string proc = "/proc/" + std::to_string(Supervisor());
  std::ifstream in(proc + "/environ");
  const std::string environment{std::istreambuf_iterator<char>(in), {}};
  EXPECT_NE(environment.find("PATH="), std::string::npos);
  EXPECT_EQ(environment.find("hidden"), std::string::npos);
  EXPECT_EQ(std::filesystem::read_symlink(proc + "/cwd"), "/");
}

// All that runs for long writes to logs that the supervisor cuts.
TEST_F(LocalServicesTest, TheLogsAreBoundedWhileTheirProgramsRun) {
  auto services = Acquire(config_);
  ASSERT_TRUE(services);
  const std::string server = config_.home + "/log/postgres.log";
  for (const std::string& log : {paths_.SupervisorLog(), paths_.BrokerLog(), server}) {
    // Of zeros, without taking room on the disk.
    std::filesystem::resize_file(log, 11 << 20);
    Await([&] { return std::filesystem::file_size(log) < 1 << 20; });
    std::filesystem::remove(log + ".1");
  }
  EXPECT_EQ(Ask(*services, "select 1"), "1");
}

TEST_F(LocalServicesTest, PartsThatDieAreStartedAgain) {
  auto services = Acquire(config_);
  ASSERT_TRUE(services);
  const std::string brokers = kafka::ResolveBrokers(services->Brokers());
  pg::EmbeddedPostgresOptions options;
  options.home = config_.home;
  const pid_t postmaster = pg::EmbeddedPostgres(options).RunningPid();
  kill(postmaster, SIGKILL);
  Await([&] {
    const pid_t now = pg::EmbeddedPostgres(options).RunningPid();
    return now != 0 && now != postmaster;
  });
  Await([&] {
    pg::SessionOptions database;
    database.url = services->DatabaseUrl();
    return pg::Session(database).Connect().has_value();
  });
  EXPECT_EQ(Ask(*services, "select count(*) from weir.jobs"), "0");
  EXPECT_EQ(kafka::ResolveBrokers(services->Brokers()), brokers);
}

TEST_F(LocalServicesTest, AFullDiskIsSaidAtOnce) {
  options_.free_space = [](const std::string&) { return std::uintmax_t{0}; };
  const auto services = LocalServices::Acquire(
      config_, [](const std::string&) {}, options_);
  ASSERT_FALSE(services);
  EXPECT_NE(services.error().message.find("is full"), std::string::npos) << services.error().message;
  EXPECT_NE(services.error().hint, "");
  EXPECT_EQ(Supervisor(), 0) << "nothing is begun";
}

TEST_F(LocalServicesTest, APartThatCannotBeStartedSaysWhy) {
  std::filesystem::create_directories(dir_ / "postgres");
  std::ofstream(dir_ / "postgres" / "PG_VERSION") << "8.4\n";
  auto services = LocalServices::Acquire(
      config_, [](const std::string&) {}, options_);
  ASSERT_FALSE(services);
  EXPECT_NE(services.error().message, "");
  EXPECT_EQ(services.error().message.find("come up in time"), std::string::npos) << services.error().message;
}

}  // namespace
}  // namespace weir
