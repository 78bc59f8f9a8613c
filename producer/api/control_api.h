#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/config/config.h"
#include "common/http/http_server.h"
#include "common/ledger/jobs.h"
#include "producer/cli/sync_options.h"

namespace weir::api {

struct Health {
  bool ready = false;
  std::string state;  // "leading", "standing by", "starting", or the class of what it waits for
};

struct JobsAsked {
  int limit = 20;
  std::optional<JobId> before{};  // older ones than that
  bool open_only = false;
};

// What the control API stands on. `health` is called on the server's thread and must not wait; the others on
// its thread for slow requests, where they may take a few seconds.
struct ControlParts {
  Secret token;  // empty = none: whoever reaches the port may ask
  std::function<Health()> health;
  std::function<Result<ledger::OpenedJob>(const cli::SyncOptions&)> open;
  std::function<Result<ledger::JobStatus>(JobId)> get;
  std::function<Result<std::vector<ledger::JobStatus>>(const JobsAsked&)> list;  // newest first
};

// GET /health; POST /v1/jobs, answered with 202 and the job's Location; GET /v1/jobs, by pages, without the
// jobs' accounts; GET /v1/jobs/{id}. Errors are RFC
// 9457 problems. All but /health want the bearer token, if there is one; without one, requests that a
// browser sends for a web page are refused.
HttpHandler ControlHandler(ControlParts parts);

// Where and within which limits to listen. Errors: kConfig when others could reach it and there is no token,
// or the token cannot stand in a header.
Result<HttpServerOptions> ControlServerOptions(const Config& config);

}  // namespace weir::api
