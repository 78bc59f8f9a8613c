#include "tests/support/fault_proxy/relay.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace weir::proxy {
namespace {

constexpr std::size_t kMaxQueued = 1024 * 1024;

void LingerZero(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

bool Flow::WantsRead(const ProxyFaults& faults) const {
  return !ended_ && !faults.cut && queued_ < kMaxQueued;
}

std::optional<Steady::time_point> Flow::Due() const {
  if (queue_.empty()) return std::nullopt;
  return std::max(next_, queue_.front().due);
}

bool Flow::Read(const ProxyFaults& faults, std::vector<char>& buffer, std::string& got) {
  const ssize_t n = ::recv(from_, buffer.data(), buffer.size(), 0);
  if (n < 0) return WouldBlock();
  if (n == 0) ended_ = true;
  if (n > 0 && !faults.swallow) got.assign(buffer.data(), static_cast<std::size_t>(n));
  return true;
}

void Flow::Queue(std::string bytes, const ProxyFaults& faults, Steady::time_point now) {
  if (bytes.empty()) return;
  queued_ += bytes.size();
  queue_.push_back({std::move(bytes), now + faults.latency});
}

bool Flow::Write(const ProxyFaults& faults, Steady::time_point now, std::int64_t limit) {
  while (!queue_.empty() && Due() <= now) {
    Piece& piece = queue_.front();
    std::size_t n = piece.bytes.size() - offset_;
    if (faults.slice_bytes > 0) n = std::min(n, faults.slice_bytes);
    // At a bandwidth, a twentieth of a second's worth at a time.
    if (faults.bytes_per_second > 0)
      n = std::min(n, static_cast<std::size_t>(std::max<std::int64_t>(1, faults.bytes_per_second / 20)));
    if (limit >= 0) n = std::min(n, static_cast<std::size_t>(std::max<std::int64_t>(0, limit - sent_)));
    if (n == 0) return false;
    const ssize_t sent = ::send(to_, piece.bytes.data() + offset_, n, MSG_NOSIGNAL);
    if (sent < 0) return WouldBlock();
    sent_ += sent;
    offset_ += static_cast<std::size_t>(sent);
    queued_ -= static_cast<std::size_t>(sent);
    if (faults.slice_bytes > 0) next_ = now + faults.slice_delay;
    if (faults.bytes_per_second > 0)
      next_ = std::max(next_, now + std::chrono::microseconds(sent * 1'000'000 / faults.bytes_per_second));
    if (offset_ == piece.bytes.size()) {
      queue_.pop_front();
      offset_ = 0;
    }
    if (limit >= 0 && sent_ >= limit) return false;
  }
  if (ended_ && queue_.empty() && !closed_ && !faults.swallow) {
    ::shutdown(to_, SHUT_WR);
    closed_ = true;
  }
  return true;
}

Relay::Relay(int client, int server, Protocol protocol)
    : client_(client),
      server_(server),
      postgres_(protocol == Protocol::kPostgres),
      up_(client, server),
      down_(server, client),
      wire_(protocol) {}

Relay::~Relay() {
  ::close(client_);
  ::close(server_);
}

void Relay::Poll(const ProxyFaults& faults, Steady::time_point now, pollfd* two,
                 std::optional<Steady::time_point>& wake) const {
  two[0] = {client_, 0, 0};
  two[1] = {server_, 0, 0};
  if (up_.WantsRead(faults)) two[0].events |= POLLIN;
  if (down_.WantsRead(faults)) two[1].events |= POLLIN;
  const auto writer = [&](const Flow& flow, pollfd& p) {
    const auto due = flow.Due();
    if (!due || faults.cut) return;
    if (*due <= now) {
      p.events |= POLLOUT;
    } else if (!wake || *due < *wake) {
      wake = *due;
    }
  };
  writer(up_, two[1]);
  writer(down_, two[0]);
  // poll reports hang-ups even when asked for nothing: a side of which nothing is wanted is left out.
  for (pollfd* p : {two, two + 1}) {
    if (dead_ || frozen_ || faults.cut || p->events == 0) p->fd = -1;
  }
}

bool Relay::ReadClient(const ProxyFaults& faults, Steady::time_point now, std::vector<char>& buffer,
                       StopPoint* point, Step& step) {
  std::string got;
  const bool ok = up_.Read(faults, buffer, got);
  if (postgres_) watch_.FromClient(got);
  if (const auto stop = wire_.FromClient(got, point)) {
    held_up_ = got.substr(*stop);
    got.resize(*stop);
    step.stopped = true;
  }
  up_.Queue(std::move(got), faults, now);
  return ok;
}

bool Relay::ReadServer(const ProxyFaults& faults, Steady::time_point now, std::vector<char>& buffer,
                       Step& step) {
  std::string got;
  if (!down_.Read(faults, buffer, got)) return false;
  if (const auto stop = wire_.FromServer(got)) {
    held_down_ = got.substr(*stop);
    got.resize(*stop);
    step.stopped = true;
  }
  if (!postgres_ || got.empty()) {
    down_.Queue(std::move(got), faults, now);
    return true;
  }
  std::string pass;
  step.saw_commit = watch_.FromServer(got, pass);
  down_.Queue(std::move(pass), faults, now);
  return true;
}

Relay::Step Relay::Run(const ProxyFaults& faults, Steady::time_point now, const pollfd* two,
                       std::vector<char>& buffer, StopPoint* point) {
  Step step;
  if (dead_ || frozen_ || faults.cut) return step;
  constexpr short kReadable = POLLIN | POLLHUP | POLLERR;
  bool ok = true;
  if ((two[0].revents & kReadable) != 0 && up_.WantsRead(faults))
    ok = ReadClient(faults, now, buffer, point, step);
  if ((two[1].revents & kReadable) != 0 && down_.WantsRead(faults) && !step.stopped)
    ok = ReadServer(faults, now, buffer, step) && ok;
  if (!ok) {  // one side was reset: the other is, too
    Reset();
    step.over = true;
    return step;
  }
  const bool going = up_.Write(faults, now, -1) && down_.Write(faults, now, faults.limit_bytes);
  step.over = !going || (up_.Finished() && down_.Finished());
  frozen_ = step.stopped;
  return step;
}

void Relay::Thaw(const ProxyFaults& faults, Steady::time_point now) {
  if (!frozen_) return;
  frozen_ = false;
  up_.Queue(std::exchange(held_up_, {}), faults, now);
  if (held_down_.empty()) return;
  std::string pass;
  // A COMMIT among it is passed on like the rest.
  if (!postgres_) pass = std::exchange(held_down_, {});
  for (bool commit = postgres_ && watch_.FromServer(std::exchange(held_down_, {}), pass); commit;) {
    pass += watch_.TakeCommit();
    commit = watch_.FromServer({}, pass);
  }
  down_.Queue(std::move(pass), faults, now);
}

bool Relay::PassCommit(const ProxyFaults& faults, Steady::time_point now) {
  std::string pass = watch_.TakeCommit();
  const bool another = watch_.FromServer({}, pass);
  down_.Queue(std::move(pass), faults, now);
  return another;
}

void Relay::CutHere(CommitCut how) {
  if (how == CommitCut::kReset) Reset();
  dead_ = true;
}

void Relay::Reset() {
  LingerZero(client_);
  LingerZero(server_);
}

}  // namespace weir::proxy
