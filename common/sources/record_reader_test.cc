#include "common/sources/record_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace weir {
namespace {

struct Outcome {
  std::vector<std::string> records;  // an oversize one as "!" and its head
  std::string envelope;
  std::optional<ErrorClass> error;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

enum class Format { kNdjson, kGames };

// Reads `body` in the chunks that `cuts` (ascending offsets) make of it. Each chunk is a heap block of its
// exact size, so that a sanitizer sees any byte read past it.
Outcome Read(Format format, std::string_view body, const std::vector<std::size_t>& cuts = {},
             ReaderLimits limits = {}) {
  Outcome outcome;
  const auto take = [&](std::string_view raw, bool oversize) -> Result<bool> {
    // The padding must be readable.
    volatile char last = *(raw.data() + raw.size() + RecordMapper::kRecordPadding - 1);
    static_cast<void>(last);
    outcome.records.push_back((oversize ? "!" : "") + std::string(raw));
    return true;
  };
  const auto reader =
      format == Format::kNdjson ? NewNdjsonReader(limits, take) : NewJsonArrayReader("games", limits, take);
  std::size_t from = 0;
  std::vector<std::size_t> ends = cuts;
  ends.push_back(body.size());
  for (const std::size_t to : ends) {
    const std::vector<char> chunk(body.begin() + static_cast<std::ptrdiff_t>(from),
                                  body.begin() + static_cast<std::ptrdiff_t>(to));
    from = to;
    const auto go = reader->Feed({chunk.data(), chunk.size()});
    if (!go) {
      outcome.error = go.error().error_class;
      return outcome;
    }
    EXPECT_TRUE(*go);
  }
  if (const auto end = reader->End(); !end) outcome.error = end.error().error_class;
  outcome.envelope = reader->Envelope();
  return outcome;
}

std::vector<std::string> Records(Format format, std::string_view body) { return Read(format, body).records; }

// Every single cut, and every pair of cuts on a coarser grid, must give what the whole body gives.
void ExpectSameForEverySplit(Format format, const std::string& body, ReaderLimits limits = {}) {
  const Outcome whole = Read(format, body, {}, limits);
  for (std::size_t cut = 0; cut <= body.size(); ++cut) {
    ASSERT_EQ(Read(format, body, {cut}, limits), whole) << "cut at " << cut;
  }
  std::vector<std::size_t> every_byte;
  for (std::size_t i = 1; i < body.size(); ++i) every_byte.push_back(i);
  ASSERT_EQ(Read(format, body, every_byte, limits), whole) << "byte by byte";
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::size_t> cuts;
    for (int i = 0; i < 6; ++i) cuts.push_back(random() % (body.size() + 1));
    std::sort(cuts.begin(), cuts.end());
    ASSERT_EQ(Read(format, body, cuts, limits), whole);
  }
}

const char kTricky[] =
    R"({"id":"a","s":"quote \" brace } bracket ] slash \\"},{"id":"b","n":{"x":[{"y":"}{\\\""}]}},)"
    R"({"id":"c","e":"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\""})";

TEST(NdjsonReader, YieldsOneRecordALine) {
  EXPECT_EQ(Records(Format::kNdjson, "{\"a\":1}\n\n{\"b\":2}\r\n  \n{\"c\":3}\n"),
            (std::vector<std::string>{"{\"a\":1}", "{\"b\":2}", "{\"c\":3}"}));
  EXPECT_TRUE(Records(Format::kNdjson, "").empty());
}

TEST(NdjsonReader, SplitAnywhereGivesTheSame) {
  std::string body = "\r\n" + std::string(kTricky) + "\n{\"b\":\"" + std::string(200, 'x') +
                     "\"}\r\n{\"d\":4}\n  \n{\"c\":3}";
  ExpectSameForEverySplit(Format::kNdjson, body);
}

TEST(NdjsonReader, LastLineWithoutNewlineCountsOnlyIfWhole) {
  EXPECT_EQ(Read(Format::kNdjson, "{\"a\":1}\n{\"b\":\"}\"}").records.size(), 2U);
  for (const char* cut : {"{\"a\":1}\n{\"b\":", "{\"a\":1}\n{\"b\":\"}", "{\"a\":1}\n{", "{\"a\":1}\nnul"}) {
    const Outcome outcome = Read(Format::kNdjson, cut);
    EXPECT_EQ(outcome.error, ErrorClass::kTransient) << cut;
    EXPECT_EQ(outcome.records.size(), 1U) << cut;
  }
}

