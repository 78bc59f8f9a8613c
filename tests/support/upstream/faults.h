#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/http/http_message.h"

namespace weir::sim {

// How an answer is spoilt. README.md has the list with its JSON keys.
struct Fault {
  enum class Kind {
    kStatus,          // `status`, `retry_after`, `body`, `content_type`, `headers` instead of the answer
    kHtml,            // an HTML page with `status` (default 200)
    kFake404,         // Lichess's page for user agents it does not like
    kTruncate,        // the body ends after `after` bytes; `framing` length | chunked | close | valid
    kReset,           // RST after `after` bytes of body (-1: before the head)
    kStall,           // silence after `after` bytes of body (-1: before the head) until released or hung up
    kTrickle,         // `bytes` bytes every `interval_ms`
    kGzip,            // Content-Encoding: gzip
    kGzipBomb,        // `amount` bytes of spaces, gzipped
    kEndless,         // `with` spaces | records | one_record, without end (or `amount` bytes)
    kRedirect,        // `status` (302) to `location`
    kPoison,          // `records` inserted before record `at` of the page
    kForeignArchive,  // Chess.com archives: `location` stands at the end of the list
    kRepeatPage,      // the first matching request's answer again, whatever is asked for
    kContentType,     // `content_type` over the right body
  };

  Kind kind = Kind::kStatus;
  int status = 0;
  std::string retry_after;  // as is; "date:+90" becomes an HTTP date 90 s from now
  std::string body, content_type, location, framing = "length", with = "spaces";
  std::vector<HttpHeader> headers;
  std::vector<std::string> records;
  std::int64_t after = 0, at = 0, bytes = 16, interval_ms = 100;
  std::int64_t amount = 0;
  std::string repeat_target;  // kRepeatPage: set when it fires
};

// The rules in force. Thread-safe. The first rule that matches and fires decides.
class Faults {
 public:
  // `text`: {"rules":[…], "append":false} or one rule. Errors: kConfig, nothing is changed.
  Result<void> Set(std::string_view text);
  void Clear();
  std::optional<Fault> For(std::string_view method, std::string_view target);
  std::string Report() const;  // the rules with `seen` and `hits`
  std::int64_t Hits(std::string_view action = {}) const;

  // Lets every stalled answer go on.
  void Release() { ++released_; }
  std::uint64_t Released() const { return released_; }

 private:
  struct Rule {
    std::string match, method, action;
    std::optional<std::regex> regex;
    std::int64_t skip = 0, nth = 0, every = 0, times = 0;
    double probability = 1;
    std::uint64_t seed = 1;
    Fault fault;
    std::int64_t seen = 0, hits = 0;
    std::string first_target;

    bool Matches(std::string_view method, std::string_view target) const;
    bool Fires() const;  // at the current `seen`
  };
  static Result<Rule> Parse(const std::string& text);

  mutable std::mutex mutex_;
  std::vector<Rule> rules_;
  std::atomic<std::uint64_t> released_{0};
};

// RFC 9110's "Sun, 06 Nov 1994 08:49:37 GMT".
std::string HttpDate(std::int64_t unix_ms);

}  // namespace weir::sim
