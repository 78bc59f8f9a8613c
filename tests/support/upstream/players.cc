#include "tests/support/upstream/players.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "common/base/time_text.h"
#include "tests/support/upstream/hash.h"

namespace weir::sim {
namespace {

constexpr std::uint64_t kCodeMask = (1ULL << 47) - 1;
constexpr std::uint64_t kOdd = 0x5DEECE66D5B1ULL;

constexpr std::uint64_t Inverse(std::uint64_t odd) {
  std::uint64_t x = odd;
  for (int i = 0; i < 6; ++i) x *= 2 - odd * x;  // Newton: each step doubles the bits that are right
  return x;
}
static_assert(((Inverse(kOdd) * kOdd) & kCodeMask) == 1);

// About one game in fifty was created in the same millisecond as the one before it.
bool IsTie(const Player& p, const Segment& s, std::int64_t i) {
  return i > s.first && Mix(p.seed ^ 0x7EEULL, static_cast<std::uint64_t>(i)) % 50 == 0;
}

std::optional<std::int64_t> Number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct Spec {
  std::int64_t from = kDefaultFrom, to = kDefaultTo, ongoing = 0;
  std::string shares;
  std::int64_t shares_every = 10;
};

bool ApplyPart(std::string_view part, Player& player, Spec& spec) {
  const auto equals = std::min(part.find('='), part.size());
  const std::string_view key = part.substr(0, equals);
  const std::string_view value = part.substr(std::min(equals + 1, part.size()));
  if (key == "closed" || key == "static") {
    (key == "closed" ? player.closed : player.fixed) = true;
    return true;
  }
  if (key == "from" || key == "to") {
    const auto at = ParseTime(value);
    if (at) (key == "from" ? spec.from : spec.to) = *at;
    return at.has_value();
  }
  if (key == "shares") {
    const auto colon = std::min(value.find(':'), value.size());
    spec.shares = value.substr(0, colon);
    if (colon < value.size()) spec.shares_every = Number(value.substr(colon + 1)).value_or(0);
    return spec.shares_every > 0;
  }
  const auto number = Number(value);
  if (!number) return false;
  if (key == "ongoing") return spec.ongoing = *number, true;
  if (key == "count_off") return player.count_off = *number, true;
  if (key == "no_uuid_every") return player.no_uuid_every = *number, true;
  if (key == "page" && *number > 0) return player.page = *number, true;
  return false;
}

}  // namespace

std::string_view ToString(Api api) { return api == Api::kLichess ? "lichess" : "chesscom"; }

std::optional<Api> ParseApi(std::string_view text) {
  if (text == "lichess") return Api::kLichess;
  if (text == "chesscom") return Api::kChessCom;
  return std::nullopt;
}

std::string Fold(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool Player::IsDeleted(std::int64_t i) const {
  return std::any_of(deleted.begin(), deleted.end(), [&](const Stride& s) { return s.Has(i); });
}

int Player::Alterations(std::int64_t i) const {
  return static_cast<int>(
      std::count_if(altered.begin(), altered.end(), [&](const Stride& s) { return s.Has(i); }));
}

std::int64_t Player::TimeOf(std::int64_t i) const {
  const auto after = std::upper_bound(segments.begin(), segments.end(), i,
                                      [](std::int64_t at, const Segment& s) { return at < s.first; });
  const Segment& s = *std::prev(after);
  while (IsTie(*this, s, i)) --i;
  const std::int64_t width = s.to_ms - s.from_ms;
  const std::int64_t k = i - s.first;
  const std::int64_t offset =
      width / s.count * k + width % s.count * k / s.count;  // width · k / count, without overflow
  const std::int64_t slot = width / s.count;
  const auto jitter = Mix(seed, static_cast<std::uint64_t>(i));
  return s.from_ms + offset +
         (slot > 0 ? static_cast<std::int64_t>(jitter % static_cast<std::uint64_t>(slot)) : 0);
}

std::int64_t Player::FirstAtOrAfter(std::int64_t ms) const {
  std::int64_t lo = 0;
  std::int64_t hi = Games();
  while (lo < hi) {
    const std::int64_t mid = lo + (hi - lo) / 2;
    if (TimeOf(mid) < ms) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo;
}

std::uint64_t GameCode(std::uint64_t player_number, std::int64_t index) {
  const std::uint64_t plain = (player_number << 32 | static_cast<std::uint64_t>(index)) & kCodeMask;
  std::uint64_t x = plain * kOdd & kCodeMask;
  x ^= x >> 24;
  return x * kOdd & kCodeMask;
}

GameName DecodeGame(std::uint64_t code) {
  std::uint64_t x = code * Inverse(kOdd) & kCodeMask;
  x ^= x >> 24;
  x = x * Inverse(kOdd) & kCodeMask;
  return {x >> 32, static_cast<std::int64_t>(x & 0xFFFFFFFFULL)};
}

void Append(Player& player, std::int64_t count, std::int64_t from_ms, std::int64_t to_ms) {
  if (count <= 0) return;
  if (!player.segments.empty()) from_ms = std::max(from_ms, player.segments.back().to_ms);
  player.segments.push_back({player.Games(), count, from_ms, std::max(from_ms, to_ms)});
}

void MakeOngoing(Player& player, std::int64_t count, std::int64_t first) {
  const std::int64_t n = player.Games();
  const std::int64_t step = std::max<std::int64_t>(1, (n - first) / 2 / std::max<std::int64_t>(1, count));
  for (std::int64_t i = n - 1; i >= first && count > 0; i -= step, --count) player.ongoing.emplace(i, 0);
}

PlayerRef PlayerBook::Find(Api api, std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto it = players_.find({api, Fold(name)});
  return it == players_.end() ? nullptr : it->second;
}

PlayerRef PlayerBook::ByNumber(Api api, std::uint64_t number) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, player] : players_) {
    if (key.first == api && player->number == number && player->renamed_to.empty()) return player;
  }
  return nullptr;
}

