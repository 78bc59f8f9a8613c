#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace weir {

// For tests: a loopback server on a free port that answers each connection, one after the other, with a
// script of raw bytes.
class ScriptServer {
 public:
  class Connection {
   public:
    explicit Connection(int fd) : fd_(fd) {}
    // The next request as received, head and (by Content-Length) body; "" when the peer has closed.
    std::string ReadRequest();
    // False when the peer is gone.
    bool Send(std::string_view bytes);
    // Blocks until the peer closes.
    void AwaitClose();
    // Closing after this sends a reset.
    void Reset();
    // For a script that speaks TLS.
    int Fd() const { return fd_; }

   private:
    const int fd_;
    std::string buffered_;
  };
  using Script = std::function<void(Connection&)>;

  explicit ScriptServer(Script script);
  ~ScriptServer();
  ScriptServer(const ScriptServer&) = delete;
  ScriptServer& operator=(const ScriptServer&) = delete;

  std::string Url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::uint16_t Port() const { return port_; }
  int Connections() const { return connections_; }

 private:
  void Serve();

  const Script script_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  bool stopping_ = false;  // mutex_
  int current_ = -1;       // mutex_: the connection being served
  std::thread thread_;
};

}  // namespace weir
