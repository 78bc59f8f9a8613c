#include "common/kafka/leave_group.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "common/kafka/client_options.h"

namespace weir::kafka {
namespace {

using std::chrono::milliseconds;

// Kafka's protocol: big-endian numbers, strings with a 16-bit length, a 32-bit length before each message.
constexpr std::int16_t kLeaveGroup = 13;  // its number as a request
constexpr std::int16_t kVersion =
    1;  // spoken by the mock cluster of every librdkafka that weir is built with
constexpr std::int32_t kCorrelation = 1;
constexpr std::size_t kAnswerSize = 14;  // length, correlation, throttle time, error code
constexpr std::int16_t kNoError = 0, kUnknownMember = 25, kUnknownGroup = 69;

class Socket {
 public:
  Socket() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

void Append(std::string& out, std::int16_t number) {
  const std::uint16_t wire = htons(static_cast<std::uint16_t>(number));
  out.append(reinterpret_cast<const char*>(&wire), sizeof wire);
}

void Append(std::string& out, std::int32_t number) {
  const std::uint32_t wire = htonl(static_cast<std::uint32_t>(number));
  out.append(reinterpret_cast<const char*>(&wire), sizeof wire);
}

void Append(std::string& out, std::string_view text) {
  Append(out, static_cast<std::int16_t>(text.size()));
  out.append(text);
}

std::string Request(const std::string& group, const std::string& member) {
  std::string body;
  Append(body, kLeaveGroup);
  Append(body, kVersion);
  Append(body, kCorrelation);
  Append(body, std::string_view("weir"));
  Append(body, std::string_view(group));
  Append(body, std::string_view(member));
  std::string request;
  Append(request, static_cast<std::int32_t>(body.size()));
  return request + body;
}

// The embedded broker's list is one numeric address, "127.0.0.1:PORT".
std::optional<sockaddr_in> AddressOf(const std::string& broker) {
  const auto colon = broker.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  std::uint16_t port = 0;
  const char* const end = broker.data() + broker.size();
  const auto read = std::from_chars(broker.data() + colon + 1, end, port);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, broker.substr(0, colon).c_str(), &address.sin_addr) != 1) return std::nullopt;
  return address;
}

bool SetTimeouts(int fd, milliseconds timeout) {
  timeval limit{};
  limit.tv_sec = timeout.count() / 1'000;
  limit.tv_usec = timeout.count() % 1'000 * 1'000;
  // Connecting counts as sending.
  return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
         setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0;
}

// The answer's error code, or nothing if there was none.
std::optional<std::int16_t> Ask(int fd, const sockaddr_in& address, const std::string& request) {
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return std::nullopt;
  const auto sent = send(fd, request.data(), request.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(request.size())) return std::nullopt;
  char answer[kAnswerSize];
  const auto got = recv(fd, answer, sizeof answer, MSG_WAITALL);
  if (got != static_cast<ssize_t>(sizeof answer)) return std::nullopt;
  std::uint16_t code = 0;
  std::memcpy(&code, answer + kAnswerSize - sizeof code, sizeof code);
  return static_cast<std::int16_t>(ntohs(code));
}

}  // namespace

Result<void> LeaveGroupFor(const std::string& brokers, const std::string& group, const std::string& member,
                           milliseconds timeout) {
  const auto failed = [](std::string_view why) {
    return Fail(ErrorClass::kBroker, fmt::format("the broker was not told of a dead worker: {}", why));
  };
  const auto address = AddressOf(ResolveBrokers(brokers));
  if (!address) return failed("it has no address");
  const Socket connection;
  if (connection.fd() < 0 || !SetTimeouts(connection.fd(), timeout)) return failed(std::strerror(errno));
  const auto code = Ask(connection.fd(), *address, Request(group, member));
  if (!code) return failed("no answer");
  if (*code == kNoError || *code == kUnknownMember || *code == kUnknownGroup) return {};
  return failed(fmt::format("error {}", *code));
}

}  // namespace weir::kafka
