#include "producer/probe/preview_row.h"

#include "common/base/time_text.h"

namespace weir::probe {

// Ids and years are numbers too: no thousands separators.
void PreviewRow::Int(std::int64_t value) { values_.push_back(std::to_string(value)); }
void PreviewRow::Timestamp(std::int64_t unix_ms) { values_.push_back(FormatTime(unix_ms)); }

}  // namespace weir::probe
