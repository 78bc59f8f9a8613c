#include "common/sources/upstream_sentence.h"

#include <algorithm>
#include <array>

#include "common/base/json_text.h"
#include "common/sources/json_string.h"
#include "common/sources/json_walker.h"
#include "common/sources/source.h"

namespace weir {
namespace {

constexpr std::size_t kMaxSentence = 200;
constexpr int kMaxDepth = 64;

// The members that hold a sentence, the most telling one first.
const FieldTree& SentenceTree() {
  static const FieldTree tree({"error_description", "message", "error.message", "error", "detail", "title"});
  return tree;
}
constexpr std::size_t kError = 3;

std::string_view TrimBlank(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// Of a text, or of the first text of an array.
std::string TextOf(const JsonField& field) {
  std::string_view text = field.text;
  if (field.kind == JsonField::Kind::kArray) {
    text.remove_prefix(std::min(text.find('"') + 1, text.size()));
    std::size_t end = 0;
    while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
    text = text.substr(0, end);
  } else if (field.kind != JsonField::Kind::kString) {
    return {};
  }
  std::string plain;
  AppendUnescaped(plain, text);
  return Printable(TrimBlank(plain), kMaxSentence);
}

// Also of a value that is cut off: what stands before the cut is noted.
template <typename Use>
void WithFields(std::string_view json, const Use& use) {
  std::string padded(json);
  padded.append(RecordMapper::kRecordPadding, '\0');
  JsonWalker walker(SentenceTree(), kMaxDepth);
  static_cast<void>(walker.Walk({padded.data(), json.size()}));
  use(walker);
}

std::string FirstSentence(const JsonWalker& walker) {
  for (std::size_t i = 0; i < SentenceTree().size(); ++i) {
    if (std::string text = TextOf(walker.Field(i)); !text.empty()) return text;
  }
  return {};
}

}  // namespace

std::string UpstreamSentence(std::string_view body) {
  body = TrimBlank(WithoutByteOrderMark(body));
  if (body.starts_with('<')) return {};
  if (!body.starts_with('{')) {
    const std::string_view line = TrimBlank(body.substr(0, body.find('\n')));
    return line.size() <= kMaxSentence ? Printable(line, kMaxSentence) : std::string();
  }
  std::string sentence;
  WithFields(body, [&](const JsonWalker& walker) { sentence = FirstSentence(walker); });
  return sentence;
}

std::optional<std::string> ErrorIn(std::string_view json) {
  std::optional<std::string> sentence;
  WithFields(json, [&](const JsonWalker& walker) {
    const JsonField& error = walker.Field(kError);
    using Kind = JsonField::Kind;
    const bool text = error.kind == Kind::kString && !error.text.empty();
    const bool object = error.kind == Kind::kObject && error.text.size() > 2;  // not {}
    if (text || object || (error.kind == Kind::kBool && error.text == "true")) {
      sentence = FirstSentence(walker);
    }
  });
  return sentence;
}

bool BeginsAsError(std::string_view object) {
  constexpr std::size_t kLongest = 4096;
  if (object.size() > kLongest || !object.starts_with('{')) return false;
  const auto key = object.substr(std::min(object.find_first_not_of(" \t\r\n", 1), object.size()));
  for (const std::string_view first : {"\"error\"", "\"message\"", "\"code\"", "\"statusCode\""}) {
    if (key.starts_with(first)) return true;
  }
  return false;
}

Error NoRecord(std::string_view raw, std::string lacks) {
  auto said = ErrorIn(raw);
  if (!said && BeginsAsError(raw)) said = UpstreamSentence(raw);
  if (!said) return MakeError(ErrorClass::kBadRecord, std::move(lacks));
  return MakeError(ErrorClass::kTransient, "the answer is not whole: the upstream says \"" + *said + "\"");
}

bool SaysARightIsMissing(std::string_view sentence) {
  static constexpr std::array<std::string_view, 5> kSigns{"scope", "permission", "not authorized for",
                                                          "not allowed", "iam service"};
  std::string lower(sentence);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return std::any_of(kSigns.begin(), kSigns.end(),
                     [&](std::string_view sign) { return lower.find(sign) != std::string::npos; });
}

}  // namespace weir
