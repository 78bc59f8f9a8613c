#include "common/kafka/partition_share.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace weir::kafka {
namespace {

using std::chrono::milliseconds;

constexpr int kOffsetBits = 40;
constexpr std::uint64_t kOffsetMask = (std::uint64_t{1} << kOffsetBits) - 1;

// By open file description: the kernel gives the lock back with the process that holds it.
struct flock ByteOf(int slot) {
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = slot;
  range.l_len = 1;
  return range;
}

// FNV-1a in the bits above an offset; never 0, which is what a new file holds.
std::uint64_t MarkOf(const std::string& broker) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : broker) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return (hash | (std::uint64_t{1} << kOffsetBits)) & ~kOffsetMask;
}

Error Unusable(const std::string& path, const char* what, int error) {
  return MakeError(ErrorClass::kBroker, fmt::format("{} {}: {}", what, path, std::strerror(error)),
                   "it lies next to the embedded broker's address; this user must be able to write there");
}

}  // namespace

// Each value is written whole, by whoever it belongs to. Zeros are an empty file. Another layout needs
// another file's name: members of two versions may meet.
struct PartitionShare::File {
  std::atomic<std::int64_t> alive_at[kSlots];  // CLOCK_BOOTTIME in ms, which all processes share; 0 = left
  std::atomic<std::uint64_t> offsets[kMostTopics][kMostPartitions];  // the broker's mark above the offset
};

Result<std::unique_ptr<PartitionShare>> PartitionShare::Join(Options options, const Clock& clock) {
  static_assert(std::atomic<std::int64_t>::is_always_lock_free);
  const int fd = open(options.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return Fail(Unusable(options.path, "cannot open", errno));
  void* mapped = MAP_FAILED;
  // It only grows: another member may be using it. Room is taken now, since a full disk shows itself in a
  // mapping as a signal.
  int failed = posix_fallocate(fd, 0, sizeof(File));
  while (failed == EINTR) failed = posix_fallocate(fd, 0, sizeof(File));
  if (failed == 0) mapped = mmap(nullptr, sizeof(File), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) {
    auto error = Unusable(options.path, "cannot use", failed != 0 ? failed : errno);
    close(fd);
    return Fail(std::move(error));
  }
  std::unique_ptr<PartitionShare> share(
      new PartitionShare(std::move(options), clock, fd, static_cast<File*>(mapped)));
  if (!share->TakeSlot()) {
    return Fail(ErrorClass::kBroker,
                fmt::format("{} workers on this machine already use the embedded broker", kSlots),
                "it is made for one machine; for more workers use Apache Kafka (kafka.brokers)");
  }
  return share;
}

PartitionShare::PartitionShare(Options options, const Clock& clock, int fd, File* file)
    : options_(std::move(options)),
      clock_(clock),
      broker_mark_(MarkOf(options_.broker)),
      fd_(fd),
      file_(file) {}

PartitionShare::~PartitionShare() {
  if (slot_ >= 0) file_->alive_at[slot_] = 0;
  munmap(file_, sizeof(File));
  close(fd_);
}

bool PartitionShare::TakeSlot() {
  for (int slot = 0; slot < kSlots; ++slot) {
    struct flock range = ByteOf(slot);
    if (fcntl(fd_, F_OFD_SETLK, &range) != 0) continue;
    slot_ = slot;
    joined_ = looked_ = clock_.Boot();
    file_->alive_at[slot] = joined_.count();
    return true;
  }
  return false;
}

bool PartitionShare::IsMember(int slot, milliseconds now) const {
  const std::int64_t alive_at = file_->alive_at[slot];
  // One of the future is from before the machine started.
  if (alive_at == 0 || alive_at > now.count()) return false;
  const milliseconds silent = now - milliseconds(alive_at);
  if (silent >= options_.stale) return false;
  if (silent < options_.grace) return true;
  struct flock range = ByteOf(slot);
  return fcntl(fd_, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

PartitionShare::Turn PartitionShare::Look() {
  const milliseconds now = clock_.Boot();
  Turn turn;
  turn.lost = now - looked_ >= options_.stale;
  looked_ = now;
  file_->alive_at[slot_] = now.count();
  int before = 0, after = 0;
  for (int slot = 0; slot < kSlots; ++slot) {
    if (slot != slot_ && IsMember(slot, now)) ++(slot < slot_ ? before : after);
  }
  turn.rank = before;
  turn.members = before + 1 + after;
  if (now - joined_ < options_.settle) turn.members = std::max(turn.members, options_.expected);
  return turn;
}

std::optional<std::int64_t> PartitionShare::Offset(int topic, int partition) const {
  const std::uint64_t stored = file_->offsets[topic][partition];
  if ((stored & ~kOffsetMask) != broker_mark_) return std::nullopt;
  return static_cast<std::int64_t>(stored & kOffsetMask);
}

void PartitionShare::StoreOffset(int topic, int partition, std::int64_t next_offset) {
  file_->offsets[topic][partition] = broker_mark_ | (static_cast<std::uint64_t>(next_offset) & kOffsetMask);
}

}  // namespace weir::kafka
