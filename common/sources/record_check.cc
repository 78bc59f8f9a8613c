#include "common/sources/record_check.h"

#include <simdjson.h>

#include <string>

namespace weir {
namespace {

Error Bad(std::string_view why) {
  return MakeError(ErrorClass::kBadRecord, "not a record that can be stored: " + std::string(why));
}

// The first byte that is not blank, or 0.
char FirstByte(std::string_view raw) {
  const auto at = raw.find_first_not_of(" \t\r\n");
  return at == std::string_view::npos ? '\0' : raw[at];
}

}  // namespace

Result<void> RecordCheck::Whole(std::string_view raw) {
  if (FirstByte(raw) != '{') return Fail(Bad("it is not a JSON object"));
  if (const char* why = walker_.Walk(raw)) return Fail(Bad(why));
  if (!simdjson::validate_utf8(raw.data(), raw.size())) return Fail(Bad("it is not valid UTF-8"));
  return {};
}

Result<void> RecordCheck::UntilFound(std::string_view raw) {
  if (FirstByte(raw) != '{') return Fail(Bad("it is not a JSON object"));
  if (const char* why = walker_.Walk(raw, /*until_found=*/true)) return Fail(Bad(why));
  return {};
}

Result<void> CheckDocument(std::string_view json, int max_depth) {
  static const FieldTree kNoFields({});
  std::string padded(json);
  padded.append(64, '\0');
  JsonWalker walker(kNoFields, max_depth);
  if (const char* why = walker.Walk({padded.data(), json.size()})) return Fail(ErrorClass::kInvalid, why);
  if (!simdjson::validate_utf8(json.data(), json.size())) {
    return Fail(ErrorClass::kInvalid, "it is not valid UTF-8");
  }
  return {};
}

}  // namespace weir
