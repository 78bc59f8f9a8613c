#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace weir {

// What is to be done about an error; nobody matches its text (DESIGN §5). The names are those that users see
// in `weir failures`, in weir.tasks.error_class and in metrics.
enum class ErrorClass {
  kTransient,  // try again after a backoff, park, then dead after retry.max_attempts
  kThrottled,  // the lane waits; costs no attempt
  kAuth,       // the account's open tasks of this job are dead
  kBlocked,    // the upstream's user-agent filter; dead, with a hint
  kGone,       // not there (404, 410 as the source defines them); dead
  kInvalid,    // an answer that is not one: malformed, truncated for good, over a cap; dead at once
  kDatabase,   // PostgreSQL is ill: the lane waits, no attempt is spent
  kSchema,  // PostgreSQL refuses a statement for good (a column, right, policy): the account's tasks are dead
  kBadRecord,  // one record is rejected alone
  kPoison,     // the task crashed its worker three times; dead
  kFenced,     // a newer epoch owns the task: stop, write nothing
  kStopped,    // interrupted by shutdown, rebalance or a lost lease: no attempt is spent
  kBroker,     // Kafka is ill
  kConfig,     // usage or configuration (exit 2)
  kNotFound,   // what the user named does not exist (exit 5)
  kConflict,   // it exists, but its state forbids this (exit 5)
  kInternal,   // a defect of ours
};

std::string_view ToString(ErrorClass c);
std::optional<ErrorClass> ParseErrorClass(std::string_view text);

// What went wrong, why, and how to go on. Never holds a secret (DESIGN §4.8): who makes one from upstream
// bytes or a connection string redacts first.
struct Error {
  ErrorClass error_class = ErrorClass::kInternal;
  std::string message;                                   // what and why, one sentence
  std::string hint;                                      // what the user can do; may be empty
  int http_status = 0;                                   // 0 = no HTTP answer was had
  std::optional<std::chrono::milliseconds> retry_after;  // as the upstream asked, not yet clamped
  std::string sqlstate;  // PostgreSQL's five characters, if it came from there
  std::string
      body_start;  // first bytes of the upstream's answer (≤ 512, printable), for `weir failures show`
};

inline Error MakeError(ErrorClass c, std::string message, std::string hint = {}) {
  Error e;
  e.error_class = c;
  e.message = std::move(message);
  e.hint = std::move(hint);
  return e;
}

}  // namespace weir
