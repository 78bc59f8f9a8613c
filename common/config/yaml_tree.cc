#include "common/config/yaml_tree.h"

#include <fmt/core.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <sstream>

#include "common/base/json_text.h"

namespace weir {
namespace {

constexpr std::size_t kMaxDepth = 16;
constexpr int kMaxNodes = 400'000;

// Thrown through yaml-cpp's parser only; ParseYaml turns it into an Error.
struct Refused {
  int line;
  std::string message;
  std::string hint;
};

// Builds the tree from the parser's events instead of from YAML::Node, which shares aliased nodes (walking
// them can be exponential), forgets a key's second value and does not count.
class TreeBuilder final : public YAML::EventHandler {
 public:
  YamlNode Take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(Make(YamlNode::Kind::kNull, mark, anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { RefuseAlias(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const bool quoted = tag == "!";
    const bool null = !quoted && (value.empty() || value == "~" || value == "null");
    YamlNode node = Make(null ? YamlNode::Kind::kNull : YamlNode::Kind::kScalar, mark, anchor);
    if (!null) node.scalar = value;
    Add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Make(YamlNode::Kind::kList, mark, anchor));
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Make(YamlNode::Kind::kMap, mark, anchor));
  }
  void OnMapEnd() override { Close(); }

 private:
  // A list or map that is not closed yet, with the key that waits for its value.
  struct Frame {
    YamlNode node;
    bool has_key = false;
    std::string key;
    int key_line = 0;
  };

  [[noreturn]] static void RefuseAlias(const YAML::Mark& mark) {
    throw Refused{mark.line + 1, "anchors and aliases are not supported here", "write the value out"};
  }

  YamlNode Make(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) RefuseAlias(mark);
    if (++nodes_ > kMaxNodes) throw Refused{mark.line + 1, "the file has too many values", ""};
    YamlNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    return node;
  }

  void Open(YamlNode node) {
    if (open_.size() >= kMaxDepth) throw Refused{node.line, "the file is nested too deeply", ""};
    if (!open_.empty()) RequireValuePlace(node);
    open_.push_back({std::move(node), false, {}, 0});
  }

  void Close() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    Add(std::move(node));
  }

  void RequireValuePlace(const YamlNode& node) const {
    const Frame& frame = open_.back();
    if (frame.node.kind == YamlNode::Kind::kMap && !frame.has_key) {
      throw Refused{node.line, "a key must be a plain word", ""};
    }
  }

  void Add(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = open_.back();
    if (frame.node.kind == YamlNode::Kind::kList) {
      frame.node.items.push_back(std::move(node));
    } else if (!frame.has_key) {
      TakeKey(frame, node);
    } else {
      // yaml-cpp marks an absent value where the next token stands.
      if (node.kind == YamlNode::Kind::kNull) node.line = frame.key_line;
      frame.node.members.emplace_back(std::move(frame.key), std::move(node));
      frame.has_key = false;
    }
  }

  static void TakeKey(Frame& frame, YamlNode& key) {
    if (key.kind != YamlNode::Kind::kScalar) throw Refused{key.line, "a key must be a plain word", ""};
    if (const YamlNode* first = frame.node.Find(key.scalar)) {
      throw Refused{key.line, fmt::format("\"{}\" is given twice", Printable(key.scalar, 60)),
                    fmt::format("it stands first in line {}", first->line)};
    }
    frame.key = std::move(key.scalar);
    frame.key_line = key.line;
    frame.has_key = true;
  }

  YamlNode root_;
  std::vector<Frame> open_;
  int nodes_ = 0;
};

}  // namespace

const YamlNode* YamlNode::Find(std::string_view key) const {
  for (const auto& [name, value] : members) {
    if (name == key) return &value;
  }
  return nullptr;
}

Result<YamlNode> ParseYaml(const std::string& text, std::string_view name) {
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder)) return YamlNode{};
    YamlNode root = builder.Take();
    TreeBuilder more;
    if (parser.HandleNextDocument(more)) {
      return Fail(ErrorClass::kConfig, fmt::format("{}: the file holds more than one document", name));
    }
    return root;
  } catch (const Refused& refused) {
    return Fail(ErrorClass::kConfig, fmt::format("{}:{}: {}", name, refused.line, refused.message),
                refused.hint);
  } catch (const YAML::Exception& e) {
    return Fail(ErrorClass::kConfig, fmt::format("{}:{}: not YAML: {}", name, e.mark.line + 1, e.msg));
  }
}

}  // namespace weir
