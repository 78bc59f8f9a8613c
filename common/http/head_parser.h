#pragma once

#include <cstddef>
#include <string_view>

#include "common/base/result.h"
#include "common/http/http_message.h"

namespace weir {

// Builds an answer's head from the header lines that curl hands over one by one: those of 1xx answers, of the
// final one and trailers. Bounded. Pure; one per transfer.
class HeadParser {
 public:
  explicit HeadParser(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // True when this line ended the final head, which then stands. Errors: kInvalid when all header lines,
  // trailers too, exceed max_bytes.
  Result<bool> Line(std::string_view line);

  bool Done() const { return done_; }
  std::size_t Bytes() const { return bytes_; }
  HttpResponseHead& Head() { return head_; }

 private:
  void StatusLine(std::string_view line);
  void Field(std::string_view line);

  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  bool done_ = false;
  HttpResponseHead head_;
};

}  // namespace weir
