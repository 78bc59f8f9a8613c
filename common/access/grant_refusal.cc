#include "common/access/grant_refusal.h"

#include <algorithm>

#include "common/base/json_text.h"
#include "common/sources/field_columns.h"
#include "common/sources/record_check.h"
#include "common/sources/source.h"

namespace weir {
namespace {

constexpr std::string_view kInvalidGrant = "invalid_grant";
constexpr std::string_view kOfClient[] = {"invalid_client", "unauthorized_client", "unsupported_grant_type",
                                          "invalid_request", "invalid_scope"};
constexpr std::size_t kMostWords = 200;

}  // namespace

std::optional<GrantRefusal> ReadGrantRefusal(const HttpResponseHead& head, std::string_view document) {
  static const FieldTree kTree({"error", "error_description"});
  if (head.status < 400 || head.status >= 500) return std::nullopt;
  document = WithoutByteOrderMark(document);
  std::string padded(document);
  padded.append(RecordMapper::kRecordPadding, '\0');
  RecordCheck check(kTree);
  if (!check.Whole({padded.data(), document.size()})) return std::nullopt;
  std::string scratch;
  const auto code = AsText(check.Field(0), scratch);
  if (!code) return std::nullopt;
  GrantRefusal refusal;
  refusal.code = *code;
  if (refusal.code == kInvalidGrant) {
    refusal.of = GrantRefusal::Of::kToken;
  } else if (std::find(std::begin(kOfClient), std::end(kOfClient), refusal.code) == std::end(kOfClient)) {
    return std::nullopt;
  }
  if (const auto words = AsText(check.Field(1), scratch)) refusal.description = Printable(*words, kMostWords);
  return refusal;
}

}  // namespace weir
