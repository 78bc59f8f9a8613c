#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace weir {

// A value that must not be printed, logged, stored or sent anywhere but to its origin (DESIGN §4.8). There is
// no operator<< and no implicit conversion on purpose; fmt refuses it too.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  const std::string& Reveal() const { return value_; }
  bool empty() const { return value_.empty(); }

 private:
  std::string value_;
};

// Whether `given` is the secret, in a time that tells nothing of how much of it is right (but its length).
inline bool IsSecret(const Secret& secret, std::string_view given) {
  const std::string& right = secret.Reveal();
  volatile unsigned char difference = right.size() == given.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char expected = right.empty() ? '\0' : right[i % right.size()];
    difference = static_cast<unsigned char>(difference | static_cast<unsigned char>(given[i] ^ expected));
  }
  return difference == 0 && !right.empty();
}

}  // namespace weir
