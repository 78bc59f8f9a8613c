#include <algorithm>
#include <string>

#include "common/base/json_text.h"
#include "common/sources/bracket_scanner.h"
#include "common/sources/json_string.h"
#include "common/sources/record_check.h"
#include "common/sources/record_collector.h"
#include "common/sources/record_reader.h"
#include "common/sources/upstream_sentence.h"

namespace weir {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Walks the document around the records byte by byte (it is small) and the records themselves by
// BracketScanner. Only what framing needs is checked on the way; End checks the envelope as JSON.
class JsonArrayReader final : public RecordReader {
 public:
  JsonArrayReader(std::string record_path, ReaderLimits limits, RecordCallback callback)
      : record_path_(std::move(record_path)),
        limits_(limits),
        callback_(std::move(callback)),
        record_(limits.max_record_bytes) {}

  Result<bool> Feed(std::string_view chunk) override {
    const char* p = chunk.data();
    const char* const end = p + chunk.size();
    while (p < end && state_ != State::kStopped) {
      Result<const char*> next = Step(p, end);
      if (!next) return Fail(std::move(next.error()));
      p = *next;
    }
    return state_ != State::kStopped;
  }

  Result<void> End() override {
    if (state_ == State::kStopped) return {};
    if (state_ != State::kDone) {
      return Fail(ErrorClass::kTransient, "the answer was cut off: its JSON document is not complete");
    }
    if (auto checked = CheckDocument(envelope_, limits_.max_depth); !checked) {
      return Damaged(checked.error().message);
    }
    if (auto said = ErrorIn(envelope_)) return Damaged("the upstream says: \"" + *said + "\"");
    if (!seen_array_) return NoArray();
    return {};
  }

  std::string_view Envelope() const override { return envelope_; }

 private:
  static constexpr std::string_view kMark = "\xEF\xBB\xBF";  // a byte order mark before the document
  static constexpr std::string_view kNoObject = "it does not begin with {";
  enum class State { kEnvelope, kElements, kRecord, kDone, kStopped };
  enum class Kind { kBracketed, kString, kScalar };

  tl::unexpected<Error> Broken(ErrorClass error_class, std::string_view why) const {
    Error e = MakeError(error_class, "the answer is not the JSON expected: " + std::string(why));
    e.body_start = Printable(envelope_);
    return Fail(std::move(e));
  }
  // Too much of it: no better when it is read again.
  tl::unexpected<Error> Invalid(std::string_view why) const { return Broken(ErrorClass::kInvalid, why); }
  tl::unexpected<Error> Damaged(std::string_view why) const { return Broken(ErrorClass::kTransient, why); }

  // An error in place of the records, as a rule.
  tl::unexpected<Error> NoArray() const {
    const std::string said = UpstreamSentence(envelope_);
    return Damaged("it has no \"" + record_path_ + "\" array" + (said.empty() ? "" : ": \"" + said + "\""));
  }

  // Consumes at least one byte of a non-empty [p, end), or changes the state.
  Result<const char*> Step(const char* p, const char* end) {
    switch (state_) {
      case State::kEnvelope:
        return ReadEnvelope(p, end);
      case State::kElements:
        return ReadBetween(p, end);
      case State::kRecord:
        return ReadRecord(p, end);
      case State::kDone:
        for (; p < end; ++p) {
          if (!IsBlank(*p)) return Damaged("bytes follow its end");
        }
        return p;
      case State::kStopped:
        break;
    }
    return end;
  }

  Result<const char*> ReadEnvelope(const char* p, const char* end) {
    for (; p < end && state_ == State::kEnvelope; ++p) {
      if (envelope_.size() >= limits_.max_envelope_bytes) {
        return Invalid("what surrounds its records is over " + std::to_string(limits_.max_envelope_bytes) +
                       " bytes");
      }
      const char c = *p;
      if (in_string_) {
        InString(c);
        continue;
      }
      if (mark_ < kMark.size() && envelope_.empty() && c == kMark[mark_]) {
        ++mark_;
        continue;
      }
      if (IsBlank(c)) {  // a run counts once, so that blanks alone never reach the cap
        if (!envelope_.empty() && envelope_.back() != ' ') envelope_ += ' ';
        continue;
      }
      envelope_ += c;
      if (auto ok = Structural(c); !ok) return Fail(std::move(ok.error()));
    }
    return p;
  }

  void InString(char c) {
    envelope_ += c;
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
      string_end_ = envelope_.size() - 1;
    }
  }

