// Invariant 7 as a property: random histories of one account's records, pages, faults and jobs beside each
// other, on the real ledger, writer and sweeper, against a model that knows when each record existed and was
// met. No row that was live throughout the job it was swept after, or that anyone met since that job began,
// is marked.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/ledger/dispatch.h"
#include "common/ledger/failures.h"
#include "common/ledger/jobs.h"
#include "common/ledger/migrations.h"
#include "common/pg/migrations.h"
#include "producer/sweeper/sweeper.h"
#include "tests/support/postgres/test_postgres.h"
#include "worker/batch_writer.h"

namespace weir::testing {
namespace {

constexpr int kIds = 8;
constexpr int kSlices = 2;  // tasks of a full job: the lower and the upper half of the ids
constexpr int kHistories = 1'000;
constexpr int kTogether = 100;  // histories that take their steps in turns, under one leader
constexpr int kSteps = 28;      // of each
constexpr std::int64_t kFirstMs = 1'600'000'000'000;
constexpr std::int64_t kNowMs = 1'700'000'000'000;

template <typename T>
T Must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

void Must(Result<void> result) {
  if (!result) throw std::runtime_error(result.error().message);
}

struct Record {
  bool exists = false;
  int since = 0;  // the step it came into being, if it exists
  int version = 0;
  int met = -1;         // the last step at which an answer was given that held it and was committed
  bool marked = false;  // stale in the table, as last looked
};

// A page that was read and not committed yet. Its worker may be a zombie by now.
struct Page {
  ledger::ClaimedTask task;
  std::unique_ptr<RecordMapper> mapper;
  std::unique_ptr<worker::BatchWriter> writer;
  PageEnd end;
  int read = 0;  // the step of its answer
  std::vector<int> ids, rejected;
};

struct Job {
  JobId id;
  ledger::JobRequest request;
  int began = 0;  // the step at which the first job of its chain was opened
  bool expired = false;
};

struct History {
  std::string account;
  std::array<Record, kIds> records;
  std::vector<Job> jobs;
  std::vector<std::unique_ptr<Page>> pages;
  int step = 0;
};

class SweepHistoryTest : public ::testing::TestWithParam<int> {
 protected:
  SweepHistoryTest()
      : session_(database_.Options()),
        pool_(database_.Options(), 2),
        stream_(FindStream(*FindSource("lichess"), "games")),
        random_(static_cast<unsigned>(GetParam())) {
    Must(pg::Up(session_, ledger::AllMigrations()));
  }

  int Roll(int sides) { return static_cast<int>(random_() % static_cast<unsigned>(sides)); }
  pg::Rows Ask(const std::string& sql) { return Must(session_.Script(sql)); }

  static std::string IdOf(const History& h, int i) { return fmt::format("{}n{}", h.account, i); }
  static std::string Raw(const History& h, int i) {
    return fmt::format(R"({{"id":"{}","createdAt":{},"status":"mate","v":{}}})", IdOf(h, i), kFirstMs + i,
                       h.records[static_cast<std::size_t>(i)].version);
  }

  History Begin(int number) {
    History h;
    h.account = fmt::format("h{}", number);
    std::string rows;
    for (int i = 0; i < kIds; ++i) {
      if (!calm_ && Roll(4) == 0) continue;
      h.records[static_cast<std::size_t>(i)].exists = true;
      rows += fmt::format("{}('{}', '{}', to_timestamp({} / 1000.0), '{}', {})", rows.empty() ? "" : ", ",
                          h.account, IdOf(h, i), kFirstMs + i, Raw(h, i), worker::ContentHash(Raw(h, i)));
    }
    if (!rows.empty())
      Ask("insert into lichess.games (account, id, created_at, raw, content_hash) values " + rows);
    return h;
  }

