#include "common/http/script_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace weir {

std::string ScriptServer::Connection::ReadRequest() {
  char chunk[4096];
  while (true) {
    const std::size_t end = buffered_.find("\r\n\r\n");
    if (end != std::string::npos) {
      std::size_t whole = end + 4;
      const std::size_t length = buffered_.find("Content-Length: ");
      if (length < end) whole += std::strtoul(buffered_.c_str() + length + 16, nullptr, 10);
      if (buffered_.size() >= whole) {
        std::string request = buffered_.substr(0, whole);
        buffered_.erase(0, whole);
        return request;
      }
    }
    const ssize_t got = recv(fd_, chunk, sizeof chunk, 0);
    if (got <= 0) return {};
    buffered_.append(chunk, static_cast<std::size_t>(got));
  }
}

bool ScriptServer::Connection::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void ScriptServer::Connection::AwaitClose() {
  char chunk[4096];
  while (recv(fd_, chunk, sizeof chunk, 0) > 0) {
  }
}

void ScriptServer::Connection::Reset() {
  const linger now{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

ScriptServer::ScriptServer(Script script) : script_(std::move(script)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 16) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Serve(); });
}

ScriptServer::~ScriptServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (current_ >= 0) shutdown(current_, SHUT_RDWR);
  }
  shutdown(listener_, SHUT_RDWR);
  thread_.join();
  close(listener_);
}

void ScriptServer::Serve() {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) {
        close(fd);
        return;
      }
      current_ = fd;
    }
    ++connections_;
    Connection connection(fd);
    script_(connection);
    const std::lock_guard lock(mutex_);
    current_ = -1;
    close(fd);
  }
}

}  // namespace weir
