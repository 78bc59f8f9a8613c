// weir-upstream-check: does the database hold what the sample upstream would have been copied to? Exit 0:
// yes, 1: no.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "tests/support/upstream/upstream_check.h"

namespace {

using weir::sim::CheckedPlayer;

weir::Result<std::vector<CheckedPlayer>> Wanted(const std::string& upstream, const std::string& source,
                                                const std::vector<std::string>& names,
                                                const std::string& query) {
  std::vector<CheckedPlayer> wanted;
  if (names.empty()) {
    auto all = weir::sim::PlayersOf(upstream);
    if (!all) return all;
    for (CheckedPlayer& player : *all) {
      if (source.empty() || player.source == source) wanted.push_back(std::move(player));
    }
  }
  for (const std::string& name : names) wanted.push_back({source, name, ""});
  for (CheckedPlayer& player : wanted) player.query = query;
  return wanted;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Compares weir's tables with the sample upstream they were copied from"};
  std::string upstream, database, source, query;
  std::vector<std::string> names;
  app.add_option("--upstream", upstream, "http://127.0.0.1:PORT")->required();
  app.add_option("--database", database, "postgresql://… or key=value")->required();
  app.add_option("--source", source, "lichess or chesscom (default: both)");
  app.add_option("--player", names, "repeatable (default: all the upstream has); wants --source");
  app.add_option("--query", query, "since=…&until=…&ongoing=false, as for /_control/expected");
  CLI11_PARSE(app, argc, argv);
  if (!names.empty() && source.empty()) {
    fmt::print(stderr, "weir-upstream-check: --player wants --source\n");
    return 2;
  }
  weir::pg::SessionOptions options;
  options.url = database;
  options.statement_deadline = std::chrono::minutes(5);
  weir::pg::Session session(options);
  const auto players = Wanted(upstream, source, names, query);
  if (!players) {
    fmt::print(stderr, "weir-upstream-check: {}\n", players.error().message);
    return 1;
  }
  bool ok = true;
  for (const CheckedPlayer& player : *players) {
    const auto result = weir::sim::CheckUpstream(upstream, session, player);
    ok = ok && result && result->ok();
    fmt::print("{}/{} {}\n", player.source, player.player,
               result ? result->Summary() : "error: " + result.error().message);
  }
  return ok ? 0 : 1;
}
