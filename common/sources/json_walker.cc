#include "common/sources/json_walker.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/sources/json_string.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace weir {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The first byte at or after p that is a quote, a backslash or a control character; may lie past `end`.
const char* SkipPlain(const char* p, const char* end) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i control = _mm_set1_epi8(0x1F);
  for (; p < end; p += 16) {
    const __m128i in = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i special =
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(in, quote), _mm_cmpeq_epi8(in, backslash)),
                     _mm_cmpeq_epi8(_mm_max_epu8(in, control), control));
    if (const auto mask = static_cast<unsigned>(_mm_movemask_epi8(special)); mask != 0) {
      return p + std::countr_zero(mask);
    }
  }
#else
  while (p < end && *p != '"' && *p != '\\' && static_cast<unsigned char>(*p) >= 0x20) ++p;
#endif
  return p;
}

// Reads an exponent's digits, no further than what is surely too much.
std::int64_t Exponent(const char* p, const char* end) {
  std::int64_t value = 0;
  for (; p < end && value < 1'000'000; ++p) value = value * 10 + (*p - '0');
  return value;
}

// What a value is by its first character.
JsonKind KindOf(char first) {
  switch (first) {
    case '{':
      return JsonKind::kObject;
    case '[':
      return JsonKind::kArray;
    case '"':
      return JsonKind::kString;
    case 't':
    case 'f':
      return JsonKind::kBool;
    case 'n':
      return JsonKind::kNull;
    default:
      return JsonKind::kNumber;
  }
}

}  // namespace

JsonWalker::JsonWalker(const FieldTree& tree, int max_depth)
    : tree_(tree), max_depth_(std::min(max_depth, kMaxDepth)), fields_(tree.size()) {}

const char* JsonWalker::Walk(std::string_view json, bool until_found) {
  std::fill(fields_.begin(), fields_.end(), JsonField{});
  p_ = json.data();
  end_ = p_ + json.size();
  depth_ = 0;
  why_ = nullptr;
  need_value_ = true;
  next_node_ = tree_.Root();
  until_found_ = until_found;
  missing_ = fields_.size();
  do {
    SkipBlank();
    if (!(need_value_ ? Value(next_node_) : AfterValue())) return why_;
    if (until_found_ && missing_ == 0) return nullptr;
  } while (need_value_ || depth_ > 0);
  SkipBlank();
  if (p_ < end_) return "bytes follow its end";
  if (log_ != nullptr) LogMissing();
  return nullptr;
}

void JsonWalker::LogUnknown(int node, std::string_view key) {
  // Below what a column takes whole, or what is known without its members, anything goes.
  if (!tree_.HasChildren(node)) return;
  SkipBlank();
  path_ = tree_.Path(node);
  if (!path_.empty()) path_ += '.';
  path_ += key.substr(0, DriftLog::kMaxField);
  log_->Add(path_, DriftKind::kUnknown, "", ToString(p_ < end_ ? KindOf(*p_) : JsonKind::kAbsent));
}

void JsonWalker::LogKind(int node) {
  const JsonKinds kinds = tree_.Kinds(node);
  const JsonKind kind = KindOf(*p_);
  if (kinds == 0 || kind == JsonKind::kNull || (kinds & KindBit(kind)) != 0) return;
  log_->Add(tree_.Path(node), DriftKind::kType, DescribeKinds(kinds), ToString(kind));
}

void JsonWalker::LogMissing() {
  for (const int node : tree_.AlwaysThere()) {
    const JsonKind kind = fields_[static_cast<std::size_t>(tree_.Field(node))].kind;
    if (kind != JsonKind::kAbsent && kind != JsonKind::kNull) continue;
    log_->Add(tree_.Path(node), DriftKind::kMissing, DescribeKinds(tree_.Kinds(node)), ToString(kind));
  }
}

bool JsonWalker::Refuse(const char* why) {
  why_ = p_ >= end_ ? "it ends too early" : why;
  return false;
}

