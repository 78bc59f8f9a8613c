#include "common/http/origin.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "common/base/json_text.h"
#include "common/http/http_message.h"

namespace weir {
namespace {

constexpr std::size_t kMaxUrlBytes = 16 << 10;

struct UrlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UrlHandle = std::unique_ptr<CURLU, UrlFree>;

// "" when the URL has no such part: none of ours is told apart from an empty one.
std::string Part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string out(text);
  curl_free(text);
  return out;
}

struct Url {
  std::string scheme;
  std::string host;
  std::string port;
  std::string path;
  std::string query;

  bool SameOriginAs(const Url& other) const {
    return EqualsIgnoreCase(scheme, other.scheme) && EqualsIgnoreCase(host, other.host) && port == other.port;
  }
};

// Bytes that parsers disagree about: a browser takes a backslash for a slash and drops tabs.
bool HasForbiddenBytes(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte == 0x7F || c == '\\';
  });
}

Url Read(CURLU* handle) {
  return {Part(handle, CURLUPART_SCHEME), Part(handle, CURLUPART_HOST),
          Part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT), Part(handle, CURLUPART_PATH),
          Part(handle, CURLUPART_QUERY)};
}

// Parses `text`, or resolves it against `handle`'s URL when it has one.
std::optional<Url> Parse(CURLU* handle, std::string_view text) {
  if (text.size() > kMaxUrlBytes || HasForbiddenBytes(text)) return std::nullopt;
  if (curl_url_set(handle, CURLUPART_URL, std::string(text).c_str(), CURLU_DISALLOW_USER) != CURLUE_OK) {
    return std::nullopt;
  }
  Url url = Read(handle);
  if (!EqualsIgnoreCase(url.scheme, "http") && !EqualsIgnoreCase(url.scheme, "https")) return std::nullopt;
  if (url.host.empty()) return std::nullopt;
  return url;
}

std::optional<Url> ParseAlone(std::string_view text) {
  // Without a scheme curl would guess one.
  if (text.find("://") == std::string_view::npos) return std::nullopt;
  const UrlHandle handle(curl_url());
  return handle ? Parse(handle.get(), text) : std::nullopt;
}

std::string_view WithoutSlash(std::string_view text) {
  while (!text.empty() && text.back() == '/') text.remove_suffix(1);
  return text;
}

// The path below the prefix, or nothing when it is not below: "/api" holds "/api/x", not "/apix".
std::optional<std::string_view> Below(std::string_view prefix, std::string_view path) {
  prefix = WithoutSlash(prefix);
  if (path.substr(0, prefix.size()) != prefix) return std::nullopt;
  path.remove_prefix(prefix.size());
  if (path.empty()) return std::string_view("/");
  if (path.front() != '/') return std::nullopt;
  return path;
}

// curl 7.88 resolves "..", but sends "%2e%2e" for the server to resolve.
bool HasEncodedDots(std::string_view path) {
  std::string plain;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool dot = EqualsIgnoreCase(path.substr(i, 3), "%2e");
    plain += dot ? '.' : path[i];
    if (dot) i += 2;
  }
  plain += '/';
  return plain.find("/../") != std::string::npos || plain.find("/./") != std::string::npos;
}

Result<Url> ParseBase(std::string_view base_url) {
  const std::optional<Url> base = ParseAlone(base_url);
  if (!base || base_url.find_first_of("?#") != std::string_view::npos) {
    return Fail(ErrorClass::kConfig, "base_url is not a plain http or https URL",
                "Write it like https://host or https://host/path, without user, query and fragment.");
  }
  return *base;
}

tl::unexpected<Error> Foreign(const Url& base, const Url& other) {
  std::string what = "the upstream points to another origin: host " + Printable(other.host, 255);
  if (EqualsIgnoreCase(base.host, other.host)) what += " over " + other.scheme + " on port " + other.port;
  // Maintenance pages and logins are answered so for a while.
  return Fail(ErrorClass::kTransient, what + "; not followed",
              "If the API has moved there, set the source's base_url.");
}

}  // namespace

Result<std::string> JoinUrl(std::string_view base_url, std::string_view target) {
  const Result<Url> base = ParseBase(base_url);
  if (!base) return tl::unexpected<Error>(base.error());
  if (target.empty() || target.front() != '/') {
    return Fail(ErrorClass::kInvalid, "a request's target does not begin with a slash");
  }
  std::string joined(WithoutSlash(base_url));
  joined += target;
  const std::optional<Url> url = ParseAlone(joined);
  if (!url || !url->SameOriginAs(*base) || target.find('#') != std::string_view::npos) {
    return Fail(ErrorClass::kInvalid, "a request's target is not a path and query");
  }
  // curl resolves "/../" before it sends.
  if (!Below(base->path, url->path) || HasEncodedDots(url->path)) {
    return Fail(ErrorClass::kInvalid, "a request's target leaves the path of base_url");
  }
  return joined;
}

bool SameOrigin(std::string_view a, std::string_view b) {
  const std::optional<Url> left = ParseAlone(a);
  const std::optional<Url> right = ParseAlone(b);
  return left && right && left->SameOriginAs(*right);
}

Result<std::string> TargetWithin(std::string_view base_url, std::string_view location,
                                 std::string_view from_target) {
  const Result<Url> base = ParseBase(base_url);
  if (!base) return tl::unexpected<Error>(base.error());
  const Result<std::string> from = JoinUrl(base_url, from_target);
  if (!from) return tl::unexpected<Error>(from.error());
  const UrlHandle handle(curl_url());
  if (!handle || !Parse(handle.get(), *from)) {
    return Fail(ErrorClass::kInvalid, "a request's target is not a path and query");
  }
  const std::optional<Url> url = location.empty() ? std::nullopt : Parse(handle.get(), location);
  if (!url)
    return Fail(ErrorClass::kInvalid,
                "the upstream points to something that is not a plain http or https URL");
  if (!url->SameOriginAs(*base)) return Foreign(*base, *url);
  const std::optional<std::string_view> below = Below(base->path, url->path);
  if (!below || HasEncodedDots(*below)) {
    return Fail(ErrorClass::kInvalid, "the upstream points out of the path of base_url; not followed");
  }
  std::string target(*below);
  if (!url->query.empty()) target += "?" + url->query;
  return target;
}

std::string HostOf(std::string_view url) {
  const std::optional<Url> parsed = ParseAlone(url);
  return parsed ? Printable(parsed->host, 255) : std::string();
}

}  // namespace weir
