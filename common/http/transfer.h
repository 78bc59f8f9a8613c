#pragma once

#include <curl/curl.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/http/body_decoder.h"
#include "common/http/fetcher.h"
#include "common/http/head_parser.h"
#include "common/http/idle_watch.h"

namespace weir {

// One answer on its way from a curl handle to a BodySink. Internal to Fetcher; lives as long as one Fetch,
// and must outlive the handle's stay in a multi handle.
class Transfer {
 public:
  Transfer(CURL* easy, const FetchOptions& options, const Clock& clock, BodySink& sink,
           const AbortCheck& abort);
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Asks the abort check and looks at the idle time; an error ends the transfer.
  std::optional<Error> Watch();
  // The verdict once curl has ended with `code`.
  Result<HttpResponseHead> Finish(CURLcode code);
  // An error that did not come from curl.
  Error WithStatus(Error error);
  FetchStats Stats() const;

 private:
  static std::size_t HeaderCallback(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t BodyCallback(char* data, std::size_t size, std::size_t count, void* self);
  // Both return false to end the transfer; why is then in error_ or enough_.
  bool OnHeader(std::string_view line);
  bool OnBody(std::string_view bytes);
  bool OnDecoded(std::string_view bytes);
  bool OnHeadEnd();
  bool OverCap(std::int64_t bytes);
  // Calls the sink and takes its time out of the idle watch. False as above.
  template <typename Call>
  bool InSink(Call call);
  std::int64_t WireBytes() const;
  Error FromCurl(CURLcode code) const;

  CURL* const easy_;
  const FetchOptions& options_;
  const Clock& clock_;
  BodySink& sink_;
  const AbortCheck& abort_;
  const std::chrono::milliseconds start_;
  HeadParser head_;
  IdleWatch idle_;
  std::unique_ptr<BodyDecoder> decoder_;  // none: the body is as it is
  std::optional<Error> unreadable_;       // the body is in a coding that we do not know
  std::int64_t coded_bytes_ = 0;          // of the body, as they came
  FetchStats stats_;
  bool enough_ = false;
  std::optional<Error> error_;
};

}  // namespace weir
