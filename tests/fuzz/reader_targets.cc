// The splitters: however a body is cut into chunks, it holds the same records and ends alike.
#include <simdjson.h>

#include <string>
#include <vector>

#include "common/sources/bracket_scanner.h"
#include "common/sources/record_check.h"
#include "common/sources/record_reader.h"
#include "tests/fuzz/chunks.h"
#include "tests/fuzz/targets.h"

namespace weir::fuzz {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct Record {
  std::string raw;
  bool oversize = false;
  friend bool operator==(const Record&, const Record&) = default;
};

struct Reading {
  std::vector<Record> records;
  std::string end;  // "", or the error's class and message
  std::string envelope;
  bool stopped = false;
};

ReaderLimits LimitsOf(unsigned option) {
  ReaderLimits limits;
  if (option & 1) limits.max_record_bytes = 64;
  if (option & 2) limits.max_envelope_bytes = 96;
  if (option & 4) limits.max_depth = 8;
  return limits;
}

using MakeReader = std::unique_ptr<RecordReader> (*)(ReaderLimits, RecordCallback);

std::unique_ptr<RecordReader> MakeArrayReader(ReaderLimits limits, RecordCallback callback) {
  return NewJsonArrayReader("games", limits, std::move(callback));
}

template <typename Feeding>
Reading Read(MakeReader make, unsigned option, Feeding feeding) {
  Reading reading;
  const std::size_t stop_after = option & 8 ? 2 : SIZE_MAX;
  std::string padding;
  const auto reader = make(LimitsOf(option), [&](std::string_view raw, bool oversize) -> Result<bool> {
    // The padding of what will be walked must be readable.
    unsigned sum = 0;
    for (std::size_t i = 0; !oversize && i < RecordMapper::kRecordPadding; ++i) {
      sum += static_cast<unsigned char>(raw.data()[raw.size() + i]);
    }
    padding = std::to_string(sum);  // so that no compiler drops the loop
    reading.records.push_back({std::string(raw), oversize});
    return reading.records.size() < stop_after;
  });
  const auto note = [&](const Error& e) {
    reading.end = std::string(ToString(e.error_class)) + ": " + e.message;
  };
  bool failed = false;
  feeding([&](std::string_view chunk) {
    const auto more = reader->Feed(chunk);
    if (!more) note(more.error());
    failed = !more;
    reading.stopped = more && !*more;
    return more && *more;
  });
  if (!failed) {
    if (auto ended = reader->End(); !ended) note(ended.error());
  }
  if (reading.end.empty()) reading.envelope = reader->Envelope();
  return reading;
}

// Both ways of reading; "" when they agree.
std::string ReadTwice(MakeReader make, Chunks& chunks, Reading& whole) {
  whole = Read(make, chunks.Option(), [&](auto feed) {
    // Far from any end: the whole body's padding is there.
    const std::string body = std::string(chunks.Body()) + std::string(128, ' ');
    feed(std::string_view(body).substr(0, chunks.Body().size()));
  });
  const Reading cut = Read(make, chunks.Option(), [&](auto feed) { chunks.ForEach(feed); });
  if (cut.records != whole.records) return "other records when the body comes in chunks";
  if (cut.end != whole.end) return "another end in chunks: '" + cut.end + "', not '" + whole.end + "'";
  if (cut.envelope != whole.envelope) return "another envelope when the body comes in chunks";
  return {};
}

std::string_view Blankless(std::string_view line) {
  while (!line.empty() && (line[0] == ' ' || line[0] == '\t' || line[0] == '\r')) line.remove_prefix(1);
  while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r'))
    line.remove_suffix(1);
  return line;
}

}  // namespace

