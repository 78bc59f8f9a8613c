#include "common/kafka/partition_share.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

namespace weir::kafka {
namespace {

using std::chrono::milliseconds;

class PartitionShareTest : public ::testing::Test {
 protected:
  PartitionShareTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "weir-share-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~PartitionShareTest() override { std::filesystem::remove_all(directory_); }

  PartitionShare::Options Options(int expected = 1, const std::string& broker = "one") const {
    PartitionShare::Options options;
    options.path = directory_ + "/members";
    options.broker = broker;
    options.expected = expected;
    return options;
  }
  std::unique_ptr<PartitionShare> Join(PartitionShare::Options options) {
    auto share = PartitionShare::Join(std::move(options), clock_);
    EXPECT_TRUE(share) << share.error().message;
    return share ? std::move(*share) : nullptr;
  }
  std::unique_ptr<PartitionShare> Join(int expected = 1) { return Join(Options(expected)); }

  // A member in another process, which is killed: its slot's lock goes, what it wrote stays.
  void JoinAndDie() {
    const pid_t pid = fork();
    if (pid == 0) {
      auto share = PartitionShare::Join(Options(), clock_);
      (void)share.value().release();
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_EQ(status, 0);
  }

  // How many of 48 partitions each turn has; every partition must have just one owner.
  static std::vector<int> Shares(const std::vector<PartitionShare::Turn>& turns) {
    std::vector<int> shares(turns.size());
    for (int p = 0; p < 48; ++p) {
      int owners = 0;
      for (std::size_t i = 0; i < turns.size(); ++i) {
        if (!turns[i].Mine(p)) continue;
        ++owners;
        ++shares[i];
      }
      EXPECT_EQ(owners, 1) << "of partition " << p;
    }
    return shares;
  }

  std::string directory_;
  ManualClock clock_;
};

TEST_F(PartitionShareTest, EachPartitionHasOneOwner) {
  auto a = Join();
  EXPECT_THAT(Shares({a->Look()}), ::testing::ElementsAre(48));
  auto b = Join(), c = Join();
  EXPECT_THAT(Shares({a->Look(), b->Look(), c->Look()}), ::testing::ElementsAre(16, 16, 16));
}

TEST_F(PartitionShareTest, WhoLeavesIsReplacedAtOnce) {
  auto a = Join(), b = Join();
  EXPECT_THAT(Shares({a->Look(), b->Look()}), ::testing::ElementsAre(24, 24));
  a.reset();
  EXPECT_THAT(Shares({b->Look()}), ::testing::ElementsAre(48));
}

TEST_F(PartitionShareTest, AKilledMembersSlotIsKeptForItsReplacement) {
  JoinAndDie();
  auto b = Join();
  // It has the dead one's slot, and so its partitions.
  EXPECT_THAT(Shares({b->Look()}), ::testing::ElementsAre(48));
  JoinAndDie();
  EXPECT_EQ(b->Look().members, 2);
  EXPECT_FALSE(b->Look().Mine(1));
  auto c = Join();
  EXPECT_THAT(Shares({b->Look(), c->Look()}), ::testing::ElementsAre(24, 24));
}

TEST_F(PartitionShareTest, WithoutAReplacementTheOthersTakeOver) {
  auto a = Join();
  JoinAndDie();
  clock_.Advance(Options().grace - milliseconds(1));
  EXPECT_EQ(a->Look().members, 2);
  clock_.Advance(milliseconds(1));
  EXPECT_EQ(a->Look().members, 1);
}

TEST_F(PartitionShareTest, AStoppedMemberIsLeftOutAndLearnsOfIt) {
  auto a = Join(), stopped = Join();
  EXPECT_FALSE(stopped->Look().lost);
  for (milliseconds t{0}; t < Options().stale; t += milliseconds(100)) {
    EXPECT_EQ(a->Look().members, 2);
    clock_.Advance(milliseconds(100));
  }
  EXPECT_EQ(a->Look().members, 1);
  const PartitionShare::Turn back = stopped->Look();
  EXPECT_TRUE(back.lost);
  EXPECT_THAT(Shares({a->Look(), back}), ::testing::ElementsAre(24, 24));
  EXPECT_FALSE(stopped->Look().lost);
}

TEST_F(PartitionShareTest, MembersThatStartTogetherKeepRoomForEachOther) {
  auto a = Join(2);
  const PartitionShare::Turn alone = a->Look();
  EXPECT_FALSE(alone.Mine(1));
  auto b = Join(2);
  EXPECT_THAT(Shares({alone, b->Look()}), ::testing::ElementsAre(24, 24));
  // One that does not come is not waited for.
  b.reset();
  clock_.Advance(Options().settle);
  EXPECT_THAT(Shares({a->Look()}), ::testing::ElementsAre(48));
}

TEST_F(PartitionShareTest, WhatAMachineLeftBehindBeforeItStartedIsNoMember) {
  clock_.Advance(std::chrono::hours(100));
  JoinAndDie();
  ManualClock young;
  auto share = PartitionShare::Join(Options(), young);
  ASSERT_TRUE(share);
  auto second = PartitionShare::Join(Options(), young);
  ASSERT_TRUE(second);
  EXPECT_EQ((*second)->Look().members, 2);
  second->reset();
  EXPECT_EQ((*share)->Look().members, 1);
}

TEST_F(PartitionShareTest, OffsetsAreKeptForTheSameBrokerOnly) {
  auto a = Join();
  EXPECT_EQ(a->Offset(0, 0), std::nullopt);
  a->StoreOffset(0, 0, 0);
  a->StoreOffset(1, 47, 123'456'789'012);
  auto b = Join();
  EXPECT_EQ(b->Offset(0, 0), 0);
  EXPECT_EQ(b->Offset(1, 47), 123'456'789'012);
  EXPECT_EQ(b->Offset(1, 46), std::nullopt);
  auto other = Join(Options(1, "two"));
  EXPECT_EQ(other->Offset(1, 47), std::nullopt);
  // A member that has not seen yet that the broker was replaced does no harm to those that have.
  other->StoreOffset(1, 47, 5);
  a->StoreOffset(1, 47, 9);
  EXPECT_EQ(other->Offset(1, 47), std::nullopt);
}

TEST_F(PartitionShareTest, AFileThatCannotBeUsedIsAnError) {
  PartitionShare::Options options = Options();
  options.path = directory_ + "/none/members";
  const auto nowhere = PartitionShare::Join(options, clock_);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().error_class, ErrorClass::kBroker);
  EXPECT_THAT(nowhere.error().message, ::testing::HasSubstr("No such file"));
}

TEST_F(PartitionShareTest, MoreMembersThanSlotsAreRefused) {
  std::vector<std::unique_ptr<PartitionShare>> all;
  for (int i = 0; i < PartitionShare::kSlots; ++i) all.push_back(Join());
  const auto one_more = PartitionShare::Join(Options(), clock_);
  ASSERT_FALSE(one_more);
  EXPECT_THAT(one_more.error().message, ::testing::HasSubstr("256 workers"));
}

}  // namespace
}  // namespace weir::kafka
