#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::sim {

// Whose copy is compared. `query` is appended to /_control/expected, e.g. "since=…&until=…&ongoing=false".
struct CheckedPlayer {
  std::string source;  // "lichess" or "chesscom"
  std::string player;
  std::string query;
};

// How a player's rows differ from what the upstream would have copied. As jsonb, in PostgreSQL; stale rows
// are no part of the copy, nor are the upstream's poison records (counted, since a correct copy may hold the
// harmless ones).
struct CheckResult {
  std::int64_t equal = 0;
  std::int64_t missing = 0;    // upstream only
  std::int64_t extra = 0;      // table only
  std::int64_t different = 0;  // same id, other contents
  std::int64_t poison = 0;
  std::vector<std::string> examples;  // "missing abc", at most five of each

  bool ok() const { return missing + extra + different == 0; }
  std::string Summary() const;  // "equal 500", or the differences
};

// Compares lichess.games or chesscom.games with a running sample upstream. Makes a temporary table in the
// session. Errors: kTransient (the upstream), kDatabase, kConfig (no such source or player).
Result<CheckResult> CheckUpstream(const std::string& upstream_url, pg::Session& session,
                                  const CheckedPlayer& player);

// The upstream's players, for a check of all of them; without the renamed ones.
Result<std::vector<CheckedPlayer>> PlayersOf(const std::string& upstream_url);

}  // namespace weir::sim
