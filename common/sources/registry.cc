#include "common/sources/chesscom/chesscom_source.h"
#include "common/sources/highlevel/highlevel_source.h"
#include "common/sources/lichess/lichess_source.h"
#include "common/sources/source.h"

namespace weir {

// By hand: a static library drops objects that only register themselves.
const std::vector<const Source*>& AllSources() {
  static const LichessSource lichess;
  static const ChesscomSource chesscom;
  static const HighLevelSource highlevel;
  static const std::vector<const Source*> all{&lichess, &chesscom, &highlevel};
  return all;
}

const Source* FindSource(std::string_view name) {
  for (const Source* source : AllSources()) {
    if (source->Info().name == name) return source;
  }
  return nullptr;
}

}  // namespace weir
