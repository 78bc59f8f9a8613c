#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"

namespace weir::sim {

enum class Api { kLichess, kChessCom, kHighLevel };
std::string_view ToString(Api api);
std::optional<Api> ParseApi(std::string_view text);

// Lower-case ASCII: names are the same in any case.
std::string Fold(std::string_view name);

// `count` games spread over [from_ms, to_ms), the first of them number `first`.
struct Segment {
  std::int64_t first = 0, count = 0, from_ms = 0, to_ms = 0;
};

// The games first, first + every, … up to but not including `last`.
struct Stride {
  std::int64_t every = 1, first = 0, last = INT64_MAX;
  bool Has(std::int64_t i) const { return i >= first && i < last && (i - first) % every == 0; }
};

// What a player's games are made from: no game is held anywhere. A snapshot; never changed once published.
struct Player {
  Api api = Api::kLichess;
  std::string name;          // as the player spells it
  std::uint64_t number = 0;  // below 2^15 and unique in its API: one half of every game id
  std::uint64_t seed = 0;
  std::vector<Segment> segments;
  std::int64_t created_at = 0;
  std::int64_t count_off = 0;  // count.all says so many games more than there are
  // Lichess correspondence games that were ongoing at first → when they ended (0: not yet).
  std::map<std::int64_t, std::int64_t> ongoing;
  bool closed = false;
  std::string renamed_to;          // Chess.com: 301 to this player
  std::int64_t no_uuid_every = 0;  // Chess.com: every k-th game has no uuid (0: all have one)
  std::vector<Stride> altered;     // each one a later analysis: the record differs from before
  std::vector<Stride> deleted;
  // Every `mirror_every`-th game is against `mirror_name`, who has it too, under the same id.
  std::string mirror_name;
  std::int64_t mirror_every = 0;
  std::string mirror_of;  // the other side: those games of this player are mine as well
  bool fixed = false;     // static pages instead of generated games
  std::int64_t page = 500;

  std::int64_t Games() const { return segments.empty() ? 0 : segments.back().first + segments.back().count; }
  bool IsDeleted(std::int64_t i) const;
  int Alterations(std::int64_t i) const;
  // Milliseconds: Lichess createdAt, Chess.com end_time (·1000). Never decreases with i; some are equal.
  std::int64_t TimeOf(std::int64_t i) const;
  // The first game at or after `ms`; Games() if there is none.
  std::int64_t FirstAtOrAfter(std::int64_t ms) const;
};
using PlayerRef = std::shared_ptr<const Player>;

// A game id's 47 bits and back: unique over all players of an API, and scattered like real ones.
std::uint64_t GameCode(std::uint64_t player_number, std::int64_t index);
struct GameName {
  std::uint64_t player_number;
  std::int64_t index;
};
GameName DecodeGame(std::uint64_t code);

// All players. Thread-safe: readers get snapshots.
class PlayerBook {
 public:
  explicit PlayerBook(std::uint64_t seed) : seed_(seed) {}

  PlayerRef Find(Api api, std::string_view name) const;
  PlayerRef ByNumber(Api api, std::uint64_t number) const;
  std::vector<PlayerRef> All() const;
  // Applies `change` to the player, who is made first if need be, and publishes the result.
  template <typename Change>
  PlayerRef Alter(Api api, std::string_view name, Change change) {
    const std::lock_guard lock(mutex_);
    auto player = std::make_shared<Player>(Draft(api, name));
    change(*player);
    return players_[{api, Fold(name)}] = std::move(player);
  }
  // "lichess/name=1000" with ";key=value" parts: from, to (dates), ongoing, count_off, no_uuid_every,
  // shares=OTHER:EVERY, page, and the flags closed, static. Errors: kConfig.
  Result<PlayerRef> Add(std::string_view spec);
  // Of a rename: the new name has all the games, the old one answers 301.
  void Rename(Api api, std::string_view name, std::string_view to);
  // Every `every`-th game of `owner` is against `other`, who must exist.
  void Share(Api api, std::string_view owner, std::string_view other, std::int64_t every);

 private:
  Player Draft(Api api, std::string_view name) const;  // under mutex_

  const std::uint64_t seed_;
  mutable std::mutex mutex_;
  std::map<std::pair<Api, std::string>, PlayerRef> players_;
};

// Where a new player's games lie in time unless told otherwise.
inline constexpr std::int64_t kDefaultFrom = 1'546'300'800'000;  // 2019-01-01
inline constexpr std::int64_t kDefaultTo = 1'767'225'600'000;    // 2026-01-01

// `count` games more, over [from_ms, to_ms); never earlier than those there are.
void Append(Player& player, std::int64_t count, std::int64_t from_ms, std::int64_t to_ms);
// Makes `count` of the player's games (spread over the newer half of [first, Games())) ongoing.
void MakeOngoing(Player& player, std::int64_t count, std::int64_t first = 0);

}  // namespace weir::sim