  void Mutate(History& h) {
    const int i = Roll(kIds);
    Record& record = h.records[static_cast<std::size_t>(i)];
    if (Roll(8) == 0) {  // someone else touches the row: that counts as met
      Ask(fmt::format(
          "update lichess.games set updated_at = clock_timestamp() where account = '{}' and id = '{}'",
          h.account, IdOf(h, i)));
      record.met = h.step;
      return;
    }
    if (record.exists && Roll(3) == 0) {
      ++record.version;
      return;
    }
    record.exists = !record.exists;
    record.since = h.step;
  }

  ledger::JobRequest RandomRequest(const History& h) {
    ledger::JobRequest request;
    request.source = "lichess";
    request.stream = "games";
    request.now_ms = kNowMs;
    request.accounts = {{h.account, h.account, "m", 1}};
    request.mode = Roll(4) == 0 ? JobMode::kIncremental : JobMode::kFull;
    if (Roll(3) == 0) request.filter.since_ms = kFirstMs + (Roll(2) == 0 ? 0 : kIds / 2);
    if (Roll(10) == 0) request.filter.limit = 3;
    return request;
  }

  void Open(History& h, const ledger::JobRequest& request) {
    const auto opened = Must(ledger::OpenJob(session_, request));
    if (opened.resumed) return;
    const auto carried =
        Ask(fmt::format("select a.planned, coalesce(j.continues, 0) from weir.job_accounts a join weir.jobs "
                        "j on j.id = a.job_id "
                        "where j.id = {}",
                        opened.id.value));
    Job job{opened.id, request, h.step, false};
    for (const Job& before : h.jobs) {
      if (carried.Bool(0, 0) && before.id.value == carried.Int(0, 1)) job.began = before.began;
    }
    h.jobs.push_back(job);
    const std::string of_job = fmt::format(" job_id = {}", opened.id.value);
    Ask("update weir.tasks set state = 'done' where kind = 0 and" + of_job);
    if (carried.Bool(0, 0)) return;
    Ask(
        fmt::format("update weir.job_accounts set planned = true where {0}; "
                    "insert into weir.tasks (job_id, account, meter, lane, kind, lo, hi) "
                    "select {1}, '{2}', 'm', 0, 2, i, i + 1 from generate_series(0, {3}) i",
                    of_job, opened.id.value, h.account, kSlices - 1));
  }

  // Claims some task of the history, be it one that another worker runs, and reads its page.
  void Read(History& h) {
    const auto tasks = Ask(fmt::format(
        "select id from weir.tasks where account = '{}' and kind <> 0 and state in ('planned', '{}') "
        "order by id",
        h.account, calm_ ? "planned" : "running"));
    if (tasks.Empty()) return;
    const TaskId task{tasks.Int(Roll(tasks.Size()), 0)};
    ledger::ClaimOptions options;
    options.owner = fmt::format("w{}", Roll(1'000'000));
    options.max_crashes = 1'000;
    auto claim = Must(ledger::ClaimTask(session_, task, options));
    if (claim.kind != ledger::ClaimResult::Kind::kClaimed) return;
    auto page = std::make_unique<Page>();
    page->task = std::move(*claim.task);
    page->read = h.step;
    if (!calm_ && Roll(12) == 0) {
      Must(ledger::KillTask(session_, page->task, MakeError(ErrorClass::kInvalid, "no page"), "", "", {}));
      return;
    }
    page->mapper = FindSource("lichess")->NewMapper("games");
    page->writer = std::make_unique<worker::BatchWriter>(&pool_, worker::WriterOptions{});
    page->writer->Begin(&page->task, stream_, page->mapper.get(), true);
    worker::RecordBatch batch = Answer(h, *page);
    Must(page->writer->Prepare(batch));
    h.pages.push_back(std::move(page));
  }

