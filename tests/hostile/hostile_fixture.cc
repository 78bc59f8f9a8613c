#include "tests/hostile/hostile_fixture.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>
#include <stdexcept>
#include <thread>

#include "common/base/time_text.h"
#include "common/obs/log.h"
#include "tests/support/upstream/highlevel_api.h"
#include "tests/support/upstream/upstream_check.h"

namespace weir::testing {
namespace {

using Millis = std::chrono::milliseconds;
using sim::Answered;

constexpr int kMaxAttempts = 3;
// A page may be asked for again at once, within one attempt: where a redirect leads, when its records moved,
// and once more where its end was in doubt.
constexpr int kRequestsPerAttempt = 8;
constexpr Millis kBackoff{8};
constexpr Millis kPatience{20'000};
// The machine's delays between the upstream's clock and ours.
constexpr std::int64_t kGraceMs = 60;

// Of a record of the upstream: no reject holds it.
const std::string kNotRejected =
    "not exists (select from weir.rejects r where r.account = $1 and position(convert_to(u.id, 'UTF8') in "
    "r.body_start) > 0)";

template <typename T>
T Must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

std::set<std::string> Names(const char* variable) {
  const char* const value = std::getenv(variable);
  std::set<std::string> names;
  std::string name;
  for (const char* c = value == nullptr ? "" : value;; ++c) {
    if (*c != ',' && *c != '\0') {
      name += *c;
      continue;
    }
    if (!name.empty()) names.insert(name);
    name.clear();
    if (*c == '\0') return names;
  }
}

}  // namespace

HostileTest::HostileTest() {
  if (auto started = hostile_.Start(); !started) throw std::runtime_error(started.error().message);
  setenv("WEIR_HOSTILE_TOKEN", "good", 1);
  for (const char* source : {"lichess", "chesscom", "highlevel"}) {
    config_.sources[source].base_url = hostile_.url();
    config_.sources[source].retry_after_floor = Millis(1);
  }
  config_.sources["lichess"].params["window_games"] = "40";
  config_.sources["highlevel"].quota = "1000000/1s";
  config_.sources["highlevel"].lanes = 1;  // each lane learns of a limit by itself
  config_.sources["highlevel"].params = {{"slice_records", "150"}, {"task_pages", "2"}};
  config_.max_attempts = kMaxAttempts;
  config_.batch_records = 30;
  config_.base_delay = kBackoff;
  config_.max_delay = 2 * kBackoff;
  config_.idle_timeout = Millis(100);
  config_.connect_timeout = Millis(2'000);
  hostile_.Leave(Names("WEIR_HOSTILE_WITHOUT"), Names("WEIR_HOSTILE_ONLY"));
  // Every failure would be a line.
  (void)SetupLogging(std::getenv("WEIR_HOSTILE_LOG") == nullptr ? "off" : "info", "text", "hostile");
}

void HostileTest::RunSeeds(std::uint64_t first, std::uint64_t last) {
  if (const char* const chosen = std::getenv("WEIR_HOSTILE_SEEDS"); chosen != nullptr && *chosen != '\0') {
    char* end = nullptr;
    first = last = std::strtoull(chosen, &end, 10);
    if (*end == '-') last = std::strtoull(end + 1, nullptr, 10);
  }
  std::vector<std::uint64_t> failed;
  const auto failures = [] {
    return ::testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count();
  };
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    fmt::print(stderr, "seed {}\n", seed);  // before, so that the seed of a crash is known
    const int before = failures();
    RunSeed(seed);
    if (failures() > before) failed.push_back(seed);
  }
  for (const std::uint64_t seed : failed) {
    fmt::print(stderr, "again: WEIR_HOSTILE_SEEDS={} WEIR_WITHOUT_KAFKA=1 ./dev test -R HostileSeeds\n",
               seed);
  }
}

std::vector<HostileTest::Account> HostileTest::Make(std::uint64_t seed) {
  std::vector<Account> accounts{
      {"lichess", "games", fmt::format("l{}", seed), "lichess.games"},
      {"chesscom", "games", fmt::format("c{}", seed), "chesscom.games"},
      {"highlevel", "opportunities", fmt::format("Loc{}", seed), "highlevel.opportunities"}};
  std::mt19937_64 random(seed);
  config_.accounts.clear();
  AccountConfig location;
  location.name = accounts[2].name;
  location.source = "highlevel";
  location.secret_refs["token"] = "env:WEIR_HOSTILE_TOKEN";
  config_.accounts.push_back(location);
  // Up to yesterday, so that each window of the plan has games.
  const std::string yesterday = FormatTime(upstream_.world().NowMs() - 86'400'000);
  EXPECT_TRUE(
      upstream_.AddPlayer(fmt::format("lichess/{}=130;from=2024-01-01;to={}", accounts[0].name, yesterday)));
  EXPECT_TRUE(
      upstream_.AddPlayer(fmt::format("chesscom/{}=100;from=2024-01-01;to=2024-05-20", accounts[1].name)));
  upstream_.world().highlevel.With(accounts[2].name, true, [&](sim::Location& l) {
    upstream_.world().highlevel.Add(l, 260, 1'700'000'000'000, 1'710'000'000'000);
  });
  return accounts;
}

void HostileTest::ChangeTruth(const Account& account, std::uint64_t seed) {
  const std::int64_t now = upstream_.world().NowMs();
  if (account.source == "highlevel") {
    upstream_.world().highlevel.With(account.name, true, [&](sim::Location& l) {
      upstream_.world().highlevel.Update(l, 7, now - 1'000);
      upstream_.world().highlevel.Remove(l, 2);
      upstream_.world().highlevel.Add(l, 5, now - 2'000, now - 1'000);
    });
    return;
  }
  const bool lichess = account.source == "lichess";
  upstream_.world().players.Alter(
      lichess ? sim::Api::kLichess : sim::Api::kChessCom, account.name, [&](sim::Player& p) {
        p.deleted.push_back({50, static_cast<std::int64_t>(seed % 50), p.Games()});
        p.segments.push_back({p.Games(), 4, now - 2'000, now - 1'000});
      });
}

// As a worker and a leader would, waits included.
ledger::JobStatus HostileTest::Run(const Account& account, std::optional<JobMode> mode) {
  auto request = Request(account.source, {account.name});
  request.stream = account.stream;
  request.mode = mode;
  if (!worker_) worker_ = std::make_unique<Worker>(this, "worker-a");
  Worker& worker = *worker_;
  EXPECT_TRUE(worker.keeper.RunOnce(session_));
  const JobId job = Open(request);
  const auto until = std::chrono::steady_clock::now() + kPatience;
  ledger::JobStatus status;
  do {
    const auto ready = Ready();
    for (const auto& task : ready) worker.Deliver(task);
    while (worker.scheduler.Queued() > 0 && std::chrono::steady_clock::now() < until) worker.RunOnce();
    EndJobs();
    status = Must(ledger::GetJob(session_, job));
    if (status.Ended()) break;
    // Parked tasks are due in a millisecond or two, by the database's clock.
    if (ready.empty()) std::this_thread::sleep_for(Millis(1));
  } while (std::chrono::steady_clock::now() < until);
  EXPECT_TRUE(status.Ended()) << "the job does not end\n" << Story(account);
  if (!status.Ended()) (void)ledger::CancelJob(session_, job);
  return status;
}

std::string HostileTest::Story(const Account& account) const {
  std::string story;
  int true_ones = 0;
  for (const Answered& answered : hostile_.Log(account.name)) {
    if (answered.kind.empty()) {
      ++true_ones;
    } else {
      story += "  " + answered.Text().substr(0, 200) + "\n";
    }
  }
  return story.substr(0, 6'000) + fmt::format("  and {} true answers\n", true_ones);
}

// CheckUpstream left what the upstream has in weir_expected.
std::string HostileTest::CountOf(const Account& account, const std::string& condition) {
  const auto rows = session_.Exec(fmt::format("select count(*) from weir_expected u left join {} t on t.id = "
                                              "u.id and lower(t.account) = lower($1) where {}",
                                              account.table, condition),
                                  {account.name});
  EXPECT_TRUE(rows) << rows.error().message;
  return rows ? std::string(rows->Text(0, 0)) : "";
}

void HostileTest::Check(const Account& account, const ledger::JobStatus& job, const char* when) {
  if (job.accounts.size() != 1) return;
  const std::string where =
      fmt::format("{} {} ({}), {}", account.source, account.name, when, job.accounts[0].state);
  auto copy = sim::CheckUpstream(upstream_.url(), session_, {account.source, account.name, ""});
  ASSERT_TRUE(copy) << copy.error().message;
  const std::string story = copy->Summary() + "\n" + Story(account);
  EXPECT_EQ(CountOf(account, "t.stale_at is not null"), "0") << where << ": live rows are stale\n" << story;
  if (job.accounts[0].state == "succeeded") {
    EXPECT_EQ(CountOf(account, "t.id is null and " + kNotRejected), "0")
        << where << ": records are neither in the table nor rejected\n"
        << story;
    // What a hostile answer put into a record bears its mark.
    EXPECT_EQ(
        CountOf(account, "t.stale_at is null and t.raw <> u.raw and t.raw::text not like '%hostile%' and " +
                             kNotRejected),
        "0")
        << where << ": rows are not what the upstream has\n"
        << story;
    EXPECT_EQ(Text(fmt::format(
                  "select count(*) from weir.tasks where job_id = {} and state = 'done' and fetched > 0 and "
                  "fetched = rejected + duplicates",
                  job.id.value)),
              "0")
        << where << ": a page counts as read although all of it was rejected\n"
        << story;
  }
  // The counters add up whatever happened.
  const ledger::Counters& c = job.accounts[0].counters;
  EXPECT_EQ(c.fetched, c.inserted + c.updated + c.unchanged + c.rejected + c.duplicates) << where;
}

void HostileTest::CheckRequests(const Account& account, const char* when) {
  const auto log = hostile_.Log(account.name);
  std::map<std::string, int> refused;
  for (std::size_t i = 0; i < log.size(); ++i) {
    // A throttled answer costs no attempt; what it asks for is waited for.
    if (log[i].status != 429) ++refused[log[i].target];
    if (i + 1 == log.size()) break;
    const std::int64_t waited_us = log[i + 1].began_us - log[i].ended_us;
    if (log[i].must_wait_ms > 0) {
      EXPECT_GE(waited_us, (log[i].must_wait_ms - kGraceMs) * 1000)
          << account.name << " (" << when << "): a Retry-After was not waited for\n"
          << Story(account);
    }
    // The first wait of a backoff is half of it or more. The same page is asked for again, so it was one.
    if (log[i].status >= 500 && log[i].status < 600 && log[i].kind == "server_error" &&
        log[i + 1].target == log[i].target) {
      EXPECT_GE(waited_us, kBackoff.count() * 500)
          << account.name << " (" << when << "): asked again without a backoff\n"
          << Story(account);
    }
  }
  for (const auto& [target, count] : refused) {
    EXPECT_LE(count, kMaxAttempts * kRequestsPerAttempt)
        << account.name << " (" << when << "): asked too often for " << target << "\n"
        << Story(account);
  }
}

void HostileTest::RunSeed(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (const Account& account : Make(seed)) {
    static constexpr int kChances[] = {20, 40, 60, 95};
    static constexpr int kAnswers[] = {1, 1, 2, 3, 1'000'000};
    const int chance = kChances[random() % 4];
    struct Round {
      const char* when;
      std::optional<JobMode> mode;
      bool change, good;
    };
    // The copy, a later sync, a full one that may mark rows stale, and one with a good upstream.
    for (const Round& round :
         {Round{"first sync", std::nullopt, false, false}, Round{"second sync", std::nullopt, true, false},
          Round{"full sync", JobMode::kFull, true, false},
          Round{"with a good upstream", std::nullopt, false, true}}) {
      if (round.change) ChangeTruth(account, seed + (round.mode ? 7 : 0));
      hostile_.Treat(account.name, {random(), chance, round.good ? 0 : kAnswers[random() % 5]});
      hostile_.ForgetLog();
      const auto began = std::chrono::steady_clock::now();
      const auto job = Run(account, round.mode);
      if (std::getenv("WEIR_HOSTILE_VERBOSE") != nullptr) {
        const auto took = std::chrono::steady_clock::now() - began;
        fmt::print(stderr, "{} {}: {}, {} fetched, {} inserted, {} updated, {} requests, {} ms\n{}",
                   account.name, round.when, job.state, job.totals.fetched, job.totals.inserted,
                   job.totals.updated, hostile_.Log(account.name).size(),
                   std::chrono::duration_cast<Millis>(took).count(), Story(account));
      }
      Check(account, job, round.when);
      CheckRequests(account, round.when);
      if (round.good) {
        EXPECT_EQ(job.state, "succeeded") << account.name << "\n" << Story(account);
      }
    }
  }
}

}  // namespace weir::testing
