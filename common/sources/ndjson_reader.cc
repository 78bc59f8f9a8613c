#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/json_text.h"
#include "common/sources/bracket_scanner.h"
#include "common/sources/record_collector.h"
#include "common/sources/record_reader.h"
#include "common/sources/upstream_sentence.h"

namespace weir {
namespace {

constexpr std::string_view kBlank = " \t\r";

// A line without its '\r' and the blanks around it.
std::string_view Trim(std::string_view line) {
  const auto first = line.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kBlank) - first + 1);
}

// A body's first line that tells that the body is no NDJSON at all: an error page, PGN or an array.
bool LooksForeign(std::string_view line) { return line.starts_with('<') || line.starts_with('['); }

bool IsWholeObject(std::string_view line) {
  if (!line.starts_with('{')) return false;
  BracketScanner scanner;
  scanner.Start('{', '}');
  return scanner.Scan(line.data(), line.data() + line.size()) == line.data() + line.size();
}

// Tells of an object whose bytes are not kept whether it is whole, and the last thing of its line.
class ObjectFollower {
 public:
  void Follow(std::string_view piece) {
    begun_ = true;
    if (!opened_) {
      const auto at = piece.find('{');
      if (at == std::string_view::npos) return;
      piece.remove_prefix(at);
      scanner_.Start('{', '}');
      opened_ = true;
    }
    if (!closed_) {
      const char* const stop = scanner_.Scan(piece.data(), piece.data() + piece.size());
      if (stop == nullptr) return;
      piece.remove_prefix(static_cast<std::size_t>(stop - piece.data()));
      closed_ = true;
    }
    more_ = more_ || piece.find_first_not_of(kBlank) != std::string_view::npos;
  }
  bool Begun() const { return begun_; }
  bool IsWhole() const { return closed_ && !more_; }

 private:
  BracketScanner scanner_;
  bool begun_ = false, opened_ = false, closed_ = false;
  bool more_ = false;  // something follows the object
};

// One record a line. A raw newline cannot stand inside JSON text, so lines are found by memchr alone.
class NdjsonReader final : public RecordReader {
 public:
  NdjsonReader(ReaderLimits limits, RecordCallback callback)
      : limits_(limits), callback_(std::move(callback)), line_(limits.max_record_bytes + kBlankAllowance) {}

  Result<bool> Feed(std::string_view chunk) override {
    const char* p = chunk.data();
    const char* const end = p + chunk.size();
    while (p < end && !stopped_) {
      const auto left = static_cast<std::size_t>(end - p);
      const auto* newline = static_cast<const char*>(std::memchr(p, '\n', left));
      if (newline == nullptr) {
        Hold({p, left});
        break;
      }
      const std::string_view piece(p, static_cast<std::size_t>(newline - p));
      auto go = TakeLine(line_.Finish(piece, static_cast<std::size_t>(end - newline)));
      line_.Reset();
      overflow_ = {};
      if (!go) return Fail(std::move(go.error()));
      stopped_ = !*go;
      p = newline + 1;
    }
    return !stopped_;
  }

  // A last line without its newline is a record if it is whole; if it is not, the body was cut off: never a
  // bad record.
  Result<void> End() override {
    if (stopped_ || !line_.Holding()) return {};
    const auto line = line_.Finish({}, 0);
    const std::string_view text = Text(line);
    if (text.empty() && !line.oversize) return {};
    if (auto ok = CheckLine(text, line.oversize); !ok) return ok;
    if (line.oversize ? !overflow_.IsWhole() : !IsWholeObject(text)) {
      return Fail(ErrorClass::kTransient, "the answer was cut off inside its last line");
    }
    auto go = Emit(text, line.oversize);
    line_.Reset();
    if (!go) return Fail(std::move(go.error()));
    return {};
  }

  std::string_view Envelope() const override { return {}; }

 private:
  static constexpr std::size_t kShownLine = 200;
  static constexpr std::size_t kBlankAllowance = 16;  // blanks around a record do not count against its cap

  // A piece of a line that goes on in the next chunk. Of one over the cap only the head is kept, and whether
  // it is whole is seen as it goes by.
  void Hold(std::string_view piece) {
    if (line_.Bytes() + piece.size() > limits_.max_record_bytes + kBlankAllowance) {
      if (!overflow_.Begun()) overflow_.Follow(line_.Held());
      overflow_.Follow(piece);
    }
    line_.Hold(piece);
  }

  static Error Foreign(std::string_view text) {
    // A web page may be an outage's; another format will not change.
    const bool page = text.starts_with('<');
    Error e = MakeError(page ? ErrorClass::kTransient : ErrorClass::kInvalid,
                        "the answer is not NDJSON: it begins with \"" + Printable(text, 40) + "\"",
                        page ? "check sources.<name>.base_url; a proxy may stand before the upstream" : "");
    e.body_start = Printable(text);
    return e;
  }

  static Error Broken(std::string_view why, std::string_view text) {
    Error e = MakeError(ErrorClass::kTransient, "the answer is not whole: " + std::string(why) + ": \"" +
                                                    Printable(text, kShownLine) + "\"");
    e.body_start = Printable(text);
    return e;
  }

  // Without what stands around the record. A byte order mark is one only as the body's very first bytes:
  // behind a blank it is text, and no record.
  std::string_view Text(const RecordCollector::Record& line) {
    const bool body_start = std::exchange(at_start_, false);
    return Trim(body_start ? WithoutByteOrderMark(line.raw) : line.raw);
  }

  // Only what costs nothing for a good line: its first bytes and its last one. What is inside is the mapper's
  // to check.
  Result<void> CheckLine(std::string_view text, bool oversize) {
    if (first_ && LooksForeign(text)) return Fail(Foreign(text));
    first_ = false;
    if (!text.starts_with('{')) return Fail(Broken("a line is no record", text));
    if (oversize) return {};
    // An object in the place of a record which says why the answer ends here: {"error":"timeout"}. Of one
    // whose first member is another the mapper may still find that it is none (RecordMapper::Head).
    if (BeginsAsError(text)) return Fail(Broken("the upstream says", UpstreamSentence(text)));
    return {};
  }

  Result<bool> TakeLine(const RecordCollector::Record& line) {
    const std::string_view text = Text(line);
    if (text.empty() && !line.oversize) return true;
    if (auto ok = CheckLine(text, line.oversize); !ok) return Fail(std::move(ok.error()));
    if (!line.oversize && !text.ends_with('}')) return Fail(Broken("a line is no record", text));
    return Emit(text, line.oversize);
  }

  Result<bool> Emit(std::string_view text, bool oversize) {
    oversize = oversize || text.size() > limits_.max_record_bytes;
    if (oversize) text = text.substr(0, RecordCollector::kOversizeHead);
    return callback_(text, oversize);
  }

  ReaderLimits limits_;
  RecordCallback callback_;
  RecordCollector line_;
  ObjectFollower overflow_;  // of a line over the cap
  bool at_start_ = true;     // no line was had yet
  bool first_ = true;        // nor one that is not blank
  bool stopped_ = false;
};

}  // namespace

std::unique_ptr<RecordReader> NewNdjsonReader(ReaderLimits limits, RecordCallback callback) {
  return std::make_unique<NdjsonReader>(limits, std::move(callback));
}

}  // namespace weir
