// weir-fault-proxy: a FaultProxy as a program, told what to do over HTTP. See README.md beside this file.

#include <fmt/core.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/fault_proxy/fault_proxy.h"
#include "tests/support/upstream/http_server.h"

namespace {

using Json = nlohmann::json;
using weir::proxy::CommitCut;
using weir::proxy::FaultProxy;
using weir::proxy::Millis;

weir::proxy::ProxyFaults ReadFaults(const Json& json) {
  weir::proxy::ProxyFaults faults;
  faults.latency = Millis(json.value("latency_ms", 0));
  faults.bytes_per_second = json.value("bytes_per_second", std::int64_t{0});
  faults.slice_bytes = json.value("slice_bytes", std::size_t{0});
  faults.slice_delay = Millis(json.value("slice_delay_ms", 0));
  faults.limit_bytes = json.value("limit_bytes", std::int64_t{-1});
  faults.swallow = json.value("swallow", false);
  faults.cut = json.value("cut", false);
  return faults;
}

Json Stats(const FaultProxy& proxy) {
  const FaultProxy::Stats s = proxy.stats();
  return {{"accepted", s.accepted},
          {"open", s.open},
          {"commits", s.commits},
          {"commit_cuts", s.commit_cuts},
          {"failed_connects", s.failed_connects}};
}

Json Obey(FaultProxy& proxy, const weir::sim::Request& request) {
  const Json json = request.body.empty() ? Json::object() : Json::parse(request.body);
  const std::string& call = request.path;
  if (call == "/stats") return Stats(proxy);
  if (call == "/wait-commit-cut")
    return {{"cut", proxy.WaitForCommitCut(Millis(json.value("timeout_ms", 30'000)))}};
  if (call == "/faults") {
    proxy.Set(ReadFaults(json));
  } else if (call == "/heal") {
    proxy.Heal();
    proxy.Refuse(false);
  } else if (call == "/reset") {
    proxy.ResetAll();
  } else if (call == "/refuse") {
    proxy.Refuse(json.value("on", true));
  } else if (call == "/cut-after-commit") {
    proxy.CutAfterCommit(json.value("how", "reset") == "reset" ? CommitCut::kReset : CommitCut::kBlackHole,
                         json.value("nth", 1));
  } else {
    return {{"error", "no such call: " + call}};
  }
  return {{"ok", true}};
}

bool Answer(FaultProxy& proxy, weir::sim::Connection& connection, const weir::sim::Request& request) {
  Json answer;
  try {
    answer = Obey(proxy, request);
  } catch (const std::exception& e) {  // the JSON library's
    answer = {{"error", e.what()}};
  }
  const std::string body = answer.dump() + "\n";
  return connection.Send(
      fmt::format("HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                  answer.contains("error") ? "400 Bad Request" : "200 OK", body.size()),
      body, {});
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"A TCP proxy that makes a network fail on order"};
  weir::proxy::ProxyOptions options;
  int control_port = 0;
  std::string port_file;
  app.add_option("--target", options.target, "host:port, or a unix socket's path")->required();
  app.add_option("--port", options.port, "to listen on; 0 = any");
  app.add_option("--control-port", control_port, "for orders; 0 = any");
  app.add_option("--port-file", port_file, "both ports are written there");
  app.add_flag_callback(
      "--postgres", [&] { options.protocol = weir::proxy::Protocol::kPostgres; },
      "the target is a PostgreSQL server");
  CLI11_PARSE(app, argc, argv);

  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);
  signal(SIGPIPE, SIG_IGN);

  FaultProxy proxy(options);
  weir::sim::HttpServer control(
      [&](auto& connection, const auto& request) { return Answer(proxy, connection, request); });
  auto ready = proxy.Start();
  if (ready) ready = control.Start(control_port);
  if (!ready) {
    fmt::print(stderr, "weir-fault-proxy: {}\n", ready.error().message);
    return 2;
  }
  if (!port_file.empty()) std::ofstream(port_file) << proxy.port() << ' ' << control.port() << '\n';
  fmt::print("listening 127.0.0.1:{} control http://127.0.0.1:{}\n", proxy.port(), control.port());
  std::fflush(stdout);
  int signal_number = 0;
  sigwait(&ending, &signal_number);
  control.Stop();
  proxy.Stop();
  return 0;
}
