#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "worker/page_processor.h"

namespace weir::worker {

// One answer on its way through: takes its head and body from the fetcher, cuts it into records, fills
// batches and has them written. Knows which records an earlier attempt committed and passes over them (DESIGN
// §4.1).
class PageProcessor::Reading final : public BodySink {
 public:
  // `batch` is a buffer to fill, empty; it and all pointers outlive the reading.
  Reading(const Parts& parts, RecordMapper* mapper, RecordBatch* batch, TaskWork* work, TaskContext context,
          const PageRequest& request);

  Result<bool> OnHead(const HttpResponseHead& head) override;
  Result<bool> OnBody(std::string_view bytes) override;

  // After the transfer: the verdict on the answer, errors judged with the start of their body.
  const Verdict& Judged() {
    JudgeText();
    return verdict_;
  }
  // The body has ended, as it should. Errors: kTransient for a truncated one.
  Result<void> End();
  // Commits the page's last batch, with what the source says of the page.
  Result<void> Commit();
  // The upstream's records moved since an earlier attempt: the committed prefix is not what stands there now.
  bool Moved() const { return moved_; }
  // Of the page, so far.
  std::int64_t Records() const { return seen_; }
  const HttpResponseHead& Head() const { return head_; }
  // kDocument: the whole body.
  std::string_view Document() const { return WithoutByteOrderMark(text_); }

 private:
  bool Full() const;  // the batch, so that it must go before another record is added
  Result<bool> OnRecord(std::string_view raw, bool oversize);
  RecordBatch::Record Describe(std::string_view raw, bool oversize);
  Result<bool> Skip(const RecordBatch::Record& record);
  Result<void> WriteWithinBudget();
  Result<void> Flush(bool last);
  Result<void> NoteId(const std::string& id);
  Result<WriteTail> Tail();
  void Note(const RecordHead& head);
  std::int64_t Distinct();
  Verdict Judge(std::string_view body_start) const;
  void JudgeText();

  const Config& config_;
  const Clock* clock_;
  BatchWriter* writer_;
  RecordMapper* mapper_;
  TaskWork* work_;
  TaskContext context_;
  BodyFormat format_;
  std::unique_ptr<RecordReader> reader_;
  HttpResponseHead head_;
  Verdict verdict_;
  std::string text_;  // a document, or the start of an error's body
  RecordBatch& batch_;
  InflightBytes inflight_;  // of batch_
  std::int64_t skip_;       // records of the page that are committed
  std::int64_t seen_ = 0;   // records of the page so far
  std::int64_t digest_ = 0;
  std::int64_t inserted_ = 0;    // by this task, with what is prepared
  std::optional<Error> broken_;  // an error in the place of a record
  std::int64_t first_order_ms_ = 0, last_order_ms_ = 0, last_changed_ms_ = 0;
  TimesSeen order_times_, change_times_;
  std::string first_id_, last_id_;
  std::vector<std::size_t> id_hashes_;  // kCursor, kNewest
  const bool conditional_;              // it was asked what changed since, so "nothing" is an answer
  const std::size_t asked_ids_;         // kIds: how many
  std::set<std::string> seen_ids_;      // kIds: no more than were asked for
  std::int64_t passed_over_ = 0;        // of skip_: within the job's filter
  bool moved_ = false;
  bool budget_spent_ = false;
  bool finished_ = false;
};

}  // namespace weir::worker
