// A Kafka with logins and ACLs that refuses: what the user is told. A node of their own, since ACLs are for
// all.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>

#include <fstream>

#include "common/kafka/testing/kafka_control.h"
#include "tests/e2e/e2e.h"
#include "tests/e2e/own_kafka.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class RightsApacheKafka : public OnDatabase {
 protected:
  RightsApacheKafka() : OnDatabase(Broker::kEmbedded) {}
  void SetUp() override {
    OnDatabase::SetUp();
    kafka_ = OwnKafka::Start(dir_ + "/kafka", /*sasl=*/true);
    ASSERT_TRUE(kafka_);
    LogInAs("weir", "weir-password");
  }
  void TearDown() override {
    kafka_.reset();
    OnDatabase::TearDown();
  }
  static std::map<std::string, std::string> Login(const std::string& user, const std::string& password,
                                                  const std::string& mechanism = "PLAIN") {
    return {{"security.protocol", "sasl_plaintext"},
            {"sasl.mechanisms", mechanism},
            {"sasl.username", user},
            {"sasl.password", password}};
  }
  void LogInAs(const std::string& user, const std::string& password, const std::string& mechanism = "PLAIN") {
    std::ofstream file(dir_ + "/weir.yaml");
    file << "kafka:\n  brokers: " << kafka_->Brokers() << "\n  properties:\n";
    for (const auto& [name, value] : Login(user, password, mechanism))
      file << "    " << name << ": " << value << "\n";
  }
  void GrantWorkersTo(const std::string& user) const {
    kafka::ClientOptions admin;
    admin.brokers = kafka_->Brokers();
    admin.properties = Login("admin", "admin-password");
    const auto granted = kafka::testing::GrantGroup(admin, kafka::kWorkerGroup, user);
    ASSERT_TRUE(granted) << granted.error().message;
  }
  std::string WorkerLog() const {
    std::ifstream in(home_ + "/log/worker-1.log");
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::unique_ptr<OwnKafka> kafka_;
};

TEST_F(RightsApacheKafka, AUserWithoutReadOnTheGroupIsSaidByTheJobAndTheDoctor) {
  Players({"lichess/alice=100"});
  const Outcome fine = Sync("lichess", {"alice"}, {"--workers", "1"});
  EXPECT_EQ(fine.Status(), 0) << fine.err;
  GrantWorkersTo("User:another");
  AddGames("lichess", "alice", 3);
  const char* const said = "does not let this user read as one of group weir-workers";
  const Outcome refused = Sync("lichess", {"alice"}, {"--workers", "1"});
  EXPECT_EQ(refused.Status(), 1);
  EXPECT_THAT(refused.err, HasSubstr(said));
  EXPECT_THAT(refused.err, HasSubstr("kafka-acls --add"));
  EXPECT_THAT(refused.err, HasSubstr("run the same sync again"));
  const std::string log = WorkerLog();
  const auto first = log.find(said);
  EXPECT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find(said, first + 1), std::string::npos) << "it is said once a minute:\n" << log;
  const Outcome doctor = Weir({"doctor", "--output", "json"});
  EXPECT_THAT(doctor.out, HasSubstr(said)) << doctor.err;

  // Workers elsewhere may have the same user: the sync says so and waits for them.
  const auto waits = StartSync("lichess", {"alice"}, {"--workers", "0"});
  EXPECT_TRUE(waits->WaitForErr(said, kPatience)) << waits->Err();
  EXPECT_TRUE(waits->Running());
  waits->Signal(SIGTERM);
  EXPECT_EQ(Finish(*waits).Status(), 143);

  GrantWorkersTo("User:weir");
  const Outcome granted = Sync("lichess", {"alice"}, {"--workers", "1"});
  EXPECT_EQ(granted.Status(), 0) << granted.err;
  EXPECT_EQ(granted.Total("inserted"), 3);
}

// The right is taken away in the middle of a job, when requests have been made.
TEST_F(RightsApacheKafka, ARightThatIsTakenAwayIsSaidByTheSyncThatGoesOnAndByServe) {
  Players({"chesscom/bob=300"});
  Faults({{{"match", "/games/2"}, {"action", "stall"}, {"skip", 3}}});
  const auto first = StartSync("chesscom", {"bob"}, {"--workers", "1"});
  ASSERT_TRUE(Await("exists (select from weir.tasks where kind <> 0 and state = 'done')"));
  first->Signal(SIGTERM);
  EXPECT_EQ(Finish(*first).Status(), 143);
  Faults(Json::array());
  GrantWorkersTo("User:another");
  const char* const said = "does not let this user read as one of group weir-workers";
  const Outcome refused = Sync("chesscom", {"bob"}, {"--workers", "1"});
  EXPECT_EQ(refused.Status(), 1) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("going on with job"));
  EXPECT_THAT(refused.err, HasSubstr(said));
  // The job is open; nothing but `weir serve` is there to say so.
  const auto serve = Start("weir", {"serve", "--port", "0", "--set", "metrics.port=0"});
  EXPECT_TRUE(serve->WaitForErr(said, kPatience)) << serve->Err();
  serve->Signal(SIGTERM);
  Finish(*serve);
  GrantWorkersTo("User:weir");
  EXPECT_EQ(Sync("chesscom", {"bob"}, {"--workers", "1"}).Status(), 0);
  ExpectCopy("chesscom", "bob");
}

TEST_F(RightsApacheKafka, ALoginThatIsRefusedIsSaidInItsOwnWords) {
  Players({"lichess/alice=100"});
  struct Case {
    const char* password;
    const char* mechanism;
    const char* message;
    const char* hint;
  };
  for (const Case& c :
       {Case{"wrong-one", "PLAIN", "refuses the login", "sasl.password"},
        Case{"weir-password", "SCRAM-SHA-256", "does not take this SASL mechanism", "sasl.mechanisms"}}) {
    LogInAs("weir", c.password, c.mechanism);
    const Outcome doctor = Weir({"doctor"});
    EXPECT_EQ(doctor.Status(), 1) << doctor.out;
    EXPECT_THAT(doctor.out, HasSubstr(c.message));
    EXPECT_THAT(doctor.out, HasSubstr(c.hint));
    const auto sync = StartSync("lichess", {"alice"}, {"--workers", "1"});
    EXPECT_TRUE(
        sync->WaitForErr(fmt::format("waiting: Kafka at {} {}", kafka_->Brokers(), c.message), kPatience))
        << sync->Err();
    EXPECT_TRUE(
        process::WaitUntil([&] { return WorkerLog().find(c.message) != std::string::npos; }, kPatience))
        << WorkerLog();
    sync->Signal(SIGTERM);
    const Outcome outcome = Finish(*sync);
    EXPECT_EQ(outcome.Status(), 143);
    EXPECT_THAT(outcome.err + doctor.out + WorkerLog(), Not(HasSubstr("wrong-one")));
  }
  // Nobody listens there.
  env_["WEIR_KAFKA_BROKERS"] = "127.0.0.1:1";
  const Outcome away = Weir({"doctor"});
  EXPECT_THAT(away.out, HasSubstr("Kafka at 127.0.0.1:1 cannot be reached"));
  EXPECT_THAT(away.out, HasSubstr("refused"));
}

}  // namespace
}  // namespace weir::e2e
