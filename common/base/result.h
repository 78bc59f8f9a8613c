#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "common/base/error.h"

namespace weir {

// A value or an Error. tl::expected is std::expected (C++23) for the compilers of Debian 12.
template <typename T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> Fail(Error e) { return tl::unexpected<Error>(std::move(e)); }
inline tl::unexpected<Error> Fail(ErrorClass c, std::string message, std::string hint = {}) {
  return tl::unexpected<Error>(MakeError(c, std::move(message), std::move(hint)));
}

}  // namespace weir
