#include "common/ledger/lanes.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace weir::ledger {
namespace {

using std::chrono::milliseconds;

std::string Ms(milliseconds value) { return std::to_string(value.count()); }

// "per:age:sent per:age:sent", as lane_acquire writes it.
std::vector<LaneMemory::Window> ReadWindows(std::string_view text) {
  std::vector<LaneMemory::Window> windows;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    std::int64_t numbers[3] = {0, 0, 0};
    for (std::int64_t& number : numbers) {
      const auto read = std::from_chars(at, end, number);
      if (read.ec != std::errc()) return windows;
      at = read.ptr == end ? end : read.ptr + 1;
    }
    // A window that began in the future was written before the database's clock jumped back.
    windows.push_back(
        {milliseconds(numbers[0]), milliseconds(std::max<std::int64_t>(0, numbers[1])), numbers[2]});
  }
  return windows;
}

}  // namespace

Result<LaneState> AcquireLane(pg::Session& session, const LaneId& lane, const std::string& holder,
                              milliseconds lease, milliseconds margin) {
  // A lease that ends further ahead than it is long was written before the database's clock was set back: it
  // is void. A lease of a version that wrote no length is never longer than a minute.
  static constexpr std::string_view kSql = R"sql(
    insert into weir.lanes as l (meter, lane, holder, lease_epoch, lease_until, lease_ms)
    values ($1, $2::int, $3, 1, clock_timestamp() + $4::int8 * interval '1 ms', $4::int8)
    on conflict (meter, lane) do update
      set holder = excluded.holder, lease_until = excluded.lease_until, lease_ms = excluded.lease_ms,
          lease_epoch = l.lease_epoch + (l.holder is distinct from excluded.holder)::int
      where l.holder = excluded.holder or l.holder is null or l.lease_until is null
         or l.lease_until + $5::int8 * interval '1 ms' < clock_timestamp()
         or l.lease_until > clock_timestamp() + (coalesce(l.lease_ms, 60000) + 1000) * interval '1 ms'
    returning lease_epoch, greatest(0, extract(epoch from not_before - clock_timestamp()) * 1000)::int8,
              coalesce(waiting_for, ''), delay_ms, task_ms,
              (select coalesce(string_agg(per || ':' || (extract(epoch from clock_timestamp() - began) * 1000)::int8 || ':' || sent,
                                          ' ' order by per), '')
                 from unnest(l.window_ms, l.window_began, l.window_sent) w (per, began, sent)))sql";
  auto rows = session.Exec(kSql, {lane.meter, std::to_string(lane.index), holder, Ms(lease), Ms(margin)},
                           "lane_acquire");
  if (!rows) return Fail(rows.error());
  LaneState state;
  if (!rows->Empty()) {
    state.held = true;
    state.lease_epoch = rows->Int(0, 0);
    state.wait = milliseconds(rows->Int(0, 1));
    state.waiting_for = rows->Text(0, 2);
    state.memory.delay_ms = rows->Double(0, 3);
    state.memory.task_ms = rows->Double(0, 4);
    state.memory.windows = ReadWindows(rows->Text(0, 5));
    return state;
  }
  auto left = session.Exec(
      "select greatest(1, extract(epoch from lease_until - clock_timestamp()) * 1000)::int8 from weir.lanes "
      "where meter = $1 and lane = $2::int",
      {lane.meter, std::to_string(lane.index)}, "lane_left");
  if (!left) return Fail(left.error());
  state.waiting_for = "lease";
  state.wait = left->Empty() ? milliseconds(1) : milliseconds(left->Int(0, 0)) + margin;
  return state;
}

namespace {

struct LaneArrays {
  std::string meters, indexes;
};

LaneArrays ArraysOf(const std::vector<LaneId>& lanes) {
  std::vector<std::string> meters;
  std::vector<std::int64_t> indexes;
  for (const LaneId& lane : lanes) {
    meters.push_back(lane.meter);
    indexes.push_back(lane.index);
  }
  return {pg::ArrayLiteral(meters), pg::ArrayLiteral(indexes)};
}

}  // namespace

Result<std::vector<LaneId>> RenewLanes(pg::Session& session, const std::string& holder,
                                       const std::vector<LaneId>& lanes, milliseconds lease) {
  if (lanes.empty()) return std::vector<LaneId>{};
  const LaneArrays arrays = ArraysOf(lanes);
  auto rows = session.Exec(
      "update weir.lanes l set lease_until = clock_timestamp() + $2::int8 * interval '1 ms', lease_ms = "
      "$2::int8 "
      "from unnest($3::text[], $4::int[]) u (meter, lane) "
      "where l.holder = $1 and l.meter = u.meter and l.lane = u.lane returning l.meter, l.lane",
      {holder, Ms(lease), arrays.meters, arrays.indexes}, "lane_renew");
  if (!rows) return Fail(rows.error());
  std::vector<LaneId> held;
  for (int i = 0; i < rows->Size(); ++i) {
    held.push_back({std::string(rows->Text(i, 0)), static_cast<int>(rows->Int(i, 1))});
  }
  return held;
}

