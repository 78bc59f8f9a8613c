#include "common/http/body_decoder.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <optional>
#include <string>
#include <string_view>

#include "common/http/gzip_for_test.h"

namespace weir {
namespace {

struct Decoded {
  std::string text;
  std::optional<ErrorClass> error;
  friend bool operator==(const Decoded&, const Decoded&) = default;
};

// Feeds `bytes` in pieces of `step`.
Decoded Decode(std::string_view coding, std::string_view bytes, std::size_t step = SIZE_MAX) {
  Decoded out;
  auto decoder = BodyDecoder::For(coding);
  if (!decoder) return {"", decoder.error().error_class};
  const BodyDecoder::Sink sink = [&](std::string_view piece) {
    EXPECT_LE(piece.size(), 16U << 10);
    out.text.append(piece);
    return true;
  };
  while (!bytes.empty()) {
    const auto go = (*decoder)->Feed(bytes.substr(0, step), sink);
    if (!go) return {out.text, go.error().error_class};
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
  if (const auto ended = (*decoder)->End(); !ended) out.error = ended.error().error_class;
  return out;
}

std::string Deflate(std::string_view text, int window) {
  z_stream stream{};
  deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
  std::string out(text.size() + 100, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

const std::string kLong = [] {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += std::to_string(i * 7919 % 10'007) + "\n";
  return text;
}();

TEST(BodyDecoder, ReadsEveryMemberOfAGzipBodyHoweverItIsCut) {
  const std::string body = Gzip(kLong, 1) + Gzip("", 1) + Gzip("second\n", 1) + Gzip("third\n", 1);
  const Decoded whole{kLong + "second\nthird\n", std::nullopt};
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, SIZE_MAX}) {
    EXPECT_EQ(Decode("gzip", body, step), whole) << step;
  }
  EXPECT_EQ(Decode("x-gzip", body + std::string(600, '\0')), whole) << "filled up with zeros";
}

TEST(BodyDecoder, ABodyThatIsCutOffAnywhereIsTransient) {
  const std::string body = Gzip("first\n", 1) + Gzip("second\n", 1);
  const std::size_t border = Gzip("first\n", 1).size();
  for (std::size_t size = 1; size < body.size(); ++size) {
    if (size == border) continue;  // two bodies in one: that the second is missing cannot be seen here
    EXPECT_EQ(Decode("gzip", body.substr(0, size)).error, ErrorClass::kTransient) << size;
  }
  for (const int window : {MAX_WBITS, -MAX_WBITS}) {
    const std::string deflated = Deflate("some text, some text", window);
    for (std::size_t size = 1; size < deflated.size(); ++size) {
      EXPECT_EQ(Decode("deflate", deflated.substr(0, size)).error, ErrorClass::kTransient) << size;
    }
  }
}

TEST(BodyDecoder, ReadsDeflateWithZlibsHeaderOrWithout) {
  for (const int window : {MAX_WBITS, -MAX_WBITS}) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{3}, SIZE_MAX}) {
      EXPECT_EQ(Decode("deflate", Deflate(kLong, window), step), (Decoded{kLong, std::nullopt}));
    }
    EXPECT_EQ(Decode("deflate", Deflate("a", window) + "b").error, ErrorClass::kTransient);
  }
}

TEST(BodyDecoder, TakesSeveralCodingsOffInTurn) {
  EXPECT_EQ(Decode("gzip, gzip", Gzip(Gzip(kLong, 1), 1)), (Decoded{kLong, std::nullopt}));
  EXPECT_EQ(Decode("deflate,  GZIP", Gzip(Deflate("a", MAX_WBITS), 1), 1), (Decoded{"a", std::nullopt}));
  EXPECT_EQ(Decode("gzip,gzip,gzip,gzip", "").error, ErrorClass::kTransient);
}

TEST(BodyDecoder, WhatIsNotCompressedNeedsNone) {
  for (const char* coding : {"", "identity", " , identity"}) {
    const auto decoder = BodyDecoder::For(coding);
    ASSERT_TRUE(decoder) << coding;
    EXPECT_EQ(*decoder, nullptr) << coding;
  }
  EXPECT_EQ(Decode("gzip", ""), Decoded{}) << "a body without a byte";
  for (const char* coding : {"br", "utf-8", "gzip, zstd"}) {
    EXPECT_EQ(Decode(coding, "").error, ErrorClass::kTransient) << coding;
  }
}

TEST(BodyDecoder, DamagedBytesAreTransient) {
  EXPECT_EQ(Decode("gzip", "{\"id\":\"plain\"}\n").error, ErrorClass::kTransient);
  EXPECT_EQ(Decode("gzip", Gzip("a", 1) + "trailing").error, ErrorClass::kTransient);
  std::string body = Gzip(kLong, 1);
  body[body.size() / 2] = static_cast<char>(body[body.size() / 2] ^ 1);
  EXPECT_EQ(Decode("gzip", body).error, ErrorClass::kTransient) << "its checksum is wrong";
}

TEST(BodyDecoder, StopsWhenTheSinkSaysSo) {
  auto decoder = BodyDecoder::For("gzip, gzip");
  int pieces = 0;
  const auto go = (*decoder)->Feed(Gzip(Gzip(kLong, 1), 1), [&](std::string_view) { return ++pieces < 2; });
  ASSERT_TRUE(go);
  EXPECT_FALSE(*go);
  EXPECT_EQ(pieces, 2);
}

}  // namespace
}  // namespace weir
