#include "tests/support/upstream/static_pages.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "common/base/json_text.h"
#include "tests/support/upstream/chess_game.h"
#include "tests/support/upstream/chesscom_record.h"
#include "tests/support/upstream/hash.h"
#include "tests/support/upstream/lichess_record.h"

namespace weir::sim {
namespace {

constexpr std::int64_t kSlots = 500;
constexpr std::size_t kRecordSize = 600;
constexpr std::string_view kIdMark = "@IDIDID@";       // 8: Lichess's id
constexpr std::string_view kHexMark = "@HEXHEXHEX@0";  // 12: the end of a uuid, and the number in a url
constexpr std::string_view kTimeMark = "@TIMETIME@";   // 10: seconds; Lichess's milliseconds have 13
constexpr std::string_view kMillisMark = "@TIMEMILLIS@0";

// One record with marks where a game's own bytes go. All slots of one API are of one size.
std::string Template(Api api, std::int64_t slot) {
  const ChessGame game = [&] {
    Player shape;
    shape.api = api;
    shape.name = "static";
    shape.seed = 77;
    Append(shape, kSlots, 0, 1'000'000);
    return MakeGame({&shape, slot, 0});
  }();
  std::string head, tail;
  if (api == Api::kLichess) {
    head = fmt::format(
        R"({{"id":"{}","rated":true,"variant":"standard","speed":"blitz","perf":"blitz","createdAt":{},"lastMoveAt":{},)"
        R"("status":"resign","source":"pool","players":{{"white":{{"user":{{"name":"{}","id":"{}"}},"rating":{},"ratingDiff":5}},)"
        R"("black":{{"user":{{"name":"static","id":"static"}},"rating":{},"ratingDiff":-5}}}},"winner":"white",)"
        R"("opening":{{"eco":"{}","name":"{}","ply":{}}},"moves":")",
        kIdMark, kMillisMark, kMillisMark, game.opponent_name, Fold(game.opponent_name), game.opponent_rating,
        game.owner_rating, game.opening->eco, game.opening->name, game.opening->plies);
    tail = R"(","clock":{"initial":180,"increment":0,"totalTime":180}})";
  } else {
    head = fmt::format(
        R"({{"url":"https://www.chess.com/game/live/{}","time_control":"180","end_time":{},"rated":true,)"
        R"("uuid":"0000abcd-0000-11ee-8000-{}","time_class":"blitz","rules":"chess","white":{{"rating":{},"result":"win",)"
        R"("@id":"https://api.chess.com/pub/player/{}","username":"{}"}},"black":{{"rating":{},"result":"resigned",)"
        R"("@id":"https://api.chess.com/pub/player/static","username":"static"}},"eco":"https://www.chess.com/openings/{}","pgn":")",
        kHexMark, kTimeMark, kHexMark, game.opponent_rating, Fold(game.opponent_name), game.opponent_name,
        game.owner_rating, game.opening->slug);
    tail = R"("})";
  }
  std::string moves;
  for (std::size_t i = 0; head.size() + moves.size() + tail.size() < kRecordSize; ++i)
    moves += std::string(game.moves[i % game.moves.size()]) + ' ';
  moves.resize(std::max(head.size() + tail.size(), kRecordSize) - head.size() - tail.size());
  return head + moves + tail;
}

// A record's places to patch, from its start.
struct Slot {
  std::size_t start = 0;
  std::vector<std::size_t> ids, times;
};

struct Block {
  std::string text;
  std::vector<Slot> slots;  // in the order they stand in `text`; one more for its end
  std::size_t time_width = 13;
};

Block MakeBlock(Api api, bool newest_first) {
  Block block;
  block.time_width = api == Api::kLichess ? kMillisMark.size() : kTimeMark.size();
  const std::string_view id_mark = api == Api::kLichess ? kIdMark : kHexMark;
  const std::string_view time_mark = api == Api::kLichess ? kMillisMark : kTimeMark;
  for (std::int64_t i = 0; i < kSlots; ++i) {
    const std::string record = Template(api, newest_first ? kSlots - 1 - i : i);
    Slot slot;
    slot.start = block.text.size();
    for (auto at = record.find(id_mark); at != std::string::npos; at = record.find(id_mark, at + 1))
      slot.ids.push_back(at);
    for (auto at = record.find(time_mark); at != std::string::npos; at = record.find(time_mark, at + 1))
      slot.times.push_back(at);
    block.text += record;
    block.text += api == Api::kLichess ? '\n' : ',';
    block.slots.push_back(std::move(slot));
  }
  block.slots.push_back({block.text.size(), {}, {}});
  return block;
}

// This thread's own copy, to be patched.
Block& BlockOf(Api api, bool newest_first) {
  static const std::array<Block, 4> kMasters{MakeBlock(Api::kLichess, false), MakeBlock(Api::kLichess, true),
                                             MakeBlock(Api::kChessCom, false),
                                             MakeBlock(Api::kChessCom, true)};
  thread_local std::array<std::unique_ptr<Block>, 4> mine;
  const std::size_t which = (api == Api::kLichess ? 0U : 2U) + (newest_first ? 1U : 0U);
  if (!mine[which]) mine[which] = std::make_unique<Block>(kMasters[which]);
  return *mine[which];
}

