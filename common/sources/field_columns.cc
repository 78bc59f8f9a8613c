#include "common/sources/field_columns.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/sources/json_string.h"

namespace weir {
namespace {

constexpr std::size_t kMaxIdBytes = 512;

}  // namespace

std::optional<std::int64_t> AsInt(const JsonField& field) {
  if (field.kind != JsonField::Kind::kNumber) return std::nullopt;
  std::int64_t value = 0;
  const char* const end = field.text.data() + field.text.size();
  const auto [stop, error] = std::from_chars(field.text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<bool> AsBool(const JsonField& field) {
  if (field.kind != JsonField::Kind::kBool) return std::nullopt;
  return field.text == "true";
}

std::optional<std::string_view> AsText(const JsonField& field, std::string& scratch) {
  if (field.kind != JsonField::Kind::kString) return std::nullopt;
  if (!field.escaped) return field.text;
  scratch.clear();
  AppendUnescaped(scratch, field.text);
  return scratch;
}

std::optional<std::int64_t> AsTime(const JsonField& field, std::int64_t unit_ms) {
  const auto value = AsInt(field);
  if (!value || *value < kMinRecordMs || *value > kMaxRecordMs / unit_ms) return std::nullopt;
  return *value * unit_ms;
}

std::optional<std::string> AsId(const JsonField& field) {
  if (field.text.size() > 6 * kMaxIdBytes) return std::nullopt;  // even if all of it were escapes
  std::string scratch;
  const auto text = AsText(field, scratch);
  if (!text || !IsPlainText(*text, kMaxIdBytes)) return std::nullopt;
  return std::string(*text);
}

bool IsPlainText(std::string_view text, std::size_t max_bytes) {
  if (text.empty() || text.size() > max_bytes) return false;
  const bool control = std::any_of(text.begin(), text.end(),
                                   [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  return !control && simdjson::validate_utf8(text.data(), text.size());
}

void ColumnWriter::Null() {
  ++next_;
  row_.Null();
}

void ColumnWriter::NullThatDoesNotFit() {
  if (drift_ != nullptr && next_ < columns_.size()) {
    drift_->Add(columns_[next_].name, DriftKind::kType, columns_[next_].type, "number that does not fit");
  }
  Null();
}

void ColumnWriter::Text(std::string_view text) {
  ++next_;
  row_.Text(text);
}

void ColumnWriter::Text(const JsonField& field) {
  if (const auto text = AsText(field, scratch_)) {
    Text(*text);
  } else {
    Null();
  }
}

void ColumnWriter::TextOrNull(std::string_view text) {
  if (text.empty()) {
    Null();
  } else {
    Text(text);
  }
}

void ColumnWriter::Bool(const JsonField& field) {
  const auto value = AsBool(field);
  if (!value) return Null();
  ++next_;
  row_.Bool(*value);
}

void ColumnWriter::Int(const JsonField& field) {
  const auto value = AsInt(field);
  if (!value && field.kind == JsonField::Kind::kNumber) return NullThatDoesNotFit();
  IntOrNull(value);
}

void ColumnWriter::IntOrNull(std::optional<std::int64_t> value) {
  if (!value) return Null();
  const std::string_view type = next_ < columns_.size() ? columns_[next_].type : "integer";
  if (type == "smallint" && !std::in_range<std::int16_t>(*value)) return NullThatDoesNotFit();
  if (type == "integer" && !std::in_range<std::int32_t>(*value)) return NullThatDoesNotFit();
  ++next_;
  row_.Int(*value);
}

void ColumnWriter::Time(const JsonField& field, std::int64_t unit_ms) {
  const auto ms = AsTime(field, unit_ms);
  if (!ms && field.kind == JsonField::Kind::kNumber) return NullThatDoesNotFit();
  TimeOrNull(ms);
}

void ColumnWriter::TimeOrNull(std::optional<std::int64_t> unix_ms) {
  if (!unix_ms) return Null();
  ++next_;
  row_.Timestamp(*unix_ms);
}

void ColumnWriter::Double(const JsonField& field) {
  if (field.kind != JsonField::Kind::kNumber) return Null();
  double value = 0;
  const char* const end = field.text.data() + field.text.size();
  const auto [stop, error] = std::from_chars(field.text.data(), end, value);
  if (error != std::errc() || stop != end) return NullThatDoesNotFit();
  ++next_;
  row_.Number(field.text);
}

void ColumnWriter::Numeric(const JsonField& field) {
  if (field.kind != JsonField::Kind::kNumber) return Null();
  ++next_;
  row_.Number(field.text);
}

void ColumnWriter::Array(const JsonField& field) {
  if (field.kind != JsonField::Kind::kArray) return Null();
  Text(field.text);
}

}  // namespace weir