// data_path.md, invariant 9. Whatever stands in the place of a record, the page is not whole: it is read
// again.
TEST(NdjsonReader, NothingCountsAsReadWithoutProofThatEachLineIsARecord) {
  for (const char* line : {
           "Internal Server Error",
           "null",
           "42",
           "<html>",
           "[1]",
           "{\"id\":\"b\"},",
           "{\"id\":\"b\"} and more",
           "\xEF\xBB\xBF{\"id\":\"b\"}",
           R"({"error":"timeout while reading from the database"})",
           R"( { "error" : {"message":"busy"}})",
           R"({"message":"An internal error has occurred","code":0})",
           R"({"statusCode":500})",
       }) {
    for (const std::string end : {"\n", "\n{\"c\":3}\n", ""}) {
      const std::string body = "{\"a\":1}\n" + std::string(line) + end;
      const Outcome outcome = Read(Format::kNdjson, body);
      EXPECT_EQ(outcome.error, ErrorClass::kTransient) << body;
      EXPECT_EQ(outcome.records, (std::vector<std::string>{"{\"a\":1}"})) << body;
    }
  }
}

TEST(NdjsonReader, AnErrorInTheStreamIsToldInTheUpstreamsWords) {
  const auto take = [](std::string_view, bool) -> Result<bool> { return true; };
  const auto go = NewNdjsonReader({}, take)->Feed("{\"a\":1}\n{\"error\":\"timeout \\u0007\"}\n");
  ASSERT_FALSE(go);
  EXPECT_NE(go.error().message.find("\"timeout .\""), std::string::npos) << go.error().message;
  EXPECT_TRUE(NewNdjsonReader({}, take)->Feed("{\"errors\":1}\n{\"id\":\"error\"}\n")) << "records";
}

TEST(RecordReader, AByteOrderMarkIsPassedOver) {
  const std::string mark = "\xEF\xBB\xBF";
  const std::vector<std::string> records{"{\"a\":1}", "{\"b\":2}"};
  EXPECT_EQ(Read(Format::kNdjson, mark + "{\"a\":1}\n{\"b\":2}\n"), (Outcome{records, "", {}}));
  EXPECT_EQ(Read(Format::kNdjson, mark + "\r\n{\"a\":1}\r\n{\"b\":2}").records, records);
  EXPECT_EQ(Read(Format::kNdjson, mark + "{\"a\":1}").records.size(), 1U);
  EXPECT_EQ(Read(Format::kNdjson, mark).records.size(), 0U);
  EXPECT_EQ(Read(Format::kGames, mark + R"({"games":[{"a":1},{"b":2}]})"),
            (Outcome{records, R"({"games":[]})", {}}));
  ExpectSameForEverySplit(Format::kNdjson, mark + "{\"a\":1}\n{\"b\":2}\n");
  ExpectSameForEverySplit(Format::kGames, mark + R"({"games":[{"a":1},{"b":2}]})");
  for (const char* part : {"\xEF", "\xEF\xBB", "\xBB\xBF", "\xEF\xBB\xBF\xEF\xBB\xBF"}) {
    EXPECT_EQ(Read(Format::kGames, part + std::string(R"({"games":[]})")).error, ErrorClass::kTransient)
        << part;
  }
  // Only as the very first bytes: behind a blank it is text.
  EXPECT_EQ(Read(Format::kNdjson, " " + mark + "\n{\"a\":1}\n").error, ErrorClass::kTransient);
  EXPECT_EQ(Read(Format::kGames, "\n" + mark + R"({"games":[{"a":1}]})").error, ErrorClass::kTransient);
  EXPECT_EQ(Read(Format::kGames,
                 "\xEF \xBB\xBF"
                 R"({"games":[]})")
                .error,
            ErrorClass::kTransient);
}

TEST(NdjsonReader, WebPageOrPgnIsInvalid) {
  EXPECT_EQ(Read(Format::kNdjson, "<!DOCTYPE html>\n<p>no</p>\n").error, ErrorClass::kTransient);
  EXPECT_EQ(Read(Format::kNdjson, "\n <html>no newline").error, ErrorClass::kTransient);
  EXPECT_EQ(Read(Format::kNdjson, "[Event \"x\"]\n1. e4 *\n").error, ErrorClass::kInvalid);
  EXPECT_EQ(Read(Format::kNdjson, "[{\"a\":1},\n{\"b\":2}]").error, ErrorClass::kInvalid) << "an array";
}

