#pragma once

#include <optional>

#include "tests/support/upstream/lichess_api.h"

namespace weir::sim {

// Chess.com: /pub/player/{u}, /pub/player/{u}/games/archives, /pub/player/{u}/games/{YYYY}/{MM}.
Route RouteChessCom(const Request& request);
void AnswerChessCom(World& world, const Route& route, const Request& request, Response& response);

}  // namespace weir::sim