Result<void> ReleaseLanes(pg::Session& session, const std::string& holder, const std::vector<LaneId>& lanes) {
  if (lanes.empty()) return {};
  const LaneArrays arrays = ArraysOf(lanes);
  auto rows = session.Exec(
      "update weir.lanes l set holder = null, lease_until = null from unnest($2::text[], $3::int[]) u "
      "(meter, lane) "
      "where l.holder = $1 and l.meter = u.meter and l.lane = u.lane",
      {holder, arrays.meters, arrays.indexes}, "lane_release");
  if (!rows) return Fail(rows.error());
  return {};
}

Result<void> ReleaseHolder(pg::Session& session, const std::string& holder) {
  auto rows =
      session.Exec("update weir.lanes set holder = null, lease_until = null where holder = $1", {holder});
  if (!rows) return Fail(rows.error());
  return {};
}

Result<void> SaveLane(pg::Session& session, const LaneId& lane, const std::string& holder, milliseconds wait,
                      const std::string& waiting_for, const LaneMemory& memory) {
  std::vector<std::int64_t> per, age, sent;
  for (const LaneMemory::Window& window : memory.windows) {
    per.push_back(window.per.count());
    age.push_back(window.age.count());
    sent.push_back(window.sent);
  }
  auto rows = session.Exec(
      R"sql(
      update weir.lanes set
        not_before = case when $4::int8 > 0 then clock_timestamp() + $4::int8 * interval '1 ms' end,
        waiting_for = case when $4::int8 > 0 then $5 end, delay_ms = $6::float8, task_ms = $7::float8,
        successes = successes + $8::int8, throttles = throttles + $9::int8,
        window_ms = $10::int8[], window_sent = $12::int8[],
        window_began = array(select clock_timestamp() - age * interval '1 ms'
                               from unnest($11::int8[]) with ordinality a (age, place) order by place),
        updated_at = clock_timestamp()
      where meter = $1 and lane = $2::int and holder = $3)sql",
      {lane.meter, std::to_string(lane.index), holder, Ms(std::max(wait, milliseconds(0))), waiting_for,
       fmt::format("{}", memory.delay_ms), fmt::format("{}", memory.task_ms),
       std::to_string(memory.successes), std::to_string(memory.throttles), pg::ArrayLiteral(per),
       pg::ArrayLiteral(age), pg::ArrayLiteral(sent)},
      "lane_save");
  if (!rows) return Fail(rows.error());
  return {};
}

Result<void> HoldLane(pg::Session& session, const LaneId& lane, const std::string& holder, milliseconds wait,
                      const std::string& waiting_for) {
  auto rows = session.Exec(
      "update weir.lanes set not_before = clock_timestamp() + $4::int8 * interval '1 ms', waiting_for = $5, "
      "updated_at = clock_timestamp() where meter = $1 and lane = $2::int and holder = $3",
      {lane.meter, std::to_string(lane.index), holder, Ms(wait), waiting_for});
  if (!rows) return Fail(rows.error());
  return {};
}

Result<std::int64_t> DatabaseMillis(pg::Session& session) {
  auto rows = session.Exec("select (extract(epoch from clock_timestamp()) * 1000)::int8", {});
  if (!rows) return Fail(rows.error());
  return rows->Int(0, 0);
}

Result<std::int64_t> Heartbeat(pg::Session& session, const std::string& worker, const WorkerSigns& signs) {
  auto rows = session.Exec(
      "insert into weir.workers (id, host, pid, memory, holding, holding_at) "
      "values ($1, $2, $3::int, $4::int8, $5::int8[], to_timestamp($6::int8 / 1000.0)) "
      "on conflict (id) do update set seen_at = clock_timestamp(), "
      "memory = excluded.memory, holding = excluded.holding, holding_at = excluded.holding_at "
      "returning (extract(epoch from clock_timestamp()) * 1000)::int8",
      {worker, signs.host, std::to_string(signs.pid), std::to_string(signs.memory),
       signs.holding ? pg::Param(pg::ArrayLiteral(signs.holding->tasks)) : pg::Param(),
       signs.holding ? pg::Param(std::to_string(signs.holding->at_ms)) : pg::Param()},
      "worker_heartbeat");
  if (!rows) return Fail(rows.error());
  return rows->Int(0, 0);
}

Result<void> ForgetWorker(pg::Session& session, const std::string& worker) {
  auto rows = session.Exec("delete from weir.workers where id = $1", {worker});
  if (!rows) return Fail(rows.error());
  return {};
}

}  // namespace weir::ledger
