#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/result.h"
#include "common/config/account_settings.h"
#include "common/config/config.h"
#include "common/sources/source.h"

namespace weir {

// The accounts of a configuration, found by their keys and meters in a time that does not grow with their
// number: who resolves many, or one again and again, keeps one. Settings are kept until a file that a secret
// came from changes; those of a few hundred accounts at most. Thread-safe. `config` outlives it and does not
// change.
class AccountBook {
 public:
  explicit AccountBook(const Config& config);
  ~AccountBook();
  AccountBook(const AccountBook&) = delete;
  AccountBook& operator=(const AccountBook&) = delete;

  // As ResolveAccount.
  Result<AccountSettings> Resolve(const Source& source, std::string_view name) const;

  // What a job says of an account: on which lanes it is read.
  struct Place {
    std::string key, name, meter;
    int lanes = 1;
  };
  // Does not need the secrets, which a machine that only opens jobs may not have. Without the one that
  // decides the meter, the meter is made of where that stands, and a worker, which has it, moves the account
  // to the right one (docs/adr/0003-discover-is-a-task.md). Errors: kConfig.
  Result<Place> Find(const Source& source, std::string_view name) const;

  // Lanes and quota of the account, else of the first that counts against the same meter, else the source's.
  MeterWords Words(const Source& source, const AccountConfig& account) const;

 private:
  struct SourceIndex;
  struct Kept;

  const SourceIndex& IndexOf(const Source& source) const;
  // How the account stands in the file; one without settings when it does not.
  const AccountConfig* Configured(const Source& source, const std::string& key) const;

  const Config& config_;
  mutable std::mutex mutex_;
  // Both guarded by mutex_; an index does not change once it is there.
  mutable std::unordered_map<const Source*, std::unique_ptr<const SourceIndex>> indexes_;
  mutable std::unordered_map<std::string, std::shared_ptr<const Kept>> kept_;  // by source and key
};

}  // namespace weir
