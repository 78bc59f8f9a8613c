#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "common/base/result.h"
#include "common/http/http_message.h"

namespace weir::sim {

// One request as received. Names in `query` and `path` are percent-decoded; `target` is not.
struct Request {
  std::string method;
  std::string target;
  std::string path;
  std::map<std::string, std::string, std::less<>> query;
  std::vector<HttpHeader> headers;
  std::string body;

  std::string_view Header(std::string_view name) const;  // "" if absent
  bool Has(std::string_view name) const;
  std::string_view Query(std::string_view name, std::string_view otherwise = {}) const;
};

// One accepted socket, used by its own thread alone (but for Shutdown).
class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The next request; false when the peer is done, talks no HTTP, or exceeds the limits (64 KiB head, 8 MiB
  // body).
  bool Read(Request& request);
  // False when the peer is gone. Blocks while the peer does not read.
  bool Send(std::string_view data);
  bool Send(std::string_view a, std::string_view b, std::string_view c, std::string_view d = {});
  // Waits without burning CPU; false as soon as the peer hangs up or the server stops.
  bool Sleep(std::chrono::microseconds time);
  bool PeerGone();  // any thread
  // Closes with RST instead of FIN when the connection ends.
  void ResetOnClose();
  void Shutdown();  // any thread: wakes whatever the owner is blocked in
  void Close();

 private:
  bool Fill();

  std::mutex mutex_;  // closing against the calls of other threads
  int fd_;
  std::string in_;  // received, not yet consumed
};

// HTTP/1.1 with a thread a connection (bounded), so that handlers may block, sleep and misbehave at will. The
// handler returns whether the connection lives on.
class HttpServer {
 public:
  using Handler = std::function<bool(Connection&, const Request&)>;

  explicit HttpServer(Handler handler, std::size_t max_connections = 512);
  ~HttpServer();  // = Stop()
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Listens on `host`:`port` (0 = any free port) and starts accepting. Errors: kConfig.
  Result<void> Start(int port = 0, const std::string& host = "127.0.0.1");
  // Ends all connections and joins all threads. Not from a handler.
  void Stop();
  int port() const { return port_; }

 private:
  struct Worker {
    explicit Worker(int fd) : connection(fd) {}
    Connection connection;
    std::thread thread;
    std::atomic<bool> done{false};
  };

  void AcceptLoop();
  void Serve(Worker& worker);
  void Reap(bool all);

  const Handler handler_;
  const std::size_t max_connections_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread acceptor_;
  std::mutex mutex_;           // guards workers_
  std::list<Worker> workers_;  // stable addresses: each thread holds a reference to its own
};

std::string PercentDecode(std::string_view text);
// The same request for another target.
Request WithTarget(Request request, std::string target);

}  // namespace weir::sim
