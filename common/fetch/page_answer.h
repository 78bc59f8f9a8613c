#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/secret.h"
#include "common/config/config.h"
#include "common/http/fetcher.h"
#include "common/sources/record_reader.h"
#include "common/sources/source.h"

namespace weir {

// One answer on its way through: takes its head and body from the fetcher, has the source judge it, cuts a
// good one's body into records or keeps it as a document, and keeps the start of an error's. Knows nothing of
// what becomes of the records. Asked again after a redirect, it begins anew. One thread.
class PageAnswer : public BodySink {
 public:
  // `source` and `config` outlive it.
  PageAnswer(const Config& config, const Source& source, TaskContext context, const PageRequest& page);

  Result<bool> OnHead(const HttpResponseHead& head) override;
  Result<bool> OnBody(std::string_view bytes) override;

  // What must not stand in anything that is kept of an answer; FetchPage sets it.
  void SetSecrets(std::map<std::string, Secret> secrets) { secrets_ = std::move(secrets); }

  // After the transfer: the verdict on the answer, errors judged with the start of their body,
  // the account's secrets taken out.
  const Verdict& Judged();
  // kDocument: the whole body.
  std::string_view Document() const { return WithoutByteOrderMark(text_); }
  const HttpResponseHead& Head() const { return head_; }

 protected:
  // As RecordCallback.
  virtual Result<bool> OnRecord(std::string_view raw, bool oversize) = 0;
  // The body of a page that was read to its end is complete. Errors: kTransient for a truncated body,
  // kInvalid.
  Result<void> EndRecords();
  std::string_view Envelope() const { return reader_ ? reader_->Envelope() : std::string_view(); }
  bool IsNotModified() const { return std::holds_alternative<NotModified>(verdict_); }
  const TaskContext& Context() const { return context_; }

 private:
  Verdict Judge(std::string_view body_start) const;

  const Config& config_;
  const Source& source_;
  const TaskContext context_;
  const bool conditional_;                // it was asked what changed, so that "nothing" is an answer
  std::unique_ptr<RecordReader> reader_;  // none: a document
  HttpResponseHead head_;
  Verdict verdict_;
  std::map<std::string, Secret> secrets_;
  std::string text_;  // a document, or the start of an error's body
};

// An answer that is one document and nothing more.
class DocumentAnswer final : public PageAnswer {
 public:
  using PageAnswer::PageAnswer;

 private:
  Result<bool> OnRecord(std::string_view, bool) override { return true; }
};

}  // namespace weir
