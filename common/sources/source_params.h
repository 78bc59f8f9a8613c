#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "common/base/result.h"
#include "common/sources/source.h"

namespace weir {

// The value of an account's param, else its default in `info`. "" for a name the source does not have.
std::string_view ParamText(const SourceInfo& info, const AccountRef& account, std::string_view name);

// The same as a value. Errors: kConfig, naming sources.<name>.<param>.
Result<bool> ParamBool(const SourceInfo& info, const AccountRef& account, std::string_view name);
Result<std::int64_t> ParamCount(const SourceInfo& info, const AccountRef& account,
                                std::string_view name);  // ≥ 1
Result<std::chrono::milliseconds> ParamDuration(const SourceInfo& info, const AccountRef& account,
                                                std::string_view name);

}  // namespace weir
