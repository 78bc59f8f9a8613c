#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"

namespace weir {

// A YAML document as plain data with the line of each part. Built under bounds, so that a hostile or broken
// file costs nothing: depth ≤ 16, ≤ 20,000 nodes, no anchors or aliases, each key once.
struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  int line = 0;        // from 1
  std::string scalar;  // kScalar
  std::vector<YamlNode> items;
  std::vector<std::pair<std::string, YamlNode>> members;  // in the order written

  const YamlNode* Find(std::string_view key) const;
};

// The one document in `text`; kNull for an empty one. Errors: kConfig, beginning with `name`:line.
Result<YamlNode> ParseYaml(const std::string& text, std::string_view name);

}  // namespace weir
