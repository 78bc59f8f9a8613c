#pragma once

#include <cstddef>
#include <string_view>

#include "common/base/result.h"
#include "common/http/http_message.h"

namespace weir {

// Builds an answer's head from the header lines that curl hands over one by one: those of 1xx answers, of the
// final one and trailers. Bounded in bytes and in number. A header that is not text (a byte that is not
// UTF-8, a control character, a name that is no token) is left out: what stands in the head can be logged,
// stored and sent back. Pure; one per transfer.
class HeadParser {
 public:
  static constexpr std::size_t kMaxHeaders = 256;

  explicit HeadParser(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // True when this line ended the final head, which then stands. Errors: kInvalid when all header lines,
  // trailers too, exceed max_bytes, or an answer has over kMaxHeaders of them.
  Result<bool> Line(std::string_view line);

  bool Done() const { return done_; }
  std::size_t Bytes() const { return bytes_; }
  HttpResponseHead& Head() { return head_; }

 private:
  void StatusLine(std::string_view line);
  Result<void> Field(std::string_view line);
  void DropWhatIsNoText();

  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  bool done_ = false;
  HttpResponseHead head_;
};

}  // namespace weir
