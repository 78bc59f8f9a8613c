#pragma once

#include <string>
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

}  // namespace weir
