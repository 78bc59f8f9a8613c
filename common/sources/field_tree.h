#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

enum class JsonKind : std::uint8_t { kAbsent, kNull, kBool, kNumber, kString, kObject, kArray };
std::string_view ToString(JsonKind kind);  // "absent", "null", "boolean", "number", …

// A set of kinds, one bit each.
using JsonKinds = std::uint8_t;
constexpr JsonKinds KindBit(JsonKind kind) {
  return static_cast<JsonKinds>(1U << static_cast<unsigned>(kind));
}
std::string DescribeKinds(JsonKinds kinds);  // "number or string"

// A member of a record that a column is made of. A plain path may hold anything.
struct FieldSpec {
  std::string_view path;
  JsonKinds kinds = 0;  // that its values are of, for DriftLog; 0 = any. null is always one
  bool always = false;  // every record has it

  FieldSpec(const char* p) : path(p) {}  // NOLINT: lists of paths stay lists of paths
  FieldSpec(std::string_view p, JsonKinds k, bool a) : path(p), kinds(k), always(a) {}
};
inline FieldSpec TextField(const char* path) { return {path, KindBit(JsonKind::kString), false}; }
inline FieldSpec NumberField(const char* path) { return {path, KindBit(JsonKind::kNumber), false}; }
inline FieldSpec BoolField(const char* path) { return {path, KindBit(JsonKind::kBool), false}; }
inline FieldSpec AlwaysField(FieldSpec field) { return {field.path, field.kinds, true}; }

// The members of a record that its columns are made of, as paths of keys ("players.white.user.name"); field
// i is the i-th path. Immutable, so that walkers share it.
class FieldTree {
 public:
  static constexpr int kNone = -1;

  // `others`: members that are known, but no column's: not unknown to a DriftLog.
  explicit FieldTree(const std::vector<FieldSpec>& fields, const std::vector<std::string_view>& others = {});

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
  // For DriftLog: the node's path, whether members below it are known by name, and the kinds it may be of.
  const std::string& Path(int node) const { return nodes_[static_cast<std::size_t>(node)].path; }
  bool HasChildren(int node) const { return !nodes_[static_cast<std::size_t>(node)].children.empty(); }
  JsonKinds Kinds(int node) const { return nodes_[static_cast<std::size_t>(node)].kinds; }
  // Nodes of fields that every record has.
  const std::vector<int>& AlwaysThere() const { return always_; }
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
    std::string path;
    JsonKinds kinds = 0;
  };

  int Grow(std::string_view path, int field);

  std::vector<Node> nodes_;
  std::vector<int> always_;
  std::size_t size_;
};

}  // namespace weir