  // The upstream's answer now, with a fault or without.
  worker::RecordBatch Answer(const History& h, Page& page) {
    worker::RecordBatch batch;
    const int fault =
        calm_ ? 9 : Roll(10);  // 0 a record is left out, 1 one's id cannot be read, 2 one cannot be stored
    const int half = kIds / kSlices;
    const int from = static_cast<int>(page.task.selector.lo) * half;
    bool faulty = fault <= 2;
    for (int i = from; i < from + half; ++i) {
      if (!h.records[static_cast<std::size_t>(i)].exists) continue;
      worker::RecordBatch::Record record;
      record.page_position = static_cast<std::int64_t>(batch.Size());
      record.outside = !page.task.filter.Contains(kFirstMs + i);
      const std::string raw = Raw(h, i);
      record.hash = worker::ContentHash(raw);
      if (faulty && Roll(half) == 0) {
        faulty = false;
        if (fault == 0) {
          page.end.doubt = "the source saw that something is missing";
          continue;
        }
        record.bad = "bad";
        if (fault == 2) record.head.id = IdOf(h, i);
        if (fault == 2) page.rejected.push_back(i);
        batch.Add(raw, std::move(record));
        continue;
      }
      record.head.id = IdOf(h, i);
      record.head.order_ms = kFirstMs + i;
      page.ids.push_back(i);
      batch.Add(raw, std::move(record));
    }
    return batch;
  }

  // Commits a page that was read before; a zombie's does nothing.
  void Commit(History& h) {
    if (h.pages.empty()) return;
    const auto at = h.pages.begin() + Roll(static_cast<int>(h.pages.size()));
    const std::unique_ptr<Page> page = std::move(*at);
    h.pages.erase(at);
    if (!calm_ && Roll(10) == 0) return;  // its worker died; the task is claimed by another
    worker::WriteTail tail;
    tail.page_ends = tail.done = true;
    tail.end = page->end;
    auto done = page->writer->Submit(std::move(tail));
    if (done) done = page->writer->Await();
    if (!done && done.error().error_class == ErrorClass::kInvalid) {
      // All that it wanted was rejected. It met what it met, and its task is dead.
      Must(ledger::KillTask(session_, page->task, done.error(), "", "", {}));
    } else if (!done) {
      ASSERT_EQ(done.error().error_class, ErrorClass::kFenced) << done.error().message;
      return;
    }
    std::string ids;
    for (const int i : page->ids) {
      h.records[static_cast<std::size_t>(i)].met =
          std::max(h.records[static_cast<std::size_t>(i)].met, page->read);
      if (page->task.filter.Contains(kFirstMs + i))
        ids += fmt::format("{}'{}'", ids.empty() ? "" : ", ", IdOf(h, i));
    }
    for (const int i : page->rejected)
      h.records[static_cast<std::size_t>(i)].met =
          std::max(h.records[static_cast<std::size_t>(i)].met, page->read);
    if (ids.empty()) return;
    EXPECT_EQ(
        Ask(fmt::format("select count(*) from lichess.games where account = '{}' and id in ({}) and stale_at "
                        "is not null",
                        h.account, ids))
            .Int(0, 0),
        0)
        << h.account << ": a row is stale that was met just now";
  }

  void EndOne(History& h) {
    if (h.jobs.empty()) return;
    Job& job = h.jobs[static_cast<std::size_t>(Roll(static_cast<int>(h.jobs.size())))];
    const int what = Roll(4);
    if (what == 0) {
      (void)ledger::CancelJob(session_, job.id);  // it may have ended
    } else if (what == 1) {
      ledger::FailureFilter filter;
      filter.job = job.id;
      (void)ledger::Replay(session_, filter, {});  // the same sync may run as another job
    } else {
      Ask(
          fmt::format("update weir.jobs set deadline_at = now() - interval '1 s' where id = {} and state in "
                      "('queued', 'running')",
                      job.id.value));
      job.expired = true;
    }
  }

