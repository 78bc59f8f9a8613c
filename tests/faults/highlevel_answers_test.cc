// HighLevel on Apache Kafka with three workers: what an answer can do wrong, a location each.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include "tests/faults/highlevel_pool.h"

namespace weir::faults {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::Le;

constexpr std::int64_t kMostKib = 48 << 10;

class ApacheKafkaHighLevelAnswers : public HighLevelPool {
 protected:
  void Prepare(const Strings& locations) {
    Configure(locations);
    for (const std::string& location : locations) Location(location, {{"add", 600}});
  }
  void AskAll(const Strings& locations) {
    for (const std::string& location : locations) jobs_[location] = Ask(location);
  }
  std::string DeadOf(const std::string& location) const {
    return Text(fmt::format(
        "select coalesce(string_agg(distinct error_class, ' '), '') from weir.tasks where account = '{}' "
        "and state = 'dead'",
        location));
  }
  void ExpectSmallWorkers() const {
    ASSERT_EQ(members_.size(), 3u);
    for (const auto& member : members_) {
      ASSERT_TRUE(member->process->Running());
      EXPECT_THAT(PeakKib(member->process->pid()), AllOf(Ge(1), Le(kMostKib)));
    }
  }
  // A rule for the pages of a location, not for the questions for its total.
  static Json OnPages(const std::string& location, Json rule) {
    rule["regex"] = location + ".*limit=100";
    return rule;
  }
  std::map<std::string, std::int64_t> jobs_;
};

TEST_F(ApacheKafkaHighLevelAnswers, WhatPassesIsTriedAgain) {
  const Strings all{"LocFine",  "LocErrors",  "LocShort", "LocChunked",  "LocClosed",
                    "LocReset", "LocSeconds", "LocDate",  "LocNegative", "LocText"};
  Prepare(all);
  env_["WEIR_LANES_INITIAL_DELAY"] = "20ms";
  env_["WEIR_LANES_MAX_DELAY"] = "100ms";
  const auto refused = [](const std::string& location, const char* retry_after) {
    return OnPages(location,
                   {{"action", "status"}, {"status", 429}, {"retry_after", retry_after}, {"times", 2}});
  };
  const auto cut = [](const std::string& location, const char* framing) {
    return OnPages(location, {{"action", "truncate"}, {"after", 9'000}, {"framing", framing}, {"times", 3}});
  };
  Faults({OnPages("LocErrors", {{"action", "status"}, {"status", 500}, {"times", 3}}),
          cut("LocShort", "length"), cut("LocChunked", "chunked"), cut("LocClosed", "close"),
          OnPages("LocReset", {{"action", "reset"}, {"after", 9'000}, {"times", 3}}),
          refused("LocSeconds", "1"), refused("LocDate", "date:+2"), refused("LocNegative", "-30"),
          refused("LocText", "soon")});
  StartCluster();
  AskAll(all);
  ASSERT_TRUE(AwaitEnded());
  for (const std::string& location : all) {
    EXPECT_EQ(StateOf(jobs_[location]), "succeeded") << location;
    ExpectCopy("highlevel", location);
    EXPECT_EQ(Number("select sum(inserted) from weir.tasks where account = '" + location + "'"), 600)
        << location;
  }
  EXPECT_EQ(Number("select sum(attempts) from weir.tasks where account in "
                   "('LocFine', 'LocSeconds', 'LocDate', 'LocNegative', 'LocText')"),
            0)
      << "throttling costs no attempt";
  EXPECT_EQ(Answered("429"), 8);
  // libcurl itself asks again when a connection it used before turns out to be dead.
  EXPECT_THAT(Number("select sum(attempts) from weir.tasks"), AllOf(Ge(12), Le(15)));
  ExpectCountersAddUp();
  ExpectLagGone();
}

// A Retry-After of centuries is believed for an hour, and is that location's alone.
TEST_F(ApacheKafkaHighLevelAnswers, AnAbsurdWaitIsBoundedAndHoldsUpNobodyElse) {
  const Strings all{"LocFine", "LocAbsurd"};
  Prepare(all);
  Faults({OnPages("LocAbsurd",
                  {{"action", "status"}, {"status", 429}, {"retry_after", "99999999999999999999"}})});
  StartCluster();
  AskAll(all);
  ASSERT_TRUE(
      Await("count(*) >= 1 from weir.lanes where meter like '%LocAbsurd%' and waiting_for = 'throttled' and "
            "not_before between now() + interval '59 min' and now() + interval '61 min'"));
  ASSERT_TRUE(Await(fmt::format("state = 'succeeded' from weir.jobs where id = {}", jobs_["LocFine"])));
  ExpectCopy("highlevel", "LocFine");
  EXPECT_EQ(Weir({"cancel", std::to_string(jobs_["LocAbsurd"])}).Status(), 0);
  ASSERT_TRUE(AwaitEnded());
  EXPECT_EQ(StateOf(jobs_["LocAbsurd"]), "cancelled");
  ExpectLagGone();
}

TEST_F(ApacheKafkaHighLevelAnswers, WhatIsHostileHarmsNobody) {
  sim::SampleUpstream elsewhere;
  ASSERT_TRUE(elsewhere.Start());
  const Strings all{"LocFine", "LocHtml", "LocPoison", "LocBomb",    "LocSpaces",
                    "LocOne",  "LocAway", "LocFake",   "LocUnknown", "LocClosedDown"};
  Prepare(all);
  env_["WEIR_RETRY_MAX_ATTEMPTS"] = "2";
  env_["WEIR_LIMITS_MAX_RESPONSE_BYTES"] = "64MiB";
  Faults({OnPages("LocHtml", {{"action", "html"}, {"times", 1}}),
          OnPages("LocPoison", {{"action", "poison"}, {"records", {"all"}}, {"at", 1}, {"times", 1}}),
          OnPages("LocBomb", {{"action", "gzip_bomb"}}),
          OnPages("LocSpaces", {{"action", "endless"}, {"with", "spaces"}}),
          OnPages("LocOne", {{"action", "endless"}, {"with", "one_record"}}),
          OnPages("LocFake", {{"action", "fake404"}}),
          {{"match", "LocUnknown"},
           {"action", "status"},
           {"status", 404},
           {"body", R"({"message":"Not found"})"}},
          {{"match", "LocClosedDown"}, {"action", "status"}, {"status", 410}},
          OnPages("LocAway",
                  {{"action", "redirect"}, {"location", elsewhere.url() + "/opportunities/search"}})});
  StartCluster();
  AskAll(all);
  ASSERT_TRUE(AwaitEnded());
  for (const char* whole : {"LocFine", "LocPoison"}) {
    EXPECT_EQ(StateOf(jobs_[whole]), "succeeded") << whole << " " << DeadOf(whole);
    ExpectCopy("highlevel", whole);
  }
  EXPECT_EQ(Number("select count(*) from weir.rejects where account = 'LocPoison'"), 8);
  for (const char* dead : {"LocHtml", "LocBomb", "LocSpaces", "LocOne", "LocAway", "LocFake"}) {
    EXPECT_NE(StateOf(jobs_[dead]), "succeeded") << dead;
    EXPECT_NE(DeadOf(dead), "") << dead;
  }
  EXPECT_EQ(DeadOf("LocHtml"), "transient");
  EXPECT_NE(DeadOf("LocFake"), "gone") << "a page of somebody's web server says nothing of a location";
  for (const char* gone : {"LocUnknown", "LocClosedDown"}) {
    EXPECT_EQ(StateOf(jobs_[gone]), "failed") << gone;
    EXPECT_EQ(DeadOf(gone), "gone") << gone;
  }
  EXPECT_EQ(Number("select count(*) from highlevel.opportunities where stale_at is not null"), 0);
  EXPECT_TRUE(elsewhere.world().traffic.Log().empty()) << "a token went astray";
  ExpectSmallWorkers();
  ExpectLagGone();
  // Mended, replayed, whole.
  Faults(Json::array());
  EXPECT_EQ(Weir({"replay", std::to_string(jobs_["LocHtml"]), "--all"}).Status(), 0);
  ASSERT_TRUE(AwaitEnded());
  EXPECT_EQ(StateOf(jobs_["LocHtml"]), "succeeded");
  ExpectCopy("highlevel", "LocHtml");
}

}  // namespace
}  // namespace weir::faults