std::vector<PlayerRef> PlayerBook::All() const {
  const std::lock_guard lock(mutex_);
  std::vector<PlayerRef> all;
  for (const auto& [key, player] : players_) all.push_back(player);
  return all;
}

Player PlayerBook::Draft(Api api, std::string_view name) const {
  const auto it = players_.find({api, Fold(name)});
  if (it != players_.end()) return *it->second;
  Player player;
  player.api = api;
  player.name = name;
  player.seed = Mix(Fold(name), seed_ + static_cast<std::uint64_t>(api));
  player.number = player.seed & 0x7FFF;
  const auto taken = [&](std::uint64_t number) {
    return std::any_of(players_.begin(), players_.end(), [&](const auto& entry) {
      return entry.first.first == api && entry.second->number == number;
    });
  };
  while (taken(player.number)) player.number = (player.number + 1) & 0x7FFF;
  player.created_at = kDefaultFrom;
  return player;
}

Result<PlayerRef> PlayerBook::Add(std::string_view text) {
  const auto slash = text.find('/');
  const auto semi = std::min(text.find(';'), text.size());
  const std::string_view head = text.substr(0, semi);
  const auto equals = head.find('=');
  const auto api = ParseApi(text.substr(0, std::min(slash, text.size())));
  const auto games = equals < head.size() ? Number(head.substr(equals + 1)) : std::nullopt;
  if (!api || !games || *games < 0 || equals < slash)
    return Fail(ErrorClass::kConfig, fmt::format("not a player: \"{}\"", text),
                "lichess/name=1000;ongoing=3");
  const std::string name(head.substr(slash + 1, equals - slash - 1));
  Spec spec;
  std::string bad;
  Alter(*api, name, [&](Player& player) {
    for (auto rest = text.substr(semi); !rest.empty();) {
      rest.remove_prefix(1);
      const auto end = std::min(rest.find(';'), rest.size());
      if (!ApplyPart(rest.substr(0, end), player, spec)) bad = rest.substr(0, end);
      rest.remove_prefix(end);
    }
    player.segments.clear();
    player.created_at = spec.from;
    Append(player, *games, spec.from, spec.to);
    MakeOngoing(player, spec.ongoing);
  });
  if (!bad.empty()) return Fail(ErrorClass::kConfig, fmt::format("not understood in a player: \"{}\"", bad));
  if (!spec.shares.empty()) Share(*api, spec.shares, name, spec.shares_every);
  return Find(*api, name);
}

void PlayerBook::Rename(Api api, std::string_view name, std::string_view to) {
  const PlayerRef old = Find(api, name);
  if (!old) return;
  Alter(api, to, [&](Player& player) {
    player = *old;
    player.name = to;
  });
  Alter(api, name, [&](Player& player) { player.renamed_to = to; });
}

void PlayerBook::Share(Api api, std::string_view owner, std::string_view other, std::int64_t every) {
  Alter(api, other, [&](Player& player) { player.mirror_of = owner; });
  const PlayerRef mirrored = Find(api, other);
  Alter(api, owner, [&](Player& player) {
    player.mirror_name = mirrored->name;
    player.mirror_every = every;
  });
}

}  // namespace weir::sim
