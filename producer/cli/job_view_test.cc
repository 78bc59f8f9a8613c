#include "producer/cli/job_view.h"
#include "producer/cli/failure_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "producer/cli/fake_services.h"

namespace weir::cli {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> Keys(const ordered_json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

TEST(JobView, TheJsonOfAJobIsAsDocumented) {
  ledger::JobStatus job = MakeJob(12, "succeeded", {MakeAccount("Anna", "succeeded", 500)});
  job.accounts[0].counters.seconds = 1.23456;
  const ordered_json object = JobJson(job);
  EXPECT_EQ(Keys(object),
            (std::vector<std::string>{"job", "source", "stream", "mode", "state", "accounts", "totals"}));
  const std::vector<std::string> numbers = {"pages",     "fetched",  "inserted",   "updated",
                                            "unchanged", "rejected", "duplicates", "dead_pages",
                                            "stale",     "requests", "seconds"};
  std::vector<std::string> account = {"account", "state"};
  account.insert(account.end(), numbers.begin(), numbers.end());
  EXPECT_EQ(Keys(object["accounts"][0]), account);
  EXPECT_EQ(Keys(object["totals"]), numbers);
  EXPECT_EQ(object["job"], 12);
  EXPECT_EQ(object["accounts"][0]["pages"], 5);
  EXPECT_EQ(object["accounts"][0]["seconds"], 1.235);
  EXPECT_EQ(object["totals"]["inserted"], 500);
}

TEST(JobView, TheJsonOfAFailureIsAsDocumented) {
  ledger::Failure failure;
  failure.task = TaskId{3};
  failure.job = JobId{1};
  failure.account = "a\xff";  // not UTF-8: it must not stop the rest from being printed
  failure.error_class = "auth";
  const ordered_json object = FailureJson(failure);
  EXPECT_EQ(Keys(object), (std::vector<std::string>{"task", "job", "account", "page", "class", "http_status",
                                                    "attempts", "message", "hint"}));
  EXPECT_TRUE(object["http_status"].is_null());
  std::ostringstream out;
  PrintJson(out, object);
  EXPECT_THAT(out.str(), HasSubstr("a\xEF\xBF\xBD"));
}

TEST(JobView, TablesAlignAndShowNoControlCharacters) {
  Table table({{"NAME"}, {"N", true}});
  table.AddRow({"é\x1b[31m", std::int64_t{1234567}});
  table.AddRow({"longer name", std::int64_t{5}});
  std::ostringstream out;
  table.Print(out, false);
  EXPECT_EQ(out.str(),
            "NAME                 N\n"
            "é.[31m       1,234,567\n"
            "longer name          5\n");
}

// A narrow terminal would break the lines; what is not zero is always shown.
TEST(JobView, ANarrowTableLeavesColumnsOfZerosOut) {
  Table table({{"NAME"}, {"OLD", true, true}, {"BAD", true, true}, {"DEAD", true, true}, {"NEW", true}});
  table.AddRow({"a", std::int64_t{0}, std::int64_t{3}, std::int64_t{0}, std::int64_t{0}});
  const auto print = [&](int width) {
    std::ostringstream out;
    table.Print(out, false, width);
    return out.str();
  };
  const std::string whole =
      "NAME  OLD  BAD  DEAD  NEW\n"
      "a       0    3     0    0\n";
  EXPECT_EQ(print(0), whole);
  EXPECT_EQ(print(25), whole);
  EXPECT_EQ(print(24),
            "NAME  OLD  BAD  NEW\n"
            "a       0    3    0\n");
  EXPECT_EQ(print(5),
            "NAME  BAD  NEW\n"
            "a       3    0\n");
}

TEST(JobView, ColourOnlyWhenItIsWanted) {
  CliHarness cli;
  std::ostringstream out, err;
  Io io{&out, &err};
  PrintJobTable(io, MakeJob(1, "failed", {MakeAccount("a", "failed")}));
  EXPECT_THAT(out.str(), Not(HasSubstr("\x1b")));
  io.out_colour = true;
  PrintJobTable(io, MakeJob(1, "failed", {MakeAccount("a", "failed")}));
  EXPECT_THAT(out.str(), HasSubstr("\x1b[31mfailed\x1b[0m"));
}

TEST(JobView, RemarksNameWhatFailedAndWhatToDo) {
  auto failed = MakeAccount("bob", "failed");
  failed.error_class = "auth";
  failed.error_message = "the token was refused";
  failed.error_hint = "make a new one";
  auto job = MakeJob(7, "partial", {MakeAccount("a", "succeeded"), failed});
  job.totals.dead_pages = 2;
  job.totals.rejected = 1;
  std::ostringstream out, err;
  PrintJobRemarks({&out, &err}, job);
  EXPECT_EQ(out.str(), "");
  EXPECT_THAT(err.str(), HasSubstr("error: bob: the token was refused\nhint: make a new one\n"));
  EXPECT_THAT(err.str(), HasSubstr("warning: 1 record could not be stored"));
  EXPECT_THAT(err.str(), HasSubstr("weir replay 7 --all"));
  EXPECT_THAT(err.str(), Not(HasSubstr("deadline")));
  err.str("");
  PrintJobRemarks({&out, &err}, MakeJob(7, "expired", {MakeAccount("a", "expired")}));
  EXPECT_THAT(err.str(), HasSubstr("its deadline passed"));
}

TEST(JobView, TotalsThatMovedOrDoNotFitAreTold) {
  auto moved = MakeAccount("Moved", "succeeded");
  moved.total_before = 5'000;
  moved.total_after = 4'990;
  moved.met = 4'995;
  auto still = moved, odd = moved;
  still.account = "Still";
  still.total_after = 5'000;
  still.met = 5'000;
  odd.account = "Odd";
  odd.total_before = odd.total_after = 7;
  const auto job = MakeJob(7, "succeeded", {moved, still, odd, MakeAccount("silent", "succeeded")});
  std::ostringstream out, err;
  PrintJobRemarks({&out, &err}, job);
  EXPECT_EQ(
      err.str(),
      "Moved: the upstream told of 5,000 records at the beginning and of 4,990 at the end; 4,995 different "
      "ones came\n"
      "Odd: the upstream told of 7 records at the beginning and of 7 at the end; 4,995 different ones "
      "came\n");
  const ordered_json object = JobJson(job);
  EXPECT_EQ(object["accounts"][0]["total"], (ordered_json{{"begin", 5'000}, {"end", 4'990}, {"met", 4'995}}));
  EXPECT_FALSE(object["accounts"][3].contains("total"));
}

TEST(JobView, AReadThatFallsFarShortOfTheUpstreamsCountWarns) {
  auto far = MakeAccount("Far", "succeeded");
  far.estimate = 5'000;
  far.counters.fetched = 900;
  far.carried = 100;
  auto near = far, none = far, failed = far;
  near.account = "Near";
  near.carried = 3'100;
  none.account = "None";
  none.estimate.reset();
  failed.account = "Failed";
  failed.state = "partial";
  const auto job = MakeJob(7, "succeeded", {far, near, none, failed});
  std::ostringstream out, err;
  PrintJobRemarks({&out, &err}, job);
  EXPECT_EQ(err.str(),
            "warning: Far: the upstream counts about 5,000 records, and 1,000 came: some may be missing\n");
  const ordered_json object = JobJson(job);
  EXPECT_EQ(object["accounts"][0]["estimate"], (ordered_json{{"about", 5'000}, {"came", 1'000}}));
  EXPECT_FALSE(object["accounts"][1].contains("estimate"));
}

TEST(JobView, AnAccountThatIsNotProvenWholeSaysWhyOnce) {
  auto partial = MakeAccount("North", "partial");
  partial.incomplete_reason = "1400 different records came, and the upstream told of 1500";
  partial.total_before = partial.total_after = 1'500;
  partial.met = 1'400;
  const auto job = MakeJob(7, "partial", {partial, MakeAccount("South", "succeeded")});
  std::ostringstream out, err;
  PrintJobRemarks({&out, &err}, job);
  EXPECT_EQ(err.str(),
            "warning: North: not all of it may have been read: 1400 different records came, and the upstream "
            "told of 1500\ntry: the same sync again; it reads the whole account once more\n");
  const ordered_json object = JobJson(job);
  EXPECT_EQ(object["accounts"][0]["incomplete_reason"], partial.incomplete_reason);
  EXPECT_FALSE(object["accounts"][1].contains("incomplete_reason"));
}

TEST(Output, TheStatusOfAnAnswerIsSaidOnce) {
  std::ostringstream out, err;
  Error error = MakeError(ErrorClass::kGone, "HTTP 404: no such player", "check its spelling");
  error.http_status = 404;
  PrintError({&out, &err}, error, "weir sync --help");
  EXPECT_EQ(err.str(), "error: HTTP 404: no such player\nhint: check its spelling\ntry: weir sync --help\n");
  err.str("");
  error.message = "no such player";
  PrintError({&out, &err}, error);
  EXPECT_THAT(err.str(), HasSubstr("the upstream answered HTTP 404"));
}

TEST(Output, Shortening) {
  EXPECT_EQ(Shorten("abc", 3), "abc");
  EXPECT_EQ(Shorten("abcd", 3), "ab…");
  EXPECT_EQ(Shorten("äöüß", 3), "äö…");
  EXPECT_EQ(Shorten("abc", 0), "");
  EXPECT_EQ(Grouped(-1234567), "-1,234,567");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Counted(1, "page"), "1 page");
  EXPECT_EQ(Counted(0, "page"), "0 pages");
  EXPECT_EQ(Counted(2'000, "page"), "2,000 pages");
}

}  // namespace
}  // namespace weir::cli
