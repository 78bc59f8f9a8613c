// Sweeps and schema drift as a user has them: by themselves after a full sync, held and applied by hand.
#include <gmock/gmock.h>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;

class Sweeps : public OnDatabase {
 protected:
  void Delete(const std::string& source, const std::string& player, const Json& which) const {
    Control("player", {{"source", source}, {"name", player}, {"delete", which}});
  }
  Outcome Full(const std::string& source, const std::string& player, const Strings& more = {}) const {
    Strings arguments{"--mode", "full"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Sync(source, {player}, arguments);
  }
};

TEST_F(Sweeps, ByThemselvesAfterAFullSync) {
  Players({"lichess/alice=900", "chesscom/hikaru=500"});
  StartServices();
  for (const auto& [source, player] : {std::pair{"lichess", "alice"}, std::pair{"chesscom", "hikaru"}}) {
    EXPECT_EQ(Full(source, player).Total("stale"), 0);
    Delete(source, player, {{"every", 20}});
    const Outcome swept = Full(source, player);
    ExpectShape(swept, "succeeded");
    EXPECT_EQ(swept.Total("stale"), std::string(source) == "lichess" ? 45 : 25) << swept.err;
    ExpectCopy(source, player);
    // And back again: the same contents, yet written.
    Control("player", {{"source", source}, {"name", player}, {"undelete", true}});
    const Outcome back = Full(source, player);
    EXPECT_EQ(back.Total("updated"), swept.Total("stale")) << back.out;
    EXPECT_EQ(back.Total("stale"), 0);
    ExpectCopy(source, player);
  }
  EXPECT_EQ(Number("select count(*) from weir.seen"), 0);
  EXPECT_EQ(Weir({"drift", "-o", "json"}).json, Json::array())
      << "the sample's records are as they should be";
}

TEST_F(Sweeps, TooManyAreHeldPlannedAndApplied) {
  Players({"lichess/Alice=400"});
  StartServices();
  Full("lichess", "Alice");
  Delete("lichess", "Alice", {{"every", 2}});
  const Outcome held = Full("lichess", "Alice");
  ExpectShape(held, "succeeded");
  EXPECT_EQ(held.Total("stale"), 0);
  EXPECT_EQ(held.Account("Alice")["sweep"]["state"], "held");
  EXPECT_THAT(held.err, HasSubstr("weir sweep apply"));

  const Outcome plan = Weir({"sweep", "plan", "lichess/games", "--account", "alice", "--output", "json"});
  ASSERT_EQ(plan.Status(), 0) << plan.err;
  EXPECT_EQ(plan.json["to_mark"], 200);
  EXPECT_EQ(plan.json["live"], 400);
  EXPECT_EQ(plan.json["job"], held.json["job"]);
  EXPECT_EQ(plan.json["sample"].size(), 10u);
  EXPECT_EQ(plan.json["thresholds"]["within"], false);
  const std::string number = plan.json["plan"].dump();
  EXPECT_EQ(Number("select count(*) from lichess.games where stale_at is not null"), 0);

  // A newer sync makes it stale.
  Full("lichess", "Alice", {"--since", "2025-01-01"});
  const Outcome stale = Weir({"sweep", "apply", number});
  EXPECT_EQ(stale.Status(), 5) << stale.err;
  EXPECT_THAT(stale.err, HasSubstr("stale"));
  const Outcome again = Weir({"sweep", "plan", "lichess/games", "--account", "alice", "--job",
                              held.json["job"].dump(), "-o", "json"});
  ASSERT_EQ(again.Status(), 0) << again.err;
  const Outcome applied = Weir({"sweep", "apply", again.json["plan"].dump(), "-o", "json"});
  ASSERT_EQ(applied.Status(), 0) << applied.err;
  EXPECT_EQ(applied.json["marked"], again.json["to_mark"]);
  EXPECT_EQ(applied.json["state"], "applied");
  ExpectCopy("lichess", "Alice");
  EXPECT_EQ(Weir({"sweep", "apply", "999"}).Status(), 5);
  EXPECT_EQ(Weir({"sweep", "apply", "x"}).Status(), 2);
}

TEST_F(Sweeps, NothingIsSweptAfterAnEnumerationThatIsNotWhole) {
  Players({"lichess/alice=300"});
  StartServices();
  Full("lichess", "alice");
  Delete("lichess", "alice", {{"every", 60}});
  Faults(Json::array({{{"match", "/api/games/user"}, {"action", "status"}, {"status", 400}, {"times", 1}}}));
  const Outcome failed = Full("lichess", "alice");
  EXPECT_NE(failed.Status(), 0);
  EXPECT_EQ(failed.Total("stale"), 0);
  EXPECT_EQ(Weir({"sweep", "plan", "lichess/games", "--account", "alice"}).Status(), 5);
  Faults(Json::array());
  Delete("lichess", "alice", Json::object());  // all of them: an empty answer
  const Outcome empty = Full("lichess", "alice");
  EXPECT_EQ(empty.Account("alice")["sweep"]["state"], "refused") << empty.out;
  EXPECT_EQ(Number("select count(*) from lichess.games where stale_at is not null"), 0);
}

// Its poison records carry a field of their own.
TEST_F(Sweeps, DriftIsToldAndFailsNothing) {
  Players({"lichess/alice=100"});
  StartServices();
  Faults(Json::array(
      {{{"match", "/api/games/user"}, {"action", "poison"}, {"records", {"digits30"}}, {"times", 1}}}));
  const Outcome sync = Sync("lichess", {"alice"});
  ExpectShape(sync, "succeeded");
  EXPECT_EQ(sync.Total("inserted"), 101);
  const Outcome drift = Weir({"drift", "lichess/games", "--output", "json"});
  ASSERT_EQ(drift.Status(), 0) << drift.err;
  ASSERT_EQ(drift.json.size(), 1u) << drift.out;
  EXPECT_EQ(drift.json[0]["field"], "poison");
  EXPECT_EQ(drift.json[0]["kind"], "unknown");
  EXPECT_EQ(drift.json[0]["found"], "number");
  EXPECT_EQ(drift.json[0]["count"], 1);
  EXPECT_THAT(drift.out, ::testing::Not(HasSubstr("123456789")));
  EXPECT_THAT(Weir({"drift"}).out, HasSubstr("poison"));
  EXPECT_EQ(Weir({"drift", "chesscom/games", "-o", "json"}).json, Json::array());
}

}  // namespace
}  // namespace weir::e2e
