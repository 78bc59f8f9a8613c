#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/http/http_message.h"

namespace weir {

struct HttpServerRequest {
  std::string method;  // "GET"
  std::string path;    // "/metrics", as sent: not decoded
  std::string query;   // after '?', not decoded
  std::vector<HttpHeader> headers;
  std::string body;
};

struct HttpReply {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<HttpHeader> headers;
};

// Runs on the server's thread, one request at a time: it must not block for long, but for requests that
// HttpServerOptions::slow names. What it throws becomes a 500.
using HttpHandler = std::function<HttpReply(const HttpServerRequest&)>;

// Exact paths for GET and HEAD; anything else is 404 or 405.
HttpHandler RouteByPath(std::map<std::string, HttpHandler, std::less<>> routes);

// What a request is answered that never reaches the handler, or whose handler threw: a status and a word on
// why.
using HttpRefusal = std::function<HttpReply(int status, std::string_view why)>;
HttpReply PlainRefusal(int status, std::string_view why);

struct HttpServerOptions {
  std::string address = "127.0.0.1";  // a numeric address
  int port = 0;                       // 0 = any free one
  std::size_t max_connections = 32;   // one more, and the one that is longest without a request goes
  std::uint32_t max_header_bytes = 8 << 10;
  std::uint64_t max_body_bytes = 64 << 10;
  // A request must have come whole, and an answer been taken, within this; also between two requests.
  std::chrono::milliseconds timeout{10'000};
  HttpRefusal refusal = PlainRefusal;
  // Requests that may take long. They are answered on a second thread, one at a time too, so that the handler
  // may be called on both at once; all others never wait for them. Empty = none, and no such thread.
  std::function<bool(const HttpServerRequest&)> slow{};
};

// A small HTTP/1.1 server for metrics, health and control, on a thread of its own (256 KiB stack), and one
// more for slow requests. Bad peers
// (slow, oversized, garbage, gone) lose their own connection and nothing else.
class HttpServer {
 public:
  // Listens when it returns. Errors: kConfig when the address cannot be had.
  static Result<std::unique_ptr<HttpServer>> Start(HttpServerOptions options, HttpHandler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int Port() const;
  // Closes all connections and joins the threads, after the running handlers if there are any. Any thread but
  // a handler's; more than once is fine.
  void Stop();

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
