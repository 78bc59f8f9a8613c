#include "worker/write_gate.h"

#include <algorithm>

namespace weir::worker {
namespace {

using Millis = WriteGate::Millis;

// How soon a lane looks again while another one tries.
constexpr Millis kLook{250};

bool Broke(const Error& error) {
  return error.sqlstate.empty() || error.sqlstate.starts_with("08") || error.sqlstate.starts_with("57P") ||
         error.sqlstate == "26000" || error.sqlstate == "42P05";
}

}  // namespace

WriteGate::Turn WriteGate::Ask(const std::string& table, Millis now) {
  const std::lock_guard lock(mutex_);
  const auto found = ill_.find(table);
  if (found == ill_.end()) return {};
  Ill& ill = found->second;
  if (now < ill.until) return {Way::kWait, ill.until - now, ill.why};
  if (ill.tried) return {Way::kWait, kLook, ill.why};
  ill.tried = true;
  return {Way::kTry, Millis(0), ill.why};
}

Millis WriteGate::Failed(const std::string& table, const Error& error, Millis now) {
  const std::lock_guard lock(mutex_);
  Ill& ill = ill_[table];
  const bool known = now < ill.until;  // pages that were under way when the first one failed
  if (!known) {
    const Millis first = Broke(error) ? pauses_.after_break : pauses_.after_refusal;
    // Who is refused for good does not come again, and the next one is told so by a trial at once.
    const bool for_good = error.error_class == ErrorClass::kSchema;
    ill.until = for_good ? now : now + std::min(pauses_.longest, first * (1 << std::min(ill.failures, 10)));
    if (!for_good) ++ill.failures;
  }
  ill.tried = false;
  ill.why = error;
  well_.erase(table);
  return ill.until - now;
}

void WriteGate::Took(const std::string& table) {
  const std::lock_guard lock(mutex_);
  ill_.erase(table);
  well_.insert(table);
}

void WriteGate::Left(const std::string& table) {
  const std::lock_guard lock(mutex_);
  const auto found = ill_.find(table);
  if (found != ill_.end()) found->second.tried = false;
}

void WriteGate::Suspect(const std::string& table, const Error& error) {
  const std::lock_guard lock(mutex_);
  if (well_.contains(table)) return;
  const auto [found, is_new] = ill_.try_emplace(table);
  if (is_new) found->second.why = error;
}

}  // namespace weir::worker
