#include "common/sources/http_date.h"

#include <array>
#include <charconv>
#include <chrono>

namespace weir {
namespace {

using std::chrono::floor;
using std::chrono::milliseconds;

// Reads a date from left to right; any mismatch makes the whole of it fail.
class DateText {
 public:
  explicit DateText(std::string_view text) : text_(text) {}

  bool ok() const { return ok_; }
  bool AtEnd() const { return text_.empty(); }

  void Skip(std::string_view expected) {
    if (text_.starts_with(expected)) {
      text_.remove_prefix(expected.size());
    } else {
      ok_ = false;
    }
  }

  int Digits(std::size_t count) {
    int value = 0;
    if (text_.size() < count) {
      ok_ = false;
      return 0;
    }
    const char* const end = text_.data() + count;
    const auto [stop, error] = std::from_chars(text_.data(), end, value);
    if (error != std::errc() || stop != end || value < 0) ok_ = false;
    text_.remove_prefix(count);
    return value;
  }

  unsigned Month() {
    static constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const auto at = text_.size() < 3 ? std::string_view::npos : kMonths.find(text_.substr(0, 3));
    if (at == std::string_view::npos || at % 3 != 0) {
      ok_ = false;
      return 0;
    }
    text_.remove_prefix(3);
    return static_cast<unsigned>(at / 3 + 1);
  }

  milliseconds Time() {
    const int h = Digits(2);
    Skip(":");
    const int m = Digits(2);
    Skip(":");
    const int s = Digits(2);
    if (h > 23 || m > 59 || s > 60) ok_ = false;
    return std::chrono::hours(h) + std::chrono::minutes(m) + std::chrono::seconds(s);
  }

 private:
  std::string_view text_;
  bool ok_ = true;
};

std::optional<std::int64_t> Compose(int year, unsigned month, int day, milliseconds time) {
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return (std::chrono::sys_days(date).time_since_epoch() + time).count();
}

int YearOf(std::int64_t now_ms) {
  const auto day = floor<std::chrono::days>(std::chrono::sys_time<milliseconds>(milliseconds(now_ms)));
  return static_cast<int>(std::chrono::year_month_day(day).year());
}

// "Sun, 06 Nov 1994 08:49:37 GMT" and "Sunday, 06-Nov-94 08:49:37 GMT", after the comma.
std::optional<std::int64_t> ParseComma(std::string_view rest, std::int64_t now_ms) {
  DateText text(rest);
  text.Skip(" ");
  const int day = text.Digits(2);
  const std::string_view gap = rest.size() > 3 && rest[3] == '-' ? "-" : " ";
  text.Skip(gap);
  const unsigned month = text.Month();
  text.Skip(gap);
  int year = text.Digits(gap == "-" ? 2 : 4);
  if (gap == "-") {
    const int now = YearOf(now_ms);
    year += now / 100 * 100;
    if (year > now + 50) year -= 100;
  }
  text.Skip(" ");
  const milliseconds time = text.Time();
  text.Skip(" GMT");
  if (!text.ok() || !text.AtEnd()) return std::nullopt;
  return Compose(year, month, day, time);
}

// asctime's "Sun Nov  6 08:49:37 1994", after the day's name.
std::optional<std::int64_t> ParseAsctime(std::string_view rest) {
  DateText text(rest);
  text.Skip(" ");
  const unsigned month = text.Month();
  text.Skip(" ");
  const bool one_digit = rest.size() > 5 && rest[5] == ' ';
  if (one_digit) text.Skip(" ");
  const int day = text.Digits(one_digit ? 1 : 2);
  text.Skip(" ");
  const milliseconds time = text.Time();
  text.Skip(" ");
  const int year = text.Digits(4);
  if (!text.ok() || !text.AtEnd()) return std::nullopt;
  return Compose(year, month, day, time);
}

}  // namespace

std::optional<std::int64_t> ParseHttpDate(std::string_view text, std::int64_t now_ms) {
  static constexpr std::array<std::string_view, 7> kDays{"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                         "Friday", "Saturday", "Sunday"};
  const auto comma = text.find(',');
  for (const std::string_view day : kDays) {
    if (comma != std::string_view::npos) {
      const std::string_view name = text.substr(0, comma);
      if (name == day || name == day.substr(0, 3)) return ParseComma(text.substr(comma + 1), now_ms);
    } else if (text.substr(0, 3) == day.substr(0, 3)) {
      return ParseAsctime(text.substr(3));
    }
  }
  return std::nullopt;
}

}  // namespace weir
