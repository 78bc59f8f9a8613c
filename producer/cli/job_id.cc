#include "producer/cli/job_id.h"

#include <fmt/core.h>

#include <charconv>

#include "common/base/json_text.h"

namespace weir::cli {
namespace {

template <typename IdType>
Result<IdType> Parse(const std::string& text, const char* what, const char* where) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value > 0) return IdType{value};
  return Fail(ErrorClass::kConfig, fmt::format("\"{}\" is not the number of a {}", Printable(text, 60), what),
              where);
}

}  // namespace

Result<JobId> ParseJobId(const std::string& text) {
  return Parse<JobId>(text, "job", "`weir jobs list` shows them");
}

Result<TaskId> ParseTaskId(const std::string& text) {
  return Parse<TaskId>(text, "task", "`weir failures list` shows them");
}

}  // namespace weir::cli
