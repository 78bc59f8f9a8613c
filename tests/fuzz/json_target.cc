// The JSON walker against simdjson's DOM: what one of them refuses the other must not store, and what both
// accept they must read alike.
#include <simdjson.h>

#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "common/sources/json_string.h"
#include "common/sources/record_check.h"
#include "tests/fuzz/targets.h"

namespace weir::fuzz {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

constexpr std::array<const char*, 8> kPaths{
    "id", "a", "a.b", "players.white.user.name", "players.white.rating", "end_time", "tags", "clock.initial"};

// Why the walker may refuse what is JSON.
bool MayRefuse(std::string_view why) {
  for (const char* reason :
       {"nested too deep", "\\u0000", "lone surrogate", "1,000 digits", "not a JSON object"}) {
    if (why.find(reason) != std::string_view::npos) return true;
  }
  return false;
}

bool IsNumberChar(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

// RFC 8259's number, to its last character.
bool IsNumber(std::string_view t) {
  const auto digits = [&t] {
    std::size_t n = 0;
    for (; !t.empty() && t[0] >= '0' && t[0] <= '9'; ++n) t.remove_prefix(1);
    return n;
  };
  if (t.starts_with('-')) t.remove_prefix(1);
  const bool zero = t.starts_with('0');
  const std::size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (t.starts_with('.')) {
    t.remove_prefix(1);
    if (digits() == 0) return false;
  }
  if (t.starts_with('e') || t.starts_with('E')) {
    t.remove_prefix(1);
    if (t.starts_with('-') || t.starts_with('+')) t.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return t.empty();
}

// simdjson refuses numbers that neither 64 bits nor a double hold; PostgreSQL does not. The text with each
// right number as 0.
std::string WithSmallNumbers(std::string_view json) {
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      out += c;
      if (c == '\\' && i + 1 < json.size()) out += json[++i];
      in_string = c != '"';
      continue;
    }
    in_string = c == '"';
    if (c != '-' && (c < '0' || c > '9')) {
      out += c;
      continue;
    }
    std::size_t end = i;
    while (end < json.size() && IsNumberChar(json[end])) ++end;
    const std::string_view number = json.substr(i, end - i);
    out += IsNumber(number) ? std::string_view("0") : number;
    i = end - 1;
  }
  return out;
}

// What stands at `path`, the last one where a key is given twice.
std::optional<element> Find(element root, std::string_view path, bool& twice) {
  element at = root;
  while (true) {
    const auto dot = std::min(path.find('.'), path.size());
    simdjson::dom::object object;
    if (at.get_object().get(object) != simdjson::SUCCESS) return std::nullopt;
    std::optional<element> found;
    for (const auto& field : object) {
      if (field.key != path.substr(0, dot)) continue;
      twice = twice || found.has_value();
      found = field.value;
    }
    if (!found || dot == path.size()) return found;
    at = *found;
    path.remove_prefix(dot + 1);
  }
}

JsonKind KindOf(const std::optional<element>& value) {
  if (!value) return JsonKind::kAbsent;
  switch (value->type()) {
    case element_type::OBJECT:
      return JsonKind::kObject;
    case element_type::ARRAY:
      return JsonKind::kArray;
    case element_type::STRING:
      return JsonKind::kString;
    case element_type::BOOL:
      return JsonKind::kBool;
    case element_type::NULL_VALUE:
      return JsonKind::kNull;
    default:
      return JsonKind::kNumber;
  }
}

bool SameValue(const JsonField& ours, const element& theirs, bool numbers) {
  if (ours.kind == JsonKind::kString) {
    std::string text;
    if (ours.escaped) AppendUnescaped(text, ours.text);
    return (ours.escaped ? std::string_view(text) : ours.text) == std::string_view(theirs);
  }
  if (ours.kind == JsonKind::kBool) return (ours.text == "true") == bool(theirs);
  if (ours.kind == JsonKind::kNumber && numbers) {
    return std::strtod(std::string(ours.text).c_str(), nullptr) == double(theirs);
  }
  return true;
}

// The fields as `check` read them and as the DOM has them.
std::string CompareFields(const RecordCheck& check, const RecordCheck& early, element root, bool numbers) {
  bool twice = false;
  for (const char* path : kPaths) (void)Find(root, path, twice);
  for (std::size_t i = 0; i < kPaths.size(); ++i) {
    bool ignored = false;
    const auto theirs = Find(root, kPaths[i], ignored);
    const JsonField& ours = check.Field(i);
    const std::string where = std::string("the field ") + kPaths[i];
    if (ours.kind != KindOf(theirs)) return where + " is of another kind in simdjson's DOM";
    if (theirs && !SameValue(ours, *theirs, numbers)) return where + " has another value in simdjson's DOM";
    // Found early it is the first of two.
    if (!twice && (early.Field(i).kind != ours.kind || early.Field(i).text != ours.text)) {
      return where + " is another when the walk ends early";
    }
  }
  return {};
}

std::vector<FieldSpec> Specs() { return {kPaths.begin(), kPaths.end()}; }

}  // namespace

std::string RunJsonWalker(std::string_view input) {
  static const FieldTree kTree(Specs());
  static thread_local simdjson::dom::parser parser;
  if (input.starts_with("\xEF\xBB\xBF")) return {};  // versions of simdjson differ
  const std::string padded = std::string(input) + std::string(64, '\0');
  const std::string_view raw(padded.data(), input.size());
  RecordCheck check(kTree), early(kTree);
  DriftLog drift;
  check.Watch(&drift);
  const auto whole = check.Whole(raw);
  const auto found = early.UntilFound(raw);
  const auto document = CheckDocument(raw, RecordCheck::kMaxRecordDepth);
  if (whole && !document) return "a record that is no document: " + document.error().message;
  if (whole && !found) return "a record that is whole, but not up to its fields: " + found.error().message;
  if (drift.Entries().size() > DriftLog::kMostEntries) return "the drift log has too many entries";

  element root;
  bool numbers = true;
  auto error = parser.parse(raw.data(), raw.size()).get(root);
  std::string small;
  if (error != simdjson::SUCCESS) {
    numbers = false;
    small = WithSmallNumbers(raw);
    error = parser.parse(small).get(root);
  }
  if (error != simdjson::SUCCESS && document) {
    return std::string("simdjson refuses what the walker takes: ") + simdjson::error_message(error);
  }
  if (error == simdjson::SUCCESS && !document && !MayRefuse(document.error().message)) {
    return "the walker refuses what is JSON: " + document.error().message;
  }
  if (error == simdjson::SUCCESS && document && !whole && !MayRefuse(whole.error().message)) {
    return "a document that is no record: " + whole.error().message;
  }
  if (!whole) return {};
  return CompareFields(check, early, root, numbers);
}

}  // namespace weir::fuzz
