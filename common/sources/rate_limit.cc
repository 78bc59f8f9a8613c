#include "common/sources/rate_limit.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "common/sources/http_date.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongest{366LL * 86'400'000};
constexpr std::int64_t kMostTold = 1'000'000'000;     // requests in a window
constexpr std::size_t kMaxMembers = 32;               // of one structured header
constexpr std::int64_t kUnixSeconds = 1'000'000'000;  // a reset from here on is a point in time
constexpr std::int64_t kUnixMillis = 1'000'000'000'000;

std::string_view Trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// A whole number ≥ 0; what does not fit is the greatest that does.
std::optional<std::int64_t> Count(std::string_view text) {
  text = Trim(text);
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  static_cast<void>(end);
  return error == std::errc() ? value : INT64_MAX;
}

std::optional<milliseconds> Positive(milliseconds time) {
  if (time <= milliseconds(0)) return std::nullopt;
  return std::min(time, kLongest);
}

// Seconds, with a fraction where there is one.
std::optional<milliseconds> Seconds(std::string_view text) {
  text = Trim(text);
  const auto point = text.find('.');
  const auto whole = Count(text.substr(0, point));
  if (!whole) return std::nullopt;
  std::int64_t ms = std::min<std::int64_t>(*whole, kLongest.count()) * 1000;
  if (point != std::string_view::npos) {
    const auto fraction = Count((std::string(text.substr(point + 1)) + "000").substr(0, 3));
    if (!fraction) return std::nullopt;
    ms += *fraction;
  }
  return Positive(milliseconds(ms));
}

std::optional<milliseconds> Reset(std::string_view text, std::int64_t now_ms) {
  text = Trim(text);
  const auto number = Count(text.substr(0, text.find('.')));
  if (!number) {
    const auto date = ParseHttpDate(text, now_ms);
    return date && *date > now_ms ? Positive(milliseconds(*date - now_ms)) : std::nullopt;
  }
  if (*number >= kUnixMillis)
    return *number > now_ms ? Positive(milliseconds(*number - now_ms)) : std::nullopt;
  if (*number >= kUnixSeconds) return Positive(milliseconds(*number * 1000 - now_ms));
  return Seconds(text);
}

// Splits at `separator` outside of quoted strings.
std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  bool quoted = false;
  std::size_t from = 0;
  for (std::size_t i = 0; i < text.size() && parts.size() < kMaxMembers; ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && text[i] == separator) {
      parts.push_back(Trim(text.substr(from, i - from)));
      from = i + 1;
    }
  }
  if (parts.size() < kMaxMembers) parts.push_back(Trim(text.substr(std::min(from, text.size()))));
  return parts;
}

// What the headers told so far, window by window. The name is the policy's, or the word of its length, or "".
struct Told {
  std::int64_t now_ms;
  std::map<std::string, RateWindow, std::less<>> windows;
  std::map<std::string, bool, std::less<>> other_unit;

  RateWindow& Of(const std::string& name) {
    static constexpr std::size_t kMaxNames = 4 * kMaxRateWindows;
    return windows.size() < kMaxNames || windows.contains(name) ? windows[name] : windows.begin()->second;
  }
};

// One item of RateLimit or RateLimit-Policy with its parameters: "name";q=100;w=60.
void ReadItem(std::string_view item, Told& told) {
  const auto parts = Split(item, ';');
  std::string name(parts.front());
  RateWindow window;
  bool requests = true;
  // The oldest form of a policy names it by its quota: 100;w=60.
  if (const auto quota = Count(name)) {
    window.limit = quota;
    name.clear();
  }
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const auto equals = parts[i].find('=');
    if (equals == std::string_view::npos) continue;
    const std::string key = Lower(Trim(parts[i].substr(0, equals)));
    const std::string_view value = Trim(parts[i].substr(equals + 1));
    if (key == "q") window.limit = Count(value);
    if (key == "r") window.remaining = Count(value);
    if (key == "w") window.window = Seconds(value);
    if (key == "t") window.reset = Seconds(value);
    if (key == "qu") requests = value == "\"requests\"";
  }
  if (!requests) told.other_unit[name] = true;
  RateWindow& known = told.Of(name);
  if (window.limit) known.limit = window.limit;
  if (window.remaining) known.remaining = window.remaining;
  if (window.window && !known.window) known.window = window.window;
  if (window.reset) known.reset = window.reset;
}

