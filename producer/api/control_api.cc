#include "producer/api/control_api.h"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/json_text.h"
#include "producer/api/job_body.h"
#include "producer/api/problem.h"
#include "producer/cli/job_view.h"

namespace weir::api {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kJobs = "/v1/jobs";
constexpr std::string_view kHealth = "/health";
constexpr int kMostJobs = 100;  // in one answer
constexpr std::size_t kMaxConnections = 16;
constexpr std::uint64_t kMaxBodyBytes = 256 << 10;  // some 10,000 accounts

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

// All fields of that name.
std::vector<std::string_view> HeaderOf(const HttpServerRequest& request, std::string_view name) {
  std::vector<std::string_view> values;
  for (const HttpHeader& header : request.headers) {
    if (EqualsIgnoringCase(header.name, name)) values.push_back(header.value);
  }
  return values;
}

bool IsLoopback(std::string_view address) {
  in_addr four{};
  in6_addr six{};
  const std::string text(address);
  if (inet_pton(AF_INET, text.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  return inet_pton(AF_INET6, text.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

// "127.0.0.1:8080", "[::1]:8080", "localhost": a name of this machine that no page elsewhere can have.
bool IsLocalHost(std::string_view host) {
  if (host.starts_with('[')) return IsLoopback(host.substr(1, host.find(']') - 1));
  host = host.substr(0, host.find(':'));
  return EqualsIgnoringCase(host, "localhost") || IsLoopback(host);
}

std::optional<HttpReply> CheckToken(const Secret& token, const HttpServerRequest& request) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto given = HeaderOf(request, "Authorization");
  const bool bearer =
      given.size() == 1 && EqualsIgnoringCase(given.front().substr(0, kScheme.size()), kScheme);
  if (bearer && IsSecret(token, given.front().substr(kScheme.size()))) return std::nullopt;
  HttpReply reply = given.empty()
                        ? Problem(401, "a bearer token is wanted",
                                  "send the header Authorization: Bearer …, with WEIR_API_TOKEN of the "
                                  "server")
                        : Problem(401, "the bearer token is not the server's WEIR_API_TOKEN");
  reply.headers.push_back({"WWW-Authenticate", "Bearer realm=\"weir\""});
  return reply;
}

// Without a token the port is open to all programs of this machine, which is said; but a browser runs other
// people's programs.
std::optional<HttpReply> CheckNoBrowser(const HttpServerRequest& request) {
  const auto hosts = HeaderOf(request, "Host");
  const bool here = std::all_of(hosts.begin(), hosts.end(), IsLocalHost);
  if (here && HeaderOf(request, "Origin").empty()) return std::nullopt;
  return Problem(403, "requests of web pages, or to another name than this machine's, want a token",
                 "set WEIR_API_TOKEN for the server");
}

HttpReply JsonReply(int status, const Json& body) {
  HttpReply reply;
  reply.status = status;
  reply.content_type = "application/json";
  reply.body = body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return reply;
}

HttpReply NotAllowed(std::string_view methods) {
  HttpReply reply = Problem(405, "this path takes " + std::string(methods));
  reply.headers.push_back({"Allow", std::string(methods)});
  return reply;
}

bool Reads(const HttpServerRequest& request) { return request.method == "GET" || request.method == "HEAD"; }

HttpReply AnswerHealth(const ControlParts& parts) {
  const Health health = parts.health();
  if (health.ready) return JsonReply(200, {{"status", "ok"}, {"state", health.state}});
  return JsonReply(503, {{"status", "unavailable"}, {"state", health.state}});
}

bool IsJson(const HttpServerRequest& request) {
  const auto types = HeaderOf(request, "Content-Type");
  if (types.size() != 1) return false;
  std::string_view type = types.front().substr(0, types.front().find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  return EqualsIgnoringCase(type, "application/json");
}

std::optional<std::int64_t> Number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 1) return std::nullopt;
  return number;
}

// "limit=50&before=12&open=true". Errors: kConfig.
Result<JobsAsked> ParseJobsQuery(std::string_view query) {
  JobsAsked asked;
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(part.size() + 1, query.size()));
    const std::string_view name = part.substr(0, part.find('='));
    const std::string_view value = part.substr(std::min(name.size() + 1, part.size()));
    const auto number = Number(value);
    if (name == "limit" && number && *number <= kMostJobs) {
      asked.limit = static_cast<int>(*number);
    } else if (name == "before" && number) {
      asked.before = JobId{*number};
    } else if (name == "open" && (value == "true" || value == "false")) {
      asked.open_only = value == "true";
    } else {
      return Fail(ErrorClass::kConfig,
                  fmt::format("\"{}\" is no part of a question for jobs", Printable(part, 60)),
                  fmt::format("limit=1 to {}, before=JOB, open=true or false", kMostJobs));
    }
  }
  return asked;
}

// A job may have ten thousand accounts: they stand at its `href`.
HttpReply ListJobs(const ControlParts& parts, const HttpServerRequest& request) {
  const auto asked = ParseJobsQuery(request.query);
  if (!asked) return ProblemOf(asked.error());
  const auto jobs = parts.list(*asked);
  if (!jobs) return ProblemOf(jobs.error());
  Json body = {{"jobs", Json::array()}};
  for (const ledger::JobStatus& job : *jobs) {
    Json object = cli::JobJson(job);
    object["accounts"] = job.accounts.size();
    object["created_at"] = job.created_at;
    object["href"] = fmt::format("{}/{}", kJobs, job.id.value);
    body["jobs"].push_back(std::move(object));
  }
  if (static_cast<int>(jobs->size()) == asked->limit) {
    body["next"] = fmt::format("{}?limit={}&before={}{}", kJobs, asked->limit, jobs->back().id.value,
                               asked->open_only ? "&open=true" : "");
  }
  return JsonReply(200, body);
}

HttpReply OpenJob(const ControlParts& parts, const HttpServerRequest& request) {
  if (Reads(request)) return ListJobs(parts, request);
  if (request.method != "POST") return NotAllowed("GET, HEAD, POST");
  if (!IsJson(request)) return Problem(415, "the body must be JSON", "send Content-Type: application/json");
  const auto options = ParseJobBody(request.body);
  if (!options && options.error().error_class == ErrorClass::kInvalid)
    return Problem(400, options.error().message, options.error().hint);
  if (!options) return ProblemOf(options.error());
  const auto opened = parts.open(*options);
  if (!opened) return ProblemOf(opened.error());
  const std::string path = fmt::format("{}/{}", kJobs, opened->id.value);
  // The names a job had in JobJson; its state may be another one by now, and is asked for at `href`.
  HttpReply reply = JsonReply(202, {{"job", opened->id.value},
                                    {"source", options->source},
                                    {"stream", options->stream},
                                    {"resumed", opened->resumed},
                                    {"href", path}});
  reply.headers.push_back({"Location", path});
  return reply;
}

HttpReply ShowJob(const ControlParts& parts, const HttpServerRequest& request, std::string_view number) {
  if (!Reads(request)) return NotAllowed("GET, HEAD");
  const auto id = Number(number);
  if (!id)
    return Problem(404, "there is no such job", "a job's number stands in the answer to POST /v1/jobs");
  const auto job = parts.get(JobId{*id});
  return job ? JsonReply(200, cli::JobJson(*job)) : ProblemOf(job.error());
}

HttpReply Route(const ControlParts& parts, const HttpServerRequest& request) {
  const std::string_view path = request.path;
  if (path == kHealth) return Reads(request) ? AnswerHealth(parts) : NotAllowed("GET, HEAD");
  const auto refused = parts.token.empty() ? CheckNoBrowser(request) : CheckToken(parts.token, request);
  if (refused) return *refused;
  if (path == kJobs) return OpenJob(parts, request);
  if (path.starts_with(kJobs) && path.substr(kJobs.size()).starts_with('/'))
    return ShowJob(parts, request, path.substr(kJobs.size() + 1));
  return Problem(404, "there is nothing at this path",
                 path == "/sync"
                     ? R"(a sync is asked for by POST /v1/jobs, with e.g. {"source": "highlevel", )"
                       R"("stream": "opportunities", "accounts": ["LOCATION"]})"
                     : "there are GET /health, GET and POST /v1/jobs, and GET /v1/jobs/{id}");
}

}  // namespace

