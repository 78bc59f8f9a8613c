#pragma once

#include <vector>

#include "common/pg/migrations.h"

namespace weir::ledger {

// Every migration of the ledger and of the sources' tables, in order, embedded in the program.
const std::vector<pg::Migration>& AllMigrations();

}  // namespace weir::ledger