  Result<void> Structural(char c) {
    const bool marked = mark_ == 0 || mark_ == kMark.size();
    if (stack_.empty() && (c != '{' || !marked)) return Damaged(kNoObject);
    if (awaiting_array_) {
      awaiting_array_ = false;
      if (c != '[') return Damaged("\"" + record_path_ + "\" is not an array");
      if (seen_array_) return Damaged("it has \"" + record_path_ + "\" twice");
      seen_array_ = true;
      state_ = State::kElements;
      after_comma_ = after_value_ = false;
      return {};
    }
    switch (c) {
      case '"':
        in_string_ = true;
        string_begin_ = envelope_.size();
        break;
      case ':':
        awaiting_array_ = stack_.size() == 1 && string_begin_ > 0 && IsRecordPath(Key());
        break;
      case '{':
      case '[':
        if (static_cast<int>(stack_.size()) >= limits_.max_depth) return Invalid("it is nested too deep");
        stack_ += c;
        break;
      case '}':
      case ']':
        if (stack_.back() != (c == '}' ? '{' : '[')) return Damaged("its brackets do not match");
        stack_.pop_back();
        if (stack_.empty()) state_ = State::kDone;
        break;
      default:
        break;
    }
    return {};
  }

  std::string_view Key() const {
    return std::string_view(envelope_).substr(string_begin_, string_end_ - string_begin_);
  }

  bool IsRecordPath(std::string_view key) const {
    if (key.find('\\') == std::string_view::npos) return key == record_path_;
    if (!CheckDocument('"' + std::string(key) + '"', 1)) return false;  // End says what is wrong with it
    std::string plain;
    AppendUnescaped(plain, key);
    return plain == record_path_;
  }

  // Between the records: commas, blanks, the array's end or the next record's first byte.
  Result<const char*> ReadBetween(const char* p, const char* end) {
    for (; p < end; ++p) {
      const char c = *p;
      if (IsBlank(c)) continue;
      if (c == ',') {
        if (!after_value_) return Damaged("a comma without a record before it");
        after_value_ = false;
        after_comma_ = true;
        continue;
      }
      if (c == ']') {
        if (after_comma_) return Damaged("a comma without a record after it");
        envelope_ += ']';
        state_ = State::kEnvelope;
        return p + 1;
      }
      if (after_value_) return Damaged("no comma between two records");
      StartRecord(c);
      return p;
    }
    return p;
  }

  void StartRecord(char c) {
    state_ = State::kRecord;
    first_byte_ = true;
    escaped_ = false;
    kind_ = c == '"' ? Kind::kString : Kind::kScalar;
    if (c == '{' || c == '[') {
      kind_ = Kind::kBracketed;
      scanner_.Start(c, c == '{' ? '}' : ']');
    }
  }

  Result<const char*> ReadRecord(const char* p, const char* end) {
    const char* const stop = ScanRecord(p, end);
    if (stop == nullptr) {
      record_.Hold({p, static_cast<std::size_t>(end - p)});
      return end;
    }
    const std::string_view piece(p, static_cast<std::size_t>(stop - p));
    const auto record = record_.Finish(piece, static_cast<std::size_t>(end - stop));
    auto go = callback_(record.raw, record.oversize);
    record_.Reset();
    if (!go) return Fail(std::move(go.error()));
    state_ = *go ? State::kElements : State::kStopped;
    after_value_ = true;
    after_comma_ = false;
    return stop;
  }

  // The byte after the record's end, or nullptr if it is not in [p, end).
  const char* ScanRecord(const char* p, const char* end) {
    if (kind_ == Kind::kBracketed) return scanner_.Scan(p, end);
    if (kind_ == Kind::kScalar) {
      const char* stop = std::find_if(p, end, [](char c) { return c == ',' || c == ']' || IsBlank(c); });
      return stop == end ? nullptr : stop;
    }
    for (; p < end; ++p) {
      if (escaped_) {
        escaped_ = false;
      } else if (*p == '\\') {
        escaped_ = true;
      } else if (*p == '"' && !first_byte_) {
        return p + 1;
      }
      first_byte_ = false;
    }
    return nullptr;
  }

  const std::string record_path_;
  const ReaderLimits limits_;
  RecordCallback callback_;
  RecordCollector record_;
  BracketScanner scanner_;
  State state_ = State::kEnvelope;

  std::size_t mark_ = 0;  // bytes of kMark had
  std::string envelope_;
  std::string stack_;                              // open brackets of the envelope
  std::size_t string_begin_ = 0, string_end_ = 0;  // the envelope's latest string
  bool in_string_ = false;
  bool awaiting_array_ = false;  // the record path's key and colon were read
  bool seen_array_ = false;

  Kind kind_ = Kind::kScalar;  // of the record being read
  bool first_byte_ = false;
  bool escaped_ = false;
  bool after_value_ = false;
  bool after_comma_ = false;
};

}  // namespace

std::unique_ptr<RecordReader> NewJsonArrayReader(std::string record_path, ReaderLimits limits,
                                                 RecordCallback callback) {
  return std::make_unique<JsonArrayReader>(std::move(record_path), limits, std::move(callback));
}

}  // namespace weir
