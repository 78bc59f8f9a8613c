#pragma once

#include <functional>
#include <string>

#include "tests/support/upstream/response.h"
#include "tests/support/upstream/world.h"

namespace weir::sim {

// What a path asks for, before it is answered: for the statistics and the meter.
struct Route {
  std::string path_class;  // "lichess.games", "chesscom.month", …; "" = not of this API
  std::string player;
};

// Lichess: /api/user/{u}, /api/games/user/{u}, /api/games/export/_ids.
Route RouteLichess(const Request& request);
void AnswerLichess(World& world, const Settings& settings, const Route& route, const Request& request,
                   Response& response);

// True for the user agents of scripts, and for none at all.
bool IsScriptAgent(std::string_view user_agent);

// Which of a player's games an export holds. Shared with the check of what a copy should hold.
struct Export {
  std::int64_t since_ms = INT64_MIN, until_ms = INT64_MAX, max = INT64_MAX;
  bool newest_first = true, ongoing = false, finished = true;

  static Export FromQuery(const Request& request);
  bool Wants(const GameRef& game) const;
};
// Calls `game` for each in the export's order until it returns false.
void ForEachGame(const World& world, const PlayerRef& player, const Export& what,
                 const std::function<bool(const GameRef&)>& game);

}  // namespace weir::sim
