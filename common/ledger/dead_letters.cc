#include "common/ledger/dead_letters.h"

#include <charconv>
#include <string_view>

#include "common/ledger/hex.h"
#include "common/ledger/task_message.h"

namespace weir::ledger {
namespace {

constexpr std::string_view kDueSql = R"sql(
  select t.id, t.job_id, t.meter, t.lane, j.source, j.stream, t.account, t.kind, t.lo, t.hi, t.key,
         j.priority = 'interactive', t.attempts, j.traceparent, t.dispatches, coalesce(t.http_status, 0),
         coalesce(t.error_class, ''), coalesce(t.error_message, ''), coalesce(encode(t.letter_message, 'hex'), ''), coalesce(t.letter_from, ''),
         t.epoch
    from weir.tasks t join weir.jobs j on j.id = t.job_id
   where t.letter_due order by t.id limit $1::int)sql";

template <typename Number>
Number NumberOf(std::string_view text, Number otherwise) {
  Number number = otherwise;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  return read.ec == std::errc() ? number : otherwise;
}

// "topic/partition/offset"; a topic's name has no slash.
void ReadPlace(std::string_view from, DeadLetter& letter) {
  const auto first = from.find('/');
  const auto second = from.find('/', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) return;
  letter.topic = from.substr(0, first);
  letter.partition = NumberOf(from.substr(first + 1, second - first - 1), -1);
  letter.offset = NumberOf<std::int64_t>(from.substr(second + 1), -1);
}

DeadLetter ReadLetter(const pg::Rows& rows, int i) {
  DeadLetter letter;
  ReadyTask& task = letter.task;
  task.id = TaskId{rows.Int(i, 0)};
  task.job = JobId{rows.Int(i, 1)};
  task.lane = LaneId{std::string(rows.Text(i, 2)), static_cast<int>(rows.Int(i, 3))};
  task.source = rows.Text(i, 4);
  task.stream = rows.Text(i, 5);
  task.account = rows.Text(i, 6);
  task.selector = Selector{static_cast<SelectorKind>(rows.Int(i, 7)), rows.Int(i, 8), rows.Int(i, 9),
                           std::string(rows.Text(i, 10))};
  task.interactive = rows.Bool(i, 11);
  task.attempts = static_cast<int>(rows.Int(i, 12));
  task.traceparent = rows.Text(i, 13);
  task.epoch = Epoch{rows.Int(i, 20)};
  letter.attempts = task.attempts;
  letter.deliveries = static_cast<int>(rows.Int(i, 14));
  letter.http_status = static_cast<int>(rows.Int(i, 15));
  letter.error_class = rows.Text(i, 16);
  letter.error = rows.Text(i, 17);
  letter.message = FromHex(rows.Text(i, 18));
  ReadPlace(rows.Text(i, 19), letter);
  if (letter.message.empty()) letter.message = EncodeTask(task);
  return letter;
}

}  // namespace

Result<bool> AnyLetterDue(pg::Session& session) {
  auto rows = session.Exec(
      "select exists (select from weir.tasks where letter_due) or exists (select from weir.garbage where "
      "letter_due)",
      {}, "any_letter_due");
  if (!rows) return Fail(rows.error());
  return rows->Bool(0, 0);
}

Result<std::vector<DeadLetter>> LettersDue(pg::Session& session, int limit) {
  auto rows = session.Exec(kDueSql, {std::to_string(limit)}, "letters_due");
  if (!rows) return Fail(rows.error());
  std::vector<DeadLetter> letters;
  for (int i = 0; i < rows->Size(); ++i) letters.push_back(ReadLetter(*rows, i));
  return letters;
}

Result<void> MarkLettersSent(pg::Session& session, const std::vector<SentTask>& sent) {
  if (sent.empty()) return {};
  std::vector<std::int64_t> ids, epochs;
  for (const SentTask& letter : sent) {
    ids.push_back(letter.id.value);
    epochs.push_back(letter.epoch.value);
  }
  auto rows = session.Exec(
      "update weir.tasks t set letter_due = false, letter_message = null, letter_from = null "
      "from unnest($1::int8[], $2::int8[]) u (id, epoch) "
      "where t.id = u.id and t.epoch = u.epoch and t.state = 'dead'",
      {pg::ArrayLiteral(ids), pg::ArrayLiteral(epochs)}, "letters_sent");
  if (!rows) return Fail(rows.error());
  return {};
}

}  // namespace weir::ledger
