#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/obs/log.h"

namespace weir {

std::string_view ToString(LogLevel level);

// The fields of a line, outermost first, each key once (the last one's value, at the first one's place). Keys
// that every JSON line has of its own get an underscore behind them.
std::vector<const LogField*> MergeFields(const std::vector<LogField>& scope,
                                         const std::vector<LogField>& own);

// {"time":"…","level":"info","program":"weir-worker","message":"…",…}, without a line break.
std::string JsonLine(std::int64_t unix_ms, LogLevel level, std::string_view program, std::string_view message,
                     const std::vector<const LogField*>& fields);

// "message key=value other=\"two words\"", without a line break.
std::string TextLine(std::string_view message, const std::vector<const LogField*>& fields);

}  // namespace weir
