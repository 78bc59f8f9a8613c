#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "worker/prepared_batch.h"

namespace weir::worker {

// The buffers of batches, used again by page after page. They are half of what a busy executor takes, so they
// belong to whoever is at work and not to each executor that ever was: there are never more of them than were
// in use at once. The one given back last is taken first. What is taken is empty, with its memory; what is
// given back is emptied, and what a batch of unusual size took is freed. Thread-safe.
class BufferPool {
 public:
  std::unique_ptr<PreparedBatch> TakePrepared();
  RecordBatch TakeRecords();
  std::string TakeCopy();  // for PreparedBatch::copy

  void Give(std::unique_ptr<PreparedBatch> prepared);
  void Give(RecordBatch records);
  void GiveCopy(std::string copy);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<PreparedBatch>> prepared_;  // guarded by mutex_, as all below
  std::vector<RecordBatch> records_;
  std::vector<std::string> copies_;
};

}  // namespace weir::worker
