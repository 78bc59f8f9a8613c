#include "worker/stored_lookup.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

namespace weir::worker {
namespace {

std::size_t TakeFound(const pg::Rows& rows, PreparedBatch& batch) {
  std::size_t found = 0;
  for (int i = 0; i < rows.Size(); ++i) {
    found += batch.Found(rows.Text(i, 0), {rows.Int(i, 1), rows.Bool(i, 2)}) ? 1 : 0;
  }
  return found;
}

}  // namespace

void StoredLookup::Begin(const TableSpec* table, std::string account) {
  table_ = table;
  account_ = std::move(account);
  by_time_pays_ = true;
}

std::string StoredLookup::Sql(std::string_view where) const {
  return fmt::format("select id, content_hash, stale_at is not null from {}.{} where account = $1 and {}",
                     table_->schema, table_->name, where);
}

// A page's records stand one after the other in the index by time, so that reading its stretch costs a
// fraction of as many look-ups by key. It may hold others too, and then it is left after twice as many.
Result<void> StoredLookup::ByTime(WriteSession& session, PreparedBatch& batch) {
  if (table_->time_column.empty() || !by_time_pays_) return {};
  const auto times = batch.TimesOfUnknown();
  if (!times) return {};
  constexpr std::string_view kTime = "timestamptz 'epoch' + {}::int8 * interval '1 ms'";
  const std::string where = fmt::format("{0} >= {1} and {0} <= {2} limit $4::int8", table_->time_column,
                                        fmt::format(kTime, "$2"), fmt::format(kTime, "$3"));
  auto rows = session.Exec(Sql(where),
                           {account_, std::to_string(times->first_ms), std::to_string(times->last_ms),
                            std::to_string(2 * times->records)},
                           fmt::format("lookup_time_{}_{}", table_->schema, table_->name));
  if (!rows) return Fail(rows.error());
  const std::size_t found = TakeFound(*rows, batch);
  by_time_pays_ = rows->Empty() || 2 * found >= static_cast<std::size_t>(rows->Size());
  return {};
}

Result<void> StoredLookup::Run(WriteSession& session, PreparedBatch& batch) {
  if (auto ok = ByTime(session, batch); !ok) return ok;
  const std::vector<std::string_view> ids = batch.UnknownIds();
  for (std::size_t from = 0; from < ids.size(); from += ids_at_once_) {
    const auto some = std::span(ids).subspan(from, std::min(ids_at_once_, ids.size() - from));
    auto rows = session.Exec(Sql("id = any($2::text[])"), {account_, pg::ArrayLiteral(some)},
                             fmt::format("lookup_{}_{}", table_->schema, table_->name));
    if (!rows) return Fail(rows.error());
    TakeFound(*rows, batch);
  }
  return {};
}

}  // namespace weir::worker
