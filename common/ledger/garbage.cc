#include "common/ledger/garbage.h"

#include "common/base/json_text.h"
#include "common/ledger/hex.h"

namespace weir::ledger {
namespace {

constexpr std::size_t kKeptBytes = 4096;

}  // namespace

Result<void> SaveGarbage(pg::Session& session, const std::string& topic, int partition, std::int64_t offset,
                         const std::string& reason, std::string_view body) {
  auto rows = session.Exec(
      "insert into weir.garbage (topic, partition, kafka_offset, reason, body_start) "
      "values ($1, $2::int, $3::int8, $4, decode($5, 'hex')) on conflict do nothing",
      {topic, std::to_string(partition), std::to_string(offset), Printable(reason),
       ToHex(body.substr(0, kKeptBytes))});
  if (!rows) return Fail(rows.error());
  return {};
}

Result<std::vector<Garbage>> ListGarbage(pg::Session& session, int limit) {
  auto rows = session.Exec(
      "select topic, partition, kafka_offset, reason, "
      "to_char(created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), encode(body_start, "
      "'hex') "
      "from weir.garbage order by created_at desc, topic, partition, kafka_offset desc limit $1::int",
      {std::to_string(limit)});
  if (!rows) return Fail(rows.error());
  std::vector<Garbage> all;
  for (int i = 0; i < rows->Size(); ++i) {
    Garbage g;
    g.topic = rows->Text(i, 0);
    g.partition = static_cast<int>(rows->Int(i, 1));
    g.offset = rows->Int(i, 2);
    g.reason = rows->Text(i, 3);
    g.created_at = rows->Text(i, 4);
    g.body_start = FromHex(rows->Text(i, 5));
    all.push_back(std::move(g));
  }
  return all;
}

Result<std::int64_t> CountGarbage(pg::Session& session) {
  auto rows = session.Exec("select count(*) from weir.garbage");
  if (!rows) return Fail(rows.error());
  return rows->Int(0, 0);
}

Result<std::int64_t> PurgeGarbage(pg::Session& session, std::optional<std::int64_t> before_ms) {
  auto rows = session.Exec(
      "delete from weir.garbage where $1::int8 is null or created_at < to_timestamp($1::int8 / 1000.0)",
      {before_ms ? pg::Param(std::to_string(*before_ms)) : pg::Param()});
  if (!rows) return Fail(rows.error());
  return rows->Affected();
}

}  // namespace weir::ledger
