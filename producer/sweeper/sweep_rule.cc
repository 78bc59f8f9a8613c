#include "producer/sweeper/sweep_rule.h"

#include <fmt/core.h>

#include <algorithm>

namespace weir {
namespace {

SweepDecision Refuse(std::string reason) { return {SweepDecision::Kind::kRefuse, std::move(reason)}; }

// The last total the upstream told, or the first one where it told no other.
std::optional<std::int64_t> LastTotal(const SweepFacts& facts) {
  return facts.total_after ? facts.total_after : facts.total_before;
}

// Whether what came and what the upstream says there is are the same, as far as they can be while records
// come and go. All that the last total counts has come: the first one, smaller where records were created
// meanwhile, would let them make up for others that never came. What was deleted behind the reading makes the
// last total the smaller one: forgiven where it is little, since a total that falls short is a sign of an
// upstream that does not know what it has.
bool TotalsFit(const SweepFacts& facts) {
  const auto total = LastTotal(facts);
  if (!total) return true;
  const std::int64_t forgiven = std::max<std::int64_t>(10, facts.met / 100);
  return facts.met >= *total && facts.met - *total <= forgiven;
}

}  // namespace

bool SweepLimits::Allow(std::int64_t to_mark, std::int64_t live) const {
  // Neither product overflows: a table has less than 2^56 rows.
  return to_mark <= rows || to_mark * 100 <= live * percent;
}

SweepLimits SweepLimitsOf(const Config& config, std::string_view source) {
  SweepLimits limits{config.sweep_max_stale_percent, config.sweep_max_stale_rows};
  const auto own = config.sources.find(source);
  if (own == config.sources.end()) return limits;
  if (own->second.sweep_max_stale_percent >= 0) limits.percent = own->second.sweep_max_stale_percent;
  if (own->second.sweep_max_stale_rows >= 0) limits.rows = own->second.sweep_max_stale_rows;
  return limits;
}

SweepDecision DecideSweep(const SweepFacts& facts, const SweepLimits& limits) {
  if (!facts.lists_all) return Refuse("the source does not say that its full jobs list everything");
  if (!facts.full) return Refuse("the job was not asked to read everything");
  if (!facts.read_whole) return Refuse("not every page was read");
  if (!facts.scope_known) return Refuse("the job was bounded in time, and the stream's rows have none");
  if (!facts.doubt.empty()) return Refuse("records may have been missed: " + facts.doubt);
  if (facts.noted == 0) return Refuse("the job met no record at all");
  if (facts.noted < facts.stored) {
    return Refuse(fmt::format("of {} records that were met only {} are noted", facts.stored, facts.noted));
  }
  if (facts.to_mark > 0 && !TotalsFit(facts)) {
    return Refuse(fmt::format(
        "{} different records came, and the upstream told of {} at the beginning and {} at the end",
        facts.met, facts.total_before.value_or(*LastTotal(facts)), *LastTotal(facts)));
  }
  if (limits.Allow(facts.to_mark, facts.live)) return {SweepDecision::Kind::kMark, ""};
  return {
      SweepDecision::Kind::kHold,
      fmt::format("{} of {} rows are gone, more than sweep.max_stale_percent ({}) or sweep.max_stale_rows "
                  "({}) lets be marked unasked",
                  facts.to_mark, facts.live, limits.percent, limits.rows)};
}

}  // namespace weir
