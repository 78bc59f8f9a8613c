#include <set>

#include "tests/support/upstream/upstream_test.h"

namespace weir::sim {
namespace {

class HighLevelApi : public UpstreamTest {
 protected:
  static ClientRequest With(const std::string& version = "2021-07-28", const std::string& token = "pit") {
    ClientRequest request;
    request.headers = {{"User-Agent", "weir-test (ops@example.org)"},
                       {"Version", version},
                       {"Authorization", "Bearer " + token}};
    return request;
  }
  Json Search(const std::string& query) const {
    const auto answer = Ask(With(), "/opportunities/search?location_id=loc&" + query);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Json::parse(answer.body, nullptr, false);
  }
};

TEST_F(HighLevelApi, CursorsGoThroughAllInOrderAndOneAloneRepeatsTheFirstPage) {
  Control("highlevel", {{"location", "loc"}, {"add", 250}});
  std::set<std::string> ids;
  std::string cursor;
  std::int64_t before = 0;
  for (int page = 0; page < 3; ++page) {
    const Json answer = Search("order=added_asc&limit=100" + cursor);
    EXPECT_EQ(answer["meta"]["total"], 250);
    for (const Json& o : answer["opportunities"]) ids.insert(o["id"]);
    EXPECT_GE(answer["meta"]["startAfter"].get<std::int64_t>(), before);
    before = answer["meta"]["startAfter"];
    cursor = "&startAfter=" + answer["meta"]["startAfter"].dump() +
             "&startAfterId=" + answer["meta"]["startAfterId"].get<std::string>();
  }
  EXPECT_EQ(ids.size(), 250U);
  EXPECT_TRUE(Search("order=added_asc&limit=100" + cursor)["opportunities"].empty());
  const Json first = Search("order=added_asc&limit=5");
  const Json half = Search("order=added_asc&limit=5&startAfter=" + first["meta"]["startAfter"].dump());
  EXPECT_EQ(half["opportunities"][0]["id"], first["opportunities"][0]["id"]);
}

TEST_F(HighLevelApi, CasingFollowsTheVersion) {
  Control("highlevel", {{"location", "loc"}, {"add", 3}});
  EXPECT_EQ(Ask(With("v3"), "/opportunities/search?location_id=loc").status, 422);
  EXPECT_EQ(Ask(With("v3"), "/opportunities/search?locationId=loc").status, 200);
  EXPECT_EQ(Ask(With(), "/opportunities/search?locationId=loc").status, 422);
  EXPECT_EQ(Ask(With(), "/opportunities/search?location_id=nobody").status, 403);
  EXPECT_EQ(Ask(With("v3", "bad"), "/opportunities/search?locationId=loc").status, 401);
}

TEST_F(HighLevelApi, DaysAreTheLocationsOwn) {
  // Two records, at 04:30 and 05:30 UTC: with five hours west, two days.
  Control(
      "highlevel",
      {{"location", "loc"}, {"add", 1}, {"from", "2024-03-02T04:30:00Z"}, {"to", "2024-03-02T04:30:01Z"}});
  Control(
      "highlevel",
      {{"location", "loc"}, {"add", 1}, {"from", "2024-03-02T05:30:00Z"}, {"to", "2024-03-02T05:30:01Z"}});
  EXPECT_EQ(Search("date=03-02-2024")["meta"]["total"], 1);
  EXPECT_EQ(Search("date=03-01-2024&endDate=03-01-2024")["meta"]["total"], 1);
  Control("highlevel", {{"location", "loc"}, {"end_counts", false}});
  EXPECT_EQ(Search("date=03-01-2024&endDate=03-01-2024")["meta"]["total"], 0);
}

TEST_F(HighLevelApi, ARefreshTokenIsGoodOnce) {
  Control("highlevel", {{"location", "loc"},
                        {"add", 1},
                        {"static_token", false},
                        {"client_id", "c"},
                        {"client_secret", "s"},
                        {"refresh_token", "rt-0"}});
  EXPECT_EQ(Ask(With(), "/opportunities/search?location_id=loc").status, 401);
  ClientRequest form = With();
  form.method = "POST";
  form.body = "grant_type=refresh_token&client_id=c&client_secret=s&refresh_token=rt-0";
  const auto granted = Ask(form, "/oauth/token");
  ASSERT_EQ(granted.status, 200) << granted.body;
  const std::string token = Json::parse(granted.body)["access_token"];
  EXPECT_EQ(Ask(With("2021-07-28", token), "/opportunities/search?location_id=loc").status, 200);
  EXPECT_EQ(Ask(form, "/oauth/token").status, 400);
  const Json facts = Json::parse(*Get(upstream_.url() + "/_control/highlevel?location=loc"));
  EXPECT_EQ(facts["refreshes"], 1);
  EXPECT_EQ(facts["reused"], 1);
}

TEST_F(HighLevelApi, TheLimitIsToldAndKept) {
  Control("highlevel", {{"location", "loc"}, {"add", 1}, {"burst", 3}, {"interval_ms", 60'000}});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask(With(), "/opportunities/search?location_id=loc").status, 200);
  EXPECT_EQ(Ask(With(), "/opportunities/search?location_id=loc").status, 429);
}

}  // namespace
}  // namespace weir::sim
