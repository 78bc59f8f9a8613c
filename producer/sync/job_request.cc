#include "producer/sync/job_request.h"

#include <set>

#include "common/config/account_settings.h"
#include "common/sources/source.h"

namespace weir {

Result<ledger::JobRequest> MakeJobRequest(const Config& config, const SyncTarget& target) {
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
    auto settings = ResolveAccount(config, *source, name);
    if (!settings) return Fail(settings.error());
    if (!keys.insert(settings->key).second) continue;
    request.accounts.push_back({settings->key, settings->account.name, settings->meter, settings->lanes});
  }
  return request;
}

Result<ledger::JobRequest> MakeJobRequest(const Config& config, const cli::SyncOptions& options) {
  SyncTarget target;
  target.source = options.source;
  target.stream = options.stream;
  target.accounts = options.accounts;
  target.mode = options.mode;
  target.filter = options.filter;
  target.priority = options.priority;
  target.deadline = options.deadline;
  if (!target.deadline && config.sync_deadline.count() > 0) target.deadline = config.sync_deadline;
  return MakeJobRequest(config, target);
}

}  // namespace weir
