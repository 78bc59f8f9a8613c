#include "tests/support/upstream/http_server.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>

namespace weir::sim {
namespace {

constexpr std::size_t kMaxHead = 64 * 1024;
constexpr std::size_t kMaxBody = 8 * 1024 * 1024;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string_view Trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

void ParseTarget(Request& request) {
  const std::string_view target = request.target;
  const auto mark = target.find('?');
  request.path = PercentDecode(target.substr(0, mark));
  std::string_view rest = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  while (!rest.empty()) {
    const auto end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const auto equals = std::min(pair.find('='), pair.size());
    request.query[PercentDecode(pair.substr(0, equals))] =
        PercentDecode(pair.substr(std::min(equals + 1, pair.size())));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

bool ParseHead(std::string_view head, Request& request) {
  request = Request{};
  const auto line_end = head.find("\r\n");
  const std::string_view line = head.substr(0, line_end);
  const auto a = line.find(' ');
  const auto b = line.rfind(' ');
  if (a == std::string_view::npos || b <= a || line.substr(b + 1).substr(0, 5) != "HTTP/") return false;
  request.method = line.substr(0, a);
  request.target = line.substr(a + 1, b - a - 1);
  head.remove_prefix(std::min(line_end, head.size()));
  while (!head.empty()) {
    head.remove_prefix(std::min<std::size_t>(2, head.size()));
    const auto end = std::min(head.find("\r\n"), head.size());
    const std::string_view field = head.substr(0, end);
    const auto colon = field.find(':');
    if (colon != std::string_view::npos) {
      request.headers.push_back(
          {std::string(field.substr(0, colon)), std::string(Trim(field.substr(colon + 1)))});
    }
    head.remove_prefix(end);
  }
  ParseTarget(request);
  return true;
}

}  // namespace

std::string PercentDecode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0) {
      out += static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

Request WithTarget(Request request, std::string target) {
  request.target = std::move(target);
  request.query.clear();
  ParseTarget(request);
  return request;
}

std::string_view Request::Header(std::string_view name) const {
  for (const HttpHeader& h : headers) {
    if (h.name.size() == name.size() && strncasecmp(h.name.data(), name.data(), name.size()) == 0)
      return h.value;
  }
  return {};
}

bool Request::Has(std::string_view name) const { return query.find(name) != query.end(); }

std::string_view Request::Query(std::string_view name, std::string_view otherwise) const {
  const auto it = query.find(name);
  return it == query.end() ? otherwise : std::string_view(it->second);
}

Connection::~Connection() { Close(); }

void Connection::Close() {
  const std::lock_guard lock(mutex_);
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool Connection::Fill() {
  std::array<char, 16 * 1024> buffer;
  ssize_t n = 0;
  do {
    n = ::recv(fd_, buffer.data(), buffer.size(), 0);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) return false;
  in_.append(buffer.data(), static_cast<std::size_t>(n));
  return true;
}

bool Connection::Read(Request& request) {
  std::size_t end = 0;
  while ((end = in_.find("\r\n\r\n")) == std::string::npos) {
    if (in_.size() > kMaxHead || !Fill()) return false;
  }
  if (!ParseHead(std::string_view(in_).substr(0, end), request)) return false;
  in_.erase(0, end + 4);
  std::size_t length = 0;
  const std::string_view text = request.Header("Content-Length");
  std::from_chars(text.data(), text.data() + text.size(), length);
  if (length > kMaxBody || !request.Header("Transfer-Encoding").empty()) return false;
  if (!request.Header("Expect").empty() && !Send("HTTP/1.1 100 Continue\r\n\r\n")) return false;
  while (in_.size() < length) {
    if (!Fill()) return false;
  }
  request.body = in_.substr(0, length);
  in_.erase(0, length);
  return true;
}

bool Connection::Send(std::string_view data) { return Send(data, {}, {}); }

bool Connection::Send(std::string_view a, std::string_view b, std::string_view c, std::string_view d) {
  std::array<iovec, 4> parts{};
  std::size_t left = 0;
  std::size_t i = 0;
  for (std::string_view part : {a, b, c, d}) {
    parts[i++] = {const_cast<char*>(part.data()), part.size()};
    left += part.size();
  }
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  while (left > 0) {
    const ssize_t n = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    left -= static_cast<std::size_t>(n);
    auto sent = static_cast<std::size_t>(n);
    while (message.msg_iovlen > 0 && sent >= message.msg_iov->iov_len) {
      sent -= message.msg_iov->iov_len;
      ++message.msg_iov;
      --message.msg_iovlen;
    }
    if (message.msg_iovlen == 0) break;
    message.msg_iov->iov_base = static_cast<char*>(message.msg_iov->iov_base) + sent;
    message.msg_iov->iov_len -= sent;
  }
  return true;
}

bool Connection::Sleep(std::chrono::microseconds time) {
  pollfd p{fd_, POLLRDHUP, 0};
  const auto until = std::chrono::steady_clock::now() + time;
  while (true) {
    const auto left = until - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds(0)) return true;
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
    const timespec wait{ns / 1'000'000'000, ns % 1'000'000'000};
    const int n = ::ppoll(&p, 1, &wait, nullptr);
    if (n > 0) return false;
    if (n < 0 && errno != EINTR) return false;
  }
}

bool Connection::PeerGone() {
  const std::lock_guard lock(mutex_);
  if (fd_ < 0) return true;
  pollfd p{fd_, POLLRDHUP, 0};
  return ::poll(&p, 1, 0) > 0;
}

void Connection::ResetOnClose() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void Connection::Shutdown() {
  const std::lock_guard lock(mutex_);
  if (fd_ >= 0) ::shutdown(fd_, SHUT_RDWR);
}

HttpServer::HttpServer(Handler handler, std::size_t max_connections)
    : handler_(std::move(handler)), max_connections_(max_connections) {}

HttpServer::~HttpServer() { Stop(); }

Result<void> HttpServer::Start(int port, const std::string& host) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  socklen_t size = sizeof address;
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1 ||
      ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 512) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    const std::string why = std::strerror(errno);
    ::close(listener_);
    listener_ = -1;
    return Fail(ErrorClass::kConfig, fmt::format("cannot listen on {}:{}: {}", host, port, why));
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { AcceptLoop(); });
  return {};
}

void HttpServer::Stop() {
  if (listener_ < 0) return;
  stopping_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  listener_ = -1;
  {
    const std::lock_guard lock(mutex_);
    for (Worker& w : workers_) w.connection.Shutdown();
  }
  Reap(true);
}

void HttpServer::AcceptLoop() {
  while (!stopping_) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return;
    }
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Reap(false);
    const std::lock_guard lock(mutex_);
    if (workers_.size() >= max_connections_) {
      ::close(fd);
      continue;
    }
    Worker& worker = workers_.emplace_back(fd);
    worker.thread = std::thread([this, &worker] { Serve(worker); });
  }
}

void HttpServer::Serve(Worker& worker) {
  Request request;
  while (!stopping_ && worker.connection.Read(request)) {
    if (!handler_(worker.connection, request)) break;
  }
  worker.connection.Close();
  worker.done = true;
}

void HttpServer::Reap(bool all) {
  std::list<Worker> finished;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = workers_.begin(); it != workers_.end();) {
      const auto next = std::next(it);
      if (all || it->done) finished.splice(finished.end(), workers_, it);
      it = next;
    }
  }
  for (Worker& w : finished) w.thread.join();
}

}  // namespace weir::sim
