#include "producer/cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "producer/cli/fake_services.h"
#include "producer/cli/progress_printer.h"

namespace weir::cli {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

ledger::AccountStatus Running(std::string name, std::int64_t fetched, std::int64_t done,
                              std::int64_t planned) {
  auto account = MakeAccount(std::move(name), "running", fetched);
  account.finished_tasks = done;
  account.planned_tasks = planned;
  account.planned = true;
  account.counters.seconds = 10;
  return account;
}

TEST(Progress, EachAccountHasItsLine) {
  auto waiting = Running("thibault", 200, 1, 4);
  waiting.waiting_for = "throttled";
  waiting.waiting_ms = 40'500;
  auto discovering = MakeAccount("carl", "running");
  auto open_plan = Running("dora", 10, 1, 2);
  open_plan.planned = false;
  auto gone = MakeAccount("eve", "failed");
  gone.error_class = "gone";
  gone.error_message = "no such player";
  RateMeter rates;
  auto job = MakeJob(12, "running",
                     {Running("DrNykterstein", 1'000, 2, 10), waiting, discovering, open_plan, gone,
                      MakeAccount("frank", "succeeded", 5), MakeAccount("gina", "queued")});
  rates.Observe(job, milliseconds(0));
  job.accounts[0].counters.fetched += 500;
  job.totals.fetched += 500;
  rates.Observe(job, milliseconds(5'000));
  EXPECT_THAT(
      RenderProgress(job, rates, {100, 8, false}),
      ElementsAre(
          "lichess/games  job 12  running  2/7 accounts  100/s  12s",
          "  12 pages  1,715 retrieved  1,215 inserted  0 updated  0 unchanged",
          "  DrNykterstein  running    2/10 pages       1,500 records    100/s  ETA 35s",
          "  thibault       running     1/4 pages         200 records           waiting for limit 41s",
          "  carl           running       - pages           0 records           asking how much there is",
          "  dora           running    1/2+ pages          10 records",
          "  eve            failed        - pages           0 records           gone: no such player",
          "  frank          succeeded     - pages           5 records           in 4s",
          "  gina           queued        - pages           0 records"));
}

TEST(Progress, HeightAndWidthAreBounded) {
  std::vector<ledger::AccountStatus> accounts;
  for (int i = 0; i < 200; ++i)
    accounts.push_back(MakeAccount("account number " + std::to_string(i), i < 150 ? "succeeded" : "queued"));
  accounts.push_back(Running("the one that runs, with a very long name indeed \x1b[2J", 5, 1, 2));
  const auto job = MakeJob(1, "running", accounts);
  const auto lines = RenderProgress(job, RateMeter(), {60, 3, false});
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_THAT(lines[2], HasSubstr("the one that runs"));  // what happens comes first
  EXPECT_EQ(lines[5], "  and 198 more: 48 queued, 150 succeeded");
  for (const std::string& line : lines) {
    EXPECT_LE(DisplayWidth(line), 60);
    EXPECT_THAT(line, Not(HasSubstr("\x1b")));
  }
}

TEST(Progress, NumbersShareTimeLeftAndMemory) {
  auto counted = Running("a", 300, 2, 3);
  counted.total_before = 1'200;
  counted.counters.pages = 3;
  counted.counters.inserted = 100;
  counted.counters.updated = 40;
  counted.counters.unchanged = 160;
  auto job = MakeJob(1, "running", {counted});
  job.seconds = 10;
  const ProgressMemory memory{18 << 20, 2, 41 << 20, 21 << 20};
  EXPECT_EQ(
      RenderProgress(job, RateMeter(), {200, 8, false}, memory).at(1),
      "  3 pages  300 retrieved  100 inserted  40 updated  160 unchanged  25%  ETA 30s  memory 18 MiB, 2 "
      "workers 41 MiB");
  EXPECT_THAT(RenderProgressLines(job, RateMeter(), memory).at(0),
              HasSubstr("160 unchanged  25%  ETA 30s  memory 18"));
}

TEST(Progress, TheShareIsOfWhatTheUpstreamTellsElseOfThePlan) {
  auto counted = Running("a", 900, 1, 50);
  counted.total_before = 1'000;
  auto planned = Running("b", 5, 1, 2);
  EXPECT_DOUBLE_EQ(*DoneShare(MakeJob(1, "running", {counted})), 0.9);
  EXPECT_DOUBLE_EQ(*DoneShare(MakeJob(1, "running", {counted, planned})), 0.7);
  planned.planned = false;
  EXPECT_FALSE(DoneShare(MakeJob(1, "running", {counted, planned})));
  counted.counters.fetched = 1'100;  // slices overlap, or the upstream lied
  EXPECT_LT(*DoneShare(MakeJob(1, "running", {counted})), 1);
  counted.state = "succeeded";
  EXPECT_EQ(*DoneShare(MakeJob(1, "running", {counted})), 1);
  EXPECT_FALSE(DoneShare(MakeJob(1, "queued", {})));
}

// A job that goes on with an expired one's work: what that one read is done, and this one's pace is its own.
TEST(Progress, WhatWasCarriedOnCounts) {
  auto account = Running("a", 300, 2, 3);
  account.total_before = 1'200;
  account.carried = 600;
  auto job = MakeJob(1, "running", {account});
  job.seconds = 10;
  EXPECT_DOUBLE_EQ(*DoneShare(job), 0.75);
  EXPECT_THAT(RenderProgressLines(job, RateMeter()).at(0), HasSubstr("75%  ETA 10s"));
  job.state = job.accounts[0].state = "expired";
  EXPECT_DOUBLE_EQ(*DoneShare(job), 0.75) << "not the whole, though nothing goes on";
  EXPECT_THAT(RenderProgressLines(job, RateMeter()).at(0), HasSubstr("75%"));
  job.accounts[0].total_before.reset();
  EXPECT_FALSE(DoneShare(job));
}

TEST(Progress, RatesForgetWhatIsLongAgo) {
  RateMeter rates;
  auto job = MakeJob(1, "running", {Running("a", 0, 0, 1)});
  for (int second = 0; second <= 30; ++second) {
    // 1,000 a second at first, then 10.
    job.accounts[0].counters.fetched += second <= 10 ? 1'000 : 10;
    rates.Observe(job, milliseconds(second * 1'000));
  }
  EXPECT_NEAR(rates.Of("a"), 10, 0.5);
  EXPECT_EQ(rates.Of("unknown"), 0);
}

// For logs: who is at work, and whose end was not told yet, with what is planned of each.
TEST(Progress, LinesTellOfTheAccountsAtWorkAndOfEachEndOnce) {
  auto waiting = Running("thibault", 200, 1, 4);
  waiting.waiting_for = "throttled";
  waiting.waiting_ms = 40'500;
  const auto job = MakeJob(12, "running",
                           {Running("DrNykterstein", 1'000, 2, 10), waiting, MakeAccount("gina", "queued"),
                            MakeAccount("frank", "succeeded", 500), MakeAccount("hal", "succeeded", 5)});
  EXPECT_THAT(
      RenderProgressLines(job, RateMeter(), {}, {"hal"}),
      ElementsAre("lichess/games  job 12  running  2/5 accounts  0/s  12s  17 pages  1,705 retrieved  "
                  "1,705 inserted  0 updated  0 unchanged",
                  "  DrNykterstein  running    2/10 pages       1,000 records",
                  "  thibault       running     1/4 pages         200 records           waiting for "
                  "limit 41s",
                  "  frank          succeeded     - pages         500 records           in 4s",
                  "  and 2 more: 1 queued, 1 succeeded"));
  // Nobody is at work, and all was told: the job's own line says it.
  EXPECT_EQ(RenderProgressLines(MakeJob(1, "queued", {MakeAccount("a", "queued")}), RateMeter()).size(), 1u);
  const auto over = MakeJob(1, "succeeded", {MakeAccount("a", "succeeded", 5)});
  EXPECT_EQ(RenderProgressLines(over, RateMeter(), {}, {"a"}).size(), 1u);
}

TEST(Progress, LinesAreEightAccountsAtMostThoseThatMoveFirst) {
  std::vector<ledger::AccountStatus> accounts;
  for (int i = 0; i < 30; ++i) accounts.push_back(Running("a" + std::to_string(i), 100, 1, 9));
  auto job = MakeJob(1, "running", accounts);
  RateMeter rates;
  rates.Observe(job, milliseconds(0));
  job.accounts[29].counters.fetched += 70;
  job.accounts[28].waiting_for = "quota";
  job.accounts[28].waiting_ms = 9'000;
  rates.Observe(job, milliseconds(1'000));
  const auto lines = RenderProgressLines(job, rates);
  ASSERT_EQ(lines.size(), 10u);
  EXPECT_EQ(lines[1], "  a28  running    1/9 pages         100 records           waiting for limit 9s");
  EXPECT_EQ(lines[2], "  a29  running    1/9 pages         170 records     70/s  ETA 11s");
  EXPECT_THAT(lines[3], HasSubstr("  a0 "));
  EXPECT_EQ(lines[9], "  and 22 more: 22 running");
}

TEST(ProgressPrinter, WithoutATerminalItWritesPlainLinesNowAndThen) {
  std::ostringstream out, err;
  ProgressPrinter printer({&out, &err});
  auto job = MakeJob(1, "running", {Running("a", 100, 1, 2), MakeAccount("b", "succeeded", 7)});
  job.accounts[0].waiting_for = "throttled";
  job.accounts[0].waiting_ms = 3'000;
  for (int ms = 0; ms < 9'000; ms += 500) printer.Update(job, milliseconds(ms));
  job.state = job.accounts[0].state = "succeeded";
  printer.Update(job, milliseconds(9'000));
  printer.Clear();
  const std::string text = err.str();
  const auto count = [&text](const std::string& what) {
    int n = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
    return n;
  };
  EXPECT_EQ(count("lichess/games  job 1"), 3) << text;  // at 0, at 5 s, at the end
  EXPECT_EQ(count("  a  running    1/2 pages"), 2) << text;
  EXPECT_EQ(count("waiting for limit 3s"), 2) << text;
  EXPECT_EQ(count("  a  succeeded  1/2 pages"), 1) << text;
  EXPECT_EQ(count("  b  succeeded"), 1) << text;
  EXPECT_EQ(count("  and 1 more: 1 succeeded"), 2) << text;
  EXPECT_EQ(count("\n"), 9) << text;
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_EQ(out.str(), "");
}

TEST(ProgressPrinter, OnATerminalItRedrawsInPlaceAndCleansUp) {
  std::ostringstream out, err;
  Io io{&out, &err};
  io.err_is_terminal = true;
  ProgressPrinter printer(io);
  const auto job = MakeJob(1, "running", {Running("a", 100, 1, 2)});
  printer.Update(job, milliseconds(0));
  EXPECT_THAT(err.str(), Not(HasSubstr("A\r")));
  printer.Update(job, milliseconds(100));
  EXPECT_THAT(err.str(), HasSubstr("\x1b[3A\r"));
  err.str("");
  printer.Clear();
  EXPECT_EQ(err.str(), "\x1b[3A\r\x1b[J");
  printer.Clear();
  EXPECT_EQ(err.str(), "\x1b[3A\r\x1b[J");
  err.str("");
  printer.PrintPeaks();
  EXPECT_THAT(err.str(), testing::MatchesRegex("memory at most: weir [0-9]+ MiB\n"));
}

}  // namespace
}  // namespace weir::cli