TEST(NdjsonReader, OversizeRecordIsReportedAndTheRestGoesOn) {
  ReaderLimits limits;
  limits.max_record_bytes = 2000;
  const std::string fits = "{\"a\":\"" + std::string(2000 - 8, 'y') + "\"}";
  ASSERT_EQ(fits.size(), 2000U);
  const std::string over = "{\"a\":\"" + std::string(2001 - 8, 'z') + "\"}";
  const std::string body = fits + "\r\n" + over + "\n" + std::string(5000, '{') + "\n{\"c\":3}\n";
  const Outcome outcome = Read(Format::kNdjson, body, {}, limits);
  ASSERT_EQ(outcome.records.size(), 4U);
  EXPECT_EQ(outcome.records[0], fits);
  EXPECT_EQ(outcome.records[1], "!" + over.substr(0, 1024));
  EXPECT_EQ(outcome.records[2], "!" + std::string(1024, '{'));
  EXPECT_EQ(outcome.records[3], "{\"c\":3}");
  ExpectSameForEverySplit(Format::kNdjson, body, limits);
}

TEST(NdjsonReader, OversizeLineThatIsCutOffIsTransient) {
  ReaderLimits limits;
  limits.max_record_bytes = 100;
  EXPECT_EQ(Read(Format::kNdjson, "{\"a\":\"" + std::string(500, 'x'), {}, limits).error,
            ErrorClass::kTransient);
}

// It was taken for cut off, as often as it was read.
TEST(NdjsonReader, OversizeLastLineWithoutANewlineIsOneRecordIfItIsWhole) {
  ReaderLimits limits;
  limits.max_record_bytes = 100;
  const std::string over = R"({"a":"}\"}{","b":{"c":")" + std::string(500, 'z') + R"("}})";
  for (const std::string before : {"", "{\"id\":1}\n", "\xEF\xBB\xBF ", "\n  "}) {
    for (const std::string after : {"", " \r", "\t\t  "}) {
      const std::string body = before + over + after;
      const Outcome outcome = Read(Format::kNdjson, body, {}, limits);
      ASSERT_FALSE(outcome.error) << body;
      EXPECT_EQ(outcome.records.back().substr(0, 20), "!" + over.substr(0, 19)) << body;
      ExpectSameForEverySplit(Format::kNdjson, body, limits);
    }
  }
  for (const std::string& cut : {over.substr(0, over.size() - 1), over + "x", over + over, over + "}"}) {
    EXPECT_EQ(Read(Format::kNdjson, cut, {}, limits).error, ErrorClass::kTransient) << cut;
    EXPECT_TRUE(Read(Format::kNdjson, cut, {}, limits).records.empty()) << cut;
    ExpectSameForEverySplit(Format::kNdjson, cut, limits);
  }
  // One that was over the cap tells nothing of the next.
  EXPECT_EQ(Read(Format::kNdjson, over + "\n" + over.substr(0, over.size() - 1), {}, limits).error,
            ErrorClass::kTransient);
}

TEST(JsonArrayReader, YieldsTheElements) {
  const Outcome outcome = Read(
      Format::kGames, R"( {"total": 2, "games" : [ {"a":1} , {"b":[2,{"c":"]"}]} ], "next":{"games":[7]}} )");
  EXPECT_EQ(outcome.error, std::nullopt);
  EXPECT_EQ(outcome.records, (std::vector<std::string>{R"({"a":1})", R"({"b":[2,{"c":"]"}]})"}));
  EXPECT_EQ(outcome.envelope, R"({"total": 2, "games" : [], "next":{"games":[7]}})");
}

TEST(JsonArrayReader, EmptyArrayIsAnEmptyPage) {
  const Outcome outcome = Read(Format::kGames, R"({"games":[ ]})");
  EXPECT_EQ(outcome.error, std::nullopt);
  EXPECT_TRUE(outcome.records.empty());
}

TEST(JsonArrayReader, SplitAnywhereGivesTheSame) {
  const std::string body = R"({"x\"y":"[{","games":[)" + std::string(kTricky) +
                           R"(, "str\"ing]", 12.5e3 ,null,[1,[2]],)" + R"({"long":")" +
                           std::string(300, '}') + R"("}],"after":[{"a":[]}]} )" + "\n";
  ASSERT_EQ(Records(Format::kGames, body).size(), 8U);
  ExpectSameForEverySplit(Format::kGames, body);
}

TEST(JsonArrayReader, ElementsThatAreNoObjectsAreLeftToTheMapper) {
  EXPECT_EQ(Records(Format::kGames, R"({"games":["a,]",1,null,[{}],garbage,{}]})"),
            (std::vector<std::string>{"\"a,]\"", "1", "null", "[{}]", "garbage", "{}"}));
}

