// Messages, configuration and numbers.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/time_text.h"
#include "common/config/value_text.h"
#include "common/ledger/task_message.h"
#include "common/sources/record_check.h"
#include "tests/fuzz/targets.h"
#include "worker/copy_binary.h"

namespace weir::fuzz {
namespace {

// A decimal number as a sign, its digits without zeros at either end, and where its point stands among them.
struct Plain {
  bool negative = false;
  std::string digits;
  std::int64_t point = 0;
  friend bool operator==(const Plain&, const Plain&) = default;
};

Plain Normal(bool negative, std::string digits, std::int64_t point) {
  const auto first = std::min(digits.find_first_not_of('0'), digits.size());
  digits.erase(0, first);
  point -= static_cast<std::int64_t>(first);
  while (digits.ends_with('0')) digits.pop_back();
  if (digits.empty()) return {};
  return {negative, digits, point};
}

Plain FromLiteral(std::string_view text, std::int64_t& scale) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const auto e = std::min(text.find_first_of("eE"), text.size());
  std::int64_t exponent = 0;
  if (e < text.size()) {
    std::string_view digits = text.substr(e + 1);
    const bool below = digits.starts_with('-');
    if (below || digits.starts_with('+')) digits.remove_prefix(1);
    for (const char c : digits) exponent = std::min<std::int64_t>(exponent * 10 + (c - '0'), 1'000'000);
    if (below) exponent = -exponent;
  }
  const std::string_view mantissa = text.substr(0, e);
  const auto dot = std::min(mantissa.find('.'), mantissa.size());
  std::string digits(mantissa.substr(0, dot));
  if (dot < mantissa.size()) digits += mantissa.substr(dot + 1);
  const auto point = static_cast<std::int64_t>(dot) + exponent;
  scale = std::max<std::int64_t>(0, static_cast<std::int64_t>(digits.size()) - point);
  return Normal(negative, digits, point);
}

std::int16_t Int16(std::string_view bytes, std::size_t at) {
  return static_cast<std::int16_t>(static_cast<unsigned char>(bytes[at]) << 8 |
                                   static_cast<unsigned char>(bytes[at + 1]));
}

}  // namespace

std::string RunNumeric(std::string_view input) {
  using worker::WireType;
  if (input.empty() || (input[0] != '-' && (input[0] < '0' || input[0] > '9'))) return {};
  if (input.find_first_of(" \t\r\n") != std::string_view::npos || !CheckDocument(input, 1)) return {};
  static const std::vector<WireType> kColumns{WireType::kNumeric};
  std::string row;
  worker::CopyBinary out(&row, &kColumns);
  out.BeginRow();
  out.Number(input);
  const std::string_view cell = std::string_view(row).substr(2);
  if (cell.size() < 12) return "a numeric of less than its head";
  const std::string_view body = cell.substr(4);
  const std::int16_t groups = Int16(body, 0), weight = Int16(body, 2);
  const auto sign = static_cast<std::uint16_t>(Int16(body, 4));
  if (groups < 0 || body.size() != 8U + 2U * static_cast<std::size_t>(groups))
    return "a numeric of another length";
  std::string digits;
  for (std::int16_t i = 0; i < groups; ++i) {
    const std::int16_t group = Int16(body, 8 + 2 * static_cast<std::size_t>(i));
    if (group < 0 || group > 9999) return "a numeric's group that is out of bounds";
    const std::string text = std::to_string(group);
    digits += std::string(4 - text.size(), '0') + text;
  }
  if (sign != 0 && sign != 0x4000) return "a numeric of no sign";
  if (groups > 0 && (Int16(body, 8) == 0 || digits.ends_with("0000"))) return "a numeric with empty groups";
  std::int64_t scale = 0;
  const Plain expected = FromLiteral(input, scale);
  if (Normal(sign != 0, digits, 4LL * (weight + 1)) != expected) return "a numeric of another value";
  return Int16(body, 6) == scale ? "" : "a numeric of another scale";
}

std::string RunTaskMessage(std::string_view input) {
  const auto task = ledger::DecodeTask(input);
  if (!task)
    return task.error().error_class == ErrorClass::kInvalid ? "" : "garbage is called something else";
  if (task->task.value <= 0 || task->job.value <= 0) return "a message that names no task is taken";
  if (task->lane.meter.empty() || task->lane.index < 0) return "a message that names no lane is taken";
  ledger::ReadyTask ready;
  ready.id = task->task;
  ready.job = task->job;
  ready.lane = task->lane;
  ready.source = task->source;
  ready.stream = task->stream;
  ready.account = task->account;
  ready.traceparent = task->traceparent;
  const auto again = ledger::DecodeTask(ledger::EncodeTask(ready));
  if (!again) return "a message that cannot be read back: " + again.error().message;
  const bool same = again->task == task->task && again->job == task->job && again->lane == task->lane &&
                    again->source == task->source && again->stream == task->stream &&
                    again->account == task->account && again->traceparent == task->traceparent;
  return same ? "" : "a message that says something else when written again";
}

std::string RunValueText(std::string_view text) {
  if (const auto size = ParseSize(text)) {
    if (*size < 0) return "a size below 0";
    if (ParseSize(FormatSize(*size)) != size) return "a size that is another when written";
  }
  (void)ParseTime(text);
  if (const auto time = ParseDuration(text)) {
    if (time->count() < 0) return "a duration below 0";
    if (ParseDuration(FormatExactDuration(*time)) != time) return "a duration that is another when written";
  }
  const auto quota = ParseQuota(text);
  if (quota) {
    for (const QuotaRule& rule : *quota) {
      if (rule.requests <= 0 || rule.per.count() <= 0) return "a quota that allows nothing";
    }
  }
  return {};
}

}  // namespace weir::fuzz
