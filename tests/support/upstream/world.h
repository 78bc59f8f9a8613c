#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "tests/support/upstream/faults.h"
#include "tests/support/upstream/highlevel_data.h"
#include "tests/support/upstream/lichess_record.h"
#include "tests/support/upstream/meters.h"
#include "tests/support/upstream/players.h"
#include "tests/support/upstream/traffic.h"

namespace weir::sim {

// What can be turned while it runs; a request sees one copy from its beginning to its end.
struct Settings {
  std::chrono::milliseconds latency{0};  // before every answer
  std::array<double, 2> pace{0, 0};  // Lichess games a second: anonymous, with a token; 0 = as fast as can be
  std::array<int, 2> parallel{1, 1};   // requests at once per meter, by Api; 0 = no limit
  std::set<std::string> tokens;        // the valid ones; empty = all that do not begin with "bad"
  std::optional<std::int64_t> now_ms;  // nullopt = the machine's clock
};

// Everything the handlers share. Each part is thread-safe by itself.
struct World {
  explicit World(std::uint64_t seed) : players(seed), highlevel(seed) {}

  PlayerBook players;
  HighLevelData highlevel;
  std::atomic<std::int64_t> highlevel_reused{0};  // refresh tokens that came a second time
  Faults faults;
  Meters meters;
  Traffic traffic;

  Settings settings() const;
  template <typename Change>
  void Configure(Change change) {
    const std::lock_guard lock(mutex_);
    change(settings_);
  }
  std::int64_t NowMs() const;

  // The content flags a player's games were last asked for with: what a faithful copy would hold.
  void NoteContent(const std::string& player, const LichessContent& content);
  LichessContent ContentOf(const std::string& player) const;

 private:
  mutable std::mutex mutex_;  // guards what follows
  Settings settings_;
  std::map<std::string, LichessContent> content_;
};

}  // namespace weir::sim
