#include "producer/probe/lane_turn.h"

#include <fmt/core.h>

#include <algorithm>

#include "common/base/time_text.h"
#include "common/ledger/lanes.h"

namespace weir::probe {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLook{500};       // between two looks at a lane that others have
constexpr milliseconds kSayFrom{1'000};  // shorter waits are not worth a word
// A renewal that takes longer has failed: the lease must not run out meanwhile.
constexpr milliseconds kRenewDeadline{2'000};

}  // namespace

LaneTurn::LaneTurn(pg::Session* session, LaneTurnOptions options, const Clock& clock, Callbacks callbacks)
    : session_(session), options_(std::move(options)), clock_(clock), callbacks_(std::move(callbacks)) {}

LaneTurn::~LaneTurn() {
  // Only after an error: what does not succeed now runs out by itself.
  if (lane_ && session_ != nullptr) (void)ledger::ReleaseHolder(*session_, options_.holder);
}

Result<milliseconds> LaneTurn::TryLane(const LaneId& lane) {
  const milliseconds sent = clock_.Boot();
  auto state = ledger::AcquireLane(*session_, lane, options_.holder, options_.lease, options_.margin);
  if (!state) return Fail(state.error());
  if (!state->held) {
    waiting_for_ = "lease";
    return std::min(state->wait, kLook);
  }
  if (state->wait > milliseconds(0)) {
    waiting_for_ = state->waiting_for;
    if (auto released = ledger::ReleaseLanes(*session_, options_.holder, {lane}); !released) {
      return Fail(released.error());
    }
    return state->wait;
  }
  lane_ = lane;
  renewed_ = sent;
  until_ = sent + options_.lease;
  pace_ = milliseconds(static_cast<std::int64_t>(state->memory.delay_ms));
  return milliseconds(0);
}

Result<milliseconds> LaneTurn::TryBegin(const std::string& meter, int lanes) {
  const milliseconds now = clock_.Boot();
  if (const auto quiet = quiet_until_.find(meter); quiet != quiet_until_.end() && quiet->second > now) {
    waiting_for_ = "throttled";
    return quiet->second - now;
  }
  if (session_ == nullptr) {
    lane_ = LaneId{meter, 0};
    pace_ = milliseconds(0);
    return milliseconds(0);
  }
  milliseconds shortest = milliseconds::max();
  std::string reason;
  for (int i = 0; i < std::max(lanes, 1); ++i) {
    auto wait = TryLane({meter, i});
    if (!wait || *wait <= milliseconds(0)) return wait;
    if (*wait < shortest) reason = waiting_for_;
    shortest = std::min(shortest, *wait);
  }
  waiting_for_ = reason;
  return shortest;
}

Error LaneTurn::Impatient(const std::string& meter, milliseconds wait) const {
  if (waiting_for_ == "lease") {
    return MakeError(
        ErrorClass::kConflict,
        fmt::format("{} is in use by a sync, and was not free for {}", meter,
                    FormatDuration(options_.patience)),
        "one request at a time goes to it: try again when the sync is over (weir jobs list --open)");
  }
  Error error = MakeError(ErrorClass::kThrottled,
                          fmt::format("{} must wait {} more ({})", meter, FormatDuration(wait), waiting_for_),
                          "the upstream asked for it: try again then");
  error.retry_after = wait;
  return error;
}

Result<void> LaneTurn::Begin(const std::string& meter, int lanes) {
  const milliseconds deadline = clock_.Boot() + options_.patience;
  std::string said;
  while (true) {
    auto wait = TryBegin(meter, lanes);
    if (!wait) return Fail(wait.error());
    if (*wait <= milliseconds(0)) return {};
    const milliseconds left = deadline - clock_.Boot();
    // How long others will need is not known; how long the upstream wants to be left alone is.
    const bool too_long = waiting_for_ == "lease" ? left <= milliseconds(0) : *wait > left;
    if (too_long) return Fail(Impatient(meter, *wait));
    if (waiting_for_ == "lease" && said != waiting_for_) {
      callbacks_.say(fmt::format("waiting for {}: a sync is using it", meter));
      said = waiting_for_;
    } else if (*wait >= kSayFrom && said != waiting_for_) {
      callbacks_.say(fmt::format("waiting {} for {}: {}", FormatDuration(*wait), meter, waiting_for_));
      said = waiting_for_;
    }
    if (callbacks_.wait(std::min(*wait, kLook))) return Fail(ErrorClass::kStopped, "interrupted");
  }
}

std::optional<Error> LaneTurn::Check() {
  if (callbacks_.stopped()) return MakeError(ErrorClass::kStopped, "interrupted");
  if (session_ == nullptr) return std::nullopt;
  const milliseconds now = clock_.Boot();
  if (now - renewed_ >= options_.lease / 5) {
    renewed_ = now;
    const milliseconds usual = session_->StatementDeadline();
    session_->SetStatementDeadline(kRenewDeadline);
    const auto held = ledger::RenewLanes(*session_, options_.holder, {*lane_}, options_.lease);
    session_->SetStatementDeadline(usual);
    if (held && std::find(held->begin(), held->end(), lane_) != held->end()) until_ = now + options_.lease;
  }
  if (clock_.Boot() < until_) return std::nullopt;
  return MakeError(ErrorClass::kDatabase,
                   "the lease of " + lane_->Text() + " ran out: the database does not answer");
}

Result<void> LaneTurn::End(std::optional<milliseconds> wait) {
  if (!lane_) return {};
  const LaneId lane = *lane_;
  lane_.reset();
  const milliseconds quiet = std::max(wait.value_or(milliseconds(0)), pace_);
  if (quiet > milliseconds(0)) quiet_until_[lane.meter] = clock_.Boot() + quiet;
  if (session_ == nullptr) return {};
  Result<void> held;
  if (wait) held = ledger::HoldLane(*session_, lane, options_.holder, *wait, "throttled");
  auto released = ledger::ReleaseHolder(*session_, options_.holder);
  return held ? released : held;
}

}  // namespace weir::probe
