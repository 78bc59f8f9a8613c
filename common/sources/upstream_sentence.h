#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace weir {

// What an upstream says of an error, in its own words: the sentence in a JSON document such as
// {"error":"No such token"} or {"statusCode":403,"message":["…"]}, or a short plain text. `body` may be cut
// off. Safe to show, ≤ 200 bytes, on one line; "" = it says nothing that can be shown.
std::string UpstreamSentence(std::string_view body);

// That of an object which is an error in place of data: its top-level "error" is a text or an object, neither
// empty, or true.
// `json` is one JSON value.
std::optional<std::string> ErrorIn(std::string_view json);

// An object whose first member is one that errors begin with: {"error":…}, {"message":…,"code":…}.
bool BeginsAsError(std::string_view object);

// What an object is that stands in the place of a record and lacks what each record has (`lacks`: "the game
// has no id"): kTransient when it is an error that the upstream put there, since then the answer is not
// whole; else kBadRecord.
Error NoRecord(std::string_view raw, std::string lacks);

// The sentence says that the token is known and lacks a right: another token with the same rights does not
// help.
bool SaysARightIsMissing(std::string_view sentence);

}  // namespace weir
