#include "tests/support/fault_proxy/fault_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <functional>
#include <utility>

namespace weir::proxy {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void Ready(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
}

int ConnectUnix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return -1;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

int ConnectTcp(const std::string& target) {
  const auto colon = target.rfind(':');
  if (colon == std::string::npos) return -1;
  const std::string host = target.substr(0, colon) == "localhost" ? "127.0.0.1" : target.substr(0, colon);
  int port = 0;
  std::from_chars(target.data() + colon + 1, target.data() + target.size(), port);
  sockaddr_in address = Loopback(port);
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return -1;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

FaultProxy::FaultProxy(ProxyOptions options) : options_(std::move(options)), buffer_(64 * 1024) {}

FaultProxy::~FaultProxy() { Stop(); }

Result<void> FaultProxy::Start() {
  port_ = options_.port;
  if (!Listen()) return Fail(ErrorClass::kConfig, std::string("cannot listen: ") + std::strerror(errno));
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  thread_ = std::thread([this] { Loop(); });
  return {};
}

void FaultProxy::Stop() {
  if (!thread_.joinable()) return;
  Order([](Orders& o) { o.stop = true; });
  thread_.join();
  ::close(wake_fd_);
}

// Gives an order and waits until the loop has obeyed it.
void FaultProxy::Order(const std::function<void(Orders&)>& change) {
  std::unique_lock lock(mutex_);
  change(orders_);
  if (!thread_.joinable()) return;  // obeyed when it starts
  const std::uint64_t mine = ++ordered_;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_fd_, &one, sizeof one);
  changed_.wait(lock, [&] { return obeyed_ >= mine; });
}

void FaultProxy::Set(const ProxyFaults& faults) {
  Order([&](Orders& o) { o.faults = faults; });
}
void FaultProxy::ResetAll() {
  Order([](Orders& o) { o.reset_all = true; });
}
void FaultProxy::BlackHoleAll() {
  Order([](Orders& o) { o.black_hole_all = true; });
}
void FaultProxy::Refuse(bool refuse) {
  Order([&](Orders& o) { o.refuse = refuse; });
}

void FaultProxy::CutAfterCommit(CommitCut how, int nth) {
  const std::lock_guard lock(mutex_);
  commit_cut_ = how;
  commits_to_pass_ = nth - 1;
  stats_.commit_cuts = 0;
}

bool FaultProxy::WaitForCommitCut(Millis deadline) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, deadline, [&] { return stats_.commit_cuts > 0; });
}

void FaultProxy::StopAt(StopPoint point) {
  const std::lock_guard lock(mutex_);
  stop_point_ = std::move(point);
  stopped_ = false;
}

bool FaultProxy::WaitForStop(Millis deadline) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, deadline, [&] { return stopped_; });
}

void FaultProxy::Thaw() {
  Order([](Orders& o) { o.thaw = true; });
}

FaultProxy::Stats FaultProxy::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

bool FaultProxy::Listen() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = Loopback(port_);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 128) != 0) {
    ::close(listener_);
    listener_ = -1;
    return false;
  }
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  return true;
}

void FaultProxy::Loop() {
  while (Obey()) RunOnce();
  relays_.clear();
  if (listener_ >= 0) ::close(listener_);
  const std::lock_guard lock(mutex_);
  stats_.open = 0;
}

bool FaultProxy::Obey() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = ::read(wake_fd_, &count, sizeof count);
  bool go_on = true;
  {
    const std::lock_guard lock(mutex_);
    faults_ = orders_.faults;
    if (orders_.reset_all) {
      for (Relay& relay : relays_) relay.Reset();
      relays_.clear();
    }
    orders_.reset_all = false;
    if (std::exchange(orders_.black_hole_all, false)) {
      for (Relay& relay : relays_) relay.CutHere(CommitCut::kBlackHole);
    }
    if (std::exchange(orders_.thaw, false)) {
      for (Relay& relay : relays_) relay.Thaw(faults_, Steady::now());
    }
    if (orders_.refuse && listener_ >= 0) {
      ::close(listener_);
      listener_ = -1;
    }
    // Another program may have taken the port meanwhile: then it stays refused.
    if (!orders_.refuse && listener_ < 0) Listen();
    obeyed_ = ordered_;
    stats_.open = static_cast<std::int64_t>(relays_.size());
    go_on = !orders_.stop;
  }
  changed_.notify_all();
  return go_on;
}

// 1. wait for a socket, an order or the next piece that is due; 2. new connections; 3. each connection's
// bytes.
void FaultProxy::RunOnce() {
  const auto before = Steady::now();
  std::optional<Steady::time_point> wake;
  std::vector<pollfd> fds{{wake_fd_, POLLIN, 0}, {faults_.cut ? -1 : listener_, POLLIN, 0}};
  for (const Relay& relay : relays_) {
    fds.resize(fds.size() + 2);
    relay.Poll(faults_, before, &fds[fds.size() - 2], wake);
  }
  timespec timeout{};
  if (wake) {
    const auto ns = std::max<std::int64_t>(0, std::chrono::nanoseconds(*wake - before).count());
    timeout = {ns / 1'000'000'000, ns % 1'000'000'000};
  }
  if (::ppoll(fds.data(), fds.size(), wake ? &timeout : nullptr, nullptr) < 0) return;
  const auto now = Steady::now();
  std::size_t i = 2;
  for (auto it = relays_.begin(); it != relays_.end(); i += 2) {
    const Relay::Step step = Turn(*it, now, &fds[i]);
    const bool was_cut = step.saw_commit && Commit(*it, now);
    it = step.over || was_cut ? relays_.erase(it) : std::next(it);
  }
  if (fds[1].revents != 0) Accept();
}

Relay::Step FaultProxy::Turn(Relay& relay, Steady::time_point now, const pollfd* two) {
  const std::lock_guard lock(mutex_);
  const Relay::Step step = relay.Run(faults_, now, two, buffer_, stop_point_ ? &*stop_point_ : nullptr);
  if (!step.stopped) return step;
  stop_point_.reset();
  stopped_ = true;
  changed_.notify_all();
  return step;
}

// The server said that a COMMIT is done. True: the connection is to be closed.
bool FaultProxy::Commit(Relay& relay, Steady::time_point now) {
  CommitCut how = CommitCut::kOff;
  do {
    {
      const std::lock_guard lock(mutex_);
      ++stats_.commits;
      if (commit_cut_ != CommitCut::kOff && commits_to_pass_-- <= 0) {
        how = std::exchange(commit_cut_, CommitCut::kOff);
        ++stats_.commit_cuts;
      }
    }
    if (how != CommitCut::kOff) {
      relay.CutHere(how);
      changed_.notify_all();
      return how == CommitCut::kReset;
    }
  } while (relay.PassCommit(faults_, now));
  return false;
}

void FaultProxy::Accept() {
  const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  const int server = Connect();
  const std::lock_guard lock(mutex_);
  ++stats_.accepted;
  if (server < 0) {
    ++stats_.failed_connects;
    const linger now{1, 0};
    ::setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(client);
    return;
  }
  Ready(client);
  Ready(server);
  relays_.emplace_back(client, server, options_.protocol);
}

int FaultProxy::Connect() const {
  return options_.target.rfind('/', 0) == 0 ? ConnectUnix(options_.target) : ConnectTcp(options_.target);
}

}  // namespace weir::proxy
