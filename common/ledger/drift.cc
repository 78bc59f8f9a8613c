#include "common/ledger/drift.h"

#include <algorithm>

namespace weir::ledger {
namespace {

// Sorted by key: workers that add at once take their locks in one order.
constexpr std::string_view kAddSql = R"sql(
  with input as (
    select field, kind, expected, found, count from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::int8[])
      as t (field, kind, expected, found, count)),
  sorted as (
    select i.*, d.field is not null as known, row_number() over (partition by d.field is not null order by i.field, i.kind) as n
      from input i left join weir.drift d on (d.source, d.stream, d.field, d.kind) = ($1, $2, i.field, i.kind)),
  room as (select $8::int8 - count(*) as left from weir.drift where (source, stream) = ($1, $2)),
  placed as (
    select case when known or n <= room.left then field else '…' end as field, kind,
           case when known or n <= room.left then expected else '' end as expected,
           case when known or n <= room.left then found else '' end as found, count
      from sorted, room)
  insert into weir.drift as d (source, stream, field, kind, expected, found, count)
  select $1, $2, field, kind, max(expected), max(found), sum(count) from placed group by field, kind order by field, kind
  on conflict (source, stream, field, kind) do update
     set count = d.count + excluded.count, last_seen_at = now(), expected = excluded.expected, found = excluded.found)sql";

}  // namespace

Result<void> AddDrift(pg::Session& session, const std::string& source, const std::string& stream,
                      const std::vector<DriftLog::Entry>& entries) {
  if (entries.empty()) return {};
  std::vector<std::string> fields, kinds, expected, found;
  std::vector<std::int64_t> counts;
  for (const DriftLog::Entry& entry : entries) {
    fields.push_back(entry.field);
    kinds.emplace_back(ToString(entry.kind));
    expected.push_back(entry.expected);
    found.push_back(entry.found);
    counts.push_back(entry.count);
  }
  auto rows = session.Exec(
      kAddSql,
      {source, stream, pg::ArrayLiteral(fields), pg::ArrayLiteral(kinds), pg::ArrayLiteral(expected),
       pg::ArrayLiteral(found), pg::ArrayLiteral(counts), std::to_string(kMostDriftFields)},
      "add_drift");
  if (!rows) return Fail(rows.error());
  return {};
}

Result<std::vector<DriftRow>> ListDrift(pg::Session& session, const std::string& source,
                                        const std::string& stream) {
  auto rows = session.Exec(
      "select source, stream, field, kind, expected, found, count, "
      "to_char(first_seen_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), "
      "to_char(last_seen_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from weir.drift "
      "where ($1 = '' or source = $1) and ($2 = '' or stream = $2) order by source, stream, count desc, "
      "field, kind",
      {source, stream});
  if (!rows) return Fail(rows.error());
  std::vector<DriftRow> list;
  for (int i = 0; i < rows->Size(); ++i) {
    DriftRow row;
    std::string DriftRow::*const texts[] = {&DriftRow::source, &DriftRow::stream,   &DriftRow::field,
                                            &DriftRow::kind,   &DriftRow::expected, &DriftRow::found};
    int column = 0;
    for (const auto text : texts) row.*text = rows->Text(i, column++);
    row.count = rows->Int(i, 6);
    row.first_seen_at = rows->Text(i, 7);
    row.last_seen_at = rows->Text(i, 8);
    list.push_back(std::move(row));
  }
  return list;
}

}  // namespace weir::ledger
