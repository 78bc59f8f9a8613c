#pragma once

#include <functional>

#include "tests/support/upstream/response.h"
#include "tests/support/upstream/world.h"

namespace weir::sim {

// Everything under /_control/: the upstream's strings, pulled by tests. README.md lists the calls.
void AnswerControl(World& world, const Request& request, Response& response);

// Writes the NDJSON of /_control/expected: what a perfect copy of the player's games would hold, as
// {"id":…,"raw":<the record's bytes as served>} lines. `query`: since, until, max, sort, and for Lichess
// ongoing (default true here), finished and the content flags (default: those last asked for).
bool WriteExpected(const World& world, const PlayerRef& player, const Request& query,
                   const std::function<bool(std::string_view)>& sink);

}  // namespace weir::sim
