#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir {

// Damerau–Levenshtein distance (insert, delete, replace, swap of neighbours), ASCII case ignored.
int EditDistance(std::string_view a, std::string_view b);

// The known name that was most likely meant; "" when none is near (more than a third of it differs).
std::string NearestName(std::string_view unknown, const std::vector<std::string>& known);

// "did you mean X?" or, when nothing is near, `otherwise`.
std::string DidYouMean(std::string_view unknown, const std::vector<std::string>& known,
                       std::string otherwise = {});

}  // namespace weir
