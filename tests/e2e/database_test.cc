// Databases that do not fit, and one that stops taking what is read.
#include <gmock/gmock.h>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;

class DatabaseFit : public OnDatabase {
 protected:
  DatabaseFit() : OnDatabase(Broker::kEmbedded) {}
  void TearDown() override {
    // What these are of goes first.
    env_["WEIR_DATABASE_URL"] = postgres_->url();
    OnDatabase::TearDown();
    if (!other_.empty()) postgres_->Query("drop database " + other_ + " with (force)");
    if (!role_.empty()) postgres_->Query("drop owned by " + role_);
    if (!role_.empty()) postgres_->Query("drop role " + role_);
  }
  std::string With(const std::string& parameter) const {
    const std::string& url = postgres_->url();
    if (url.find("://") == std::string::npos) return url + " " + parameter;
    return url + (url.find('?') == std::string::npos ? "?" : "&") + parameter;
  }
  void ExpectRefused(const Outcome& outcome, const std::string& text) const {
    EXPECT_EQ(outcome.Status(), 2) << outcome.out << outcome.err;
    EXPECT_THAT(outcome.out + outcome.err, HasSubstr(text));
  }

  std::string other_, role_;
};

TEST_F(DatabaseFit, ADatabaseThatIsNotUtf8IsRefusedAtOnce) {
  Players({"lichess/anna=5"});
  other_ = postgres_->database() + "_sql_ascii";
  postgres_->Query("create database " + other_ + " template template0 encoding 'SQL_ASCII' locale 'C'");
  env_["WEIR_DATABASE_URL"] = With("dbname=" + other_);
  const std::string text = "weir needs a database with encoding UTF8";
  ExpectRefused(Weir({"migrate", "up"}), text);
  ExpectRefused(Weir({"doctor"}), text);
  ExpectRefused(Sync("lichess", {"anna"}), text);
  EXPECT_EQ(Requests("lichess.games"), 0);
}

TEST_F(DatabaseFit, AReadOnlyServerIsSaidAndNotWaitedFor) {
  Players({"lichess/anna=5"});
  postgres_->Query("alter database " + postgres_->database() + " set default_transaction_read_only = on");
  ExpectRefused(Weir({"doctor"}), "read-only");
  ExpectRefused(Sync("lichess", {"anna"}), "read-only");
  ExpectRefused(Weir({"enqueue", "lichess/games", "--account", "anna"}), "read-only");
  EXPECT_EQ(Weir({"jobs", "list"}).Status(), 0) << "who only reads may";
}

TEST_F(DatabaseFit, TooFewConnectionsAreSaidWithTheNumberNeeded) {
  Players({"lichess/anna=5"});
  role_ = postgres_->database() + "_few";
  postgres_->Query("create role " + role_ + " login");
  postgres_->Query("grant all on all tables in schema weir, weir_meta, lichess to " + role_);
  postgres_->Query("grant usage on schema weir, weir_meta, lichess to " + role_);
  postgres_->Query("alter role " + role_ + " connection limit 5");
  env_["WEIR_DATABASE_URL"] = With("user=" + role_);
  const Outcome outcome = Sync("lichess", {"anna"}, {"--workers", "2"});
  ExpectRefused(outcome, "needs 18 connections to PostgreSQL, and role " + role_ + " allows 5");
  EXPECT_THAT(outcome.err, HasSubstr("11 is the least"));
  postgres_->Query("alter role " + role_ + " connection limit 18");
  EXPECT_EQ(Sync("lichess", {"anna"}, {"--workers", "2"}).Status(), 0);
}

// Each try to write draws a number, which no rollback takes back.
TEST_F(DatabaseFit, ALastingErrorOfTheDatabaseAsksTheUpstreamOnceAndIsSaid) {
  Players({"lichess/anna=5"});
  postgres_->Query("create sequence public.tries");
  postgres_->Query(
      "create function public.full_disk() returns trigger language plpgsql as $$begin perform "
      "nextval('public.tries'); "
      "raise exception using errcode = '53100', message = 'could not extend file: No space left on device'; "
      "end$$");
  postgres_->Query(
      "create trigger full_disk before insert on lichess.games for each row execute function "
      "public.full_disk()");
  const auto sync = StartSync("lichess", {"anna"});
  const std::string waits = "waits for the database: PostgreSQL: could not extend file";
  EXPECT_TRUE(sync->WaitForErr(waits, kPatience)) << sync->Err();
  ASSERT_TRUE(Await("exists (select from public.tries where last_value >= 2)"));
  ASSERT_TRUE(
      Await("exists (select from weir.lanes where waiting_for = 'database' "
            "and not_before > clock_timestamp() + interval '6 s')"));
  EXPECT_THAT(Weir({"lanes"}).out, HasSubstr(waits));
  EXPECT_THAT(Weir({"status", Text("select max(id) from weir.jobs")}).err, HasSubstr(waits));
  EXPECT_THAT(Weir({"doctor"}).out, HasSubstr(waits));
  EXPECT_EQ(Requests("lichess.games"), 1);
  EXPECT_EQ(Text("select sum(requests) from weir.tasks where kind <> 0"), "1");
  postgres_->Query("drop trigger full_disk on lichess.games");
  const Outcome outcome = Finish(*sync);
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  EXPECT_EQ(outcome.Total("inserted"), 5);
  ExpectCopy("lichess", "anna");
}

TEST_F(DatabaseFit, ADroppedColumnEndsTheAccountWithWhatAndWhere) {
  Players({"lichess/anna=5"});
  postgres_->Query("alter table lichess.games drop column last_fen");
  const Outcome outcome = Sync("lichess", {"anna"});
  EXPECT_EQ(outcome.Status(), 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("lichess.games"));
  EXPECT_THAT(outcome.err, HasSubstr("last_fen"));
  EXPECT_THAT(outcome.err, HasSubstr("weir replay"));
  EXPECT_EQ(Requests("lichess.games"), 1);
}

}  // namespace
}  // namespace weir::e2e
