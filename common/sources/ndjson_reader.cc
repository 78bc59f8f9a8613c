#include <cstring>

#include "common/base/json_text.h"
#include "common/sources/bracket_scanner.h"
#include "common/sources/record_collector.h"
#include "common/sources/record_reader.h"

namespace weir {
namespace {

constexpr std::string_view kBlank = " \t\r";

// A line without its '\r' and the blanks around it.
std::string_view Trim(std::string_view line) {
  const auto first = line.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kBlank) - first + 1);
}

// A body's first line that tells that the body is no NDJSON at all: an error page, or PGN.
bool LooksForeign(std::string_view line) { return line.starts_with('<') || line.starts_with("[Event "); }

bool IsWholeObject(std::string_view line) {
  if (!line.starts_with('{')) return false;
  BracketScanner scanner;
  scanner.Start('{', '}');
  return scanner.Scan(line.data(), line.data() + line.size()) != nullptr;
}

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
        line_.Hold({p, left});
        break;
      }
      const std::string_view piece(p, static_cast<std::size_t>(newline - p));
      auto go = Emit(line_.Finish(piece, static_cast<std::size_t>(end - newline)));
      line_.Reset();
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
    const std::string_view text = Trim(line.raw);
    if (text.empty() && !line.oversize) return {};
    if (first_ && LooksForeign(text)) return Fail(Foreign(text));
    if (line.oversize || !IsWholeObject(text)) {
      return Fail(ErrorClass::kTransient, "the answer was cut off inside its last line");
    }
    auto go = Emit(line);
    line_.Reset();
    if (!go) return Fail(std::move(go.error()));
    return {};
  }

  std::string_view Envelope() const override { return {}; }

 private:
  static constexpr std::size_t kBlankAllowance = 16;  // blanks around a record do not count against its cap

  static Error Foreign(std::string_view text) {
    Error e = MakeError(ErrorClass::kInvalid, "the answer is not NDJSON");
    e.body_start = Printable(text);
    return e;
  }

  Result<bool> Emit(const RecordCollector::Record& line) {
    std::string_view text = Trim(line.raw);
    if (text.empty() && !line.oversize) return true;
    if (first_ && LooksForeign(text)) return Fail(Foreign(text));
    first_ = false;
    const bool oversize = line.oversize || text.size() > limits_.max_record_bytes;
    if (oversize) text = text.substr(0, RecordCollector::kOversizeHead);
    return callback_(text, oversize);
  }

  ReaderLimits limits_;
  RecordCallback callback_;
  RecordCollector line_;
  bool first_ = true;
  bool stopped_ = false;
};

}  // namespace

std::unique_ptr<RecordReader> NewNdjsonReader(ReaderLimits limits, RecordCallback callback) {
  return std::make_unique<NdjsonReader>(limits, std::move(callback));
}

}  // namespace weir
