#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "tests/support/upstream/players.h"
#include "tests/support/upstream/response.h"

namespace weir::sim {

// Answers that cost next to nothing to make, for benchmarks: 500 records of about 600 bytes are written out
// once, and only their ids and times are patched, in place, while a block of them leaves. A record is a
// function of its player and index, whatever window it is read in. Thread-safe (a copy of the block per
// thread).
class StaticPages {
 public:
  // Times of a static player's games: evenly spread (Lichess), or by page and month (Chess.com).
  static std::int64_t TimeOf(const Player& player, std::int64_t index);
  // Lichess: the first game at or after `ms`.
  static std::int64_t FirstAtOrAfter(const Player& player, std::int64_t ms);

  // Chess.com: pages are months; the newest is 2026/10, unless there are more than fit in after 1970.
  struct Month {
    int year, month;
  };
  static std::int64_t Months(const Player& player);
  static Month MonthOf(const Player& player, std::int64_t page);
  // The page that is this month's; -1 if the player has none.
  static std::int64_t PageOf(const Player& player, Month month);

  static std::string Id(const Player& player, std::int64_t index);
  static std::string Record(const Player& player, std::int64_t index);

  // Bytes of the records [lo, hi), each with its one byte of separator.
  static std::uint64_t Size(const Player& player, std::int64_t lo, std::int64_t hi);
  // Writes the records [lo, hi), newest first if wanted, each followed by "\n" (Lichess) or "," (Chess.com).
  // `drop_last`: leaves out the last separator.
  using Sink = std::function<bool(std::string_view)>;
  static bool Write(const Player& player, std::int64_t lo, std::int64_t hi, bool newest_first, bool drop_last,
                    const Sink& sink);
};

}  // namespace weir::sim