TEST(JsonArrayReader, MalformedRecordIsAloneInItsHarm) {
  const Outcome outcome = Read(Format::kGames, R"({"games":[{"a":[1},{"b":2]},{"c":3}]})");
  EXPECT_EQ(outcome.error, std::nullopt);
  EXPECT_EQ(outcome.records, (std::vector<std::string>{R"({"a":[1})", R"({"b":2]})", R"({"c":3})"}));
}

TEST(JsonArrayReader, CutOffAnywhereIsTransient) {
  const std::string body = R"({"t":1,"games":[{"a":"x\"y"},{"b":{"c":[]}},5],"n":null})";
  for (std::size_t size = 0; size < body.size(); ++size) {
    EXPECT_EQ(Read(Format::kGames, body.substr(0, size)).error, ErrorClass::kTransient) << size;
  }
  EXPECT_EQ(Read(Format::kGames, body).error, std::nullopt);
}

TEST(JsonArrayReader, AWebPageIsInvalid) {
  EXPECT_EQ(Read(Format::kGames, "<html></html>").error, ErrorClass::kTransient);
}

// data_path.md, invariant 9.
TEST(JsonArrayReader, NothingCountsAsReadWithoutProofThatTheDocumentIsWhole) {
  for (const char* body : {
           R"({"code":0,"message":"An internal error has occurred"})",
           R"({"error":"busy","games":[{"a":1}]})",
           R"({"games":[{"a":1}],"error":{"message":"busy"}})",
           R"({"games":[],"g\u0061mes":[]})",
           R"({"\ud800":1,"games":[]})",
           "[]",
           "[{\"a\":1}]",
           "\"games\"",
           "42",
           "garbage",
           R"({"games":{}})",
           R"({"games":null})",
           R"({"games":5})",
           R"({"other":[]})",
           R"({"x":{"games":[]}})",
           "{}",
           R"({"games":[]}})",
           R"({"games":[]} x)",
           R"({"games":[]}{"games":[]})",
           R"({"games":[],"games":[]})",
           R"({"games":[,]})",
           R"({"games":[1,]})",
           R"({"games":[1,,2]})",
           R"({"games":[{} {}]})",
           R"({"games":[{}}]})",
           R"({"a":]})",
           R"({"games":[],"a":1e})",
           R"({"games":[],"a":"\u0000"})",
           R"({"games":[] "a":1})",
           "{\"games\":[],\"a\":\"\xff\"}",
       }) {
    EXPECT_EQ(Read(Format::kGames, body).error, ErrorClass::kTransient) << body;
  }
  EXPECT_EQ(Read(Format::kGames, R"({"games":[{"a":1}],"error":null})").error, std::nullopt);
}

TEST(JsonArrayReader, AnErrorInPlaceOfTheRecordsIsToldInTheUpstreamsWords) {
  const auto take = [](std::string_view, bool) -> Result<bool> { return true; };
  for (const char* body :
       {R"({"code":0,"message":"An internal error"})", R"({"games":[],"error":"An internal error"})"}) {
    const auto reader = NewJsonArrayReader("games", {}, take);
    ASSERT_TRUE(reader->Feed(body));
    const auto end = reader->End();
    ASSERT_FALSE(end);
    EXPECT_NE(end.error().message.find("An internal error"), std::string::npos) << end.error().message;
  }
}

TEST(JsonArrayReader, EnvelopeIsBounded) {
  ReaderLimits limits;
  limits.max_envelope_bytes = 1000;
  EXPECT_EQ(Read(Format::kGames, R"({"a":")" + std::string(2000, 'x') + R"(","games":[]})", {}, limits).error,
            ErrorClass::kInvalid);
  EXPECT_EQ(Read(Format::kGames, "{" + std::string(5000, ' ') + R"("games":[]})", {}, limits).error,
            std::nullopt);
  limits.max_depth = 10;
  EXPECT_EQ(Read(Format::kGames, R"({"a":)" + std::string(10, '['), {}, limits).error, ErrorClass::kInvalid);
  EXPECT_EQ(Read(Format::kGames, R"({"a":)" + std::string(9, '['), {}, limits).error, ErrorClass::kTransient);
}

