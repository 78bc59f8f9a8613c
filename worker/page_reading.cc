#include "worker/page_reading.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "common/base/json_text.h"
#include "common/base/secret_text.h"
#include "common/sources/field_columns.h"

namespace weir::worker {
namespace {

constexpr std::size_t kErrorBodyBytes = 4096;
constexpr std::size_t kShownHeadBytes = 2048;
constexpr std::size_t kMostSuccessors = 1'000;
constexpr std::size_t kMostSuccessorBytes = 1 << 20;  // of all their keys
// Of ids whose repeats are counted; no API that has its repeats counted sends as many in a page.
constexpr std::size_t kMostHashes = 10'000;

ReaderLimits LimitsOf(const Config& config) {
  ReaderLimits limits;
  limits.max_record_bytes = static_cast<std::size_t>(config.max_record_bytes);
  return limits;
}

// The head for `weir failures show`: a line each, bounded. Cookies are somebody's secrets.
std::string HeadText(const HttpResponseHead& head, const std::map<std::string, Secret>& secrets) {
  std::string text = "HTTP " + std::to_string(head.status);
  for (const HttpHeader& header : head.headers) {
    if (EqualsIgnoreCase(header.name, "set-cookie")) continue;
    const std::string line = "\n" + Printable(WithoutSecrets(header.name, secrets), 100) + ": " +
                             Printable(WithoutSecrets(header.value, secrets), 200);
    if (text.size() + line.size() > kShownHeadBytes) break;
    text += line;
  }
  return text;
}

std::size_t IdsAsked(const Selector& selector) {
  if (selector.kind != SelectorKind::kIds || selector.key.empty()) return 0;
  return 1 + static_cast<std::size_t>(std::count(selector.key.begin(), selector.key.end(), ','));
}

// What an upstream put into the names of what comes next must fit into the ledger, and into a message.
Result<void> CheckEnd(const PageEnd& end) {
  bool fits = end.successors.size() <= kMostSuccessors &&
              (!end.next_key || IsPlainText(*end.next_key, kMostKeyBytes));
  std::size_t bytes = 0;
  for (const NewTask& next : end.successors) {
    fits = fits && (next.selector.key.empty() || IsPlainText(next.selector.key, kMostKeyBytes));
    bytes += next.selector.key.size();
  }
  if (fits && bytes <= kMostSuccessorBytes) return {};
  return Fail(ErrorClass::kInvalid, "the answer names a next page that cannot be stored");
}

}  // namespace

PageProcessor::Reading::Reading(const Parts& parts, RecordMapper* mapper, RecordBatch* batch, TaskWork* work,
                                TaskContext context, const PageRequest& request)
    : config_(*parts.config),
      clock_(parts.clock),
      writer_(parts.writer),
      mapper_(mapper),
      work_(work),
      context_(std::move(context)),
      format_(request.format),
      batch_(*batch),
      inflight_(parts.metrics),
      skip_(work->task.position),
      inserted_(work->task.inserted),
      conditional_(IsConditional(request.request)),
      asked_ids_(IdsAsked(context_.selector)) {
  // The records were committed, but not the page's end, when an earlier attempt died.
  budget_spent_ = context_.budget && inserted_ >= *context_.budget;
  order_times_.asked = request.times;
  batch_.Clear();
  auto callback = [this](std::string_view raw, bool oversize) { return OnRecord(raw, oversize); };
  if (format_ == BodyFormat::kNdjson) reader_ = NewNdjsonReader(LimitsOf(config_), callback);
  if (format_ == BodyFormat::kJsonArray)
    reader_ = NewJsonArrayReader(request.record_path, LimitsOf(config_), callback);
}

Result<bool> PageProcessor::Reading::OnHead(const HttpResponseHead& head) {
  head_ = head;
  text_.clear();
  work_->last_head = HeadText(head, work_->settings.secrets);
  work_->rate_limits = ParseRateLimits(head, AnsweredAt(head, clock_->UnixMillis()));
  verdict_ = Judge("");
  // An error is judged again with the start of its body, which often tells more than the status.
  if (std::holds_alternative<ReadBody>(verdict_)) return true;
  // After such an answer there is no body. One that comes all the same would stand before the next answer on
  // this connection, so the connection ends here.
  if (head.status == 204 || head.status == 304) return false;
  return std::holds_alternative<Error>(verdict_);
}

Result<bool> PageProcessor::Reading::OnBody(std::string_view bytes) {
  if (std::holds_alternative<ReadBody>(verdict_) && reader_) {
    if (auto ok = writer_->Poll(); !ok) return Fail(ok.error());
    return reader_->Feed(bytes);
  }
  const bool document = std::holds_alternative<ReadBody>(verdict_);
  // A secret at the place where an error's body is cut must be seen whole.
  const std::size_t cap = document ? static_cast<std::size_t>(config_.max_document_bytes)
                                   : kErrorBodyBytes + SecretReach(work_->settings.secrets);
  text_.append(bytes.substr(0, cap - std::min(cap, text_.size()) + (document ? 1 : 0)));
  if (document && text_.size() > cap) {
    return Fail(ErrorClass::kInvalid, "the document is larger than limits.max_document_bytes");
  }
  return document || text_.size() < cap;  // one byte more tells a document that is too long
}

// A Retry-After that is a date is one from the answer's time, not from when the job was opened.
Verdict PageProcessor::Reading::Judge(std::string_view body_start) const {
  TaskContext now = context_;
  now.now_ms = AnsweredAt(head_, clock_->UnixMillis());
  Verdict verdict = work_->source->Judge(now, head_, body_start);
  const auto* same = std::get_if<NotModified>(&verdict);
  if (same != nullptr && !same->absent && !conditional_) return NotAskedForChanges();
  return verdict;
}

void PageProcessor::Reading::JudgeText() {
  if (!std::holds_alternative<Error>(verdict_)) return;
  const auto& secrets = work_->settings.secrets;
  const std::string text = WithoutSecrets(text_, secrets, kErrorBodyBytes);
  verdict_ = Judge(text);
  if (auto* error = std::get_if<Error>(&verdict_)) {
    if (error->http_status == 0) error->http_status = head_.status;
    if (error->body_start.empty()) error->body_start = Printable(text);
    *error = WithoutSecrets(std::move(*error), secrets);
  }
}

RecordBatch::Record PageProcessor::Reading::Describe(std::string_view raw, bool oversize) {
  RecordBatch::Record record;
  record.page_position = seen_++;
  if (oversize) {
    record.bad = "the record is larger than limits.max_record_bytes (" +
                 std::to_string(config_.max_record_bytes) + ")";
  } else if (auto head = mapper_->Head(raw)) {
    record.head = std::move(*head);
  } else {
    if (head.error().error_class != ErrorClass::kBadRecord) broken_ = head.error();
    record.bad = head.error().message;
  }
  digest_ = ExtendDigest(digest_, record.head.id);
  record.digest = digest_;
  if (record.head.order_ms != 0 && context_.selector.kind != SelectorKind::kIds) {
    record.outside = !context_.filter.Contains(record.head.order_ms);
  }
  return record;
}

Result<bool> PageProcessor::Reading::Skip(const RecordBatch::Record& record) {
  if (!record.outside) ++passed_over_;
  if (record.page_position + 1 == skip_ && record.digest != work_->task.digest) {
    moved_ = true;
    return false;
  }
  return true;
}

bool PageProcessor::Reading::Full() const {
  return batch_.Size() >= static_cast<std::size_t>(config_.batch_records) ||
         batch_.Bytes() >= static_cast<std::size_t>(config_.batch_max_bytes);
}

// More ids than were asked for are another request's answer, or made up to fill our memory.
Result<void> PageProcessor::Reading::NoteId(const std::string& id) {
  if (id.empty() || seen_ids_.contains(id)) return {};
  if (seen_ids_.size() >= asked_ids_) {
    return Fail(ErrorClass::kTransient,
                "the answer holds more records than the " + std::to_string(asked_ids_) + " asked for");
  }
  seen_ids_.insert(id);
  return {};
}

// A full batch goes when another record comes: the page's last one then takes the page's end with it, in one
// transaction, also where pages are as long as batches.
Result<bool> PageProcessor::Reading::OnRecord(std::string_view raw, bool oversize) {
  if (Full()) {
    if (auto ok = Flush(false); !ok) return Fail(ok.error());
  }
  if (budget_spent_ && seen_ >= skip_) return false;
  RecordBatch::Record record = Describe(raw, oversize);
  if (broken_) return Fail(*broken_);
  if (record.head.order_ms != 0) {
    if (first_order_ms_ == 0) first_order_ms_ = record.head.order_ms;
    last_order_ms_ = record.head.order_ms;
  }
  if (record.head.changed_ms != 0) last_changed_ms_ = record.head.changed_ms;
  Note(record.head);
  if (context_.selector.kind == SelectorKind::kIds) {
    if (auto ok = NoteId(record.head.id); !ok) return Fail(ok.error());
  }
  if (record.page_position < skip_) return Skip(record);
  record.hash = ContentHash(raw);
  batch_.Add(raw, std::move(record));
  inflight_.Set(batch_.Bytes());
  return true;
}

// What a source needs to see that a page lies behind the place that was asked for.
void PageProcessor::Reading::Note(const RecordHead& head) {
  order_times_.Add(head.order_ms);
  change_times_.Add(head.changed_ms);
  if (seen_ == 1) first_id_ = head.id;
  last_id_ = head.id;
  const auto kind = context_.selector.kind;
  const bool counted =
      kind == SelectorKind::kCursor || kind == SelectorKind::kNewest || kind == SelectorKind::kPages;
  if (counted && !head.id.empty() && id_hashes_.size() < kMostHashes)
    id_hashes_.push_back(std::hash<std::string_view>{}(head.id));
}

// Records of the page without those whose id came before in it.
std::int64_t PageProcessor::Reading::Distinct() {
  const auto named = static_cast<std::int64_t>(id_hashes_.size());
  std::sort(id_hashes_.begin(), id_hashes_.end());
  const auto end = std::unique(id_hashes_.begin(), id_hashes_.end());
  return seen_ - named + (end - id_hashes_.begin());
}

Result<WriteTail> PageProcessor::Reading::Tail() {
  PageResult result;
  result.head = &head_;
  result.not_modified = std::holds_alternative<NotModified>(verdict_);
  result.budget_spent = budget_spent_;
  result.records = seen_;
  result.inserted = inserted_;
  result.first_order_ms = first_order_ms_;
  result.last_order_ms = last_order_ms_;
  result.last_changed_ms = last_changed_ms_;
  result.order_times = order_times_;
  result.change_times = change_times_;
  result.first_id = first_id_;
  result.last_id = last_id_;
  result.distinct = Distinct();
  if (reader_) result.envelope = reader_->Envelope();
  if (context_.selector.kind == SelectorKind::kIds)
    result.seen_ids.emplace(seen_ids_.begin(), seen_ids_.end());
  auto end = work_->source->FinishPage(context_, result);
  if (!end) return Fail(end.error());
  if (auto ok = CheckEnd(*end); !ok) return Fail(ok.error());
  WriteTail tail;
  tail.passed_over = passed_over_;
  work_->next_key = end->next_key;
  const bool more_pages = end->next_key || (context_.selector.kind == SelectorKind::kPages &&
                                            context_.page + 1 < context_.selector.hi);
  tail.page = more_pages ? context_.page + 1 : context_.page;
  tail.page_ends = true;
  tail.done = !more_pages;
  tail.end = std::move(*end);
  if (tail.end.doubt.empty()) {
    if (result.not_modified && !std::get<NotModified>(verdict_).absent)
      tail.end.doubt = "a page was not modified, so not read";
    if (result.budget_spent) tail.end.doubt = "a page was not read to its end";
  }
  return tail;
}

// How many of the records were new is known when they are committed, and what the page's end claims depends
// on it. So where only so many are wanted the end goes after them, in a transaction of its own.
Result<void> PageProcessor::Reading::WriteWithinBudget() {
  if (batch_.Empty()) return {};
  auto written = writer_->WriteUpTo(batch_, *context_.budget - inserted_, std::exchange(work_->effort, {}));
  if (!written) return Fail(written.error());
  inflight_.Set(0);
  inserted_ += written->counts.inserted;
  work_->task.inserted = inserted_;
  budget_spent_ = inserted_ >= *context_.budget;
  if (budget_spent_ && written->last_order_ms != 0) last_order_ms_ = written->last_order_ms;
  return {};
}

Result<void> PageProcessor::Reading::Flush(bool last) {
  if (context_.budget) {
    if (auto ok = WriteWithinBudget(); !ok) return ok;
    if (!last) return {};
  }
  auto info = writer_->Prepare(batch_);
  if (!info) return Fail(info.error());
  inflight_.Set(0);
  inserted_ += info->counts.inserted;
  WriteTail tail;
  if (last) {
    auto ending = Tail();
    if (!ending) return Fail(ending.error());
    tail = std::move(*ending);
    finished_ = true;
  }
  tail.effort = std::exchange(work_->effort, {});
  return writer_->Submit(std::move(tail));
}

Result<void> PageProcessor::Reading::End() {
  if (finished_) return {};
  if (reader_ && std::holds_alternative<ReadBody>(verdict_)) {
    if (auto ok = reader_->End(); !ok) return Fail(WithoutSecrets(ok.error(), work_->settings.secrets));
  }
  // Fewer records than were committed: the page shrank since.
  moved_ = moved_ || (seen_ < skip_ && !std::holds_alternative<NotModified>(verdict_));
  return {};
}

Result<void> PageProcessor::Reading::Commit() {
  if (!finished_) {
    if (auto ok = Flush(true); !ok) return ok;
  }
  return writer_->Await();
}

}  // namespace weir::worker
