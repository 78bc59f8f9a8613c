#pragma once

#include <memory>
#include <vector>

#include "common/sources/source.h"

namespace weir::highlevel {

// The typed columns of highlevel.opportunities and highlevel.pipelines, in the mappers' order; table.up.sql
// has the same.
const std::vector<Column>& OpportunityColumns();
const std::vector<Column>& PipelineColumns();

std::unique_ptr<RecordMapper> NewOpportunityMapper();
std::unique_ptr<RecordMapper> NewPipelineMapper();

}  // namespace weir::highlevel