TEST(JsonArrayReader, OversizeRecordIsReportedAndTheRestGoesOn) {
  ReaderLimits limits;
  limits.max_record_bytes = 1500;
  const std::string fits = "{\"a\":\"" + std::string(1500 - 8, 'y') + "\"}";
  ASSERT_EQ(fits.size(), 1500U);
  const std::string deep = std::string(3000, '{') + std::string(3000, '}');
  const std::string body =
      "{\"games\":[" + fits + ",{\"b\":\"" + std::string(1500 - 7, 'z') + "\"}," + deep + ",{}]}";
  const Outcome outcome = Read(Format::kGames, body, {}, limits);
  ASSERT_EQ(outcome.records.size(), 4U);
  EXPECT_EQ(outcome.records[0], fits);
  EXPECT_EQ(outcome.records[1].substr(0, 8), "!{\"b\":\"z");
  EXPECT_EQ(outcome.records[2], "!" + std::string(1024, '{'));
  EXPECT_EQ(outcome.records[3], "{}");
  ExpectSameForEverySplit(Format::kGames, body, limits);
}

TEST(JsonArrayReader, NestingOfRecordsIsNoMatterOfFraming) {
  const std::string deep = "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  const Outcome outcome = Read(Format::kGames, "{\"games\":[" + deep + ",{\"b\":1}]}");
  EXPECT_EQ(outcome.error, std::nullopt);
  EXPECT_EQ(outcome.records.size(), 2U);
}

TEST(RecordReader, StopsWhenTheCallbackSaysSo) {
  for (const Format format : {Format::kNdjson, Format::kGames}) {
    int seen = 0;
    const auto take = [&](std::string_view, bool) -> Result<bool> { return ++seen < 2; };
    const auto reader =
        format == Format::kNdjson ? NewNdjsonReader({}, take) : NewJsonArrayReader("games", {}, take);
    const auto go = reader->Feed(format == Format::kNdjson ? "{}\n{}\n{}\n" : R"({"games":[{},{},{}]})");
    ASSERT_TRUE(go.has_value());
    EXPECT_FALSE(*go);
    EXPECT_EQ(seen, 2);
    EXPECT_FALSE(*reader->Feed("more"));
    EXPECT_TRUE(reader->End().has_value());
    EXPECT_EQ(seen, 2);
  }
}

TEST(RecordReader, PassesTheCallbacksErrorOn) {
  for (const Format format : {Format::kNdjson, Format::kGames}) {
    const auto take = [](std::string_view, bool) -> Result<bool> { return Fail(ErrorClass::kFenced, "no"); };
    const auto reader =
        format == Format::kNdjson ? NewNdjsonReader({}, take) : NewJsonArrayReader("games", {}, take);
    const auto go = reader->Feed(format == Format::kNdjson ? "{}\n" : R"({"games":[{}]})");
    ASSERT_FALSE(go.has_value());
    EXPECT_EQ(go.error().error_class, ErrorClass::kFenced);
  }
}

// Whatever the bytes, a reader neither crashes nor depends on how they were cut.
TEST(RecordReader, MutatedBodiesAreReadTheSameHoweverCut) {
  std::mt19937 random(20221122);
  const std::string ndjson = std::string(kTricky) + "\n{\"b\":2}\n{\"c\":\"\\\\\"}\n";
  const std::string array = R"({"t":"a\"b","games":[)" + std::string(kTricky) + R"(],"n":{"m":[1,2]}})";
  static constexpr std::string_view kBytes = "{}[]\",:\\\n\r e1<\x01\xff";
  ReaderLimits limits;
  limits.max_record_bytes = 120;
  limits.max_envelope_bytes = 200;
  for (int round = 0; round < 4000; ++round) {
    const Format format = round % 2 == 0 ? Format::kNdjson : Format::kGames;
    std::string body = format == Format::kNdjson ? ndjson : array;
    for (unsigned i = random() % 4 + 1; i > 0; --i) {
      const std::size_t at = random() % body.size();
      const char byte = kBytes[random() % kBytes.size()];
      switch (random() % 3) {
        case 0:
          body[at] = byte;
          break;
        case 1:
          body.insert(at, random() % 3 + 1, byte);
          break;
        default:
          body.erase(at, random() % 5 + 1);
      }
    }
    const Outcome whole = Read(format, body, {}, limits);
    std::vector<std::size_t> cuts;
    for (int i = 0; i < 5; ++i) cuts.push_back(random() % (body.size() + 1));
    std::sort(cuts.begin(), cuts.end());
    const Outcome cut = Read(format, body, cuts, limits);
    ASSERT_EQ(cut.records, whole.records) << body;
    ASSERT_EQ(cut.error, whole.error) << body;
  }
}

}  // namespace
}  // namespace weir