  void Step(History& h) {
    ++h.step;
    switch (Roll(12)) {
      case 0:
      case 1:
      case 2:
        return Mutate(h);
      case 3:
        if (h.jobs.size() < 4) Open(h, RandomRequest(h));
        return;
      case 4:
        // What was asked for before goes on, if it expired.
        if (!h.jobs.empty() && h.jobs.size() < 4) Open(h, h.jobs.back().request);
        return;
      case 5:
      case 6:
      case 7:
        return Read(h);
      case 8:
        if (Roll(3) == 0) EndOne(h);
        return;
      default:
        return Commit(h);
    }
  }

  // What the leader does, then the model's judgement on what it marked.
  void Lead(std::vector<History>& histories) {
    const std::string last = std::string(Ask("select coalesce(max(id), 0) from weir.sweeps").Text(0, 0));
    Must(ledger::EndJobs(session_, true));
    Must(sweeper_.RunOnce());
    Must(ledger::EndJobs(session_, true));
    const auto sweeps =
        Ask("select account, job_id from weir.sweeps where applied_at is not null and id > " + last);
    const auto stale = Ask("select account, id from lichess.games where stale_at is not null");
    std::map<std::string, std::vector<int>> began;
    std::map<std::string, History*> named;
    for (History& h : histories) named[h.account] = &h;
    for (int i = 0; i < sweeps.Size(); ++i) {
      const auto h = named.find(std::string(sweeps.Text(i, 0)));
      ASSERT_NE(h, named.end());
      for (const Job& job : h->second->jobs) {
        if (job.id.value == sweeps.Int(i, 1)) began[h->first].push_back(job.began);
      }
    }
    std::map<std::string, std::set<std::string>> now;
    for (int i = 0; i < stale.Size(); ++i) now[std::string(stale.Text(i, 0))].emplace(stale.Text(i, 1));
    for (History& h : histories) Judge(h, now[h.account], began[h.account]);
  }

  void Judge(History& h, const std::set<std::string>& stale, const std::vector<int>& began) {
    for (int i = 0; i < kIds; ++i) {
      Record& record = h.records[static_cast<std::size_t>(i)];
      const bool was = std::exchange(record.marked, stale.contains(IdOf(h, i)));
      if (was || !record.marked) continue;
      ++marked_;
      const bool right = std::any_of(began.begin(), began.end(), [&](int job_began) {
        const bool live = record.exists && record.since <= job_began;
        return !live && record.met < job_began;
      });
      EXPECT_TRUE(right) << IdOf(h, i) << ": a live row was marked; exists " << record.exists << " since "
                         << record.since << ", met " << record.met << ", now " << h.step << ", seed "
                         << GetParam();
    }
  }

  // Whatever happened: a full sync without a fault leaves exactly the rows that the upstream has.
  void Settle(std::vector<History>& histories) {
    for (History& h : histories) {
      h.pages.clear();
      for (const Job& job : h.jobs) (void)ledger::CancelJob(session_, job.id);
      h.step += 1;
      ledger::JobRequest request = RandomRequest(h);
      request.mode = JobMode::kFull;
      request.filter = {};
      request.filter.until_ms = kFirstMs + 1'000;  // no other job of the history is the same sync
      Open(h, request);
    }
    for (History& h : histories) {
      for (int slice = 0; slice < kSlices; ++slice) ReadWhole(h);
    }
    Lead(histories);
    for (const History& h : histories) {
      std::string live;
      for (int i = 0; i < kIds; ++i) {
        if (h.records[static_cast<std::size_t>(i)].exists) live += (live.empty() ? "" : ",") + IdOf(h, i);
      }
      if (live.empty()) continue;  // an empty result sweeps nothing
      EXPECT_EQ(Ask(fmt::format(
                        "select string_agg(id, ',' order by id) from lichess.games where account = '{}' and "
                        "stale_at is null",
                        h.account))
                    .Text(0, 0),
                live)
          << h.account << ", seed " << GetParam();
    }
  }

