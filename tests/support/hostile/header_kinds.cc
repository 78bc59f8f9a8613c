// Codings, headers and types: what stands around a body, and how its bytes are written.
#include <fmt/core.h>

#include <array>

#include "tests/support/hostile/coding.h"
#include "tests/support/hostile/kinds.h"

namespace weir::sim {
namespace {

bool Coded(WireAnswer& a, Meddling& m) {
  const std::size_t which = m.Draw(3);
  a.body = Encode(a.body, which == 0 ? Coding::kGzip : which == 1 ? Coding::kZlib : Coding::kRawDeflate);
  a.SetHeader("Content-Encoding", which == 0 ? "gzip" : "deflate");
  return true;
}

bool SeveralMembers(WireAnswer& a, Meddling& m) {
  std::string coded;
  std::string_view rest = a.body;
  while (!rest.empty()) {
    const std::size_t size = 1 + m.Draw(rest.size());
    coded += Encode(rest.substr(0, size), Coding::kGzip);
    rest.remove_prefix(size);
  }
  a.body = coded;
  a.SetHeader("Content-Encoding", "gzip");
  return !coded.empty();
}

// The bytes end where Content-Length says, and the coded stream does not.
bool CutCoding(WireAnswer& a, Meddling& m) {
  a.body = Encode(a.body, Coding::kGzip);
  a.SetHeader("Content-Encoding", "gzip");
  a.body.resize(10 + m.Draw(a.body.size() - 10));
  return true;
}

bool WrongCoding(WireAnswer& a, Meddling& m) {
  switch (m.Draw(5)) {
    case 0:  // named, not done
      a.SetHeader("Content-Encoding", "gzip");
      break;
    case 1:  // done, not named
      a.body = Encode(a.body, Coding::kGzip);
      break;
    case 2:
      a.SetHeader("Content-Encoding", "br");
      break;
    case 3: {  // a check sum that is not right
      a.body = Encode(a.body, Coding::kGzip);
      a.body[a.body.size() - 6] = static_cast<char>(a.body[a.body.size() - 6] ^ 0x5A);
      a.SetHeader("Content-Encoding", "gzip");
      break;
    }
    default:
      a.SetHeader("Content-Encoding", "identity");
  }
  return true;
}

bool OddHeaderBytes(WireAnswer& a, Meddling& m) {
  a.SetHeader("ETag", m.Draw(2) == 0 ? "\"caf\xE9\"" : "W/\"\x80\xFF\"");
  a.SetHeader("Last-Modified", "\xA0Sun, 06 Nov\t1994");
  a.SetHeader("X-\xC3\xA9", "\xED\xA0\x80");
  a.SetHeader("Date", "Mon, 99 Foo 2026 25:61:61 GMT");
  return true;
}

bool ManyHeaders(WireAnswer& a, Meddling& m) {
  const std::size_t count = m.Draw(2) == 0 ? 60 : 3'000;
  for (std::size_t i = 0; i < count; ++i)
    a.headers.push_back({fmt::format("X-H{}", i), std::string(60, 'v')});
  return true;
}

bool FoldedHeaders(WireAnswer& a, Meddling&) {
  a.headers.push_back({"X-Folded", "one\r\n two\r\n\tthree"});
  a.headers.push_back({"x-EMPTY", ""});
  a.headers.push_back({"Set-Cookie", "secret=1"});
  for (HttpHeader& h : a.headers) {
    if (h.name == "Content-Type") h.name = "cOnTeNt-TyPe";
  }
  return true;
}

// Such as would make a client wait would make the test wait.
bool OddRateLimits(WireAnswer& a, Meddling& m) {
  static constexpr std::array<const char*, 5> kValues{"-1", "abc", "99999999999999999999", "1;q=\"", "\xFF"};
  a.SetHeader("X-RateLimit-Limit", kValues[m.Draw(5)]);
  a.SetHeader("RateLimit", kValues[m.Draw(5)]);
  a.SetHeader("RateLimit-Policy", kValues[m.Draw(5)]);
  a.SetHeader("X-RateLimit-Remaining", "1000000");
  return true;
}

bool OddType(WireAnswer& a, Meddling& m) {
  static constexpr std::array<const char*, 5> kTypes{"text/plain", "application/octet-stream", "", ";;;",
                                                     "text/html"};
  a.SetHeader("Content-Type", kTypes[m.Draw(kTypes.size())]);
  return true;
}

bool WebPage(WireAnswer& a, Meddling& m) {
  a.SetHeader("Content-Type", m.Draw(2) == 0 ? "text/html" : "application/json");
  a.body = "<!DOCTYPE html><html><body>Just a moment\xE2\x80\xAE...</body></html>";
  return true;
}

}  // namespace

const std::vector<Kind>& HeaderKinds() {
  static const std::vector<Kind> kKinds{
      {"coded", 4, Coded},
      {"several_members", 3, SeveralMembers},
      {"cut_coding", 3, CutCoding},
      {"wrong_coding", 3, WrongCoding},
      {"odd_header_bytes", 3, OddHeaderBytes},
      {"many_headers", 2, ManyHeaders},
      {"folded_headers", 2, FoldedHeaders},
      {"odd_rate_limits", 2, OddRateLimits},
      {"odd_type", 3, OddType},
      {"web_page", 2, WebPage},
  };
  return kKinds;
}

}  // namespace weir::sim