void JsonWalker::SkipBlank() {
  while (p_ < end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\r' || *p_ == '\t')) ++p_;
}

bool JsonWalker::Value(int node) {
  need_value_ = false;
  if (p_ >= end_) return Refuse("it is empty");
  const char* const from = p_;
  if (log_ != nullptr && node != FieldTree::kNone) LogKind(node);
  switch (*p_) {
    case '{':
      return Open(true, node);
    case '[':
      return Open(false, node);
    case '"': {
      std::string_view inner;
      bool escaped = false;
      if (!String(inner, escaped)) return false;
      Note(node, JsonField::Kind::kString, inner, escaped);
      return true;
    }
    case 't':
    case 'f':
      if (!Literal(*p_ == 't' ? "true" : "false")) return false;
      Note(node, JsonField::Kind::kBool, {from, static_cast<std::size_t>(p_ - from)});
      return true;
    case 'n':
      if (!Literal("null")) return false;
      Note(node, JsonField::Kind::kNull, {from, 4});
      return true;
    default:
      if (!Number()) return false;
      Note(node, JsonField::Kind::kNumber, {from, static_cast<std::size_t>(p_ - from)});
      return true;
  }
}

bool JsonWalker::Open(bool object, int node) {
  if (depth_ >= max_depth_) return Refuse("it is nested too deep");
  stack_[static_cast<std::size_t>(depth_++)] = {object, node, p_};
  ++p_;
  SkipBlank();
  if (p_ < end_ && *p_ == (object ? '}' : ']')) {
    Close();
    return true;
  }
  if (object) return Member();
  need_value_ = true;
  next_node_ = FieldTree::kNone;
  return true;
}

void JsonWalker::Close() {
  ++p_;
  const Frame& frame = stack_[static_cast<std::size_t>(--depth_)];
  if (frame.node == FieldTree::kNone) return;
  const int field = tree_.Field(frame.node);
  if (field == FieldTree::kNone) return;
  Note(frame.node, frame.object ? JsonField::Kind::kObject : JsonField::Kind::kArray,
       {frame.from, static_cast<std::size_t>(p_ - frame.from)});
}

// A member's key and colon; its value comes next.
bool JsonWalker::Member() {
  if (p_ >= end_ || *p_ != '"') return Refuse("a member has no key");
  std::string_view key;
  bool escaped = false;
  if (!String(key, escaped)) return false;
  SkipBlank();
  if (p_ >= end_ || *p_ != ':') return Refuse("a key has no colon");
  ++p_;
  next_node_ = ChildOf(stack_[static_cast<std::size_t>(depth_ - 1)].node, key, escaped);
  need_value_ = true;
  return true;
}

int JsonWalker::ChildOf(int node, std::string_view key, bool escaped) {
  if (node == FieldTree::kNone) return FieldTree::kNone;
  if (escaped) {
    key_.clear();
    AppendUnescaped(key_, key);
    key = key_;
  }
  const int child = tree_.Child(node, key);
  if (child == FieldTree::kNone) {
    if (log_ != nullptr) LogUnknown(node, key);
    return child;
  }
  for (const int field : tree_.Below(child)) {  // a key given twice: the last one counts, as in jsonb
    JsonField& known = fields_[static_cast<std::size_t>(field)];
    if (known.kind == JsonField::Kind::kAbsent) continue;
    known = {};
    ++missing_;
  }
  return child;
}

void JsonWalker::Note(int node, JsonField::Kind kind, std::string_view text, bool escaped) {
  if (node == FieldTree::kNone) return;
  const int field = tree_.Field(node);
  if (field == FieldTree::kNone) return;
  fields_[static_cast<std::size_t>(field)] = {kind, escaped, text};
  --missing_;
}

bool JsonWalker::AfterValue() {
  if (p_ >= end_) return Refuse("it ends too early");
  const bool object = stack_[static_cast<std::size_t>(depth_ - 1)].object;
  if (*p_ == ',') {
    ++p_;
    if (object) {
      SkipBlank();
      return Member();
    }
    need_value_ = true;
    next_node_ = FieldTree::kNone;
    return true;
  }
  if (*p_ != (object ? '}' : ']')) return Refuse("a comma or closing bracket is missing");
  Close();
  return true;
}

bool JsonWalker::String(std::string_view& inner, bool& escaped) {
  const char* const from = ++p_;
  while (true) {
    p_ = SkipPlain(p_, end_);
    if (p_ >= end_) return Refuse("a string has no end");
    if (*p_ == '"') break;
    if (*p_ != '\\') return Refuse("a string holds a control character");
    escaped = true;
    if (!Escape()) return false;
  }
  inner = {from, static_cast<std::size_t>(p_ - from)};
  ++p_;
  return true;
}

bool JsonWalker::Escape() {
  ++p_;
  if (p_ >= end_) return Refuse("a string has no end");
  switch (*p_++) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      return true;
    case 'u': {
      std::uint32_t value = 0;
      if (!Hex4(value)) return Refuse("a string holds a bad \\u escape");
      if (value == 0) return Refuse("a string holds \\u0000, which PostgreSQL cannot store");
      if (value >= 0xD800 && value <= 0xDFFF) return Surrogates(value);
      return true;
    }
    default:
      return Refuse("a string holds an unknown escape");
  }
}