  void ReadWhole(History& h) {
    const auto task =
        Ask(fmt::format("select id from weir.tasks where job_id = {} and state = 'planned' and kind <> 0 "
                        "order by id limit 1",
                        h.jobs.back().id.value));
    ASSERT_FALSE(task.Empty());
    Page page;
    page.task = *Must(ledger::ClaimTask(session_, TaskId{task.Int(0, 0)}, {.owner = "settle"})).task;
    page.mapper = FindSource("lichess")->NewMapper("games");
    worker::BatchWriter writer(&pool_, worker::WriterOptions{});
    writer.Begin(&page.task, stream_, page.mapper.get(), true);
    worker::RecordBatch batch;
    for (int i = 0; i < kIds; ++i) {
      if (!h.records[static_cast<std::size_t>(i)].exists || i / (kIds / kSlices) != page.task.selector.lo)
        continue;
      worker::RecordBatch::Record record;
      record.page_position = static_cast<std::int64_t>(batch.Size());
      record.head = {IdOf(h, i), kFirstMs + i};
      record.hash = worker::ContentHash(Raw(h, i));
      batch.Add(Raw(h, i), std::move(record));
      h.records[static_cast<std::size_t>(i)].met = h.step;
    }
    Must(writer.Prepare(batch));
    worker::WriteTail tail;
    tail.page_ends = tail.done = true;
    Must(writer.Submit(std::move(tail)));
    Must(writer.Await());
  }

  TestPostgres database_;
  SystemClock clock_;
  pg::Session session_;
  pg::SessionPool pool_;
  const StreamInfo* stream_;
  Sweeper sweeper_{session_, clock_, [](std::string_view) { return SweepLimits{100, kIds}; }};
  std::mt19937 random_;
  bool calm_ = false;  // no faults
  int marked_ = 0;
};

TEST_P(SweepHistoryTest, ASweepMarksNoLiveRow) {
  for (int first = 0; first < kHistories; first += kTogether) {
    std::vector<History> histories;
    for (int i = 0; i < kTogether; ++i) histories.push_back(Begin(first + i));
    for (int step = 0; step < kSteps; ++step) {
      for (History& h : histories) Step(h);
      if (step % 4 == 3) Lead(histories);
      if (HasFatalFailure()) return;
    }
    const int before = marked_;
    Settle(histories);
    if (HasFailure()) return;
    EXPECT_GT(before, 0) << "the histories themselves had sweeps to judge";
    marked_ = 0;
    // The next ones need not be looked through with these.
    Ask("delete from lichess.games; delete from weir.jobs; delete from weir.seen; delete from weir.watched");
  }
}

// A batch finds a row unchanged; a sweep marks it, before the batch is committed; the batch takes that back.
TEST_P(SweepHistoryTest, ASweepBetweenALookUpAndItsCommitIsTakenBack) {
  calm_ = true;
  std::vector<History> histories;
  histories.push_back(Begin(0));
  History& h = histories.back();
  const int i = GetParam() % kIds;
  Record& record = h.records[static_cast<std::size_t>(i)];
  ledger::JobRequest request = RandomRequest(h);
  request.mode = JobMode::kFull;
  request.filter = {};
  ++h.step;
  record.exists = false;
  Open(h, request);
  for (int slice = 0; slice < kSlices; ++slice) ReadWhole(h);
  ++h.step;
  record.exists = true;
  record.since = h.step;
  request.mode = JobMode::kIncremental;
  Open(h, request);
  for (int slice = 0; slice < kSlices; ++slice) Read(h);
  Lead(histories);
  EXPECT_TRUE(record.marked) << "when it was decided, nobody had met it";
  while (!h.pages.empty()) Commit(h);
  EXPECT_EQ(Ask("select count(*) from lichess.games where stale_at is not null").Int(0, 0), 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SweepHistoryTest, ::testing::Range(1, 11));

}  // namespace
}  // namespace weir::testing
