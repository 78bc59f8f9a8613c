// ./dev bench still works: every part, as small as it goes. Its times are not looked at.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/process/process.h"

namespace weir::bench {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

process::RunResult Bench(std::vector<std::string> arguments) {
  process::SpawnOptions options;
  options.argv = {WEIR_BENCH_SCRIPT};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.env = {{"WEIR_BIN_DIR", WEIR_BENCH_BIN}};
  auto result = process::RunToEnd(options, process::Millis(240'000));
  if (!result) {
    ADD_FAILURE() << result.error().message;
    return {};
  }
  EXPECT_EQ(result->exit.code, 0) << result->err;
  return std::move(*result);
}

TEST(BenchTest, PrintsEachRatioBesideItsTarget) {
  const auto sync =
      Bench({"sync", "--records", "600", "--pairs", "2", "--case", "chesscom, pages of 500, 4"});
  EXPECT_THAT(sync.out, ContainsRegex("4 lanes: first sync +[0-9.]+ .*× +≥ 1.2× +(yes|NO)"));
  EXPECT_THAT(sync.out, ContainsRegex("4 lanes: second, unchanged +[0-9.]+ .*× +≥ 3.5× +(yes|NO)"));
  EXPECT_THAT(sync.out, ContainsRegex("rows rewritten +0 +0 +yes"));
}

TEST(BenchTest, MeasuresMemory) {
  const auto result = Bench({"memory", "--big-records", "12000", "--response-records", "2000"});
  EXPECT_THAT(result.out, ContainsRegex("12000 records: RSS +[1-9][0-9.]+ +≤ 28 +(yes|NO)"));
  EXPECT_THAT(result.out, ContainsRegex("12000 records: anonymous +[1-9][0-9.]+ +≤ 14 +(yes|NO)"));
  EXPECT_THAT(result.out, ContainsRegex("one response of 2000 records .*≤ 4 "));
}

TEST(BenchTest, PlansPageRanges) {
  const auto result = Bench({"plan", "--tasks", "3000"});
  EXPECT_THAT(result.out, ContainsRegex("tasks a second +[0-9.]+/s +≥ 50000/s"));
}

TEST(BenchTest, NotesIdsForASweep) {
  const auto result = Bench({"seen", "--ids", "3000"});
  EXPECT_THAT(result.out, ContainsRegex("of a COPY of the ids alone.* +[0-9.]+ +≤ 0.5 +(yes|NO)"));
}

TEST(BenchTest, DispatchesBesideAHistory) {
  const auto result = Bench({"history", "--history", "3000", "--pairs", "1"});
  EXPECT_THAT(result.out,
              ContainsRegex("tasks a second, of those without a history +[0-9.]+× +≥ 0.95× +(yes|NO)"));
  EXPECT_THAT(result.out, ContainsRegex("while the history is deleted +[0-9.]+×, [0-9]+ tasks gone"));
}

TEST(BenchTest, ReadsALocationOnce) {
  const auto result = Bench({"highlevel", "--opportunities", "3000"});
  EXPECT_THAT(result.out,
              ContainsRegex("worker's peak RSS over both syncs, MiB +[1-9][0-9.]+ +≤ 28 +(yes|NO)"));
  EXPECT_THAT(result.out, ContainsRegex("the producer's peak RSS, MiB +[1-9][0-9.]+ +≤ 32 +(yes|NO)"));
  EXPECT_THAT(result.out, ContainsRegex("requests; of two passes +[0-9]+; 60"));
}

TEST(BenchTest, AnUnknownPartIsAUsageError) {
  process::SpawnOptions options;
  options.argv = {WEIR_BENCH_SCRIPT, "nonsense"};
  options.env = {{"WEIR_BIN_DIR", WEIR_BENCH_BIN}};
  const auto result = process::RunToEnd(options, process::Millis(30'000));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->exit.code, 2);
  EXPECT_THAT(result->err, HasSubstr("unknown part: nonsense"));
}

}  // namespace
}  // namespace weir::bench