void Patch(Block& block, const Slot& slot, const Player& player, std::int64_t index) {
  char* record = block.text.data() + slot.start;
  std::array<char, 16> id{};
  std::uint64_t code = GameCode(player.number, index);
  const bool lichess = player.api == Api::kLichess;
  const std::size_t width = lichess ? kIdMark.size() : kHexMark.size();
  static constexpr std::string_view kDigits =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  static constexpr std::string_view kHex = "0123456789abcdef";
  for (std::size_t i = width; i-- > 0;) {
    id[i] = lichess ? kDigits[code % 62] : kHex[code & 15];
    code = lichess ? code / 62 : code >> 4;
  }
  for (const std::size_t at : slot.ids) std::memcpy(record + at, id.data(), width);
  // JSON allows spaces before a number, but no zeros.
  std::array<char, 16> time{};
  time.fill(' ');
  std::int64_t ms = StaticPages::TimeOf(player, index);
  if (!lichess) ms /= 1000;
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), ms).ptr;
  const auto length = static_cast<std::size_t>(end - digits.data());
  std::memcpy(time.data() + block.time_width - length, digits.data(), length);
  for (const std::size_t at : slot.times) std::memcpy(record + at, time.data(), block.time_width);
}

std::int64_t MonthStart(StaticPages::Month m) {
  using namespace std::chrono;
  const sys_days day =
      year_month_day{year(m.year), month(static_cast<unsigned>(m.month)), std::chrono::day(1)};
  return duration_cast<milliseconds>(day.time_since_epoch()).count();
}

std::int64_t FirstMonth(const Player& player) {
  constexpr std::int64_t kNewest = 2026 * 12 + 9;
  return std::max<std::int64_t>(1970 * 12, kNewest - StaticPages::Months(player) + 1);
}

}  // namespace

std::int64_t StaticPages::Months(const Player& player) {
  return (player.Games() + player.page - 1) / player.page;
}

StaticPages::Month StaticPages::MonthOf(const Player& player, std::int64_t page) {
  const std::int64_t m = FirstMonth(player) + page;
  return {static_cast<int>(m / 12), static_cast<int>(m % 12 + 1)};
}

std::int64_t StaticPages::PageOf(const Player& player, Month month) {
  const std::int64_t page = month.year * 12 + month.month - 1 - FirstMonth(player);
  return page >= 0 && page < Months(player) ? page : -1;
}

std::int64_t StaticPages::TimeOf(const Player& player, std::int64_t index) {
  if (player.api == Api::kChessCom) {
    const std::int64_t start = MonthStart(MonthOf(player, index / player.page));
    return start + index % player.page * (27LL * 86'400'000 / player.page);
  }
  const Segment& s = player.segments.front();
  const std::int64_t width = s.to_ms - s.from_ms;
  return s.from_ms + width / s.count * index + width % s.count * index / s.count;
}

std::int64_t StaticPages::FirstAtOrAfter(const Player& player, std::int64_t ms) {
  std::int64_t lo = 0;
  std::int64_t hi = player.Games();
  while (lo < hi) {
    const std::int64_t mid = lo + (hi - lo) / 2;
    if (TimeOf(player, mid) < ms) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo;
}

std::string StaticPages::Id(const Player& player, std::int64_t index) {
  const std::uint64_t code = GameCode(player.number, index);
  return player.api == Api::kLichess ? LichessId(code) : fmt::format("0000abcd-0000-11ee-8000-{:012x}", code);
}

std::string StaticPages::Record(const Player& player, std::int64_t index) {
  std::string record;
  Write(player, index, index + 1, false, true, [&](std::string_view text) {
    record += text;
    return true;
  });
  return record;
}

std::uint64_t StaticPages::Size(const Player& player, std::int64_t lo, std::int64_t hi) {
  const Block& block = BlockOf(player.api, false);
  const auto upto = [&](std::int64_t i) {
    return static_cast<std::uint64_t>(i / kSlots) * block.text.size() +
           block.slots[static_cast<std::size_t>(i % kSlots)].start;
  };
  return upto(hi) - upto(lo);
}

bool StaticPages::Write(const Player& player, std::int64_t lo, std::int64_t hi, bool newest_first,
                        bool drop_last, const Sink& sink) {
  Block& block = BlockOf(player.api, newest_first);
  for (std::int64_t done = 0; done < hi - lo;) {
    const std::int64_t index = newest_first ? hi - 1 - done : lo + done;
    const std::int64_t slot = newest_first ? kSlots - 1 - index % kSlots : index % kSlots;
    const std::int64_t n = std::min(kSlots - slot, hi - lo - done);
    for (std::int64_t k = 0; k < n; ++k) {
      Patch(block, block.slots[static_cast<std::size_t>(slot + k)], player,
            newest_first ? index - k : index + k);
    }
    done += n;
    const std::size_t start = block.slots[static_cast<std::size_t>(slot)].start;
    std::size_t end = block.slots[static_cast<std::size_t>(slot + n)].start;
    if (drop_last && done == hi - lo) --end;
    if (!sink(std::string_view(block.text).substr(start, end - start))) return false;
  }
  return true;
}

}  // namespace weir::sim
