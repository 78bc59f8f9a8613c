#pragma once

#include <string_view>
#include <vector>

namespace weir {

struct Column {
  std::string_view name;
  std::string_view type;  // PostgreSQL's, e.g. "bigint", "timestamptz"
};

// Where a stream's records go. Besides `columns` every such table has, in this order around them:
//   account text, id text (both collate "C"), content_hash bigint, first_seen_at timestamptz default now(),
//   updated_at timestamptz default now(), stale_at timestamptz, <columns…>, raw jsonb
// with primary key (account, id). The source's table.sql creates it (a numbered migration).
struct TableSpec {
  std::string_view schema;
  std::string_view name;
  std::vector<Column> columns;  // as the RecordMapper fills them
  // The timestamptz column that holds RecordHead::order_ms, what a Filter is about; "" = the records have no
  // such time.
  std::string_view time_column = {};
};

}  // namespace weir
