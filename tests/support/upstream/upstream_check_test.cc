#include "tests/support/upstream/upstream_check.h"

#include <fmt/core.h>

#include "tests/support/postgres/test_postgres.h"
#include "tests/support/upstream/upstream_test.h"

namespace weir::sim {
namespace {

class UpstreamCheckTest : public UpstreamTest {
 protected:
  void SetUp() override {
    UpstreamTest::SetUp();
    Add("lichess/Alice=100;ongoing=2");
    Query("create schema lichess");
    Query(
        "create table lichess.games (account text, id text, raw jsonb, stale_at timestamptz, primary key "
        "(account, id))");
    std::string rows;
    for (const auto& [id, raw] : Expected("player=alice")) rows += Row(id, raw);
    Query(rows);
  }
  void Query(const std::string& sql) const { database_.Query(sql); }
  static std::string Row(const std::string& id, const std::string& raw) {
    return fmt::format("insert into lichess.games values ('Alice', '{}', $raw${}$raw$);", id, raw);
  }
  CheckResult Check(const std::string& query = "") {
    pg::Session session(database_.Options());
    const auto result = CheckUpstream(upstream_.url(), session, {"lichess", "alice", query});
    EXPECT_TRUE(result) << result.error().message;
    return result.value_or(CheckResult{});
  }

  testing::TestPostgres database_;
};

TEST_F(UpstreamCheckTest, AnEqualCopyIsEqual) {
  const CheckResult result = Check();
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(result.Summary(), "equal 100");
}

TEST_F(UpstreamCheckTest, EveryDifferenceIsFound) {
  Query("delete from lichess.games where id in (select id from lichess.games order by id limit 2)");
  Query(
      "update lichess.games set raw = raw || '{\"rated\": 1}' where id = (select max(id) from "
      "lichess.games)");
  Query(Row("zzzzzzzz", "{}"));
  Query(Row("poison04", "{}"));
  const CheckResult result = Check();
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.equal, 97);
  EXPECT_EQ(result.missing, 2);
  EXPECT_EQ(result.different, 1);
  EXPECT_EQ(result.extra, 1);
  EXPECT_EQ(result.poison, 1);
  EXPECT_NE(result.Summary().find("extra zzzzzzzz"), std::string::npos) << result.Summary();
}

TEST_F(UpstreamCheckTest, StaleRowsAndOtherAccountsAreNoPartOfTheCopy) {
  Query("insert into lichess.games values ('alice2', 'other', '{}')");
  Query("insert into lichess.games values ('Alice', 'stale', '{}', now())");
  EXPECT_TRUE(Check().ok());
}

TEST_F(UpstreamCheckTest, AQueryNarrowsWhatIsExpected) {
  EXPECT_EQ(Check("ongoing=false").extra, 2);
  EXPECT_EQ(Check("max=10").equal, 10);
}

TEST_F(UpstreamCheckTest, AnUnknownPlayerIsAnError) {
  pg::Session session(database_.Options());
  EXPECT_FALSE(CheckUpstream(upstream_.url(), session, {"lichess", "nobody", ""}));
  EXPECT_FALSE(CheckUpstream(upstream_.url(), session, {"nowhere", "alice", ""}));
}

}  // namespace
}  // namespace weir::sim
