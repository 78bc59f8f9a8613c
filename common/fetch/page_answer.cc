#include "common/fetch/page_answer.h"

#include <algorithm>
#include <utility>

#include "common/base/json_text.h"
#include "common/base/secret_text.h"

namespace weir {
namespace {

constexpr std::size_t kErrorBodyBytes = 4096;

}  // namespace

PageAnswer::PageAnswer(const Config& config, const Source& source, TaskContext context,
                       const PageRequest& page)
    : config_(config),
      source_(source),
      context_(std::move(context)),
      conditional_(IsConditional(page.request)) {
  ReaderLimits limits;
  limits.max_record_bytes = static_cast<std::size_t>(config.max_record_bytes);
  auto callback = [this](std::string_view raw, bool oversize) { return OnRecord(raw, oversize); };
  if (page.format == BodyFormat::kNdjson) reader_ = NewNdjsonReader(limits, callback);
  if (page.format == BodyFormat::kJsonArray) reader_ = NewJsonArrayReader(page.record_path, limits, callback);
}

Result<bool> PageAnswer::OnHead(const HttpResponseHead& head) {
  head_ = head;
  text_.clear();
  verdict_ = Judge("");
  // An error is judged again with the start of its body, which often tells more than the status.
  if (std::holds_alternative<ReadBody>(verdict_)) return true;
  // After such an answer there is no body. One that comes all the same would stand before the next answer on
  // this connection, so the connection ends here.
  if (head.status == 204 || head.status == 304) return false;
  return std::holds_alternative<Error>(verdict_);
}

Result<bool> PageAnswer::OnBody(std::string_view bytes) {
  const bool good = std::holds_alternative<ReadBody>(verdict_);
  if (good && reader_) return reader_->Feed(bytes);
  // A secret at the place where an error's body is cut must be seen whole.
  const std::size_t cap =
      good ? static_cast<std::size_t>(config_.max_document_bytes) : kErrorBodyBytes + SecretReach(secrets_);
  text_.append(bytes.substr(0, cap - std::min(cap, text_.size()) + (good ? 1 : 0)));
  if (good && text_.size() > cap) {
    return Fail(ErrorClass::kInvalid, "the document is larger than limits.max_document_bytes");
  }
  return good || text_.size() < cap;
}

// A Retry-After that is a date is one by the upstream's clock.
Verdict PageAnswer::Judge(std::string_view body_start) const {
  TaskContext now = context_;
  now.now_ms = AnsweredAt(head_, context_.now_ms);
  Verdict verdict = source_.Judge(now, head_, body_start);
  const auto* same = std::get_if<NotModified>(&verdict);
  if (same != nullptr && !same->absent && !conditional_) return NotAskedForChanges();
  return verdict;
}

const Verdict& PageAnswer::Judged() {
  if (!std::holds_alternative<Error>(verdict_)) return verdict_;
  const std::string text = WithoutSecrets(text_, secrets_, kErrorBodyBytes);
  verdict_ = Judge(text);
  if (auto* error = std::get_if<Error>(&verdict_)) {
    if (error->http_status == 0) error->http_status = head_.status;
    if (error->body_start.empty()) error->body_start = Printable(text);
    *error = WithoutSecrets(std::move(*error), secrets_);
  }
  return verdict_;
}

Result<void> PageAnswer::EndRecords() {
  if (!reader_ || !std::holds_alternative<ReadBody>(verdict_)) return {};
  auto ended = reader_->End();
  return ended ? ended : Fail(WithoutSecrets(ended.error(), secrets_));
}

}  // namespace weir
