// What a full sync of a location makes of records that are gone, that come back, and that are there although
// their upstream says otherwise; and what bounds do to it.
#include <gmock/gmock.h>
#include <signal.h>

#include "tests/e2e/highlevel.h"

namespace weir::e2e {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Not;

class HighLevelSweep : public HighLevel {
 protected:
  void TearDown() override {
    if (worker_) {
      worker_->Signal(SIGTERM);
      EXPECT_TRUE(worker_->Wait(kPatience));
    }
    HighLevel::TearDown();
  }
  // A worker that stays: many syncs follow one another.
  void Begin() {
    StartServices();
    worker_ = StartWorker();
  }
  Outcome Incremental(const Strings& more = {}) const {
    Strings arguments{"--workers", "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return SyncAll(arguments);
  }
  Outcome Full(const Strings& more = {}) const {
    Strings arguments{"--mode", "full"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Incremental(arguments);
  }
  std::int64_t Stale() const {
    return Number("select count(*) from highlevel.opportunities where stale_at is not null");
  }

  std::unique_ptr<Process> worker_;
};

TEST_F(HighLevelSweep, WhatIsGoneIsMarkedAndUnmarkedWhenItComesBack) {
  Location({{"add", 2000}});
  Begin();
  EXPECT_EQ(Full().Total("inserted"), 2000);
  Location({{"remove", 60}});
  const Outcome swept = Full();
  ExpectShape(swept, "succeeded");
  EXPECT_EQ(swept.Total("stale"), 60) << swept.out << swept.err;
  EXPECT_EQ(swept.Total("updated"), 0);
  EXPECT_EQ(Stale(), 60);
  ExpectCopy("highlevel", kLocation);
  // An incremental sync takes no mark back, nor sets one: it does not see what is gone.
  EXPECT_EQ(Incremental().Total("stale"), 0);
  EXPECT_EQ(Stale(), 60);
  Location({{"restore", true}});
  const Outcome back = Full();
  // Also where one stands at the edge of two slices that are read at once.
  EXPECT_EQ(back.Total("updated"), 60) << back.out;
  EXPECT_EQ(back.Total("stale"), 0);
  EXPECT_EQ(Stale(), 0);
  ExpectCopy("highlevel", kLocation);
}

TEST_F(HighLevelSweep, AnUpstreamThatLiesHasNothingMarked) {
  env_["WEIR_RETRY_BASE_DELAY"] = "10ms";
  env_["WEIR_RETRY_MAX_ATTEMPTS"] = "2";
  Location({{"add", 2000}});
  Begin();
  EXPECT_EQ(Full().Total("inserted"), 2000);
  // Few enough to be marked unasked; but who lies of the total is not to be believed in what is missing.
  Location({{"remove", 5}});
  for (const Json& lie : {Json{{"total_is", 0}}, Json{{"total_is", 7}}, Json{{"total_is", 1'000'000'000}},
                          Json{{"total_is", -1}, {"total_off", -900}}, Json{{"total_off", 900}}}) {
    Location(lie);
    const Outcome outcome = Full();
    // Who tells of more than came has no sweep at all.
    const bool more = lie.value("total_is", 0) > 2'000 || lie.value("total_off", 0) > 0;
    EXPECT_EQ(outcome.Status(), more ? 3 : 0) << lie << outcome.err;
    EXPECT_EQ(outcome.Total("stale"), 0) << lie << outcome.out;
    if (!more) {
      EXPECT_EQ(outcome.Account(kLocation)["sweep"]["state"], "refused") << lie << outcome.out;
    }
    EXPECT_EQ(Stale(), 0) << lie;
  }
  Location({{"total_off", 0}});
  Faults({{{"match", "limit=100"}, {"action", "repeat_page"}}});
  EXPECT_NE(Full().Status(), 0);
  EXPECT_EQ(Stale(), 0);
  Faults(Json::array());
  Location({{"remove", 2000}});  // an empty answer, and a total that agrees with it
  const Outcome empty = Full();
  EXPECT_EQ(empty.Account(kLocation)["sweep"]["state"], "refused") << empty.out;
  EXPECT_EQ(Stale(), 0);
  // Told the truth, it marks the five.
  Location({{"restore", true}, {"remove", 5}});
  EXPECT_EQ(Full().Total("stale"), 5);
  EXPECT_EQ(Stale(), 5);
}

// Pages shift while they are read: what moved is told, beside what came.
TEST_F(HighLevelSweep, TheDriftOfTheTotalIsTold) {
  Location({{"add", 3000}, {"churn", {{"every", 1}, {"remove", 4}, {"insert", 1}, {"times", 20}}}});
  Begin();
  const Outcome outcome = Full();
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  const Json total = outcome.Account(kLocation).value("total", Json::object());
  EXPECT_EQ(total.value("begin", 0), 3000) << outcome.out;
  EXPECT_EQ(total.value("end", 0), 2940);
  EXPECT_THAT(total.value("met", 0), AllOf(Ge(2920), Le(3020)));
  EXPECT_THAT(outcome.err, HasSubstr("told of 3,000 records at the beginning and of 2,940 at the end"));
  // Nothing moves: nothing is said.
  const Outcome still = Full();
  EXPECT_EQ(still.Account(kLocation)["total"], (Json{{"begin", 2940}, {"end", 2940}, {"met", 2940}}));
  EXPECT_THAT(still.err, Not(HasSubstr("told of")));
}

TEST_F(HighLevelSweep, BoundsInNumberAndTime) {
  Location({{"add", 1000}, {"from", "2024-01-01"}, {"to", "2024-04-10"}});  // ten a day
  Begin();
  const Outcome newest = Incremental({"--limit", "30"});
  ExpectShape(newest, "succeeded");
  EXPECT_EQ(newest.Total("inserted"), 30);
  EXPECT_EQ(newest.Total("stale"), 0);
  EXPECT_GE(Text("select min(created_at) from highlevel.opportunities"), "2024-04-0");
  const Outcome bounded = Full({"--since", "2024-02-01", "--until", "2024-02-11"});
  ExpectShape(bounded, "succeeded");
  EXPECT_EQ(
      Number("select count(*) from highlevel.opportunities where created_at >= '2024-02-01T00:00:00Z' and "
             "created_at < '2024-02-11T00:00:00Z'"),
      100);
  EXPECT_EQ(Number("select count(*) from highlevel.opportunities where created_at < '2024-02-01T00:00:00Z'"),
            0)
      << "older than asked for";
  EXPECT_EQ(bounded.Total("inserted"), 100);
  // A bounded sweep marks within its bounds only.
  Location({{"remove", 200}});
  const Outcome swept =
      Full({"--since", "2024-02-01", "--until", "2024-02-11", "--set", "sweep.max_stale_percent=100"});
  EXPECT_EQ(Number("select count(*) from highlevel.opportunities where stale_at is not null and not "
                   "created_at between '2024-02-01T00:00:00Z' and '2024-02-11T00:00:00Z'"),
            0);
  EXPECT_EQ(Stale(), swept.Total("stale")) << swept.err;
  EXPECT_GT(swept.Total("stale"), 5) << swept.out << swept.err;
}

// An import of one day, and its pages, are shared out over the lanes.
TEST_F(HighLevelSweep, ACrowdedDayIsCutAndLosesNothing) {
  Location({{"add", 300}});
  Location({{"add", 6000},
            {"from", "2024-05-05T10:00:00Z"},
            {"to", "2024-05-05T10:01:00Z"},
            {"churn", {{"every", 1}, {"remove", 3}, {"insert", 2}, {"update", 2}}}});
  Begin();
  const Outcome outcome = Full();
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  ExpectSurvivors();
  EXPECT_GE(Number("select count(distinct lo) from weir.tasks where kind = 6"), 12);
  EXPECT_EQ(Number("select count(distinct lane) from weir.tasks where kind = 6"), 4);
  EXPECT_EQ(Number("select count(*) - count(distinct id) from highlevel.opportunities"), 0);
}

// A page that comes empty, once, is no end: reading goes on from there. Who says again and again that more
// follows, and sends none, has a page that is not read; growth meanwhile hides none of it.
TEST_F(HighLevelSweep, AnEmptyPageThatIsNoEndLosesNothing) {
  env_["WEIR_SOURCES_HIGHLEVEL_SLICE_RECORDS"] = "5000";
  env_["WEIR_RETRY_BASE_DELAY"] = "10ms";
  env_["WEIR_RETRY_MAX_ATTEMPTS"] = "2";
  Location({{"add", 1000}});
  Begin();
  Json lie{{"match", "limit=100&startAfter"},
           {"action", "status"},
           {"status", 200},
           {"body", R"({"opportunities":[],"meta":{"total":1000}})"},
           {"nth", 4},
           {"times", 1}};
  Faults({lie});
  const Outcome first = Full();
  ExpectShape(first, "succeeded");
  EXPECT_EQ(first.Total("inserted"), 1000);
  ExpectCopy("highlevel", kLocation);
  Location({{"churn", {{"every", 1}, {"insert", 100}, {"times", 10}}}});
  Faults({lie});
  EXPECT_EQ(Full().Status(), 0);
  ExpectSurvivors();
  EXPECT_EQ(Stale(), 0);
  lie.erase("times");
  lie.erase("nth");
  Faults({lie});
  const Outcome partial = Full();
  ExpectShape(partial, "partial");
  EXPECT_EQ(partial.Status(), 3) << partial.err;
  EXPECT_EQ(Stale(), 0);
  Faults(Json::array());
  EXPECT_EQ(Weir({"replay", partial.json.at("job").dump(), "--all"}).Status(), 0);
  EXPECT_EQ(Full().Status(), 0);
  ExpectSurvivors();
  EXPECT_EQ(Stale(), 0);
}

// A deadline may come long before a plan of many questions is whole: all that was read stays read.
TEST_F(HighLevelSweep, WhatADeadlineCutOffGoesOnWhereverItStood) {
  env_["WEIR_SOURCES_HIGHLEVEL_SLICE_RECORDS"] = "100";
  env_["WEIR_SOURCES_HIGHLEVEL_LANES"] = "1";
  Location({{"add", 3000}});
  Begin();
  std::int64_t inserted = 0, unchanged = 0;
  for (const int pages : {6, 9}) {
    Faults({{{"match", "limit=100"}, {"action", "stall"}, {"after", -1}, {"nth", pages}, {"times", 1}}});
    const Outcome expired = Full({"--deadline", "3s"});
    EXPECT_EQ(expired.Status(), 8) << expired.err;
    Control("release", Json::object());
    inserted += expired.Total("inserted");
    unchanged += expired.Total("unchanged");
    EXPECT_EQ(Number("select count(*) from weir.job_accounts where planned"), 0) << "else this tests nothing";
  }
  Faults(Json::array());
  const Outcome done = Full();
  ExpectShape(done, "succeeded");
  EXPECT_EQ(inserted + done.Total("inserted"), 3000);
  // What was read is not read again, but for what stands at slices' edges: days overlap.
  EXPECT_LT(unchanged + done.Total("unchanged"), 300);
  ExpectCopy("highlevel", kLocation);
}

TEST_F(HighLevelSweep, TheOriginsNameForADeadlineWorks) {
  Location({{"add", 2000}});
  Begin();
  Faults({{{"match", "limit=100"}, {"action", "stall"}, {"after", -1}, {"nth", 5}, {"times", 1}}});
  env_["MAX_FUNCTION_RUNTIME"] = "3";
  const Outcome expired = Full();
  EXPECT_EQ(expired.Status(), 8) << expired.err;
  EXPECT_EQ(expired.json["state"], "expired");
  Control("release", Json::object());
  Faults(Json::array());
  env_["MAX_FUNCTION_RUNTIME"] = "9m";
  const Outcome done = Full();
  EXPECT_EQ(done.Status(), 0) << done.err;
  EXPECT_EQ(expired.Total("inserted") + done.Total("inserted"), 2000);
  EXPECT_EQ(
      Number(
          "select extract(epoch from deadline_at - created_at)::int from weir.jobs order by id desc limit 1"),
      540);
  ExpectCopy("highlevel", kLocation);
  env_["MAX_FUNCTION_RUNTIME"] = "soon";
  const Outcome wrong = Full();
  EXPECT_EQ(wrong.Status(), 2);
  EXPECT_THAT(wrong.err, HasSubstr("MAX_FUNCTION_RUNTIME"));
  env_.erase("MAX_FUNCTION_RUNTIME");
}

}  // namespace
}  // namespace weir::e2e
