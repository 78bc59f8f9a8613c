#include "worker/record_batch.h"

#include <xxhash.h>

#include <bit>
#include <utility>

namespace weir::worker {

namespace {

// What a usual batch takes. Growing to it by doubling would hold it twice while it is copied, and leave holes
// in the heap; what is reserved and not touched takes no memory.
constexpr std::size_t kUsualBytes = 512 << 10;
constexpr std::size_t kUsualRecords = 512;

}  // namespace

void RecordBatch::Clear() {
  // One record near its cap must not stay allocated for the rest of the run.
  if (arena_.capacity() > (1U << 20)) arena_ = std::string();
  arena_.reserve(kUsualBytes);
  records_.reserve(kUsualRecords);
  arena_.clear();
  records_.clear();
}

void RecordBatch::Add(std::string_view raw, Record record) {
  if (!arena_.empty()) arena_.resize(arena_.size() - RecordMapper::kRecordPadding);
  record.begin = arena_.size();
  record.size = raw.size();
  arena_.append(raw);
  arena_.append(RecordMapper::kRecordPadding, ' ');
  records_.push_back(std::move(record));
}

void BatchCounts::Add(const BatchCounts& o) {
  fetched += o.fetched;
  inserted += o.inserted;
  updated += o.updated;
  unchanged += o.unchanged;
  rejected += o.rejected;
  duplicates += o.duplicates;
}

std::int64_t ContentHash(std::string_view raw) {
  return std::bit_cast<std::int64_t>(XXH3_64bits(raw.data(), raw.size()));
}

std::int64_t ExtendDigest(std::int64_t digest, std::string_view id) {
  return std::bit_cast<std::int64_t>(
      XXH3_64bits_withSeed(id.data(), id.size(), std::bit_cast<std::uint64_t>(digest)));
}

}  // namespace weir::worker
