// The poll loop's threads against each other, without Kafka: run under ThreadSanitizer in CI. librdkafka
// itself cannot run under gcc 12's.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "worker/poll_loop.h"

namespace weir::worker {
namespace {

using std::chrono::milliseconds;

constexpr int kTasks = 2'000;
constexpr int kExecutors = 4;

// A log of kTasks messages in one partition. Each client assigns the partition from what is stored on; every
// 3rd Poll of a client fails for good, as after a fatal error.
struct Log {
  std::vector<std::string> messages;
  std::int64_t stored = 0;  // the poll thread's, as all of a consumer but Wake
  std::atomic<std::int64_t> wakes{0};
  int clients = 0;
};

class FailingConsumer final : public kafka::Consumer {
 public:
  FailingConsumer(Log* log, kafka::RebalanceListener* listener)
      : log_(log), listener_(listener), next_(log->stored) {
    ++log_->clients;
  }
  Result<void> Poll(milliseconds) override {
    if (polls_++ == 0) listener_->OnAssigned({kPartition});
    if (polls_ % 3 == 0) return Fail(ErrorClass::kBroker, "fenced");
    return {};
  }
  std::optional<kafka::Message> Next(const kafka::TopicPartition& from) override {
    if (next_ >= static_cast<std::int64_t>(log_->messages.size())) return std::nullopt;
    kafka::Message message{from, next_, "k", log_->messages[static_cast<std::size_t>(next_)], {}};
    ++next_;
    return message;
  }
  std::vector<kafka::TopicPartition> Assignment() const override { return {kPartition}; }
  Result<void> StoreOffset(const kafka::TopicPartition&, std::int64_t next) override {
    log_->stored = next;
    return {};
  }
  Result<void> CommitNow() override { return {}; }
  void Close(milliseconds) override {}
  std::int64_t BytesReceived() const override { return 0; }
  // As the real one, it touches the client's own state.
  void Wake() override {
    ++woken_;
    ++log_->wakes;
  }

 private:
  inline static const kafka::TopicPartition kPartition{"weir.tasks", 0};
  Log* log_;
  kafka::RebalanceListener* listener_;
  std::int64_t next_;
  int polls_ = 0;
  std::atomic<int> woken_{0};
};

std::string Task(int id) {
  ledger::ReadyTask task;
  task.id = TaskId{id + 1};
  task.job = JobId{1};
  task.account = "a";
  task.lane = LaneId{"m" + std::to_string(id % 8), 0};
  task.source = "s";
  task.stream = "t";
  return ledger::EncodeTask(task);
}

TEST(PollLoopThreads, ClientsComeAndGoUnderExecutorsThatWakeTheLoop) {
  Log log;
  for (int i = 0; i < kTasks; ++i) log.messages.push_back(Task(i));
  SystemClock clock;
  Metrics metrics{"test", "0"};
  LaneScheduler scheduler(&clock, kExecutors);
  FinishedQueue finished;
  GarbageKeeper garbage(&finished);
  PollLoop::Parts parts{.clock = &clock,
                        .scheduler = &scheduler,
                        .finished = &finished,
                        .garbage = &garbage,
                        .metrics = &metrics,
                        .new_consumer = {},
                        .client_retry = milliseconds(0)};
  parts.new_consumer = [&](kafka::RebalanceListener* listener) -> Result<std::unique_ptr<kafka::Consumer>> {
    return std::make_unique<FailingConsumer>(&log, listener);
  };
  PollLoop loop(std::move(parts));
  finished.OnPush([&] { loop.Wake(); });
  std::vector<std::thread> executors;
  for (int i = 0; i < kExecutors; ++i) {
    executors.emplace_back([&] {
      while (auto work = scheduler.Take()) {
        const TaskId task = work->delivery.message.task;
        finished.Push(std::move(work->delivery));
        scheduler.Done(work->lane, task, milliseconds(0));
      }
    });
  }
  // The keeper's thread drains waiting lanes and asks what is claimed.
  std::atomic<bool> stop{false};
  std::thread keeper([&] {
    while (!stop) {
      (void)scheduler.DrainWaiting(std::chrono::seconds(5));
      (void)scheduler.Claimed();
      scheduler.CheckIn(scheduler.CheckOutIdle(milliseconds(0)));
      loop.Wake();
      std::this_thread::yield();
    }
  });
  while (log.stored < kTasks) loop.RunOnce(milliseconds(0));
  stop = true;
  keeper.join();
  scheduler.Stop();
  for (std::thread& executor : executors) executor.join();
  loop.Close(milliseconds(0));
  EXPECT_EQ(log.stored, kTasks);
  EXPECT_GT(log.clients, 1) << "no client failed under the executors";
  EXPECT_GT(log.wakes.load(), 0);
}

}  // namespace
}  // namespace weir::worker
