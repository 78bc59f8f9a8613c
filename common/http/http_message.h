#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

// Plain HTTP data: what a source asks for and is shown. No libcurl here, so that sources stay pure (DESIGN
// §2).
struct HttpHeader {
  std::string name;
  std::string value;
};

// True when a and b are equal but for ASCII case.
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

struct HttpRequest {
  std::string method = "GET";
  std::string target;  // path and query, appended to the source's base_url; already percent-encoded
  std::vector<HttpHeader>
      headers;  // without User-Agent and Authorization: the fetcher adds them for the right origin
  std::string body;
  // On a connection of its own: a kept one that turns out to be closed is what makes curl send a request
  // twice.
  bool fresh_connection = false;
};

// Status line and headers of an answer; the body is streamed past it and never held.
struct HttpResponseHead {
  int status = 0;
  std::vector<HttpHeader> headers;

  // The first header of that name (any case), or empty.
  std::string_view Get(std::string_view name) const;
  // True when HTTP itself told where the body ended: by a length, or by chunks. Else it is the connection's
  // end, which an upstream that died looks like too.
  bool TellsItsEnd() const;
  // True for text/html and application/xhtml+xml: an error page of a proxy or a filter, never data.
  bool IsHtml() const;
};

// True when it asks only for what changed since: then a 304 is an answer to it.
bool IsConditional(const HttpRequest& request);

// Percent-encodes all but RFC 3986's unreserved characters; for one path segment or one query value.
std::string PercentEncode(std::string_view text);

}  // namespace weir