HttpHandler ControlHandler(ControlParts parts) {
  return [parts = std::move(parts)](const HttpServerRequest& request) {
    HttpReply reply = Route(parts, request);
    reply.headers.push_back({"Cache-Control", "no-store"});
    return reply;
  };
}

Result<HttpServerOptions> ControlServerOptions(const Config& config) {
  if (config.api_token.empty() && !IsLoopback(config.api_address)) {
    return Fail(
        ErrorClass::kConfig,
        fmt::format("the control API would be open to all who reach {}: WEIR_API_TOKEN is not set",
                    config.api_address),
        "set WEIR_API_TOKEN to a long random text (openssl rand -hex 32), or api.address to 127.0.0.1");
  }
  const std::string& token = config.api_token.Reveal();
  if (std::any_of(token.begin(), token.end(), [](char c) { return c <= 0x20 || c >= 0x7f; })) {
    return Fail(ErrorClass::kConfig,
                "WEIR_API_TOKEN holds a space, a control character or one that is not ASCII",
                "openssl rand -hex 32 makes a good one");
  }
  HttpServerOptions options;
  options.address = config.api_address;
  options.port = config.api_port;
  options.max_connections = kMaxConnections;
  options.max_body_bytes = kMaxBodyBytes;
  options.slow = [](const HttpServerRequest& request) { return request.path != kHealth; };
  options.refusal = [](int status, std::string_view why) { return Problem(status, why); };
  return options;
}

}  // namespace weir::api
