#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "common/sources/source.h"

namespace weir::lichess {

// The typed columns of lichess.games, in the mapper's order; table.up.sql has the same.
const std::vector<Column>& GameColumns();

std::unique_ptr<RecordMapper> NewGameMapper();

}  // namespace weir::lichess
