#include "common/base/error.h"

#include <array>

namespace weir {
namespace {

constexpr std::array<std::pair<ErrorClass, std::string_view>, 17> kNames{{
    {ErrorClass::kTransient, "transient"},
    {ErrorClass::kThrottled, "throttled"},
    {ErrorClass::kAuth, "auth"},
    {ErrorClass::kBlocked, "blocked"},
    {ErrorClass::kGone, "gone"},
    {ErrorClass::kInvalid, "invalid"},
    {ErrorClass::kDatabase, "database"},
    {ErrorClass::kSchema, "schema"},
    {ErrorClass::kBadRecord, "bad_record"},
    {ErrorClass::kPoison, "poison"},
    {ErrorClass::kFenced, "fenced"},
    {ErrorClass::kStopped, "stopped"},
    {ErrorClass::kBroker, "broker"},
    {ErrorClass::kConfig, "config"},
    {ErrorClass::kNotFound, "not_found"},
    {ErrorClass::kConflict, "conflict"},
    {ErrorClass::kInternal, "internal"},
}};

}  // namespace

std::string_view ToString(ErrorClass c) {
  for (const auto& [value, name] : kNames) {
    if (value == c) return name;
  }
  return "internal";
}

std::optional<ErrorClass> ParseErrorClass(std::string_view text) {
  for (const auto& [value, name] : kNames) {
    if (name == text) return value;
  }
  return std::nullopt;
}

}  // namespace weir
