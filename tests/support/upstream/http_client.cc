#include "tests/support/upstream/http_client.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "common/base/json_text.h"

namespace weir::sim {
namespace {

using Steady = std::chrono::steady_clock;

struct Url {
  std::string host, target = "/";
  int port = 80;
};

std::optional<Url> ParseUrl(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (text.substr(0, kScheme.size()) != kScheme) return std::nullopt;
  text.remove_prefix(kScheme.size());
  Url url;
  const auto slash = std::min(text.find('/'), text.size());
  if (slash < text.size()) url.target = text.substr(slash);
  const std::string_view authority = text.substr(0, slash);
  const auto colon = std::min(authority.find(':'), authority.size());
  url.host = authority.substr(0, colon);
  if (url.host == "localhost") url.host = "127.0.0.1";
  if (colon < authority.size())
    std::from_chars(authority.data() + colon + 1, authority.data() + authority.size(), url.port);
  return url;
}

class Socket {
 public:
  Socket() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  bool Connect(const Url& url) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(url.port));
    return ::inet_pton(AF_INET, url.host.c_str(), &address.sin_addr) == 1 &&
           ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  bool Send(std::string_view data) {
    while (!data.empty()) {
      const ssize_t n = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      data.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  // Appends what comes; 0 = end of stream, <0 = reset or deadline.
  ssize_t Receive(std::string& in, Steady::time_point deadline) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Steady::now()).count();
    pollfd p{fd_, POLLIN, 0};
    if (left <= 0 || ::poll(&p, 1, static_cast<int>(std::min<long>(left, 1'000'000))) <= 0) return -1;
    std::array<char, 64 * 1024> buffer;
    const ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (n > 0) in.append(buffer.data(), static_cast<std::size_t>(n));
    return n;
  }

 private:
  int fd_;
};

// Takes the framing off a body as it arrives.
class BodyReader {
 public:
  explicit BodyReader(const ClientResponse& head) {
    if (head.status == 304 || head.status == 204) {
      left_ = 0;
    } else if (head.Get("Transfer-Encoding") == "chunked") {
      chunked_ = true;
    } else if (const std::string_view text = head.Get("Content-Length"); !text.empty()) {
      left_ = 0;
      std::from_chars(text.data(), text.data() + text.size(), left_);
    } else {
      until_close_ = true;
    }
  }
  bool until_close() const { return until_close_; }
  bool Done() const { return chunked_ ? last_ : !until_close_ && left_ == 0; }

  // Consumes from `in`; false when the sink wants no more or the framing is broken.
  bool Feed(std::string& in, const std::function<bool(std::string_view)>& sink) {
    while (!in.empty() && !Done()) {
      if (chunked_ && left_ == kNone && !Header(in)) return !broken_;
      if (Done()) break;
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size()));
      if (n > 0 && !sink(std::string_view(in).substr(0, n))) return false;
      in.erase(0, n);
      if (!until_close_) left_ -= n;
      if (chunked_ && left_ == 0) {
        if (in.size() < 2) return true;
        in.erase(0, 2);
        left_ = kNone;
      }
    }
    return true;
  }

 private:
  static constexpr auto kNone = std::numeric_limits<std::uint64_t>::max();

  bool Header(std::string& in) {
    const auto end = in.find("\r\n");
    if (end == std::string::npos) return false;
    std::uint64_t size = 0;
    const auto [p, error] = std::from_chars(in.data(), in.data() + end, size, 16);
    broken_ = error != std::errc() || p == in.data();
    in.erase(0, end + 2);
    last_ = size == 0;
    left_ = size;
    return !broken_;
  }

  bool chunked_ = false, until_close_ = false, last_ = false, broken_ = false;
  std::uint64_t left_ = kNone;
};

std::string Wire(const ClientRequest& request, const Url& url) {
  std::string out = fmt::format("{} {} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\n", request.method,
                                url.target, url.host, url.port);
  for (const HttpHeader& h : request.headers) out += h.name + ": " + h.value + "\r\n";
  if (!request.body.empty() || request.method == "POST")
    out += fmt::format("Content-Length: {}\r\n", request.body.size());
  return out + "\r\n" + request.body;
}

ClientResponse ParseHead(std::string_view text) {
  ClientResponse head;
  if (text.size() > 12) std::from_chars(text.data() + 9, text.data() + 12, head.status);
  while (!text.empty()) {
    const auto end = std::min(text.find("\r\n"), text.size());
    const std::string_view line = text.substr(0, end);
    if (const auto colon = line.find(": "); colon != std::string_view::npos)
      head.headers.push_back({std::string(line.substr(0, colon)), std::string(line.substr(colon + 2))});
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return head;
}

Result<std::string> Whole(const ClientRequest& request) {
  auto response = Exchange(request);
  if (!response) return Fail(response.error());
  if (response->status != 200 || !response->whole) {
    return Fail(ErrorClass::kTransient,
                fmt::format("{} answered {}{}: {}", request.url, response->status,
                            response->whole ? "" : " (cut short)", Printable(response->body, 200)));
  }
  return std::move(response->body);
}

}  // namespace

std::string_view ClientResponse::Get(std::string_view name) const {
  for (const HttpHeader& h : headers) {
    if (h.name.size() == name.size() && strncasecmp(h.name.data(), name.data(), name.size()) == 0)
      return h.value;
  }
  return {};
}

Result<ClientResponse> Exchange(const ClientRequest& request,
                                const std::function<bool(std::string_view)>& chunk) {
  const auto url = ParseUrl(request.url);
  if (!url) return Fail(ErrorClass::kConfig, "not an http:// URL: " + request.url);
  const auto deadline = Steady::now() + request.deadline;
  Socket socket;
  if (!socket.Connect(*url) || !socket.Send(Wire(request, *url)))
    return Fail(ErrorClass::kTransient, "no connection to " + request.url);
  std::string in;
  std::size_t end = 0;
  while ((end = in.find("\r\n\r\n")) == std::string::npos) {
    if (socket.Receive(in, deadline) <= 0)
      return Fail(ErrorClass::kTransient, "no answer from " + request.url);
  }
  ClientResponse response = ParseHead(std::string_view(in).substr(0, end));
  in.erase(0, end + 4);
  BodyReader body(response);
  const auto sink = [&](std::string_view piece) {
    if (chunk) return chunk(piece);
    response.body.append(piece);
    return true;
  };
  while (body.Feed(in, sink) && !body.Done()) {
    const ssize_t n = socket.Receive(in, deadline);
    if (n > 0) continue;
    response.whole = n == 0 && body.until_close();
    return response;
  }
  response.whole = body.Done();
  return response;
}

Result<std::string> Get(const std::string& url) {
  ClientRequest request;
  request.url = url;
  return Whole(request);
}

Result<std::string> Post(const std::string& url, const std::string& body) {
  ClientRequest request;
  request.method = "POST";
  request.url = url;
  request.body = body;
  return Whole(request);
}

}  // namespace weir::sim
