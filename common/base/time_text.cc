#include "common/base/time_text.h"

#include <fmt/core.h>

#include <charconv>
#include <limits>

namespace weir {
namespace {

using std::chrono::milliseconds;

std::optional<std::int64_t> Number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty() || text.front() == '-')
    return std::nullopt;
  return value;
}

std::optional<std::int64_t> ParseDate(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto y = Number(text.substr(0, 4));
  const auto m = Number(text.substr(5, 2));
  const auto d = Number(text.substr(8, 2));
  if (!y || !m || !d) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*y)),
                                         std::chrono::month(static_cast<unsigned>(*m)),
                                         std::chrono::day(static_cast<unsigned>(*d))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::duration_cast<milliseconds>(std::chrono::sys_days(date).time_since_epoch()).count();
}

// "Z" or "+hh:mm", as milliseconds to subtract.
std::optional<std::int64_t> ParseZone(std::string_view text) {
  if (text == "Z" || text == "z" || text.empty()) return 0;
  if (text.size() != 6 || text[3] != ':' || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const auto h = Number(text.substr(1, 2));
  const auto m = Number(text.substr(4, 2));
  if (!h || !m || *h > 23 || *m > 59) return std::nullopt;
  const std::int64_t offset = (*h * 60 + *m) * 60'000;
  return text[0] == '+' ? offset : -offset;
}

}  // namespace

std::string FormatTime(std::int64_t unix_ms) {
  using namespace std::chrono;
  const sys_time<milliseconds> at{milliseconds(unix_ms)};
  const sys_days day = floor<days>(at);
  const year_month_day date(day);
  const hh_mm_ss time(at - day);
  std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                 time.hours().count(), time.minutes().count(), time.seconds().count());
  const auto ms = time.subseconds().count();
  return ms == 0 ? text + "Z" : text + fmt::format(".{:03}Z", ms);
}

std::optional<std::int64_t> ParseTime(std::string_view text) {
  if (text.size() < 10) return std::nullopt;
  const auto date = ParseDate(text.substr(0, 10));
  if (!date || text.size() == 10) return date;
  if (text.size() < 19 || (text[10] != 'T' && text[10] != ' ') || text[13] != ':' || text[16] != ':')
    return std::nullopt;
  const auto h = Number(text.substr(11, 2));
  const auto m = Number(text.substr(14, 2));
  const auto s = Number(text.substr(17, 2));
  if (!h || !m || !s || *h > 23 || *m > 59 || *s > 60) return std::nullopt;
  std::int64_t ms = ((*h * 60 + *m) * 60 + *s) * 1000;
  text.remove_prefix(19);
  if (!text.empty() && text.front() == '.') {
    std::int64_t scale = 100;
    text.remove_prefix(1);
    for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), scale /= 10) {
      ms += (text.front() - '0') * scale;
    }
  }
  const auto zone = ParseZone(text);
  if (!zone) return std::nullopt;
  return *date + ms - *zone;
}

std::optional<milliseconds> ParseDuration(std::string_view text) {
  const auto digits = text.find_first_not_of("0123456789");
  const auto value = Number(text.substr(0, digits));
  if (!value) return std::nullopt;
  const std::string_view unit = digits == std::string_view::npos ? "s" : text.substr(digits);
  std::int64_t scale = 0;
  if (unit == "ms") scale = 1;
  if (unit == "s") scale = 1000;
  if (unit == "m") scale = 60'000;
  if (unit == "h") scale = 3'600'000;
  if (unit == "d") scale = 86'400'000;
  if (scale == 0 || *value > std::numeric_limits<std::int64_t>::max() / scale) return std::nullopt;
  return milliseconds(*value * scale);
}

std::string FormatDuration(milliseconds duration) {
  const auto ms = duration.count();
  if (ms < 60'000) return fmt::format("{:.1f}s", static_cast<double>(ms) / 1000.0);
  const auto s = ms / 1000;
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}h{:02}m", s / 3600, s % 3600 / 60);
}

}  // namespace weir
