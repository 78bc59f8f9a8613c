#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir {

// The members of a record that its columns are made of, as paths of keys ("players.white.user.name"); field
// i is the i-th path. Immutable, so that walkers share it.
class FieldTree {
 public:
  static constexpr int kNone = -1;

  explicit FieldTree(const std::vector<std::string_view>& dotted_paths);

  std::size_t size() const { return size_; }
  int Root() const { return 0; }
  // The node of `key` below `node`, or kNone.
  int Child(int node, std::string_view key) const {
    for (const Edge& edge : nodes_[static_cast<std::size_t>(node)].children) {
      if (edge.key == key) return edge.node;
    }
    return kNone;
  }
  // The field whose path ends at `node`, or kNone.
  int Field(int node) const { return nodes_[static_cast<std::size_t>(node)].field; }
  // All fields at and below `node`: a key that stands twice in an object forgets the first one's.
  const std::vector<int>& Below(int node) const { return nodes_[static_cast<std::size_t>(node)].below; }

 private:
  struct Edge {
    std::string key;
    int node;
  };
  struct Node {
    std::vector<Edge> children;
    int field = kNone;
    std::vector<int> below;
  };

  std::vector<Node> nodes_;
  std::size_t size_;
};

}  // namespace weir
