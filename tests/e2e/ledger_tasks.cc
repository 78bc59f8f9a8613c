// What a test asks of the ledger's tasks while a sync runs.
#include <fmt/core.h>

#include <cstdlib>

#include "common/ledger/task_message.h"
#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

ledger::ReadyTask TaskOf(const pg::Rows& rows, int i) {
  ledger::ReadyTask task;
  task.id = TaskId{rows.Int(i, 0)};
  task.job = JobId{rows.Int(i, 1)};
  task.lane = LaneId{std::string(rows.Text(i, 2)), static_cast<int>(rows.Int(i, 3))};
  task.source = rows.Text(i, 4);
  task.stream = rows.Text(i, 5);
  task.account = rows.Text(i, 6);
  task.selector = {static_cast<SelectorKind>(rows.Int(i, 7)), rows.Int(i, 8), rows.Int(i, 9),
                   std::string(rows.Text(i, 10))};
  return task;
}

}  // namespace

std::int64_t E2eTest::Fetched() const {
  const auto fetched = TryText("select coalesce(sum(fetched), 0) from weir.tasks");
  return fetched ? std::strtoll(fetched->c_str(), nullptr, 10) : -1;
}

bool E2eTest::AwaitFetched(std::int64_t least, Millis patience) const {
  return process::WaitUntil([&] { return Fetched() >= least; }, patience);
}

std::vector<kafka::OutgoingMessage> E2eTest::EveryTask() const {
  std::vector<kafka::OutgoingMessage> messages;
  const kafka::Topics topics = Topics();
  pg::Session session(postgres_->Options());
  const auto rows = session.Exec(
      "select t.id, t.job_id, t.meter, t.lane, j.source, j.stream, t.account, t.kind, t.lo, t.hi, t.key "
      "from weir.tasks t join weir.jobs j on j.id = t.job_id");
  EXPECT_TRUE(rows);
  for (int i = 0; rows && i < rows->Size(); ++i) {
    const ledger::ReadyTask task = TaskOf(*rows, i);
    const std::string value = ledger::EncodeTask(task);
    messages.push_back({topics.tasks, task.lane.Text(), value, {}});
    for (const std::string& topic : {topics.tasks, topics.interactive})
      messages.push_back({topic, fmt::format("key{}", messages.size()), value, {}});
  }
  return messages;
}

}  // namespace weir::e2e
