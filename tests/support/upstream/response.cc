#include "tests/support/upstream/response.h"

#include <fmt/core.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <limits>

#include "tests/support/upstream/hash.h"

namespace weir::sim {
namespace {

using Kind = Fault::Kind;
constexpr std::size_t kBuffer = 64 * 1024;
constexpr std::size_t kTail = 512;  // of a large piece, kept back for End()

std::string_view Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 404:
      return "Not Found";
    case 429:
      return "Too Many Requests";
    default:
      return "Status";
  }
}

std::string_view HtmlPage() {
  return "<!DOCTYPE html><html lang=\"en\"><head><title>Just a moment...</title></head>"
         "<body><h1>Page not found</h1><p>Something is missing here.</p></body></html>\n";
}

}  // namespace

// zlib's stream, as gzip.
class Response::Gzip {
 public:
  Gzip() { deflateInit2(&stream_, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY); }
  ~Gzip() { deflateEnd(&stream_); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  std::string Add(std::string_view data, bool last) {
    std::string out;
    std::array<char, 16 * 1024> buffer;
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    stream_.avail_in = static_cast<uInt>(data.size());
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(buffer.data());
      stream_.avail_out = static_cast<uInt>(buffer.size());
      deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
      out.append(buffer.data(), buffer.size() - stream_.avail_out);
    } while (stream_.avail_out == 0);
    return out;
  }

 private:
  z_stream stream_{};
};

Response::Response(Connection& connection, const Request& request, std::optional<Fault> fault,
                   const Faults& faults)
    : connection_(connection),
      faults_(faults),
      fault_(std::move(fault)),
      released_before_(faults.Released()) {
  keep_alive_ = request.Header("Connection") != "close";
  if (Is(Kind::kGzip) || Is(Kind::kGzipBomb)) gzip_ = std::make_unique<Gzip>();
}

Response::~Response() = default;

bool Response::Dead() {
  alive_ = false;
  return false;
}

void Response::Header(std::string name, std::string value) {
  headers_.push_back({std::move(name), std::move(value)});
}

bool Response::Send(int status, std::string_view content_type, std::string_view body) {
  return Begin(status, content_type, body.size()) && Write(body) && End();
}

bool Response::Begin(int status, std::string_view content_type, std::optional<std::uint64_t> length) {
  if (fault_ && fault_->after < 0 && !Strike()) return false;
  status_ = status;
  if (Is(Kind::kContentType)) content_type = fault_->content_type;
  if (gzip_) Header("Content-Encoding", "gzip");
  bool sized = length.has_value() && !gzip_ && !Is(Kind::kEndless);
  std::uint64_t size = length.value_or(0);
  bool until_close = false;
  if (Is(Kind::kTruncate)) {
    until_close = fault_->framing == "close";
    sized = fault_->framing == "length";
    size = static_cast<std::uint64_t>(fault_->after) + 1'000'000;
  }
  chunked_ = !sized && !until_close && status != 304;
  if (until_close) keep_alive_ = false;
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", status, Reason(status));
  if (!content_type.empty()) head += fmt::format("Content-Type: {}\r\n", content_type);
  for (const HttpHeader& h : headers_) head += h.name + ": " + h.value + "\r\n";
  if (chunked_) head += "Transfer-Encoding: chunked\r\n";
  if (sized && status != 304) head += fmt::format("Content-Length: {}\r\n", size);
  if (!keep_alive_) head += "Connection: close\r\n";
  head += "\r\n";
  if (status == 304 && ticket_ != nullptr) ticket_->Leave();
  // A head alone would cost a packet of its own: it leaves with the first of the body, unless that may be
  // slow.
  if (!connection_.Send(head)) return Dead();
  if (Is(Kind::kGzipBomb)) return Bomb();
  if (Is(Kind::kEndless)) return Endless();
  return true;
}

bool Response::Write(std::string_view data) {
  if (!alive_ || data.empty()) return alive_;
  if (gzip_) return Emit(gzip_->Add(data, false));
  return Emit(data);
}

bool Response::Emit(std::string_view data) {
  const bool cuts = Is(Kind::kTruncate) || Is(Kind::kReset) || Is(Kind::kStall);
  if (cuts && !struck_) {
    const std::uint64_t left =
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, fault_->after)) - body_bytes_;
    if (data.size() >= left) {
      if (!Deliver(data.substr(0, left)) || !Strike()) return false;
      data.remove_prefix(left);
    }
  }
  return Is(Kind::kTrickle) ? Trickle(data) : Deliver(data);
}

