#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/secret.h"

namespace weir {

// `text`, which an upstream sent, with *** in place of the account's secrets: some upstreams answer with the
// token that they refuse. Call it before the text is cut, or a part of a secret may stay. Shorter values than
// 8 bytes are no secrets, and would tear common words apart.
inline std::string WithoutSecrets(std::string_view text, const std::map<std::string, Secret>& secrets) {
  constexpr std::size_t kShortest = 8;
  std::string clean(text);
  for (const auto& [name, secret] : secrets) {
    const std::string& value = secret.Reveal();
    if (value.size() < kShortest) continue;
    for (auto at = clean.find(value); at != std::string::npos; at = clean.find(value, at + 3))
      clean.replace(at, value.size(), "***");
  }
  return clean;
}

inline Error WithoutSecrets(Error error, const std::map<std::string, Secret>& secrets) {
  for (std::string* text : {&error.message, &error.hint, &error.body_start})
    *text = WithoutSecrets(*text, secrets);
  return error;
}

}  // namespace weir
