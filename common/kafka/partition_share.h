#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"

namespace weir::kafka {

// Who reads which partitions of the embedded broker, in place of a consumer group: librdkafka's mock cluster
// takes three seconds for each join. The workers of one machine share a file next to the broker's address. In
// it each holds a slot, by a lock that the kernel gives back when the process ends, however it ends, and
// writes there ten times a second that it lives. Partition p belongs to the member with rank p modulo the
// number of members; everybody reckons that alone. Offsets are kept in the same file.
//
// Two members may both believe for a moment that a partition is theirs, as after a rebalance of Kafka's: a
// task's claim and a lane's lease keep them apart (docs/data_path.md, 2 and 5).
//
// One thread owns it. Destroyed, or with its process, it leaves the members.
class PartitionShare {
 public:
  struct Options {
    std::string path;                        // of the file; made if need be
    std::string broker;                      // the broker's address: offsets of another broker are not taken
    std::chrono::milliseconds stale{4'000};  // a member that is silent for so long is left out
    // The slot of a member that ended without leaving is kept for its replacement for so long, so that the
    // others do not take over partitions only to hand them back.
    std::chrono::milliseconds grace{700};
    // So many members start together. Until they are there, or `settle` is over, their slots count as taken:
    // no partition begins with one of them and moves to the next.
    int expected = 1;
    std::chrono::milliseconds settle{1'500};
  };

  // Takes the first free slot. Errors: kBroker (the file cannot be used, or all slots are taken).
  static Result<std::unique_ptr<PartitionShare>> Join(Options options, const Clock& clock);
  ~PartitionShare();
  PartitionShare(const PartitionShare&) = delete;
  PartitionShare& operator=(const PartitionShare&) = delete;

  struct Turn {
    // This process was silent for so long that the others have taken what it had: nothing that it holds is
    // its own any more.
    bool lost = false;
    int rank = 0, members = 1;
    bool Mine(int partition) const { return partition % members == rank; }
  };
  // Says that this member lives, and looks who else does. To be called more often than `stale`.
  Turn Look();

  // The offset after the last finished message of a partition of the topic with this index, at most
  // kMostTopics; nothing when none was stored for this broker.
  std::optional<std::int64_t> Offset(int topic, int partition) const;
  void StoreOffset(int topic, int partition, std::int64_t next_offset);

  static constexpr int kMostTopics = 2;
  static constexpr int kMostPartitions = 64;
  static constexpr int kSlots = 256;

 private:
  struct File;
  PartitionShare(Options options, const Clock& clock, int fd, File* file);
  bool TakeSlot();
  bool IsMember(int slot, std::chrono::milliseconds now) const;

  const Options options_;
  const Clock& clock_;
  const std::uint64_t broker_mark_;
  int fd_;
  File* file_;  // mapped, shared with the other members
  int slot_ = -1;
  std::chrono::milliseconds joined_{0};
  std::chrono::milliseconds looked_{0};
};

}  // namespace weir::kafka
