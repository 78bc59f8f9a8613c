#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace weir {

// Takes the Content-Encoding off a body as it arrives: gzip with any number of members (RFC 1952 §2.2; curl
// refuses all after the first, and does not notice that the last one is cut off), deflate with zlib's header
// or without, and a few codings one inside the other. Holds 16 KiB and zlib's window for each coding,
// whatever the body. Counts nothing: the caller bounds what goes in and what comes out. One transfer's; not
// thread-safe.
class BodyDecoder {
 public:
  // The next decoded bytes, ≤ 16 KiB; false = stop.
  using Sink = std::function<bool(std::string_view)>;

  // For the value of Content-Encoding ("gzip"); nullptr = the body is as it is. Errors: kTransient for a
  // coding that was not asked for.
  static Result<std::unique_ptr<BodyDecoder>> For(std::string_view content_encoding);
  ~BodyDecoder();

  // False = the sink stopped. Errors: kTransient for damaged bytes.
  Result<bool> Feed(std::string_view bytes, const Sink& sink);
  // The body has ended. Errors: kTransient when it was cut off. A body without a byte is an empty one.
  Result<void> End() const;

 private:
  class Stage;

  BodyDecoder();
  Result<bool> FeedFrom(std::size_t stage, std::string_view bytes, const Sink& sink);

  std::vector<std::unique_ptr<Stage>> stages_;  // in the order in which they are taken off
};

}  // namespace weir
