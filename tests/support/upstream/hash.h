#pragma once

#include <cstdint>
#include <string_view>

namespace weir::sim {

// splitmix64's finalizer: all of the generated data is a pure function of it, so that any game is made on the
// fly.
constexpr std::uint64_t Mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}
constexpr std::uint64_t Mix(std::uint64_t a, std::uint64_t b) { return Mix(a ^ Mix(b)); }

constexpr std::uint64_t Mix(std::string_view text, std::uint64_t seed) {
  std::uint64_t h = Mix(seed);
  for (const char c : text) h = Mix(h ^ static_cast<unsigned char>(c));
  return h;
}

// A stream of draws for one game.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() { return state_ = Mix(state_); }
  // [0, n)
  std::uint64_t Below(std::uint64_t n) { return Next() % n; }
  bool OneIn(std::uint64_t n) { return Below(n) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace weir::sim