std::string RunNdjsonReader(std::string_view input) {
  Chunks chunks(input);
  Reading reading;
  if (auto why = ReadTwice(NewNdjsonReader, chunks, reading); !why.empty()) return why;
  if (!reading.end.empty() || reading.stopped) return {};
  // A body that was read to its end: each line that is not blank is a record, in order, and nothing else is.
  // Who skips a byte order mark, the reader or its caller, is not ours to say.
  std::string_view rest = chunks.Body();
  if (rest.starts_with(kByteOrderMark)) return {};
  std::size_t next = 0;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = Blankless(rest.substr(0, end));
    const std::size_t raw_size = end;
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty()) {
      // A line of blanks alone may be over the cap.
      if (next < reading.records.size() && reading.records[next].oversize && raw_size > 64) ++next;
      continue;
    }
    if (next >= reading.records.size()) return "a line is lost";
    const Record& record = reading.records[next++];
    if (record.oversize ? raw_size <= 64 : record.raw != line) return "a record is not its line";
  }
  return next == reading.records.size() ? "" : "a record that is no line";
}

std::string RunArrayReader(std::string_view input) {
  Chunks chunks(input);
  Reading reading;
  if (auto why = ReadTwice(MakeArrayReader, chunks, reading); !why.empty()) return why;
  if (!reading.end.empty() || reading.stopped) return {};
  for (const Record& record : reading.records) {
    if (record.oversize || !CheckDocument(record.raw, 64)) return {};  // the record is refused alone
  }
  if (auto ok = CheckDocument(reading.envelope, 512); !ok) return "the envelope is no JSON";
  // Every record is whole and so is what surrounds them: then the body is, and has just these.
  const std::string_view body = chunks.Body();
  if (body.starts_with(kByteOrderMark)) return {};
  if (auto ok = CheckDocument(body, 512); !ok)
    return "records of a body that is no JSON: " + ok.error().message;
  // To simdjson a key with escapes is the same key.
  if (reading.envelope.find('\\') != std::string::npos) return {};
  simdjson::dom::parser parser;
  simdjson::dom::array games;
  const auto error = parser.parse(std::string(body))["games"].get_array().get(games);
  // Of what is JSON simdjson refuses numbers that neither 64 bits nor a double hold.
  if (error == simdjson::NO_SUCH_FIELD || error == simdjson::INCORRECT_TYPE) return "simdjson sees no array";
  if (error != simdjson::SUCCESS) return {};
  if (games.size() != reading.records.size()) return "simdjson's array has another number of records";
  std::size_t i = 0;
  for (const auto game : games) {
    simdjson::dom::parser one;
    simdjson::dom::element ours;
    if (one.parse(reading.records[i++].raw).get(ours) != simdjson::SUCCESS)
      return "simdjson refuses a record";
    if (simdjson::minify(ours) != simdjson::minify(game)) return "a record is not the array's";
  }
  return {};
}

std::string RunBracketScanner(std::string_view input) {
  Chunks chunks(input);
  const bool object = (chunks.Option() & 1) == 0;
  const char open = object ? '{' : '[', close = object ? '}' : ']';
  if (!chunks.Body().starts_with(open)) return {};
  // The plain way.
  std::size_t expected = std::string_view::npos;
  int depth = 0;
  bool in_string = false;
  const std::string_view body = chunks.Body();
  for (std::size_t i = 0; i < body.size() && expected == std::string_view::npos; ++i) {
    const char c = body[i];
    if (c == '\\') {
      // Outside of strings, where it is no JSON, it hides a quote and no bracket.
      if (in_string || body.substr(i + 1, 1) == "\"" || body.substr(i + 1, 1) == "\\") ++i;
    } else if (in_string) {
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == open) {
      ++depth;
    } else if (c == close && --depth == 0) {
      expected = i + 1;
    }
  }
  BracketScanner scanner;
  scanner.Start(open, close);
  std::size_t before = 0, found = std::string_view::npos;
  chunks.ForEach([&](std::string_view chunk) {
    const char* end = scanner.Scan(chunk.data(), chunk.data() + chunk.size());
    if (end != nullptr) found = before + static_cast<std::size_t>(end - chunk.data());
    before += chunk.size();
    return end == nullptr;
  });
  return found == expected ? "" : "the value ends elsewhere";
}

}  // namespace weir::fuzz
