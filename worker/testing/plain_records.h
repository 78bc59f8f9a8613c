#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/sources/source.h"
#include "worker/record_batch.h"

namespace weir::worker::testing {

// The stream of tests that are not about JSON. A record is "id time text", e.g. "r7 1000 hello"; one without
// an id is unreadable, one whose text begins with "bad" cannot be mapped. It may stand in quotes, as in a
// JSON array.
inline std::string_view Unquoted(std::string_view raw) {
  return raw.starts_with('"') ? raw.substr(1, raw.size() - 2) : raw;
}

inline StreamInfo PlainStream() {
  StreamInfo stream;
  stream.name = "plain";
  stream.table = {"test", "plain", {{"body", "text"}}, ""};
  return stream;
}

class PlainMapper final : public RecordMapper {
 public:
  Result<RecordHead> Head(std::string_view raw) override {
    raw = Unquoted(raw);
    const auto space = std::min(raw.find(' '), raw.size());
    RecordHead head;
    head.id = raw.substr(0, space);
    if (head.id.empty()) return Fail(ErrorClass::kBadRecord, "it has no id");
    raw.remove_prefix(std::min(space + 1, raw.size()));
    std::from_chars(raw.data(), raw.data() + raw.size(), head.order_ms);
    return head;
  }
  Result<RecordNotes> Map(std::string_view raw, RowSink& row) override {
    ++mapped;
    raw = Unquoted(raw);
    const std::string_view text = raw.substr(raw.rfind(' ') + 1);
    if (text.starts_with("bad")) return Fail(ErrorClass::kBadRecord, "it is " + std::string(text));
    row.Text(text);
    return RecordNotes{};
  }

  int mapped = 0;
};

// Fills batches with records as page reading does.
class PlainPage {
 public:
  void Add(RecordBatch& batch, const std::string& raw) {
    PlainMapper mapper;
    RecordBatch::Record record;
    record.page_position = position_++;
    if (auto head = mapper.Head(raw)) {
      record.head = std::move(*head);
    } else {
      record.bad = head.error().message;
    }
    digest_ = ExtendDigest(digest_, record.head.id);
    record.digest = digest_;
    record.hash = ContentHash(raw);
    batch.Add(raw, std::move(record));
  }
  RecordBatch Batch(const std::vector<std::string>& records) {
    RecordBatch batch;
    batch.Clear();
    for (const std::string& raw : records) Add(batch, raw);
    return batch;
  }

 private:
  std::int64_t position_ = 0, digest_ = 0;
};

}  // namespace weir::worker::testing