bool Response::Strike() {
  struck_ = true;
  if (Is(Kind::kStall)) {
    // Read before anything is seen of this answer: a test may release it as soon as it knows of the request,
    // or as soon as it sees the first bytes.
    const std::uint64_t released = fault_->after < 0 ? released_before_ : faults_.Released();
    return Flush() && Stall(released);
  }
  if (Is(Kind::kTruncate) && fault_->framing == "valid") {
    fault_.reset();
    End();
    keep_alive_ = false;
    return Dead();
  }
  if (!Flush()) return false;
  if (Is(Kind::kReset)) connection_.ResetOnClose();
  return Dead();
}

bool Response::Stall(std::uint64_t before) {
  while (faults_.Released() == before) {
    if (!connection_.Sleep(std::chrono::milliseconds(5))) return Dead();
  }
  return true;
}

bool Response::Trickle(std::string_view data) {
  while (!data.empty()) {
    const auto n = std::min<std::size_t>(data.size(), static_cast<std::size_t>(fault_->bytes));
    if (!Deliver(data.substr(0, n)) || !Flush()) return false;
    data.remove_prefix(n);
    if (!connection_.Sleep(std::chrono::milliseconds(fault_->interval_ms))) return Dead();
  }
  return true;
}

bool Response::Deliver(std::string_view data) {
  body_bytes_ += data.size();
  if (pending_.size() + data.size() <= kBuffer) {
    pending_.append(data);
    return true;
  }
  const std::size_t tail = std::min(data.size(), kTail);
  if (!SendFramed(pending_, data.substr(0, data.size() - tail))) return false;
  pending_ = data.substr(data.size() - tail);
  return true;
}

bool Response::SendFramed(std::string_view a, std::string_view b) {
  if (a.size() + b.size() == 0) return alive_;
  const bool sent = chunked_ ? connection_.Send(fmt::format("{:x}\r\n", a.size() + b.size()), a, b, "\r\n")
                             : connection_.Send(a, b, {});
  return sent || Dead();
}

bool Response::Flush() {
  if (!alive_) return false;
  const bool sent = SendFramed(pending_, {});
  pending_.clear();
  return sent;
}

bool Response::End() {
  if (!alive_) return false;
  if (gzip_ && !Emit(gzip_->Add({}, true))) return false;
  if (fault_ && !struck_ && (Is(Kind::kTruncate) || Is(Kind::kReset))) return Strike();
  if (ticket_ != nullptr) ticket_->Leave();
  std::string last;
  if (chunked_ && !pending_.empty()) last = fmt::format("{:x}\r\n{}\r\n", pending_.size(), pending_);
  if (!chunked_) last = std::move(pending_);
  if (chunked_) last += "0\r\n\r\n";
  pending_.clear();
  return connection_.Send(last) || Dead();
}

bool Response::Bomb() {
  const std::string spaces(1 << 20, ' ');
  const std::int64_t amount = fault_->amount > 0 ? fault_->amount : std::int64_t{2} << 30;
  for (std::int64_t sent = 0; sent < amount; sent += static_cast<std::int64_t>(spaces.size())) {
    if (!Write(spaces)) return false;
  }
  End();
  return Dead();
}

bool Response::Endless() {
  std::string piece(kBuffer, fault_->with == "one_record" ? 'x' : ' ');
  if (fault_->with == "records") piece.clear();
  const std::int64_t amount = fault_->amount > 0 ? fault_->amount : std::numeric_limits<std::int64_t>::max();
  if (fault_->with == "one_record" && !Write("{\"id\":\"poison98\",\"x\":\"")) return false;
  for (std::uint64_t i = 0; body_bytes_ < static_cast<std::uint64_t>(amount); ++i) {
    if (fault_->with == "records")
      piece = fmt::format("{{\"id\":\"e{:07}\",\"createdAt\":1600000000000}}\n", i);
    if (!Write(piece)) return false;
  }
  End();
  return Dead();
}

bool Response::TakeOver(std::int64_t now_ms) {
  if (!fault_) return false;
  switch (fault_->kind) {
    case Kind::kStatus: {
      std::string retry = fault_->retry_after;
      if (retry.rfind("date:", 0) == 0)
        retry = HttpDate(now_ms + 1000 * std::strtoll(retry.c_str() + 5, nullptr, 10));
      if (!retry.empty()) Header("Retry-After", retry);
      for (const HttpHeader& h : fault_->headers) Header(h.name, h.value);
      const std::string_view type = fault_->content_type;
      const std::string body =
          fault_->body.empty() ? fmt::format("{{\"error\":\"Error {}\"}}", fault_->status) : fault_->body;
      Send(fault_->status, type.empty() ? "application/json" : type, body);
      return true;
    }
    case Kind::kHtml:
      Send(fault_->status, "text/html; charset=utf-8", HtmlPage());
      return true;
    case Kind::kFake404:
      Send(404, "text/html; charset=utf-8", HtmlPage());
      return true;
    case Kind::kRedirect:
      Header("Location", fault_->location);
      Send(fault_->status, "text/html", "");
      return true;
    default:
      return false;
  }
}

}  // namespace weir::sim
