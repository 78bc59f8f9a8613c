#include "worker/copy_text.h"

#include <charconv>
#include <cstring>

#include "common/base/time_text.h"

namespace weir::worker {
namespace {

void AppendInt(std::string& out, std::int64_t value) {
  char buffer[24];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  out.append(buffer, end);
}

// What COPY text must escape.
constexpr bool NeedsEscape(char c) { return c == '\\' || c == '\t' || c == '\n' || c == '\r'; }

// How many bytes from `i` on surely need no escape: whole words of eight without a backslash and a byte below
// 16, looked at in one go, since nearly all of a record is such.
std::size_t PlainBytes(std::string_view text, std::size_t i) {
  constexpr std::uint64_t kOnes = 0x0101010101010101, kHighs = 0x8080808080808080;
  const std::size_t from = i;
  for (; i + sizeof(std::uint64_t) <= text.size(); i += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + i, sizeof word);
    const std::uint64_t slash = word ^ (kOnes * '\\');  // a zero byte where a backslash was
    if ((((slash - kOnes) & ~slash) | ((word - kOnes * 16) & ~word)) & kHighs) break;
  }
  return i - from;
}

void AppendEscaped(std::string& out, std::string_view text) {
  std::size_t from = 0;
  for (std::size_t i = PlainBytes(text, 0); i < text.size(); ++i) {
    if (!NeedsEscape(text[i])) continue;
    out.append(text, from, i - from);
    out += '\\';
    out += text[i] == '\t' ? 't' : text[i] == '\n' ? 'n' : text[i] == '\r' ? 'r' : '\\';
    from = i + 1;
    i += PlainBytes(text, from);
  }
  out.append(text, from);
}

}  // namespace

void CopyText::Separate() {
  if (!first_) *out_ += '\t';
  first_ = false;
}

void CopyText::Null() {
  Separate();
  *out_ += "\\N";
}

void CopyText::Text(std::string_view utf8) {
  Separate();
  AppendEscaped(*out_, utf8);
}

void CopyText::Int(std::int64_t value) {
  Separate();
  AppendInt(*out_, value);
}

void CopyText::Bool(bool value) {
  Separate();
  *out_ += value ? 't' : 'f';
}

void CopyText::Number(std::string_view literal) {
  Separate();
  AppendEscaped(*out_, literal);
}

void CopyText::Timestamp(std::int64_t unix_ms) {
  Separate();
  *out_ += FormatTime(unix_ms);
}

std::string& ColumnArrays::Cell() {
  std::string& array = arrays_[next_++];
  if (!array.empty()) array += ',';
  return array;
}

void ColumnArrays::Null() { Cell() += "NULL"; }

void ColumnArrays::Text(std::string_view utf8) {
  std::string& cell = Cell();
  cell += '"';
  for (const char c : utf8) {
    if (c == '"' || c == '\\') cell += '\\';
    cell += c;
  }
  cell += '"';
}

void ColumnArrays::Int(std::int64_t value) { AppendInt(Cell(), value); }
void ColumnArrays::Bool(bool value) { Cell() += value ? 't' : 'f'; }
void ColumnArrays::Number(std::string_view literal) { Text(literal); }
void ColumnArrays::Timestamp(std::int64_t unix_ms) { Text(FormatTime(unix_ms)); }

void ColumnArrays::Mark() {
  marks_.clear();
  for (const std::string& array : arrays_) marks_.push_back(array.size());
}

void ColumnArrays::Rollback() {
  for (std::size_t i = 0; i < marks_.size(); ++i) arrays_[i].resize(marks_[i]);
}

}  // namespace weir::worker
