#pragma once

#include <cstdint>
#include <deque>
#include <optional>

namespace weir::worker {

// Which offset of one partition may be stored (DESIGN §4.3): the one after the longest run of finished
// messages, never past an unfinished one. Offsets come in rising order, with gaps (compaction, control
// records). Not thread-safe: the poll loop's. Asserts on misuse: an offset that was never delivered cannot
// finish.
class OffsetTracker {
 public:
  // A window of at most this many messages between the oldest unfinished and the newest delivered one.
  static constexpr std::size_t kWindow = 256;

  bool Full() const { return entries_.size() >= kWindow; }
  std::size_t Unfinished() const { return unfinished_; }

  // The offset is not behind those of the unfinished: the partition's log is another one than before.
  bool GoesBack(std::int64_t offset) const { return !entries_.empty() && offset <= entries_.back().offset; }
  void Delivered(std::int64_t offset);
  void Finished(std::int64_t offset);
  // The next offset to store, when it moved since the last call.
  std::optional<std::int64_t> TakeStorable();

 private:
  struct Entry {
    std::int64_t offset;
    bool finished;
  };
  std::deque<Entry> entries_;  // from the oldest unfinished on
  std::size_t unfinished_ = 0;
  std::optional<std::int64_t> storable_;
};

}  // namespace weir::worker
