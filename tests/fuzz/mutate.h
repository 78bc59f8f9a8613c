#pragma once

#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::fuzz {

// The seeds of a target, by file name: tests/fuzz/seeds/NAME.
std::vector<std::pair<std::string, std::string>> SeedsOf(std::string_view target);

// A few random changes: bytes, pieces that are doubled, dropped or taken from `other`, and tokens that
// parsers care about. The same for the same state of `random`.
std::string Mutate(std::string text, std::string_view other, std::mt19937_64& random);

}  // namespace weir::fuzz
