#pragma once

#include <optional>
#include <string>

#include "common/base/result.h"
#include "common/pg/session.h"
#include "common/sources/source.h"

namespace weir::ledger {

// What the ledger knows of an account's stream; reads only.
struct KnownAccount {
  std::string name;       // as first spelled
  std::string canonical;  // what the upstream calls it
  bool full_sync_done = false;
  AccountState state;
};

// Nothing when no sync has named the account yet. `key` is Source::AccountKey's.
Result<std::optional<KnownAccount>> FindKnownAccount(pg::Session& session, const std::string& source,
                                                     const std::string& stream, const std::string& key);

}  // namespace weir::ledger
