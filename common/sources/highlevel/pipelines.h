#pragma once

#include <string_view>

#include "common/base/result.h"
#include "common/sources/source.h"

namespace weir::highlevel {

// The plan of pipelines knows how many there are, since it is made from the same answer: Selector::key.
// Errors: kTransient for an answer that is no list of pipelines, or that, asked for again, has none of those
// that were there.
Result<void> PlanPipelines(const TaskContext& task, std::string_view document, const TaskSink& sink);

// Pipelines have no total. Where fewer came than a moment ago, some may have been deleted or the answer cut:
// the plan is asked for again, once, and then its answer and the page's must agree.
Result<PageEnd> FinishPipelines(const TaskContext& task, const PageResult& result);

}  // namespace weir::highlevel
