#include "tests/support/upstream/sample_upstream.h"

#include <fmt/core.h>

#include <optional>

#include "tests/support/upstream/chesscom_api.h"
#include "tests/support/upstream/control_api.h"
#include "tests/support/upstream/highlevel_api.h"
#include "tests/support/upstream/lichess_api.h"

namespace weir::sim {
namespace {

Route RouteOf(const Request& request) {
  Route route = RouteLichess(request);
  if (route.path_class.empty()) route = RouteChessCom(request);
  if (route.path_class.empty()) route = RouteHighLevel(request);
  if (route.path_class.empty()) route.path_class = "other";
  return route;
}

bool IsChessCom(const Route& route) { return route.path_class.rfind("chesscom", 0) == 0; }
bool IsHighLevel(const Route& route) { return route.path_class.rfind("highlevel", 0) == 0; }

// Whoever the limit is counted for: Chess.com counts addresses, Lichess tokens and else addresses, HighLevel
// locations.
std::string MeterOf(const Route& route, const Request& request) {
  if (IsChessCom(route)) return "chesscom";
  if (IsHighLevel(route)) return "highlevel:" + route.player;
  const std::string_view token = request.Header("Authorization");
  return token.empty() ? "lichess:anonymous" : fmt::format("lichess:{}", token);
}

void AnswerTooMany(const Route& route, Response& response) {
  response.Send(429, "application/json",
                IsChessCom(route) ? R"({"code":0,"message":"Too many requests"})"
                                  : R"({"error":"Please only run 1 request(s) at a time"})");
}

}  // namespace

SampleUpstream::SampleUpstream(std::uint64_t seed)
    : world_(seed), server_([this](Connection& c, const Request& r) { return Handle(c, r); }) {}

SampleUpstream::~SampleUpstream() { Stop(); }

Result<void> SampleUpstream::Start(int port, const std::string& host) {
  host_ = host;
  return server_.Start(port, host);
}

void SampleUpstream::Stop() { server_.Stop(); }

std::string SampleUpstream::url() const {
  return fmt::format("http://{}:{}", host_ == "0.0.0.0" ? "127.0.0.1" : host_, server_.port());
}

Result<void> SampleUpstream::AddPlayer(std::string_view spec) {
  const auto added = world_.players.Add(spec);
  if (!added) return Fail(added.error());
  return {};
}

bool SampleUpstream::Handle(Connection& connection, const Request& request) {
  if (request.path.rfind("/_control/", 0) == 0) {
    Response response(connection, request, std::nullopt, world_.faults);
    AnswerControl(world_, request, response);
    return response.KeepAlive();
  }
  const Route route = RouteOf(request);
  Response response(connection, request, world_.faults.For(request.method, request.target), world_.faults);
  world_.traffic.Began(route.path_class, route.player);
  HandleApi(connection, request, route, response);
  world_.traffic.Ended({request.method, request.target, route.path_class, route.player,
                        std::string(request.Header("User-Agent")),
                        std::string(request.Header("Authorization")),
                        std::string(request.Header("If-None-Match")), response.status(), response.bytes()});
  return response.KeepAlive();
}

void SampleUpstream::HandleApi(Connection& connection, const Request& request, const Route& route,
                               Response& response) {
  const Settings settings = world_.settings();
  // HighLevel counts requests over time, not at once.
  const bool unlimited = route.path_class == "other" || IsHighLevel(route);
  const int limit = unlimited ? 0 : settings.parallel[IsChessCom(route) ? 1 : 0];
  Meters::Ticket ticket = world_.meters.Enter(MeterOf(route, request), connection, limit);
  response.SetTicket(&ticket);
  if (!ticket.allowed()) return AnswerTooMany(route, response);
  if (settings.latency.count() > 0 && !connection.Sleep(settings.latency)) return;
  response.Header("Date", HttpDate(world_.NowMs()));
  if (response.TakeOver(world_.NowMs())) return;
  if (route.path_class == "other") {
    response.Send(404, "application/json", "{\"error\":\"Not found.\"}");
    return;
  }
  const Request* asked = &request;
  Request repeated;
  if (response.fault() && response.fault()->kind == Fault::Kind::kRepeatPage) {
    repeated = WithTarget(request, response.fault()->repeat_target);
    asked = &repeated;
  }
  if (IsHighLevel(route)) {
    AnswerHighLevel(world_, route, *asked, response);
  } else if (IsChessCom(route)) {
    AnswerChessCom(world_, route, *asked, response);
  } else {
    AnswerLichess(world_, settings, route, *asked, response);
  }
}

}  // namespace weir::sim
