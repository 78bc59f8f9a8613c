#include "tests/support/fault_proxy/wire_watch.h"

#include <algorithm>

namespace weir::proxy {
namespace {

constexpr std::size_t kKept = 4096;  // of a message, to name it by
constexpr std::uint32_t kSslRequest = 80877103;
constexpr std::uint32_t kGssRequest = 80877104;

std::uint32_t Int32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char c : bytes.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

}  // namespace

// Of a message whose start is known. "" = nothing to stop at.
std::string WireWatch::Name() {
  const std::string_view start = request_.start;
  if (protocol_ == Protocol::kKafka) {
    const unsigned api = static_cast<unsigned char>(start[4]) << 8 | static_cast<unsigned char>(start[5]);
    return "api " + std::to_string(api) + " " + std::string(start.substr(12));
  }
  if (!started_) {
    const std::uint32_t code = Int32(start.substr(4));
    started_ = code != kSslRequest && code != kGssRequest;
    return "";
  }
  const char type = start[0];
  if (type == 'Q') query_ = start.substr(5);
  if (type == 'd' || type == 'c') return std::string(1, type) + " " + query_;
  return std::string(1, type) + " " + std::string(start.substr(5));
}

bool WireWatch::Matches(StopPoint* point) {
  const std::string name = Name();
  if (point == nullptr || point->nth <= 0 || name.find(point->what) == std::string::npos) return false;
  if (!point->without.empty() && name.find(point->without) != std::string::npos) return false;
  return --point->nth == 0;
}

std::optional<std::size_t> WireWatch::FromClient(std::string_view bytes, StopPoint* point) {
  const std::size_t typed = protocol_ == Protocol::kPostgres ? 1 : 0;
  std::size_t at = 0;
  std::size_t begin = 0;  // of the current message, in these bytes
  while (at < bytes.size()) {
    const std::size_t length_at = typed != 0 && started_ ? 1 : 0;
    if (request_.seen == 0) begin = at;
    // Byte by byte only until its length is known.
    const std::uint64_t want =
        request_.size == 0 ? length_at + 4 - request_.seen : request_.size - request_.seen;
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(want, bytes.size() - at));
    if (request_.start.size() < kKept)
      request_.start.append(bytes.substr(at, std::min(n, kKept - request_.start.size())));
    at += n;
    request_.seen += n;
    if (request_.size == 0 && request_.seen == length_at + 4) {
      const std::uint64_t counted = Int32(std::string_view(request_.start).substr(length_at));
      request_.size = protocol_ == Protocol::kKafka ? counted + 4 : counted + length_at;
      if (request_.size > request_.seen) continue;
    }
    if (request_.size == 0 || (request_.seen < request_.size && request_.start.size() < kKept)) continue;
    if (!request_.named) {
      request_.named = true;
      if (protocol_ == Protocol::kKafka && request_.start.size() < 12) return std::nullopt;
      if (Matches(point)) {
        if (!point->reply) return begin;
        awaits_reply_ = true;
        if (protocol_ == Protocol::kKafka)
          awaited_ = static_cast<std::int32_t>(Int32(std::string_view(request_.start).substr(8)));
      }
    }
    if (request_.seen == request_.size) {
      request_ = {};
      begin = at;
    }
  }
  return std::nullopt;
}

std::optional<std::size_t> WireWatch::FromServer(std::string_view bytes) {
  if (protocol_ == Protocol::kKafka) return KafkaReply(bytes);
  if (!awaits_reply_ || bytes.empty()) return std::nullopt;
  awaits_reply_ = false;
  return 0;
}

std::optional<std::size_t> WireWatch::KafkaReply(std::string_view bytes) {
  std::size_t at = 0;
  std::size_t begin = 0;
  while (at < bytes.size()) {
    if (reply_left_ > 0) {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(reply_left_, bytes.size() - at));
      at += n;
      reply_left_ -= n;
      continue;
    }
    if (reply_start_.empty()) begin = at;
    const std::size_t n = std::min(8 - reply_start_.size(), bytes.size() - at);
    reply_start_.append(bytes.substr(at, n));
    at += n;
    if (reply_start_.size() < 8) break;
    if (awaited_ && static_cast<std::int32_t>(Int32(std::string_view(reply_start_).substr(4))) == *awaited_) {
      awaited_.reset();
      return begin;
    }
    const std::uint32_t size = Int32(reply_start_);
    reply_left_ = size > 4 ? size - 4 : 0;
    reply_start_.clear();
  }
  return std::nullopt;
}

}  // namespace weir::proxy
