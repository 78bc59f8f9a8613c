#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "common/sources/source.h"

namespace weir::chesscom {

// The typed columns of chesscom.games, in the mapper's order; table.up.sql has the same.
const std::vector<Column>& GameColumns();

// What a time control says: "180+2", "600", and of daily games "1/86400".
struct TimeControl {
  std::optional<std::int64_t> initial_s, increment_s, days_per_turn;
};
TimeControl ParseTimeControl(std::string_view text);

std::unique_ptr<RecordMapper> NewGameMapper();

}  // namespace weir::chesscom
