#pragma once

#include <string_view>

#include "common/base/result.h"
#include "common/sources/source.h"

namespace weir::highlevel {

// The plan of pipelines knows how many there are, since it is made from the same answer: Selector::key.
// Errors: kTransient for an answer that is no list of pipelines.
Result<void> PlanPipelines(std::string_view document, const TaskSink& sink);

// Pipelines have no total: fewer than a moment ago may be a slip, and are read again.
Result<PageEnd> FinishPipelines(const TaskContext& task, const PageResult& result);

}  // namespace weir::highlevel
