// weir-sample-upstream: Lichess and Chess.com on a port of this machine. See README.md beside this file.

#include <fmt/core.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "common/base/time_text.h"
#include "tests/support/upstream/sample_upstream.h"

namespace {

using weir::sim::SampleUpstream;

struct Flags {
  int port = 0;
  std::string host = "127.0.0.1";
  std::string port_file;
  std::uint64_t seed = 1;
  std::vector<std::string> players;
  std::vector<double> pace;
  int latency_ms = 0;
  std::vector<int> parallel;
  std::string now;
  std::string faults;
  bool fixed = false;
};

const std::vector<std::string> kSample{
    "lichess/DrNykterstein=6000;ongoing=2",    "lichess/thibault=4000;ongoing=5",
    "lichess/penguingim1=2500;count_off=-100", "chesscom/hikaru=6000",
    "chesscom/erik=2500;no_uuid_every=50",     "chesscom/gothamchess=3000;shares=hikaru:20"};

void AddFlags(CLI::App& app, Flags& flags) {
  app.add_option("--port", flags.port, "0 = any free port");
  app.add_option("--host", flags.host);
  app.add_option("--port-file", flags.port_file, "the port is written there once it listens");
  app.add_option("--seed", flags.seed, "of all generated data");
  app.add_option("--players", flags.players, "lichess/name=1000;ongoing=3;from=2020-01-01 (repeatable)");
  app.add_option("--pace", flags.pace, "Lichess games a second: anonymous[,token]; 0 = no limit")
      ->delimiter(',');
  app.add_option("--latency-ms", flags.latency_ms, "before every answer");
  app.add_option("--parallel", flags.parallel,
                 "requests at once: lichess[,chesscom]; 0 = no limit (default 1,1)")
      ->delimiter(',');
  app.add_option("--now", flags.now, "what time it is, e.g. 2026-01-01T00:00:00Z (default: the clock)");
  app.add_option("--faults", flags.faults, "rules to begin with, as for POST /_control/faults");
  app.add_flag("--static", flags.fixed, "all players as static pages: costs next to nothing, for benchmarks");
}

// Errors are for whoever typed the flags.
weir::Result<void> Configure(SampleUpstream& upstream, const Flags& flags) {
  for (const std::string& spec : flags.players.empty() ? kSample : flags.players) {
    const auto added = upstream.AddPlayer(flags.fixed ? spec + ";static" : spec);
    if (!added) return added;
  }
  const auto now = weir::ParseTime(flags.now);
  if (!flags.now.empty() && !now) return weir::Fail(weir::ErrorClass::kConfig, "--now is not a time");
  upstream.world().Configure([&](weir::sim::Settings& s) {
    s.latency = std::chrono::milliseconds(flags.latency_ms);
    if (!flags.pace.empty()) s.pace = {flags.pace.front(), flags.pace.back()};
    if (!flags.parallel.empty()) s.parallel = {flags.parallel.front(), flags.parallel.back()};
    s.now_ms = now;
  });
  return flags.faults.empty() ? weir::Result<void>{} : upstream.SetFaults(flags.faults);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Lichess and Chess.com as documented, with their limits and quirks, on sample data"};
  Flags flags;
  AddFlags(app, flags);
  CLI11_PARSE(app, argc, argv);

  // Before any thread: the signals are taken by sigwait below.
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);
  signal(SIGPIPE, SIG_IGN);

  SampleUpstream upstream(flags.seed);
  auto ready = Configure(upstream, flags);
  if (ready) ready = upstream.Start(flags.port, flags.host);
  if (!ready) {
    fmt::print(stderr, "weir-sample-upstream: {}\n", ready.error().message);
    return 2;
  }
  if (!flags.port_file.empty()) std::ofstream(flags.port_file) << upstream.port() << '\n';
  fmt::print("listening {}\n", upstream.url());
  std::fflush(stdout);
  int signal_number = 0;
  sigwait(&ending, &signal_number);
  upstream.Stop();
  return 0;
}
