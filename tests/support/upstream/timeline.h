#pragma once

#include <cstdint>
#include <optional>

#include "tests/support/upstream/players.h"

namespace weir::sim {

// One game: its owner (who may be the opponent of the player asked for) and its number.
struct GameRef {
  const Player* owner = nullptr;
  std::int64_t index = 0;
  std::int64_t at_ms = 0;
};

// All games of a player, their own and those they share. Holds the snapshots it reads.
class Timeline {
 public:
  Timeline(const PlayerBook& book, PlayerRef player);

  const Player& player() const { return *player_; }
  // Own and shared games, deleted ones included.
  std::int64_t Count() const;
  // The newest game's time; 0 if there is none.
  std::int64_t Last() const;

  // Walks the games of [since_ms, until_ms) in time order.
  class Walk {
   public:
    Walk(const Timeline& timeline, std::int64_t since_ms, std::int64_t until_ms, bool newest_first);
    std::optional<GameRef> Next();

   private:
    struct Run {
      const Player* owner = nullptr;
      std::int64_t at = 0, end = 0, step = 1;  // [at, end), or downwards (end, at]
      std::int64_t time = 0;                   // of `at`
      bool Empty() const { return owner == nullptr || (step > 0 ? at >= end : at <= end); }
    };
    static Run MakeRun(const Player* owner, std::int64_t every, std::int64_t since_ms, std::int64_t until_ms,
                       bool newest_first);
    void Settle(Run& run) const;

    const bool newest_first_;
    Run own_, shared_;
  };
  bool Any(std::int64_t since_ms, std::int64_t until_ms) const;

 private:
  PlayerRef player_;
  PlayerRef other_;  // whose games this player shares; null if none
};

}  // namespace weir::sim