bool JsonWalker::Surrogates(std::uint32_t first) {
  std::uint32_t second = 0;
  if (first >= 0xDC00 || end_ - p_ < 6 || p_[0] != '\\' || p_[1] != 'u') {
    return Refuse("a string holds a lone surrogate");
  }
  p_ += 2;
  if (!Hex4(second) || second < 0xDC00 || second > 0xDFFF) return Refuse("a string holds a lone surrogate");
  return true;
}

bool JsonWalker::Hex4(std::uint32_t& value) {
  if (end_ - p_ < 4) return false;
  for (int i = 0; i < 4; ++i) {
    const char c = *p_++;
    const char lower = static_cast<char>(c | 0x20);
    if (IsDigit(c)) {
      value = value << 4 | static_cast<std::uint32_t>(c - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      value = value << 4 | static_cast<std::uint32_t>(lower - 'a' + 10);
    } else {
      return false;
    }
  }
  return true;
}

bool JsonWalker::Literal(std::string_view word) {
  if (static_cast<std::size_t>(end_ - p_) < word.size() || std::memcmp(p_, word.data(), word.size()) != 0) {
    return Refuse("a word that is no JSON value");
  }
  p_ += word.size();
  return true;
}

bool JsonWalker::Number() {
  const auto digits = [this] {
    const char* const from = p_;
    while (p_ < end_ && IsDigit(*p_)) ++p_;
    return static_cast<std::int64_t>(p_ - from);
  };
  if (*p_ == '-') ++p_;
  const bool zero_first = p_ < end_ && *p_ == '0';
  std::int64_t before = digits();
  if (before == 0) return Refuse("a word that is no JSON value");
  if (zero_first && before > 1) return Refuse("a number begins with 0");
  std::int64_t after = 0;
  if (p_ < end_ && *p_ == '.') {
    ++p_;
    if ((after = digits()) == 0) return Refuse("a number has no digits after its point");
  }
  if (p_ < end_ && (*p_ | 0x20) == 'e') {
    ++p_;
    const bool negative = p_ < end_ && *p_ == '-';
    if (p_ < end_ && (*p_ == '-' || *p_ == '+')) ++p_;
    const char* const from = p_;
    if (digits() == 0) return Refuse("a number has no digits in its exponent");
    const std::int64_t exponent = negative ? -Exponent(from, p_) : Exponent(from, p_);
    before += exponent;
    after -= exponent;
  }
  if (std::max<std::int64_t>(before, 0) + std::max<std::int64_t>(after, 0) > kMaxDigits) {
    why_ = "a number has over 1,000 digits when written out";
    return false;
  }
  return true;
}

}  // namespace weir
