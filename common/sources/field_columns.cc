#include "common/sources/field_columns.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <limits>

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
  if (!text || text->empty() || text->size() > kMaxIdBytes) return std::nullopt;
  const bool control = std::any_of(text->begin(), text->end(),
                                   [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  if (control || !simdjson::validate_utf8(text->data(), text->size())) return std::nullopt;
  return std::string(*text);
}

void ColumnWriter::Text(const JsonField& field) {
  if (const auto text = AsText(field, scratch_)) {
    row_.Text(*text);
  } else {
    row_.Null();
  }
}

void ColumnWriter::TextOrNull(std::string_view text) {
  if (text.empty()) {
    row_.Null();
  } else {
    row_.Text(text);
  }
}

void ColumnWriter::Bool(const JsonField& field) {
  if (const auto value = AsBool(field)) {
    row_.Bool(*value);
  } else {
    row_.Null();
  }
}

void ColumnWriter::Int(const JsonField& field) { IntOrNull(AsInt(field)); }

void ColumnWriter::IntOrNull(std::optional<std::int64_t> value) {
  using Limits = std::numeric_limits<std::int32_t>;
  if (value && *value >= Limits::min() && *value <= Limits::max()) {
    row_.Int(*value);
  } else {
    row_.Null();
  }
}

void ColumnWriter::Time(const JsonField& field, std::int64_t unit_ms) {
  if (const auto ms = AsTime(field, unit_ms)) {
    row_.Timestamp(*ms);
  } else {
    row_.Null();
  }
}

void ColumnWriter::Double(const JsonField& field) {
  if (field.kind == JsonField::Kind::kNumber) {
    double value = 0;
    const char* const end = field.text.data() + field.text.size();
    const auto [stop, error] = std::from_chars(field.text.data(), end, value);
    if (error == std::errc() && stop == end) {
      row_.Number(field.text);
      return;
    }
  }
  row_.Null();
}

}  // namespace weir
