// What must hold after the faults; see README.md.
#include <fmt/core.h>

#include "common/base/selector.h"
#include "tests/faults/fault_fixture.h"

namespace weir::faults {
namespace {

constexpr char kGroup[] = "weir-workers";

// Behind a Lichess window in its target: the same for all.
constexpr char kAfterWindow[] = "&sort=";

// What a page of "source, kind, account, lo, hi, key" asks its upstream for, each page something else. Of
// other sources than these nothing is told: no request is like it.
std::string TargetOf(const pg::Rows& rows, int i) {
  const std::string source(rows.Text(i, 0)), account(rows.Text(i, 2)), key(rows.Text(i, 5));
  const auto kind = static_cast<SelectorKind>(rows.Int(i, 1));
  if (source == "lichess" && kind == SelectorKind::kDiscover) return "/api/user/" + account;
  if (source == "lichess" && kind == SelectorKind::kWindow) {
    return fmt::format("/api/games/user/{}?since={}&until={}", account, rows.Int(i, 3), rows.Int(i, 4));
  }
  if (source == "chesscom" && kind == SelectorKind::kDiscover)
    return "/pub/player/" + account + "/games/archives";
  if (source == "chesscom" && kind == SelectorKind::kArchive)
    return "/pub/player/" + account + "/games/" + key;
  return fmt::format("{} {} {} {} {}", source, account, rows.Int(i, 1), rows.Int(i, 3), key);
}

}  // namespace

void FaultTest::NoteInFlight(const Member& member) {
  pg::Session session(postgres_->Options());
  const auto rows = session.Exec(
      "select j.source, t.kind, t.account, t.lo, t.hi, t.key from weir.tasks t join weir.jobs j on j.id = "
      "t.job_id where t.state = 'running' and t.owner = $1",
      {member.id});
  ASSERT_TRUE(rows) << rows.error().message;
  for (int i = 0; i < rows->Size(); ++i) ++in_flight_[TargetOf(*rows, i)];
}

int FaultTest::InFlight() const {
  int pages = 0;
  for (const auto& [target, kills] : in_flight_) pages += kills;
  return pages;
}

void FaultTest::Make(const Expected& player) {
  ASSERT_TRUE(upstream_.AddPlayer(fmt::format("{}/{}={}", player.source, player.account, player.games)));
  expected_.push_back(player);
}

void FaultTest::ExpectWhole() {
  EXPECT_EQ(Number("select count(*) from weir.jobs where state <> 'succeeded'"), 0);
  EXPECT_EQ(Number("select count(*) from weir.tasks where state <> 'done'"), 0);
  EXPECT_EQ(Number("select count(*) from weir.rejects"), 0);
  ExpectCopies();
  ExpectLimitsKept();
  ExpectLagGone();
}

void FaultTest::ExpectLimitsKept() const {
  EXPECT_EQ(Control("stats")["violations"], 0) << Control("stats")["meters"];
}

void FaultTest::ExpectCopies() {
  for (const Expected& player : expected_) {
    ExpectCopy(player.source, player.account);
    const std::string counters =
        Text(fmt::format("select sum(fetched) || ' ' || sum(inserted) || ' ' || sum(updated + unchanged + "
                         "rejected + duplicates) || ' ' || "
                         "sum(pages) - count(*) filter (where kind <> 0) from weir.tasks t join weir.jobs j "
                         "on j.id = t.job_id "
                         "where j.source = '{}' and t.account = '{}'",
                         player.source, player.account));
    EXPECT_EQ(counters, fmt::format("{} {} 0 0", player.games, player.games)) << player.account;
  }
}

void FaultTest::ExpectLagGone() {
  std::string last;
  const bool gone = process::WaitUntil(
      [&] {
        const auto lag = kafka::testing::Lag(kafka_->Brokers(), kGroup, TaskTopics());
        last = lag ? std::to_string(*lag) : lag.error().message;
        return lag && *lag == 0;
      },
      Millis(60'000));
  EXPECT_TRUE(gone) << "lag " << last;
}

// What a killed worker was reading is what the ledger had running in its name: also a page whose request had
// not been sent yet, and one that was read to its end and not yet committed whole. With its lane free already
// (docs/adr/0008) the latter stands beside the lane's next page, and its answer died with its process, so it
// must be read again. Requests alone would be no bound, therefore; these pages are the least there is. What
// was committed whole is not among them: of that, any second request fails.
void FaultTest::ExpectNothingReadTwice() const {
  std::map<std::string, int> asked;
  for (const sim::Exchanged& one : const_cast<FaultTest*>(this)->upstream_.world().traffic.Log()) {
    ++asked[one.target.substr(0, one.target.find(kAfterWindow))];
  }
  // A window without a game is asked for once more before it counts as read.
  std::map<std::string, int> once_more;
  pg::Session session(postgres_->Options());
  const auto rows = session.Exec(
      "select j.source, t.kind, t.account, t.lo, t.hi, t.key from weir.tasks t join weir.jobs j on j.id = "
      "t.job_id where j.source = 'lichess' and t.key = 'again'");
  ASSERT_TRUE(rows) << rows.error().message;
  for (int i = 0; i < rows->Size(); ++i) ++once_more[TargetOf(*rows, i)];
  int again = 0;
  for (const auto& [target, count] : asked) {
    again += count - 1;
    const auto killed = in_flight_.find(target);
    EXPECT_LE(count - 1, once_more[target] + (killed == in_flight_.end() ? 0 : killed->second))
        << target << " was asked for " << count << " times";
  }
  fmt::print("pages asked for again: {}, in flight at kills: {}\n", again, InFlight());
}

}  // namespace weir::faults
