#include "tests/support/upstream/timeline.h"

#include <algorithm>

namespace weir::sim {

Timeline::Timeline(const PlayerBook& book, PlayerRef player) : player_(std::move(player)) {
  if (!player_->mirror_of.empty()) other_ = book.Find(player_->api, player_->mirror_of);
  if (other_ && (other_->mirror_every == 0 || Fold(other_->mirror_name) != Fold(player_->name)))
    other_ = nullptr;
}

std::int64_t Timeline::Count() const {
  const std::int64_t shared =
      other_ ? (other_->Games() + other_->mirror_every - 1) / other_->mirror_every : 0;
  return player_->Games() + shared;
}

std::int64_t Timeline::Last() const {
  const auto newest = Walk(*this, INT64_MIN, INT64_MAX, true).Next();
  return newest ? newest->at_ms : 0;
}

bool Timeline::Any(std::int64_t since_ms, std::int64_t until_ms) const {
  return Walk(*this, since_ms, until_ms, false).Next().has_value();
}

Timeline::Walk::Walk(const Timeline& timeline, std::int64_t since_ms, std::int64_t until_ms,
                     bool newest_first)
    : newest_first_(newest_first),
      own_(MakeRun(timeline.player_.get(), 1, since_ms, until_ms, newest_first)),
      shared_(timeline.other_ ? MakeRun(timeline.other_.get(), timeline.other_->mirror_every, since_ms,
                                        until_ms, newest_first)
                              : Run{}) {
  Settle(own_);
  Settle(shared_);
}

Timeline::Walk::Run Timeline::Walk::MakeRun(const Player* owner, std::int64_t every, std::int64_t since_ms,
                                            std::int64_t until_ms, bool newest_first) {
  const std::int64_t lo = (owner->FirstAtOrAfter(since_ms) + every - 1) / every * every;
  const std::int64_t hi = owner->FirstAtOrAfter(until_ms);
  if (lo >= hi) return {};
  if (!newest_first) return {owner, lo, hi, every, 0};
  return {owner, (hi - 1) / every * every, lo - 1, -every, 0};
}

// Steps over deleted games and notes the time of the one it stands at.
void Timeline::Walk::Settle(Run& run) const {
  while (!run.Empty() && run.owner->IsDeleted(run.at)) run.at += run.step;
  if (!run.Empty()) run.time = run.owner->TimeOf(run.at);
}

std::optional<GameRef> Timeline::Walk::Next() {
  if (own_.Empty() && shared_.Empty()) return std::nullopt;
  bool own = !own_.Empty();
  if (own && !shared_.Empty()) own = newest_first_ ? own_.time > shared_.time : own_.time <= shared_.time;
  Run& run = own ? own_ : shared_;
  const GameRef game{run.owner, run.at, run.time};
  run.at += run.step;
  Settle(run);
  return game;
}

}  // namespace weir::sim
