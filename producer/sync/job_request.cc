#include "producer/sync/job_request.h"

#include <set>

#include "common/sources/source.h"

namespace weir {

Result<ledger::JobRequest> MakeJobRequest(const AccountBook& accounts, const SyncTarget& target, ReadBy by) {
  const Source* source = FindSource(target.source);
  if (source == nullptr || FindStream(*source, target.stream) == nullptr) {
    return Fail(ErrorClass::kConfig, "there is no stream " + target.source + "/" + target.stream,
                "see: weir sources list");
  }
  ledger::JobRequest request;
  request.source = target.source;
  request.stream = target.stream;
  request.mode = target.mode;
  request.filter = target.filter;
  request.priority = target.priority;
  request.deadline = target.deadline;
  std::set<std::string> keys;
  for (const std::string& name : target.accounts) {
    if (by == ReadBy::kUs) {
      if (auto settings = accounts.Resolve(*source, name); !settings) return Fail(settings.error());
    }
    auto place = accounts.Find(*source, name);
    if (!place) return Fail(place.error());
    if (!keys.insert(place->key).second) continue;
    request.accounts.push_back({place->key, place->name, place->meter, place->lanes});
  }
  return request;
}

Result<ledger::JobRequest> MakeJobRequest(const Config& config, const AccountBook& accounts,
                                          const cli::SyncOptions& options, ReadBy by) {
  SyncTarget target;
  target.source = options.source;
  target.stream = options.stream;
  target.accounts = options.accounts;
  target.mode = options.mode;
  target.filter = options.filter;
  target.priority = options.priority;
  target.deadline = options.deadline;
  if (!target.deadline && config.sync_deadline.count() > 0) target.deadline = config.sync_deadline;
  return MakeJobRequest(accounts, target, by);
}

}  // namespace weir
