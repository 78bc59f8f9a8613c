#include "worker/write_gate.h"

#include <algorithm>
#include <utility>

namespace weir::worker {
namespace {

using Millis = WriteGate::Millis;

// How soon a lane looks again while another one tries.
constexpr Millis kLook{250};
// A trigger may refuse single records, and pages may be short: so many tell that it refuses all.
constexpr int kTellingPages = 2;
constexpr std::int64_t kTellingRecords = 10;
constexpr std::size_t kMostAccounts = 1'000;

bool Broke(const Error& error) {
  return error.sqlstate.empty() || error.sqlstate.starts_with("08") || error.sqlstate.starts_with("57P") ||
         error.sqlstate == "26000" || error.sqlstate == "42P05";
}

}  // namespace

WriteGate::Turn WriteGate::Ask(const std::string& table, Millis now) {
  const std::lock_guard lock(mutex_);
  const auto found = ill_.find(table);
  if (found == ill_.end() || found->second.passed) return {};
  Ill& ill = found->second;
  if (now < ill.until) return {Way::kWait, ill.until - now, ill.why};
  if (ill.tried) return {Way::kWait, kLook, ill.why};
  ill.tried = true;
  return {Way::kTry, Millis(0), ill.why};
}

Millis WriteGate::Failed(const std::string& table, const Error& error, Millis now,
                         std::optional<Millis> wrote) {
  const std::lock_guard lock(mutex_);
  Ill& ill = ill_[table];
  if (wrote && *wrote >= ill.failed) ill.failures = 0;
  const bool known = now < ill.until;  // pages that were under way when the first one failed
  if (!known) {
    const Millis first = Broke(error) ? pauses_.after_break : pauses_.after_refusal;
    // Who is refused for good does not come again, and the next one is told so by a trial at once.
    const bool for_good = error.error_class == ErrorClass::kSchema;
    ill.until = for_good ? now : now + std::min(pauses_.longest, first * (1 << std::min(ill.failures, 10)));
    if (!for_good) ++ill.failures;
  }
  ill.tried = ill.passed = false;
  ill.failed = now;
  ill.why = error;
  well_.erase(table);
  return ill.until - now;
}

void WriteGate::Took(const std::string& table, Millis sent) {
  const std::lock_guard lock(mutex_);
  const auto found = ill_.find(table);
  if (found != ill_.end()) {
    if (sent < found->second.failed) return;
    ill_.erase(found);
  }
  well_.insert(table);
}

void WriteGate::Passed(const std::string& table) {
  const std::lock_guard lock(mutex_);
  const auto found = ill_.find(table);
  if (found == ill_.end() || !found->second.tried) return;
  found->second.tried = false;
  found->second.passed = true;
}

void WriteGate::Left(const std::string& table) {
  const std::lock_guard lock(mutex_);
  const auto found = ill_.find(table);
  if (found != ill_.end()) found->second.tried = false;
}

void WriteGate::StoredOf(const std::string& account) {
  const std::lock_guard lock(mutex_);
  refused_.erase(account);
}

bool WriteGate::RefusedWhole(const std::string& account, const std::string& sqlstate, std::int64_t records,
                             std::int64_t task) {
  const std::lock_guard lock(mutex_);
  if (refused_.size() >= kMostAccounts && !refused_.contains(account)) refused_.clear();
  Refused& refused = refused_[account];
  if (refused.sqlstate != sqlstate) refused = {sqlstate, 0, 0, 0};
  if (std::exchange(refused.task, task) != task) {
    ++refused.pages;
    refused.records += records;
  }
  return refused.pages >= kTellingPages && refused.records >= kTellingRecords;
}

void WriteGate::Suspect(const std::string& table, const Error& error) {
  const std::lock_guard lock(mutex_);
  if (well_.contains(table)) return;
  const auto [found, is_new] = ill_.try_emplace(table);
  if (is_new) found->second.why = error;
}

}  // namespace weir::worker
