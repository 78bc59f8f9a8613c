#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::pg {

// One numbered change of the schema. `up` and `down` are SQL of any number of statements, without begin or
// commit. Numbers are ≥ 1 and unique; order is by number, whatever the list's order.
struct Migration {
  int number = 0;
  std::string_view name;
  std::string_view up;
  std::string_view down;
};

enum class MigrationState {
  kApplied,
  kPending,  // in the list, not in the database
  kChanged,  // applied, but its `up` was another text then
  kUnknown,  // applied by a weir that knows more than this one
};
std::string_view ToString(MigrationState state);

struct MigrationStatus {
  int number = 0;
  std::string name;
  std::string applied_at;  // RFC 3339, UTC; empty if pending
  MigrationState state = MigrationState::kPending;
};

// What is applied stands in weir_meta.migrations (number, name, checksum, applied_at). Not in schema `weir`,
// which the ledger's own down drops; and not in `public`, where since PostgreSQL 15 only the database's owner
// may create. The checksum is XXH3-64 of `up`, in hex.
//
// Each migration is one transaction that holds an advisory lock, so several processes may run Up at a time:
// each change is made once. A schema that is there is used, not made ("create schema NAME;" at the begin of a
// line is left out). The session must be idle and outside a transaction; on an error it is rolled
// back.

// By number. Reads only.
Result<std::vector<MigrationStatus>> Status(Session& session, const std::vector<Migration>& list);
// Applies what is pending; returns the numbers it applied. Errors: kConfig (changed or unknown ones are
// there, or the server is not fit, see server_check.h: nothing is done), kDatabase (one failed: those before
// it stay).
Result<std::vector<int>> Up(Session& session, const std::vector<Migration>& list);
// Reverts what is applied with a number above `to_number` (0 = all), newest first; returns the numbers it
// reverted. Errors as Up.
Result<std::vector<int>> Down(Session& session, const std::vector<Migration>& list, int to_number);
// Whether this program may work on this database: the server is fit (CheckServer), every migration of the
// list is applied as it is, and no other. Errors: kConfig, with what to run.
Result<void> Check(Session& session, const std::vector<Migration>& list);

}  // namespace weir::pg
