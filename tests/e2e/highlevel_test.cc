// A CRM's location as a user syncs it: whole and by its changes, while records come, go and change, and while
// its upstream does all that it can do wrong. The oracle: every record that was there all the time is in the
// table as it stands upstream, and none is there twice.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include <fstream>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Not;

constexpr const char* kLocation = "LocNorth0000000000aa";
constexpr const char* kStream = "highlevel/opportunities";

class HighLevel : public OnDatabase {
 protected:
  void SetUp() override {
    OnDatabase::SetUp();
    env_["HL_TOKEN"] = "pit-good";
    env_["WEIR_SOURCES_HIGHLEVEL_QUOTA"] = "1000/1s";
    env_["WEIR_SOURCES_HIGHLEVEL_SLICE_RECORDS"] = "500";
    env_["WEIR_SOURCES_HIGHLEVEL_TASK_PAGES"] = "3";
    Configure("");
  }

  // weir.yaml with the account and what else stands in it.
  void Configure(const std::string& more, const std::string& secrets = "{token: env:HL_TOKEN}") const {
    std::ofstream(dir_ + "/weir.yaml")
        << "accounts:\n  - {name: " << kLocation << ", source: highlevel, secrets: " << secrets << "}\n"
        << more;
  }
  void Location(Json settings) const {
    settings["location"] = settings.value("location", kLocation);
    Control("highlevel", settings);
  }
  Json Facts() const { return Control(fmt::format("highlevel?location={}", kLocation)); }
  Outcome SyncAll(const Strings& more = {}) const { return Sync(kStream, {kLocation}, more); }

  // Of the records that nobody touched while they were read, none is missing or different.
  void ExpectSurvivors() const {
    pg::SessionOptions options;
    options.url = DatabaseUrl();
    pg::Session session(options);
    const auto result =
        sim::CheckUpstream(upstream_.url(), session, {"highlevel", kLocation, "untouched=true"});
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->missing, 0) << result->Summary();
    EXPECT_EQ(result->different, 0) << result->Summary();
  }
};

TEST_F(HighLevel, AFullSyncIsCutIntoSlicesAndCopiesAll) {
  Location({{"add", 5000}});
  StartServices();
  const Outcome outcome = SyncAll();
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  ExpectShape(outcome, "succeeded");
  EXPECT_EQ(outcome.Total("inserted"), 5000) << outcome.out;
  ExpectCopy("highlevel", kLocation);
  // 50 pages and at most one more at each slice's end; slices were cut, by few questions.
  EXPECT_THAT(Requests("highlevel.search"), AllOf(Ge(50), Le(75)));
  EXPECT_THAT(Requests("highlevel.total"), AllOf(Ge(5), Le(30)));
  EXPECT_GT(Number("select count(distinct lo) from weir.tasks where kind = 6"), 5);
  EXPECT_EQ(Number("select count(distinct lane) from weir.tasks where kind = 6"), 4);
  EXPECT_EQ(
      Text("select count(*) from highlevel.opportunities where value is not null and contact_email like "
           "'%@example.org' and jsonb_typeof(custom_fields) = 'array' and created_at is not null"),
      "5000");
  // Once more: nothing is written.
  const Outcome again = SyncAll({"--mode", "full"});
  EXPECT_EQ(again.Total("unchanged"), again.Total("fetched")) << again.out;
  EXPECT_EQ(Number("select count(*) from highlevel.opportunities where updated_at <> first_seen_at"), 0);
}

TEST_F(HighLevel, RecordsThatComeGoAndChangeMeanwhileHideNoOther) {
  Location({{"add", 5000}, {"churn", {{"every", 1}, {"remove", 7}, {"insert", 5}, {"update", 6}}}});
  StartServices();
  const Outcome outcome = SyncAll();
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  ExpectShape(outcome, "succeeded");
  const Json facts = Facts();
  EXPECT_GT(facts.at("removed").get<int>(), 300);
  EXPECT_GT(facts.at("updated").get<int>(), 200);
  ExpectSurvivors();
  EXPECT_EQ(Number("select count(*) - count(distinct id) from highlevel.opportunities"), 0);
}

}  // namespace
}  // namespace weir::e2e
