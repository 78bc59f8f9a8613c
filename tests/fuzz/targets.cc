#include "tests/fuzz/targets.h"

#include <algorithm>

namespace weir::fuzz {

const std::vector<Target>& Targets() {
  static const std::vector<Target> kTargets{
      {"json_walker", RunJsonWalker},
      {"ndjson_reader", RunNdjsonReader},
      {"array_reader", RunArrayReader},
      {"bracket_scanner", RunBracketScanner},
      {"head", RunHead},
      {"http_date", RunHttpDate},
      {"task_message", RunTaskMessage},
      {"numeric", RunNumeric},
      {"value_text", RunValueText},
  };
  return kTargets;
}

const Target* FindTarget(std::string_view name) {
  const auto& all = Targets();
  const auto at = std::find_if(all.begin(), all.end(), [&](const Target& t) { return t.name == name; });
  return at == all.end() ? nullptr : &*at;
}

}  // namespace weir::fuzz
