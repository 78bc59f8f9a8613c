#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace weir {

// Where a request may go (DESIGN §4.8, §9): every URL that an upstream names passes here before it is used.
// All three read URLs with curl's own parser, so that what is checked is what is asked. Pure; thread-safe.

// base_url (which may have a path prefix, "https://host/api") with `target` ("/path?query", percent-encoded)
// appended. The result stays on base_url's origin and below its path. Errors: kConfig when base_url is not an
// http(s) URL without user, query and fragment; kInvalid when target is not a target or leaves the prefix.
Result<std::string> JoinUrl(std::string_view base_url, std::string_view target);

// Same scheme, host (case ignored) and port (the scheme's own when none is written). False when either is not
// an http(s) URL.
bool SameOrigin(std::string_view a, std::string_view b);

// What a Location header or a next link means for base_url: the target to ask for ("/path?query", relative to
// base_url, without fragment). `from_target` is the target of the request that was answered; a relative
// location counts from there. Errors: kTransient when it leads to another origin (as an outage's
// redirect to a status page does), kInvalid when it leads out of base_url's path, has a user, control
// characters, spaces or backslashes, or another scheme; the message names the host at most.
Result<std::string> TargetWithin(std::string_view base_url, std::string_view location,
                                 std::string_view from_target = "/");

// base_url's host, for messages; "" when it has none.
std::string HostOf(std::string_view url);

}  // namespace weir
