#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "tests/support/upstream/highlevel_data.h"
#include "tests/support/upstream/lichess_api.h"
#include "tests/support/upstream/response.h"
#include "tests/support/upstream/world.h"

namespace weir::sim {

// HighLevel: /opportunities/search (GET, POST), /opportunities/pipelines, /oauth/token.
Route RouteHighLevel(const Request& request);
void AnswerHighLevel(World& world, const Route& route, const Request& request, Response& response);

// POST /_control/highlevel and GET /_control/highlevel?location=. Throws std::runtime_error with why a call
// cannot be done.
void SetHighLevel(World& world, const nlohmann::json& json);
nlohmann::json ReadHighLevel(World& world, std::string_view location);
// What a perfect copy of highlevel/opportunities holds; `untouched`: without what changed while it was read.
bool WriteExpectedOpportunities(World& world, std::string_view location, bool untouched,
                                const std::function<bool(std::string_view)>& sink);

}  // namespace weir::sim
