#pragma once

#include <string>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace weir::cli {

// "12", as a user names a job or a task. Errors: kConfig.
Result<JobId> ParseJobId(const std::string& text);
Result<TaskId> ParseTaskId(const std::string& text);

}  // namespace weir::cli