// RateLimit and RateLimit-Policy, in the forms of all drafts.
void ReadStructured(std::string_view value, Told& told) {
  for (const std::string_view member : Split(value, ',')) {
    const auto equals = member.find('=');
    const auto semicolon = member.find(';');
    if (equals == std::string_view::npos || semicolon < equals) {
      if (!member.empty()) ReadItem(member, told);
      continue;
    }
    const std::string key = Lower(Trim(member.substr(0, equals)));
    const std::string_view number = Trim(member.substr(equals + 1, semicolon - equals - 1));
    RateWindow& window = told.Of("");
    if (key == "limit") window.limit = Count(number);
    if (key == "remaining") window.remaining = Count(number);
    if (key == "reset") window.reset = Seconds(number);
  }
}

struct Word {
  std::string_view word;
  milliseconds length;
};
constexpr std::array<Word, 9> kLengths = {{{"second", milliseconds(1'000)},
                                           {"minute", milliseconds(60'000)},
                                           {"minutely", milliseconds(60'000)},
                                           {"hour", milliseconds(3'600'000)},
                                           {"hourly", milliseconds(3'600'000)},
                                           {"day", milliseconds(86'400'000)},
                                           {"daily", milliseconds(86'400'000)},
                                           {"month", milliseconds(31LL * 86'400'000)},
                                           {"monthly", milliseconds(31LL * 86'400'000)}}};

// A header made of words: what it tells and of which window. Unknown words make it somebody else's.
void ReadWords(std::string_view words, std::string_view value, Told& told) {
  std::string kind;
  const Word* length = nullptr;
  for (const std::string_view word : Split(words, '-')) {
    const auto known =
        std::find_if(kLengths.begin(), kLengths.end(), [&](const Word& w) { return w.word == word; });
    if (known != kLengths.end()) {
      length = &*known;
    } else {
      kind += (kind.empty() ? "" : "-") + std::string(word);
    }
  }
  static constexpr std::string_view kKinds[] = {
      "limit", "max", "remaining", "reset", "reset-after", "interval-milliseconds", "interval"};
  if (std::find(std::begin(kKinds), std::end(kKinds), kind) == std::end(kKinds)) return;
  RateWindow& window = told.Of(length != nullptr ? std::string(length->word.substr(0, 3)) : "");
  if (length != nullptr) window.window = length->length;
  // RateLimit-Limit may list its policies after the number: 100, 100;w=60.
  const auto parts = Split(value, ',');
  if (kind == "limit" || kind == "max") {
    window.limit = Count(Split(parts.front(), ';').front());
    for (std::size_t i = 1; i < parts.size(); ++i) {
      if (Count(Split(parts[i], ';').front()) == window.limit) ReadItem(parts[i], told);
    }
  }
  if (kind == "remaining") window.remaining = Count(parts.front());
  if (kind == "reset") window.reset = Reset(value, told.now_ms);
  if (kind == "reset-after") window.reset = Seconds(value);
  if (kind == "interval") window.window = Seconds(value);
  if (kind == "interval-milliseconds") {
    const auto ms = Count(value);
    window.window = ms ? Positive(milliseconds(std::min(*ms, kLongest.count()))) : std::nullopt;
  }
}

void ReadHeader(const HttpHeader& header, Told& told) {
  const std::string name = Lower(header.name);
  if (name == "ratelimit" || name == "ratelimit-policy") return ReadStructured(header.value, told);
  for (const std::string_view prefix : {"x-ratelimit-", "x-rate-limit-", "ratelimit-"}) {
    if (name.starts_with(prefix))
      return ReadWords(std::string_view(name).substr(prefix.size()), header.value, told);
  }
}

}  // namespace

std::vector<RateWindow> ParseRateLimits(const HttpResponseHead& head, std::int64_t now_ms) {
  Told told{now_ms, {}, {}};
  for (const HttpHeader& header : head.headers) ReadHeader(header, told);
  std::vector<RateWindow> windows;
  for (auto& [name, window] : told.windows) {
    if (!window.remaining || told.other_unit.contains(name) || windows.size() >= kMaxRateWindows) continue;
    if (window.limit && *window.limit <= 0) window.limit.reset();
    // What no API allows is no limit, and would overflow whoever reckons with it.
    if (window.limit && (*window.limit <= 0 || *window.limit > kMostTold)) window.limit.reset();
    window.remaining = std::min(*window.remaining, kMostTold);
    windows.push_back(window);
  }
  return windows;
}

}  // namespace weir
