#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/http/http_message.h"

namespace weir {

struct FetchOptions {
  std::string base_url;  // "https://host" or "https://host/prefix"; the only origin ever asked
  std::string user_agent;
  std::chrono::milliseconds connect_timeout{10'000};  // name look-up, TCP and TLS together
  std::chrono::milliseconds idle_timeout{60'000};     // no byte for so long
  std::chrono::milliseconds slow_window{60'000};      // or fewer than slow_rate bytes a second over so long
  std::int64_t slow_rate = 64;
  std::chrono::milliseconds total_timeout{std::chrono::hours(6)};  // a whole answer, without the sink's time
  std::int64_t max_response_bytes = 1LL << 30;                     // decompressed, and as they come
  std::size_t max_header_bytes = 64 << 10;  // all header lines of an answer, trailers too
  std::string ca_file;                      // PEM, besides the system's; "" = those alone
};

// What the last fetch took, successful or not. Milliseconds of the Clock.
struct FetchStats {
  std::int64_t wire_bytes = 0;                          // as they came: headers and (compressed) body
  std::int64_t body_bytes = 0;                          // decompressed, as given to the sink
  std::optional<std::chrono::milliseconds> first_byte;  // none = no answer
  std::chrono::milliseconds total{0};
  std::chrono::milliseconds in_sink{0};  // of it in the sink: a slow consumer, not a slow upstream
  bool reused_connection = false;
  bool sent = false;  // the upstream may have seen some of the request
};

// Takes an answer as it arrives, on the thread of Fetch. While it runs nothing is read, so that a slow
// consumer stalls the transfer; that time is not counted as idle. An Error ends the fetch and is what Fetch
// returns.
class BodySink {
 public:
  virtual ~BodySink() = default;
  // The final head (never a 1xx), once, before the body. False = do not read the body.
  virtual Result<bool> OnHead(const HttpResponseHead& head) = 0;
  // The next bytes, decompressed; valid during the call, ≤ 64 KiB. False = enough: not an error.
  virtual Result<bool> OnBody(std::string_view bytes) = 0;
};

// Asked at least every 200 ms while a fetch runs, also when no byte comes, and between two chunks. An Error
// ends the fetch and is what Fetch returns. Not asked inside the sink.
using AbortCheck = std::function<std::optional<Error>()>;

// Asks one upstream at a time over HTTP/1.1 and keeps connections open between requests (to several origins,
// if SetOptions changes them). Follows no redirect, knows no cookies and no netrc, verifies TLS; obeys the
// *_proxy variables. curl itself repeats a request whose kept connection turns out to be closed before any
// byte of an answer.
// The first Fetcher makes the process ignore SIGPIPE, unless that has a handler.
// Owned and used by one thread (an executor); only Wake is for others. Its memory is one curl buffer (16
// KiB), a decompressor and one head.
class Fetcher {
 public:
  Fetcher(FetchOptions options, const Clock& clock);
  ~Fetcher();
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  // For the next fetches; an executor serves lanes of several sources.
  void SetOptions(FetchOptions options);
  const FetchOptions& Options() const;

  // Sends `request` to base_url + request.target, with `secret_headers` besides its own. Returns the head
  // when the body was read to its end or the sink had enough. Errors, none of which holds a URL or a header:
  // the sink's and the abort's own; kTransient (look-up, connect, timeout, reset, truncated or
  // undecodable body, TLS), kInvalid (no HTTP, over a cap, target off the origin), kConfig (base_url, user
  // agent or a header unfit to send). http_status is set when a head was had.
  Result<HttpResponseHead> Fetch(const HttpRequest& request,
                                 const std::vector<std::pair<std::string, Secret>>& secret_headers,
                                 BodySink& sink, const AbortCheck& abort);

  // Makes a running Fetch ask its AbortCheck at once (a lost lease, a shutdown). Any thread; harmless when
  // none runs.
  void Wake();

  const FetchStats& LastStats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
