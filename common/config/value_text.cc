#include "common/config/value_text.h"

#include <fmt/core.h>

#include <charconv>
#include <limits>
#include <utility>

#include "common/base/json_text.h"
#include "common/base/time_text.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxRules = 8;

std::optional<std::int64_t> Digits(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.front() == '-' || error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

std::optional<milliseconds> ParsePeriod(std::string_view text) {
  if (text == "second" || text == "s") return milliseconds(1'000);
  if (text == "minute" || text == "m") return milliseconds(60'000);
  if (text == "hour" || text == "h") return milliseconds(3'600'000);
  if (text == "day" || text == "d") return milliseconds(86'400'000);
  return ParseDuration(text);
}

std::optional<QuotaRule> ParseRule(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto requests = Digits(TrimSpace(text.substr(0, slash)));
  const auto per = ParsePeriod(TrimSpace(text.substr(slash + 1)));
  if (!requests || *requests < 1 || !per || per->count() < 1) return std::nullopt;
  return QuotaRule{*requests, *per};
}

}  // namespace

std::string_view TrimSpace(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::optional<std::int64_t> ParseSize(std::string_view text) {
  constexpr std::pair<std::string_view, std::int64_t> kUnits[] = {{"", 1},
                                                                  {"B", 1},
                                                                  {"KiB", 1LL << 10},
                                                                  {"MiB", 1LL << 20},
                                                                  {"GiB", 1LL << 30},
                                                                  {"TiB", 1LL << 40},
                                                                  {"kB", 1'000},
                                                                  {"KB", 1'000},
                                                                  {"MB", 1'000'000},
                                                                  {"GB", 1'000'000'000},
                                                                  {"TB", 1'000'000'000'000}};
  const auto digits = text.find_first_not_of("0123456789");
  const auto value = Digits(text.substr(0, digits));
  if (!value) return std::nullopt;
  const std::string_view unit = digits == std::string_view::npos ? "" : TrimSpace(text.substr(digits));
  for (const auto& [name, scale] : kUnits) {
    if (unit != name) continue;
    if (*value > std::numeric_limits<std::int64_t>::max() / scale) return std::nullopt;
    return *value * scale;
  }
  return std::nullopt;
}

std::string FormatSize(std::int64_t bytes) {
  constexpr std::string_view kUnits[] = {"", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", bytes, kUnits[unit]);
}

std::string FormatExactDuration(milliseconds duration) {
  const auto ms = duration.count();
  constexpr std::int64_t kDay = 86'400'000;
  if (ms > 0 && ms % kDay == 0) return fmt::format("{}d", ms / kDay);
  return ms % 1000 == 0 ? fmt::format("{}s", ms / 1000) : fmt::format("{}ms", ms);
}

Result<std::vector<QuotaRule>> ParseQuota(std::string_view text) {
  std::vector<QuotaRule> rules;
  if (TrimSpace(text).empty()) return rules;
  for (std::string_view rest = text;;) {
    const auto comma = rest.find(',');
    const std::string_view part = TrimSpace(rest.substr(0, comma));
    const auto rule = ParseRule(part);
    if (!rule || rules.size() == kMaxRules) {
      return Fail(ErrorClass::kConfig, fmt::format("\"{}\" is not a quota", Printable(part, 60)),
                  "write requests per period, e.g. \"100/10s, 200000/day\" (at most 8)");
    }
    rules.push_back(*rule);
    if (comma == std::string_view::npos) return rules;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace weir
