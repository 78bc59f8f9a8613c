#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace weir::fuzz {

// Cuts the bytes after an input's first four into chunks, of sizes that the four decide: byte 0 is the
// target's own (Option), the others choose the sizes. Each chunk lies in a block of exactly its size, so that
// AddressSanitizer sees a read beyond it.
class Chunks {
 public:
  explicit Chunks(std::string_view input) {
    for (std::size_t i = 0; i < std::min<std::size_t>(4, input.size()); ++i) {
      if (i == 0) option_ = static_cast<unsigned char>(input[0]);
      if (i > 0) state_ = state_ * 257 + static_cast<unsigned char>(input[i]);
    }
    body_ = input.substr(std::min<std::size_t>(4, input.size()));
  }

  unsigned Option() const { return option_; }
  std::string_view Body() const { return body_; }

  // Calls `feed(chunk)` for each chunk until it returns false.
  template <typename Feed>
  void ForEach(Feed feed) {
    std::uint64_t state = state_;
    for (std::string_view rest = body_; !rest.empty();) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      // Mostly small, sometimes all that is left.
      const std::uint64_t draw = state >> 33;
      const std::size_t size = draw % 16 == 0 ? rest.size() : 1 + draw / 16 % (draw % 5 == 0 ? 200 : 9);
      const std::string_view piece = rest.substr(0, size);
      const std::unique_ptr<char[]> block(new char[piece.size()]);
      std::memcpy(block.get(), piece.data(), piece.size());
      if (!feed(std::string_view(block.get(), piece.size()))) return;
      rest.remove_prefix(piece.size());
    }
  }

 private:
  unsigned option_ = 0;
  std::uint64_t state_ = 1;
  std::string_view body_;
};

}  // namespace weir::fuzz
