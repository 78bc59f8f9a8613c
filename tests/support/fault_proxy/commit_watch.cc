#include "tests/support/fault_proxy/commit_watch.h"

#include <algorithm>
#include <utility>

namespace weir::proxy {
namespace {

constexpr std::uint32_t kSslRequest = 80877103;
constexpr std::uint32_t kGssRequest = 80877104;
constexpr std::size_t kHeader = 5;
constexpr std::string_view kCommit("COMMIT\0", 7);

std::uint32_t Int32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char c : bytes.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

}  // namespace

void CommitWatch::FromClient(std::string_view bytes) {
  if (started_) return;
  start_.append(bytes);
  while (!started_ && start_.size() >= 8) {
    const std::uint32_t code = Int32(std::string_view(start_).substr(4));
    if (code == kSslRequest || code == kGssRequest) {
      ++single_bytes_;
      start_.erase(0, 8);
    } else {
      started_ = true;
      start_.clear();
    }
  }
}

// One step over what is held; false when it must wait for more.
bool CommitWatch::NextMessage(std::string& out) {
  const std::string_view left = std::string_view(held_).substr(at_);
  if (left.empty()) return false;
  if (pass_ > 0) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(pass_, left.size()));
    out.append(left.substr(0, n));
    at_ += n;
    pass_ -= n;
    return true;
  }
  if (single_bytes_ > 0) {
    blind_ = left[0] == 'S' || left[0] == 'G';
    --single_bytes_;
    pass_ = blind_ ? left.size() : 1;
    return true;
  }
  if (left.size() < kHeader) return false;
  const std::uint64_t size = std::uint64_t{1} + Int32(left.substr(1));
  if (left[0] == 'C' && left.size() < size) return false;
  pass_ = std::max<std::uint64_t>(size, kHeader);
  return true;
}

bool CommitWatch::FromServer(std::string_view bytes, std::string& out) {
  if (blind_) {
    out.append(bytes);
    return false;
  }
  held_.erase(0, std::exchange(at_, 0));
  held_.append(bytes);
  while (true) {
    const bool at_start = pass_ == 0 && single_bytes_ == 0;
    if (!NextMessage(out)) return false;
    const std::string_view left = std::string_view(held_).substr(at_);
    if (at_start && left[0] == 'C' && left.substr(kHeader, kCommit.size()) == kCommit) {
      pass_ = 0;
      return true;
    }
  }
}

std::string CommitWatch::TakeCommit() {
  std::string message = held_.substr(at_, 1 + Int32(std::string_view(held_).substr(at_ + 1)));
  at_ += message.size();
  return message;
}

}  // namespace weir::proxy
