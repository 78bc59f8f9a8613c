#pragma once

#include <array>
#include <ostream>
#include <streambuf>

namespace weir::cli {

// A file descriptor as a stream that remembers why it could not be written: std::cout forgets it. What is
// printed after the first failure is dropped. Not thread-safe.
class StandardOutput final : public std::ostream {
 public:
  // `fd` is not owned.
  explicit StandardOutput(int fd) : std::ostream(nullptr), buffer_(fd) { rdbuf(&buffer_); }
  // The errno of the first write that failed; 0 while none did.
  int Error() const { return buffer_.error; }

 private:
  class Buffer final : public std::streambuf {
   public:
    explicit Buffer(int fd) : fd_(fd) { Empty(); }
    int error = 0;

   protected:
    int_type overflow(int_type c) override;
    int sync() override;

   private:
    void Empty() { setp(room_.data(), room_.data() + room_.size()); }

    const int fd_;
    std::array<char, 16 * 1024> room_;
  };

  Buffer buffer_;
};

}  // namespace weir::cli
