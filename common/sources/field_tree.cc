#include "common/sources/field_tree.h"

namespace weir {
namespace {

constexpr JsonKind kKinds[] = {JsonKind::kNull,   JsonKind::kBool,   JsonKind::kNumber,
                               JsonKind::kString, JsonKind::kObject, JsonKind::kArray};

}  // namespace

std::string_view ToString(JsonKind kind) {
  switch (kind) {
    case JsonKind::kAbsent:
      return "absent";
    case JsonKind::kNull:
      return "null";
    case JsonKind::kBool:
      return "boolean";
    case JsonKind::kNumber:
      return "number";
    case JsonKind::kString:
      return "string";
    case JsonKind::kObject:
      return "object";
    case JsonKind::kArray:
      return "array";
  }
  return "absent";
}

std::string DescribeKinds(JsonKinds kinds) {
  std::string text;
  for (const JsonKind kind : kKinds) {
    if ((kinds & KindBit(kind)) == 0) continue;
    if (!text.empty()) text += " or ";
    text += ToString(kind);
  }
  return text;
}

// The node at the end of `path`, made on the way; `field` is noted at each of its nodes, if it is one.
int FieldTree::Grow(std::string_view path, int field) {
  int node = Root();
  while (true) {
    const std::string_view key = path.substr(0, path.find('.'));
    int next = Child(node, key);
    if (next == kNone) {
      next = static_cast<int>(nodes_.size());
      nodes_.emplace_back();
      const std::string& above = Path(node);
      nodes_.back().path = above.empty() ? std::string(key) : above + "." + std::string(key);
      nodes_[static_cast<std::size_t>(node)].children.push_back({std::string(key), next});
    }
    node = next;
    if (field != kNone) nodes_[static_cast<std::size_t>(node)].below.push_back(field);
    if (key.size() == path.size()) return node;
    path.remove_prefix(key.size() + 1);
  }
}

FieldTree::FieldTree(const std::vector<FieldSpec>& fields, const std::vector<std::string_view>& others)
    : nodes_(1), size_(fields.size()) {
  for (int field = 0; const FieldSpec& spec : fields) {
    const int node = Grow(spec.path, field);
    nodes_[static_cast<std::size_t>(node)].kinds = spec.kinds;
    nodes_[static_cast<std::size_t>(node)].field = field++;
    if (spec.always) always_.push_back(node);
  }
  for (const std::string_view path : others) Grow(path, kNone);
  for (Node& node : nodes_) {
    if (node.field == kNone && !node.children.empty()) node.kinds = KindBit(JsonKind::kObject);
  }
}

}  // namespace weir
