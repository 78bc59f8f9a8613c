#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/http/http_message.h"

namespace weir::sim {

struct ClientRequest {
  std::string method = "GET";
  std::string url;  // http://host:port/path?query; IPv4 or localhost
  std::vector<HttpHeader> headers{{"User-Agent", "weir-tests/1 (tests@example.invalid)"},
                                  {"Accept", "application/x-ndjson"}};
  std::string body;
  std::chrono::milliseconds deadline{60'000};  // for the whole exchange
};

struct ClientResponse {
  int status = 0;
  std::vector<HttpHeader> headers;
  std::string body;
  bool whole = false;  // the body ended as its framing says (false: truncated or reset)

  std::string_view Get(std::string_view name) const;  // a header, any case; "" if absent
};

// One plain HTTP/1.1 exchange on a connection of its own: for tests and for the check, where the client must
// not be the one that is being tested. Given `chunk`, the body goes there instead of `body`; false from it
// ends the exchange. Errors: kTransient (no connection, no head, deadline).
Result<ClientResponse> Exchange(const ClientRequest& request,
                                const std::function<bool(std::string_view)>& chunk = {});

// GET, 200 and whole, or an error that says what came instead.
Result<std::string> Get(const std::string& url);
// POST of a JSON text, likewise.
Result<std::string> Post(const std::string& url, const std::string& body);

}  // namespace weir::sim
