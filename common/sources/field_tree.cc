#include "common/sources/field_tree.h"

namespace weir {

FieldTree::FieldTree(const std::vector<std::string_view>& dotted_paths)
    : nodes_(1), size_(dotted_paths.size()) {
  for (int field = 0; std::string_view path : dotted_paths) {
    int node = Root();
    while (true) {
      const std::string_view key = path.substr(0, path.find('.'));
      int next = Child(node, key);
      if (next == kNone) {
        next = static_cast<int>(nodes_.size());
        nodes_.emplace_back();
        nodes_[static_cast<std::size_t>(node)].children.push_back({std::string(key), next});
      }
      node = next;
      nodes_[static_cast<std::size_t>(node)].below.push_back(field);
      if (key.size() == path.size()) break;
      path.remove_prefix(key.size() + 1);
    }
    nodes_[static_cast<std::size_t>(node)].field = field++;
  }
}

}  // namespace weir
