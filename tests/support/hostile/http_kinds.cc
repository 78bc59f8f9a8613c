#include <fmt/core.h>

#include <array>

#include "tests/support/hostile/kinds.h"
#include "tests/support/hostile/page_text.h"

namespace weir::sim {
namespace {

using Framing = WireAnswer::Framing;

template <std::size_t N>
int Any(Meddling& m, const std::array<int, N>& of) {
  return of[m.Draw(N)];
}

void RetryAfter(WireAnswer& a, Meddling& m) {
  // A whole second is dear in a test, so it is rare.
  static constexpr std::array<const char*, 9> kValues{
      "", "0", "-1", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", "1.5.2", "", "\xFF\xFE", "1"};
  const std::size_t drawn = m.Draw(24);
  const char* value = kValues[drawn == 0 ? 8 : drawn % 8];
  if (*value != '\0') a.SetHeader("Retry-After", value);
}

void ErrorBody(WireAnswer& a, Meddling& m, int status) {
  a.SetStatus(status);
  a.RemoveHeader("ETag");
  a.RemoveHeader("Last-Modified");
  switch (m.Draw(4)) {
    case 0:
      a.body = fmt::format(R"({{"statusCode":{},"message":"no"}})", status);
      break;
    case 1:
      a.body.clear();
      break;
    case 2:
      a.body = "upstream connect error \x1B[31m or disconnect/reset before headers";
      a.SetHeader("Content-Type", "text/plain");
      break;
    default:
      break;  // the true body under an untrue status
  }
}

bool Informational(WireAnswer& a, Meddling& m) {
  a.before = m.Draw(2) == 0 ? "HTTP/1.1 103 Early Hints\r\nETag: \"early\"\r\nLink: </x>\r\n\r\n"
                            : "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
  return true;
}

// Part of the records under a status that tells so, and that alone.
bool OtherSuccess(WireAnswer& a, Meddling& m) {
  const int status = Any(m, std::array{201, 202, 203, 204, 205, 206, 206, 207, 226, 299});
  a.SetStatus(status);
  if (status == 204) {
    a.framing = Framing::kNoBody;
    return true;
  }
  const std::size_t size = a.body.size();
  if (auto page = TakeApart(m.path_class, a.body)) {
    if (m.Draw(4) != 0) page->records.resize(m.Draw(page->records.size()));
    a.body = page->Text();
  } else if (m.Draw(3) == 0) {
    a.body.clear();
  }
  if (status == 206) a.SetHeader("Content-Range", fmt::format("bytes 0-{}/{}", a.body.size(), size + 1));
  return true;
}

bool NotModifiedUnasked(WireAnswer& a, Meddling& m) {
  if (!m.request.Header("If-None-Match").empty() || !m.request.Header("If-Modified-Since").empty())
    return false;
  a.SetStatus(304);
  a.framing = Framing::kNoBody;
  return true;
}

bool Redirect(WireAnswer& a, Meddling& m) {
  a.SetStatus(Any(m, std::array{301, 302, 303, 307, 308, 300, 305}));
  static constexpr std::array<const char*, 7> kOdd{
      "", "//127.0.0.2:1/x", "http://127.0.0.2:1/", "?", "http://[::1", "file:///etc/passwd", "\xC3\xA9"};
  const std::size_t which = m.Draw(14);
  a.SetHeader("Location", which < kOdd.size() ? kOdd[which] : m.origin + m.request.target);
  if (which == 13) a.RemoveHeader("Location");
  a.body = "<a href=x>moved</a>";
  return true;
}

bool ClientError(WireAnswer& a, Meddling& m) {
  ErrorBody(a, m, Any(m, std::array{400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414,
                                    415, 416, 417, 418, 421, 422, 424, 425, 426, 428, 431, 451, 499}));
  return true;
}

bool ServerError(WireAnswer& a, Meddling& m) {
  ErrorBody(a, m,
            Any(m, std::array{500, 501, 502, 503, 504, 505, 507, 508, 510, 511, 520, 522, 524, 530, 599}));
  RetryAfter(a, m);
  return true;
}

bool Throttled(WireAnswer& a, Meddling& m) {
  ErrorBody(a, m, 429);
  RetryAfter(a, m);
  return true;
}

bool OddStatusLine(WireAnswer& a, Meddling& m) {
  static constexpr std::array<const char*, 7> kLines{
      "HTTP/1.1 999 Blocked", "HTTP/1.1 600 ",   "HTTP/1.1 200", "HTTP/1.0 200 OK",
      "HTTP/1.1 20 OK",       "HTTP/3.7 200 OK", "ICY 200 OK"};
  a.status_line = kLines[m.Draw(kLines.size())];
  a.keep = false;
  return true;
}

bool CutHead(WireAnswer& a, Meddling& m) {
  a.cut_head = m.Draw(120);
  a.reset = m.Draw(2) == 0;
  return true;
}

bool CutBody(WireAnswer& a, Meddling& m) {
  a.cut_body = m.Draw(a.body.size());
  a.framing = m.Draw(2) == 0 ? Framing::kLength : Framing::kChunked;
  a.reset = m.Draw(3) == 0;
  a.bad_chunk = a.framing == Framing::kChunked && m.Draw(4) == 0;
  return !a.body.empty();
}

bool CutWithoutLength(WireAnswer& a, Meddling& m) {
  a.framing = Framing::kUntilClose;
  a.cut_body = PlaceInside(a.body, m.Draw(1 << 20));
  return a.cut_body.has_value();
}

bool ShortLength(WireAnswer& a, Meddling& m) {
  a.length_says = PlaceInside(a.body, m.Draw(1 << 20));
  return a.length_says.has_value();
}

bool LongLength(WireAnswer& a, Meddling& m) {
  a.length_says = a.body.size() + 1 + m.Draw(1000);
  return true;
}

bool TwoFramings(WireAnswer& a, Meddling& m) {
  if (m.Draw(2) == 0) {
    a.framing = Framing::kChunked;
    a.more_framing = "Content-Length: 7\r\n";
  } else {
    a.more_framing = fmt::format("Content-Length: {}\r\n", a.body.size() + 5);
  }
  return true;
}

bool Stall(WireAnswer& a, Meddling& m) {
  a.cut_body = m.Draw(a.body.size());
  a.stall = true;
  return !a.body.empty();
}

bool Drip(WireAnswer& a, Meddling& m) {
  a.pieces = 2 + m.Draw(30);
  a.framing = m.Draw(2) == 0 ? Framing::kChunked : Framing::kUntilClose;
  return true;
}

bool NoReply(WireAnswer& a, Meddling& m) {
  a.cut_head = 0;
  a.reset = m.Draw(2) == 0;
  return true;
}

}  // namespace

const std::vector<Kind>& HttpKinds() {
  static const std::vector<Kind> kKinds{
      {"informational", 2, Informational},
      {"other_success", 6, OtherSuccess},
      {"not_modified_unasked", 3, NotModifiedUnasked},
      {"redirect", 2, Redirect},
      {"client_error", 2, ClientError},
      {"server_error", 8, ServerError},
      {"throttled", 6, Throttled},
      {"odd_status_line", 2, OddStatusLine},
      {"cut_head", 4, CutHead},
      {"cut_body", 6, CutBody},
      {"cut_without_length", 4, CutWithoutLength},
      {"short_length", 3, ShortLength},
      {"long_length", 2, LongLength},
      {"two_framings", 1, TwoFramings},
      {"stall", 1, Stall},
      {"drip", 3, Drip},
      {"no_reply", 3, NoReply},
  };
  return kKinds;
}

}  // namespace weir::sim
