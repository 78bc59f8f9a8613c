// 64 MB for each program, enforced by the kernel: an allocation past it fails, and who does not expect that
// ends.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "tests/faults/fault_fixture.h"

namespace weir::faults {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kLimit = 64 << 20;

class ApacheKafkaMemory : public FaultTest {
 protected:
  // RLIMIT_DATA needs no privilege: private memory that can be written, touched or not, threads' stacks
  // included. That is stricter than a container's limit, which counts what is touched.
  static Strings Limited(std::int64_t bytes) {
    return {"prlimit", fmt::format("--data={}:{}", bytes, bytes), "--"};
  }
  static std::string Proc(const Process& process, const char* file) {
    std::ifstream in(fmt::format("/proc/{}/{}", process.pid(), file));
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  static void ExpectWithin(const Process& process) {
    ASSERT_TRUE(process.Running()) << process.Err();
    EXPECT_THAT(Proc(process, "limits"), HasSubstr(fmt::format("Max data size             {}", kLimit)));
    EXPECT_THAT(Proc(process, "cmdline"), HasSubstr("weir"));
    EXPECT_LT(PeakKib(process.pid()) * 1024, kLimit);
    EXPECT_GT(PeakKib(process.pid()), 0);
    const std::string status = Proc(process, "status");
    fmt::print("peak {} KiB resident, {}\n", PeakKib(process.pid()),
               status.substr(status.find("VmData"), status.find("VmStk") - status.find("VmData")));
  }
};

// Hostile answers on all lanes, a plan of many tasks, and Kafka full of them.
TEST_F(ApacheKafkaMemory, SixtyFourMegabytesAreEnough) {
  env_["WEIR_RETRY_MAX_ATTEMPTS"] = "2";
  env_["WEIR_LIMITS_IDLE_TIMEOUT"] = "2s";
  env_["WEIR_LIMITS_MAX_RESPONSE_BYTES"] = "128MiB";
  under_ = Limited(kLimit / 16);
  const Member& none = StartWorker();
  ASSERT_TRUE(none.process->Wait(kPatience)) << "the limit does not hold here";
  EXPECT_FALSE(none.process->WaitForErr("partitions assigned", Millis(0)));
  members_.clear();
  under_ = Limited(kLimit);
  StartProducer();
  StartWorkers(2);
  Faults(Json::array({{{"match", "/games/user/bomb"}, {"action", "gzip_bomb"}},
                      {{"match", "/games/user/spaces"}, {"action", "endless"}, {"with", "spaces"}},
                      {{"match", "/games/user/one"}, {"action", "endless"}, {"with", "one_record"}},
                      {{"match", "/api/user/userbomb"}, {"action", "gzip_bomb"}}}));
  const Strings hostile{"bomb", "spaces", "one", "userbomb"};
  for (const auto& name : hostile) ASSERT_TRUE(upstream_.AddPlayer("lichess/" + name + "=10"));
  Enqueue("lichess", hostile);
  Make({"lichess", "alice", 8'000});
  Make({"chesscom", "hikaru", 8'000});
  Enqueue("lichess", {"alice"});
  Enqueue("chesscom", {"hikaru"});
  ASSERT_TRUE(AwaitEnded(Millis(180'000)));
  ExpectCopies();
  ExpectLimitsKept();
  EXPECT_EQ(Number("select count(*) from weir.rejects"), 0);
  EXPECT_EQ(Number("select count(*) from weir.tasks where state not in ('done', 'dead')"), 0);
  EXPECT_EQ(Number("select count(*) from weir.job_accounts where state = 'failed'"),
            static_cast<std::int64_t>(hostile.size()));
  ExpectWithin(*producer_);
  for (const auto& member : members_) ExpectWithin(*member->process);
  ExpectLagGone();
}

}  // namespace
}  // namespace weir::faults
