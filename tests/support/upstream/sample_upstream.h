#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/support/upstream/http_server.h"
#include "tests/support/upstream/lichess_api.h"
#include "tests/support/upstream/world.h"

namespace weir::sim {

// Lichess and Chess.com on one port, as documented, with their limits and quirks; misbehaves on order. In
// process for tests; `weir-sample-upstream` is the same as a program. All of the data is a function of the
// seed and the players.
class SampleUpstream {
 public:
  explicit SampleUpstream(std::uint64_t seed = 1);
  ~SampleUpstream();
  SampleUpstream(const SampleUpstream&) = delete;
  SampleUpstream& operator=(const SampleUpstream&) = delete;

  Result<void> Start(int port = 0, const std::string& host = "127.0.0.1");
  void Stop();
  int port() const { return server_.port(); }
  std::string url() const;  // "http://127.0.0.1:1234", the base_url of both sources

  // As PlayerBook::Add, e.g. "lichess/alice=1000;ongoing=3".
  Result<void> AddPlayer(std::string_view spec);
  // As POST /_control/faults.
  Result<void> SetFaults(std::string_view json) { return world_.faults.Set(json); }
  // Lets stalled answers go on.
  void Release() { world_.faults.Release(); }
  World& world() { return world_; }
  const World& world() const { return world_; }

 private:
  bool Handle(Connection& connection, const Request& request);
  void HandleApi(Connection& connection, const Request& request, const Route& route, Response& response);

  World world_;
  std::string host_;
  HttpServer server_;
};

}  // namespace weir::sim
