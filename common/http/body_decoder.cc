#include "common/http/body_decoder.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "common/base/json_text.h"
#include "common/http/http_message.h"

namespace weir {
namespace {

constexpr std::size_t kMaxCodings = 3;
constexpr std::size_t kOutBytes = 16 << 10;
constexpr int kGzipWindow = MAX_WBITS + 16;

Error Damaged(std::string_view why) {
  return MakeError(ErrorClass::kTransient, "the compressed answer cannot be read: " + std::string(why));
}

std::string_view Trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Whether these are the first two bytes of a zlib stream (RFC 1950 §2.2). Servers also send deflate without
// it.
bool IsZlibHeader(unsigned char first, unsigned char second) {
  return (first & 0x0F) == Z_DEFLATED && (first << 8 | second) % 31 == 0;
}

}  // namespace

// One coding.
class BodyDecoder::Stage {
 public:
  explicit Stage(bool gzip) : gzip_(gzip) {}
  ~Stage() {
    if (ready_) inflateEnd(&stream_);
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  // `out` takes pieces: Result<bool>(std::string_view).
  template <typename Out>
  Result<bool> Feed(std::string_view bytes, const Out& out) {
    if (!gzip_ && !open_ && members_ == 0) return BeginDeflate(bytes, out);
    return Inflate(bytes, out);
  }

  // Between two members, or before the first byte.
  bool AtItsEnd() const { return !open_ && head_size_ == 0; }

 private:
  // Zlib's header tells the two forms of deflate apart.
  template <typename Out>
  Result<bool> BeginDeflate(std::string_view bytes, const Out& out) {
    while (!bytes.empty() && head_size_ < head_.size()) {
      head_[head_size_++] = bytes.front();
      bytes.remove_prefix(1);
    }
    if (head_size_ < head_.size()) return true;
    const bool zlib =
        IsZlibHeader(static_cast<unsigned char>(head_[0]), static_cast<unsigned char>(head_[1]));
    if (auto ok = Open(zlib ? MAX_WBITS : -MAX_WBITS); !ok) return Fail(std::move(ok.error()));
    head_size_ = 0;
    auto go = Inflate({head_.data(), head_.size()}, out);
    return go && *go ? Inflate(bytes, out) : go;
  }

  Result<void> Open(int window) {
    const int code = ready_ ? inflateReset2(&stream_, window) : inflateInit2(&stream_, window);
    if (code != Z_OK) return Fail(ErrorClass::kInternal, "zlib could not be set up: out of memory");
    ready_ = open_ = true;
    return {};
  }

  // After a member: another one, or the zeros by which tapes are filled up.
  Result<bool> BeginMember(std::string_view& bytes) {
    if (members_ > 0) bytes.remove_prefix(std::min(bytes.find_first_not_of('\0'), bytes.size()));
    if (bytes.empty()) return false;
    if (!gzip_) return Fail(Damaged("bytes follow its end"));
    if (auto ok = Open(kGzipWindow); !ok) return Fail(std::move(ok.error()));
    return true;
  }

  template <typename Out>
  Result<bool> Inflate(std::string_view bytes, const Out& out) {
    while (!bytes.empty() || more_out_) {
      if (!open_) {
        auto begun = BeginMember(bytes);
        if (!begun) return Fail(std::move(begun.error()));
        if (!*begun) return true;
      }
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
      stream_.avail_in = static_cast<uInt>(bytes.size());
      stream_.next_out = reinterpret_cast<Bytef*>(out_.data());
      stream_.avail_out = static_cast<uInt>(out_.size());
      const int code = inflate(&stream_, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        return Fail(Damaged(code == Z_MEM_ERROR ? "out of memory" : "its bytes are damaged"));
      }
      bytes.remove_prefix(bytes.size() - stream_.avail_in);
      more_out_ = stream_.avail_out == 0 && code != Z_STREAM_END;
      if (code == Z_STREAM_END) {
        open_ = false;
        ++members_;
      }
      const std::size_t had = out_.size() - stream_.avail_out;
      if (had == 0 && code == Z_BUF_ERROR && !bytes.empty()) return Fail(Damaged("its bytes are damaged"));
      if (had == 0) continue;
      auto go = out(std::string_view(out_.data(), had));
      if (!go || !*go) return go;
    }
    return true;
  }

  const bool gzip_;
  z_stream stream_{};
  bool ready_ = false;     // stream_ is set up
  bool open_ = false;      // inside a member
  bool more_out_ = false;  // the output was full: there may be more of the bytes given
  std::uint64_t members_ = 0;
  std::array<char, 2> head_{};  // deflate's first bytes, until there are two
  std::size_t head_size_ = 0;
  std::array<char, kOutBytes> out_;
};

BodyDecoder::BodyDecoder() = default;
BodyDecoder::~BodyDecoder() = default;

Result<std::unique_ptr<BodyDecoder>> BodyDecoder::For(std::string_view content_encoding) {
  std::unique_ptr<BodyDecoder> decoder(new BodyDecoder);
  while (!content_encoding.empty()) {
    const auto comma = content_encoding.find(',');
    const std::string_view coding = Trim(content_encoding.substr(0, comma));
    content_encoding =
        comma == std::string_view::npos ? std::string_view() : content_encoding.substr(comma + 1);
    if (coding.empty() || EqualsIgnoreCase(coding, "identity")) continue;
    const bool gzip = EqualsIgnoreCase(coding, "gzip") || EqualsIgnoreCase(coding, "x-gzip");
    if (!gzip && !EqualsIgnoreCase(coding, "deflate")) {
      return Fail(ErrorClass::kTransient,
                  "the answer's Content-Encoding was not asked for: \"" + Printable(coding, 40) + "\"");
    }
    if (decoder->stages_.size() == kMaxCodings) {
      return Fail(ErrorClass::kTransient, "the answer is compressed more often than any API needs");
    }
    decoder->stages_.insert(decoder->stages_.begin(), std::make_unique<Stage>(gzip));
  }
  if (decoder->stages_.empty()) decoder.reset();
  return decoder;
}

Result<bool> BodyDecoder::FeedFrom(std::size_t stage, std::string_view bytes, const Sink& sink) {
  if (stage == stages_.size()) return sink(bytes);
  return stages_[stage]->Feed(bytes,
                              [&](std::string_view piece) { return FeedFrom(stage + 1, piece, sink); });
}

Result<bool> BodyDecoder::Feed(std::string_view bytes, const Sink& sink) { return FeedFrom(0, bytes, sink); }

Result<void> BodyDecoder::End() const {
  for (const auto& stage : stages_) {
    if (!stage->AtItsEnd()) return Fail(Damaged("it was cut off"));
  }
  return {};
}

}  // namespace weir
