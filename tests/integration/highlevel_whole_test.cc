// Nothing of HighLevel counts as read without proof that it is whole. Each test has the upstream answer with
// less than was asked for. The oracle: the table equals the upstream or the job has not succeeded, nothing
// live is marked stale, and the next sync brings what was missed.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <stdlib.h>

#include <nlohmann/json.hpp>

#include "common/base/time_text.h"
#include "tests/integration/worker_fixture.h"
#include "tests/support/upstream/highlevel_api.h"
#include "tests/support/upstream/upstream_check.h"

namespace weir::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr const char* kLocation = "LocNorth";

class HighLevelWhole : public WorkerFixture {
 protected:
  HighLevelWhole() {
    ::setenv("WEIR_TEST_HL_TOKEN", "pit-good", 1);
    SourceConfig& source = config_.sources["highlevel"];
    source.base_url = upstream_.url();
    source.retry_after_floor = std::chrono::milliseconds(1);
    source.quota = "";
    AccountConfig account;
    account.name = kLocation;
    account.source = "highlevel";
    account.secret_refs["token"] = "env:WEIR_TEST_HL_TOKEN";
    config_.accounts.push_back(account);
    config_.max_attempts = 3;
    config_.batch_records = 500;
  }

  void Location(Json settings) {
    settings["location"] = kLocation;
    sim::SetHighLevel(upstream_.world(), settings);
  }
  void Slip(const char* kind, int at, int times) {
    Location({{"slip", {{"kind", kind}, {"at", at}, {"times", times}}}});
  }
  void NoSlip() { Slip("", 1, 0); }
  void SliceRecords(int records) {
    config_.sources["highlevel"].params["slice_records"] = std::to_string(records);
  }
  void Fault(const Json& rule) { ASSERT_TRUE(upstream_.SetFaults(rule.dump())); }
  void NoFaults() { ASSERT_TRUE(upstream_.SetFaults(R"({"rules":[]})")); }
  // Changes `count` records at a moment that the next sync's window holds.
  void Update(int count) { Location({{"update", count}, {"at", FormatTime(clock_.UnixMillis() - 1'000)}}); }
  ledger::JobStatus Read(std::optional<JobMode> mode = std::nullopt, const char* stream = "opportunities",
                         Filter filter = {}) {
    auto request = Request("highlevel", {kLocation});
    request.stream = stream;
    request.mode = mode;
    request.filter = filter;
    return Sync(request);
  }
  ledger::JobStatus Full() { return Read(JobMode::kFull); }
  // `count` opportunities that a full sync has read.
  void Begin(int count) {
    Location({{"add", count}});
    ASSERT_EQ(Read().state, "succeeded");
    ExpectCopy();
  }
  void ExpectCopy() {
    ExpectEqualsUpstream("highlevel", kLocation);
    EXPECT_EQ(Stale(), "0");
  }
  void ExpectWhole(const ledger::JobStatus& job, const std::string& what = {}) {
    EXPECT_EQ(job.state, "succeeded") << what << " " << Why();
    ExpectCopy();
  }
  std::string Stale() {
    return Text("select count(*) from highlevel.opportunities where stale_at is not null");
  }
  std::string Why() {
    return Text(
        "select coalesce(string_agg(distinct concat_ws(' ', error_class, error_message, error_hint), '; '), "
        "'') from weir.tasks where state = 'dead'");
  }
};

TEST_F(HighLevelWhole, APageThatRepeatsItsPredecessorIsReadAgain) {
  Location({{"add", 1500}});
  Slip("repeat", 7, 1);
  const auto again = Read();
  ExpectWhole(again);
  EXPECT_EQ(again.totals.inserted, 1500);
  SliceRecords(300);
  Slip("repeat", 7, 1'000'000);
  const auto partial = Full();
  EXPECT_EQ(partial.state, "partial");
  EXPECT_GT(partial.totals.dead_pages, 0);
  EXPECT_THAT(Why(), HasSubstr("transient the place to go on from is not that of the page's last record"));
  EXPECT_EQ(Stale(), "0");
  NoSlip();
  ExpectWhole(Full());
}

// In which way a cursor is left out, and where a slice seems to end, changes nothing.
TEST_F(HighLevelWhole, PagesWithoutACursorOrRecordsLoseNothing) {
  SliceRecords(300);
  Location({{"add", 1500}, {"cursor_at_end", false}});
  for (const char* kind : {"no_cursor", "empty", "empty_total", "short"}) {
    for (const int at : {1, 2, 6}) {
      Text("delete from highlevel.opportunities");
      Slip(kind, at, 1);
      ExpectWhole(Full(), fmt::format("{} at {}", kind, at));
    }
  }
}

TEST_F(HighLevelWhole, WhetherPagesOfChangesCountFrom0Or1IsNotAsked) {
  Begin(600);
  for (const int first : {0, 1}) {
    Location({{"first_page", first}});
    Update(25);
    const auto job = Read();
    EXPECT_EQ(job.mode, "incremental");
    ExpectWhole(job);
    EXPECT_GE(job.totals.updated, 20);
  }
}

TEST_F(HighLevelWhole, AnEmptyOrShortPageOfChangesIsNotTheWholeWindow) {
  Begin(600);
  for (const char* kind : {"empty", "empty_total", "short"}) {
    Update(40);
    Slip(kind, 1, 1);
    ExpectWhole(Read(), kind);
  }
  // Who tells of changes and sends none has a window that is not read: the next sync asks for it again.
  Update(40);
  Slip("empty", 1, 1'000'000);
  EXPECT_EQ(Read().state, "failed");
  EXPECT_THAT(Why(), HasSubstr("more changes, and sends none of them"));
  NoSlip();
  ExpectWhole(Read());
}

TEST_F(HighLevelWhole, AnUpstreamThatCapsItsPagesOrTellsNoTotalLosesNothing) {
  Begin(1'000);
  for (const Json& mode :
       {Json{{"most", 100}}, Json{{"most", 30}}, Json{{"total_told", false}},
        Json{{"search_after", false}, {"most", 0}}, Json{{"search_after", true}, {"total_told", true}}}) {
    Location(mode);
    // Some share a moment, more than a capped page of them.
    for (const char* at : {"2026-06-01", "2026-06-02T03:04:05.678Z", "2026-06-02T03:04:05.679Z"})
      Location({{"update", mode.contains("search_after") ? 20 : 60}, {"at", at}});
    Text("delete from weir.read_ranges");
    Text("update weir.full_syncs set began_ms = 1770000000000");
    const auto job = Read();
    EXPECT_EQ(job.mode, "incremental");
    ExpectWhole(job, mode.dump());
  }
}

// What changed before the upstream's clock reached ours was claimed as read, or lay before the full sync's
// beginning.
TEST_F(HighLevelWhole, AClockOfOursThatIsAheadLosesNoChange) {
  Location({{"add", 600}});
  constexpr std::int64_t kAhead = 2 * 3'600'000;
  for (const char* mode : {"full", "incremental", "incremental", "incremental"}) {
    auto request = Request("highlevel", {kLocation});
    request.stream = "opportunities";
    request.now_ms = clock_.UnixMillis() + kAhead;
    const auto job = Sync(request);
    EXPECT_EQ(job.mode, mode);
    ExpectWhole(job);
    Update(40);
  }
  EXPECT_LE(std::stoll(Text("select began_ms from weir.full_syncs")), clock_.UnixMillis());
  EXPECT_LE(std::stoll(Text("select coalesce(max(upper(ranges)), 0) from weir.read_ranges")),
            clock_.UnixMillis());
}

// A moment in which more changed than a page holds is read behind its last record.
TEST_F(HighLevelWhole, AMomentLargerThanAPageIsReadBySearchAfterOrNotTakenForRead) {
  Begin(1'000);
  Location({{"most", 100}});
  Update(400);
  ExpectWhole(Read());
  Location({{"search_after", false}});
  Update(400);
  EXPECT_NE(Read().state, "succeeded");
  EXPECT_THAT(Why(), AllOf(HasSubstr("changed in one moment"), HasSubstr("--mode full")));
  ExpectWhole(Full());
}

TEST_F(HighLevelWhole, AnEnumerationThatFallsShortOfTheTotalsIsPartial) {
  Begin(1'500);
  Location({{"hide_every", 15}});
  const auto partial = Full();
  EXPECT_EQ(partial.state, "partial");
  EXPECT_THAT(
      partial.accounts[0].incomplete_reason,
      HasSubstr("1400 different records came, and the upstream told of 1500 at the beginning and 1500"));
  EXPECT_EQ(partial.accounts[0].sweep, "");
  EXPECT_EQ(Stale(), "0") << "what is hidden is there";
  // The same again: whoever hides records hides the same ones, and claims nothing by it.
  const std::string claimed = Text("select job_id from weir.full_syncs");
  const auto again = Full();
  EXPECT_EQ(again.state, "partial");
  EXPECT_THAT(again.accounts[0].incomplete_reason,
              AllOf(HasSubstr("1400 different records came"), HasSubstr("as in the full sync before")));
  EXPECT_EQ(Text("select job_id from weir.full_syncs"), claimed);
  EXPECT_EQ(Stale(), "0");
  Location({{"hide_every", 0}});
  ExpectWhole(Full());
  // A total that grows while it is asked for tells of records that never came, one that falls does not.
  Location({{"total_drift", 3}});
  EXPECT_EQ(Full().state, "partial");
  Location({{"total_off", 0}, {"total_drift", -3}});
  ExpectWhole(Full());
}

// As many are created and read as never come: the totals met at the beginning are reached all the same.
TEST_F(HighLevelWhole, GrowthDuringTheSyncHidesNoLoss) {
  Begin(1'500);
  Location({{"hide_every", 15}, {"churn", {{"every", 1}, {"insert", 20}, {"times", 10}}}});
  const auto partial = Full();
  EXPECT_EQ(partial.state, "partial");
  EXPECT_GT(partial.accounts[0].met, 1'500);
  EXPECT_THAT(partial.accounts[0].incomplete_reason, HasSubstr("told of 1500 at the beginning and 1700"));
  EXPECT_EQ(partial.accounts[0].sweep, "");
  EXPECT_EQ(Stale(), "0") << "what is hidden is there";
  Location({{"hide_every", 0}, {"churn", {{"every", 0}}}});
  ExpectWhole(Full());
}

TEST_F(HighLevelWhole, DeletionsDuringTheSyncAreNoLoss) {
  SliceRecords(300);
  Begin(1'500);
  for (const Json& churn : {Json{{"every", 1}, {"remove", 20}, {"times", 10}},
                            Json{{"every", 1}, {"remove", 20}, {"insert", 5}, {"times", 10}}}) {
    Location({{"churn", churn}});
    const auto job = Full();
    EXPECT_EQ(job.state, "succeeded") << churn << job.accounts[0].incomplete_reason << Why();
    const auto check =
        sim::CheckUpstream(upstream_.url(), session_, {"highlevel", kLocation, "untouched=true"});
    ASSERT_TRUE(check);
    EXPECT_EQ(check->missing + check->different, 0) << check->Summary();
  }
}

// The first sync of an account that was not read whole is not followed by one that reads changes only.
TEST_F(HighLevelWhole, AfterAPartialFullSyncTheNextOneIsFull) {
  Location({{"add", 900}, {"hide_every", 9}});
  EXPECT_EQ(Read().state, "partial");
  Location({{"hide_every", 0}});
  const auto next = Read();
  EXPECT_EQ(next.mode, "full");
  EXPECT_EQ(next.totals.inserted, 100);
  ExpectWhole(next);
}

// As many come as go: the totals are alike, and yet not all came that were there at the beginning.
TEST_F(HighLevelWhole, TotalsThatDriftBecauseRecordsComeAndGoAreExplained) {
  SliceRecords(500);
  Location({{"add", 3000}, {"churn", {{"every", 1}, {"remove", 5}, {"insert", 5}}}});
  for (int i = 0; i < 2; ++i) {
    const auto job = Full();
    EXPECT_EQ(job.state, "succeeded") << job.accounts[0].incomplete_reason << Why();
    const auto check =
        sim::CheckUpstream(upstream_.url(), session_, {"highlevel", kLocation, "untouched=true"});
    ASSERT_TRUE(check);
    EXPECT_EQ(check->missing + check->different, 0) << check->Summary();
  }
}

TEST_F(HighLevelWhole, TheNewestEndWhereTheUpstreamHasNoMore) {
  Location({{"add", 250}});
  Filter filter;
  filter.limit = 400;
  for (const char* kind : {"empty", "short", "no_cursor"}) {
    Text("delete from highlevel.opportunities");
    Slip(kind, 2, 1);
    ExpectWhole(Read(std::nullopt, "opportunities", filter), kind);
  }
}

Json Answer(const char* match, const char* body, int status = 200) {
  return {{"match", match},
          {"action", "status"},
          {"status", status},
          {"content_type", "application/json"},
          {"body", body}};
}

constexpr const char* kError = R"({"statusCode":500,"message":"Internal server error"})";

TEST_F(HighLevelWhole, AnErrorThatCameAsASuccessIsNoAnswer) {
  Begin(500);
  // The first question, and the last one: its answer is the end's proof.
  for (const char* match : {"limit=1", "limit=1&startAfter"}) {
    Json once = Answer(match, kError);
    once["times"] = 1;
    Fault(once);
    ExpectWhole(Full(), match);
  }
  // A last question that gets no answer at all: every page came, and still it is not proven.
  Fault(Answer("limit=1&startAfter", kError));
  const auto partial = Full();
  EXPECT_EQ(partial.state, "partial") << Why();
  EXPECT_EQ(partial.accounts[0].error_class, "transient");
  Fault(Answer("limit=1&startAfter", R"({"message":"no"})", 422));
  EXPECT_EQ(Full().state, "partial");
  EXPECT_EQ(Stale(), "0");
}

TEST_F(HighLevelWhole, AnotherStatusThan200IsNoAnswer) {
  Begin(300);
  for (const int status : {201, 202, 204, 206, 304}) {
    Fault(Answer("limit=100", R"({"opportunities":[],"meta":{"total":0}})", status));
    EXPECT_NE(Full().state, "succeeded") << status;
    Update(10);
    Json changes = Answer("/opportunities/search", R"({"opportunities":[],"total":0})", status);
    changes["method"] = "POST";
    Fault(changes);
    EXPECT_NE(Read(JobMode::kIncremental).state, "succeeded") << status;
    EXPECT_EQ(Stale(), "0") << status;
    NoFaults();
    ExpectWhole(Read());
  }
}

TEST_F(HighLevelWhole, PipelinesThatWereThereAMomentAgoAreNotGone) {
  Location({{"add", 1}, {"pipelines", 12}});
  Json none = Answer("/pipelines", R"({"pipelines":[]})");
  none["nth"] = 2;
  none["times"] = 1;
  Fault(none);
  const auto job = Read(JobMode::kFull, "pipelines");
  EXPECT_EQ(job.state, "succeeded") << Why();
  EXPECT_EQ(job.totals.inserted, 12);
  // As many as there were a moment ago, and all of them the same one.
  std::string copies;
  for (int i = 0; i < 12; ++i)
    copies += std::string(i > 0 ? "," : "") + R"({"id":"pipe0000000000000000","name":"x","stages":[]})";
  Text("delete from highlevel.pipelines");
  Json twice = Answer("/pipelines", (R"({"pipelines":[)" + copies + "]}").c_str());
  twice["nth"] = 2;
  twice["times"] = 1;
  Fault(twice);
  EXPECT_EQ(Read(JobMode::kFull, "pipelines").state, "succeeded") << Why();
  EXPECT_EQ(Text("select count(*) from highlevel.pipelines"), "12");
  none.erase("times");
  none.erase("nth");
  none["skip"] = 1;
  Fault(none);
  EXPECT_NE(Read(JobMode::kFull, "pipelines").state, "succeeded");
  Fault(Answer("/pipelines", kError));
  EXPECT_NE(Read(JobMode::kFull, "pipelines").state, "succeeded");
  EXPECT_EQ(Text("select count(*) from highlevel.pipelines where stale_at is not null"), "0");
}

// A run that is cut off after some requests, and the next one that goes on.
class HighLevelDeadline : public HighLevelWhole {
 protected:
  // Works on the sync until the upstream was asked `requests` times more; then its deadline passes.
  void Run(std::int64_t requests) {
    auto request = Request("highlevel", {kLocation});
    request.stream = "opportunities";
    request.mode = JobMode::kFull;
    // How many questions a plan takes to the days that are crowded depends on the day.
    request.now_ms = 1'796'040'000'000;
    Worker worker(this, fmt::format("worker-{}", ++runs_));
    const JobId job = Open(request);
    const std::int64_t until = Asked() + requests;
    while (Asked() < until) {
      Text("update weir.lanes set not_before = null");
      for (const auto& task : Ready()) worker.Deliver(task);
      ASSERT_GT(worker.scheduler.Queued(), 0U) << "it has ended";
      while (worker.scheduler.Queued() > 0 && Asked() < until) worker.RunOnce();
    }
    Text("update weir.jobs set deadline_at = now() where id = " + std::to_string(job.value));
    EndJobs();
    EXPECT_EQ(ledger::GetJob(session_, job)->state, "expired");
    ASSERT_TRUE(worker.keeper.ReleaseAll(session_));
  }
  std::int64_t Asked() { return std::stoll(Text("select coalesce(sum(requests), 0) from weir.tasks")); }
  std::int64_t Rows() { return std::stoll(Text("select count(*) from highlevel.opportunities")); }

  int runs_ = 0;
};

// A plan of a hundred slices does not come before its pages: each run brings rows, however short it is.
TEST_F(HighLevelDeadline, APlanAndItsPagesTakeTurns) {
  SliceRecords(100);
  for (const int lanes : {1, 4}) {
    config_.sources["highlevel"].lanes = lanes;
    // Spread evenly; nearly all in the last days; nearly all in one minute long ago.
    for (const auto& [from, to] : {std::pair("2018-01-01", "2026-01-01"),
                                   {"2025-12-01", "2026-01-01"},
                                   {"2018-03-01T10:00:00Z", "2018-03-01T10:01:00Z"}}) {
      Text("truncate weir.jobs, weir.seen, weir.full_syncs, highlevel.opportunities cascade");
      Location({{"remove", 1'000'000}});
      Location({{"add", 20}, {"from", "2014-01-01"}, {"to", "2018-01-01"}});
      Location({{"add", 9'980}, {"from", from}, {"to", to}});
      std::int64_t rows = 0;
      for (int run = 0; run < 3; ++run) {
        Run(12);
        EXPECT_GT(Rows(), rows) << from << " lanes " << lanes << " run " << run;
        rows = Rows();
      }
      EXPECT_EQ(Text("select count(*) from weir.job_accounts where planned"), "0")
          << "else this tests nothing";
    }
  }
}

}  // namespace
}  // namespace weir::testing
