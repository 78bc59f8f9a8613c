#include "worker/copy_binary.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <type_traits>

namespace weir::worker {
namespace {

constexpr std::string_view kSignature("PGCOPY\n\377\r\n\0", 11);
constexpr std::int64_t kPostgresEpochMs = 946'684'800'000;  // 2000-01-01, from which timestamps count
constexpr std::uint16_t kNegative = 0x4000;                 // numeric.c, NUMERIC_NEG
constexpr std::int64_t kMaxScale = 16'383;                  // numeric.c, NUMERIC_DSCALE_MASK

template <typename T>
void AppendBig(std::string& out, T value) {
  using Bits = std::make_unsigned_t<T>;
  const auto bits = static_cast<Bits>(value);
  std::array<char, sizeof(T)> bytes{};
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes[i] = static_cast<char>(static_cast<unsigned char>(bits >> (8 * (sizeof(T) - 1 - i))));
  }
  out.append(bytes.data(), bytes.size());
}

template <typename T>
void AppendCell(std::string& out, T value) {
  AppendBig(out, static_cast<std::int32_t>(sizeof(T)));
  AppendBig(out, value);
}

// A JSON number, taken apart.
struct Decimal {
  bool negative = false;
  std::string digits;      // without leading zeros; "" = 0
  std::int64_t point = 0;  // digits before the decimal point; may be negative, or more than there are
  std::int64_t scale = 0;  // digits after it that were written
};

Decimal ParseDecimal(std::string_view literal) {
  Decimal d;
  d.negative = literal.starts_with('-');
  literal.remove_prefix(d.negative ? 1 : 0);
  std::int64_t exponent = 0;
  if (const auto e = literal.find_first_of("eE"); e != std::string_view::npos) {
    std::string_view text = literal.substr(e + 1);
    if (text.starts_with('+')) text.remove_prefix(1);
    std::from_chars(text.data(), text.data() + text.size(), exponent);
    literal = literal.substr(0, e);
  }
  const auto dot = std::min(literal.find('.'), literal.size());
  d.digits = literal.substr(0, dot);
  d.point = static_cast<std::int64_t>(dot) + exponent;
  if (dot < literal.size()) d.digits += literal.substr(dot + 1);
  d.scale = std::clamp<std::int64_t>(static_cast<std::int64_t>(d.digits.size()) - d.point, 0, kMaxScale);
  const auto leading = std::min(d.digits.find_first_not_of('0'), d.digits.size());
  d.digits.erase(0, leading);
  d.point -= static_cast<std::int64_t>(leading);
  return d;
}

// numeric_recv: ndigits, weight, sign, dscale, and the digits in base 10,000, the first times 10,000^weight.
void AppendNumeric(std::string& out, std::string_view literal) {
  Decimal d = ParseDecimal(literal);
  std::int64_t weight = 0;
  if (!d.digits.empty()) {
    // floor((point - 1) / 4), also below zero.
    weight = d.point >= 1 ? (d.point - 1) / 4 : -((4 - d.point) / 4);
    d.digits.insert(0, static_cast<std::size_t>((weight + 1) * 4 - d.point), '0');
    d.digits.append((4 - d.digits.size() % 4) % 4, '0');
    while (d.digits.ends_with("0000")) d.digits.resize(d.digits.size() - 4);
  }
  const auto groups = static_cast<std::int16_t>(d.digits.size() / 4);
  AppendBig(out, static_cast<std::int32_t>(8 + 2 * groups));
  AppendBig(out, groups);
  AppendBig(out, static_cast<std::int16_t>(weight));
  AppendBig(out, d.negative && groups > 0 ? kNegative : std::uint16_t{0});
  AppendBig(out, static_cast<std::int16_t>(d.scale));
  for (std::size_t i = 0; i < d.digits.size(); i += 4) {
    std::int16_t group = 0;
    for (std::size_t k = i; k < i + 4; ++k)
      group = static_cast<std::int16_t>(group * 10 + (d.digits[k] - '0'));
    AppendBig(out, group);
  }
}

WireType WireTypeOf(std::string_view type) {
  if (type == "jsonb") return WireType::kJsonb;
  if (type == "boolean") return WireType::kBool;
  if (type == "integer") return WireType::kInt4;
  if (type == "bigint") return WireType::kInt8;
  if (type == "double precision") return WireType::kDouble;
  if (type == "numeric") return WireType::kNumeric;
  if (type == "timestamptz") return WireType::kTimestamp;
  return WireType::kText;
}

}  // namespace

std::vector<WireType> WireTypesOf(const TableSpec& table) {
  std::vector<WireType> types{WireType::kText, WireType::kText};
  for (const Column& column : table.columns) types.push_back(WireTypeOf(column.type));
  types.push_back(WireType::kJsonb);
  types.push_back(WireType::kInt8);
  return types;
}

void CopyBinary::Begin() {
  *out_ += kSignature;
  AppendBig(*out_, std::int32_t{0});  // flags
  AppendBig(*out_, std::int32_t{0});  // length of the header's extension
}

void CopyBinary::End() { AppendBig(*out_, std::int16_t{-1}); }

void CopyBinary::BeginRow() {
  next_ = 0;
  AppendBig(*out_, static_cast<std::int16_t>(columns_->size()));
}

void CopyBinary::Null() {
  ++next_;
  AppendBig(*out_, std::int32_t{-1});
}

void CopyBinary::Text(std::string_view utf8) {
  const bool jsonb = Next() == WireType::kJsonb;
  AppendBig(*out_, static_cast<std::int32_t>(utf8.size() + (jsonb ? 1 : 0)));
  if (jsonb) *out_ += '\1';  // the version that jsonb_recv knows
  *out_ += utf8;
}

void CopyBinary::Int(std::int64_t value) {
  switch (Next()) {
    case WireType::kInt4:
      return AppendCell(*out_, static_cast<std::int32_t>(value));
    case WireType::kDouble:
      return AppendCell(*out_, std::bit_cast<std::int64_t>(static_cast<double>(value)));
    case WireType::kNumeric:
      return AppendNumeric(*out_, std::to_string(value));
    default:
      return AppendCell(*out_, value);
  }
}

void CopyBinary::Bool(bool value) {
  ++next_;
  AppendBig(*out_, std::int32_t{1});
  *out_ += value ? '\1' : '\0';
}

void CopyBinary::Number(std::string_view literal) {
  if (Next() == WireType::kNumeric) return AppendNumeric(*out_, literal);
  double value = 0;
  std::from_chars(literal.data(), literal.data() + literal.size(), value);
  AppendCell(*out_, std::bit_cast<std::int64_t>(value));
}

void CopyBinary::Timestamp(std::int64_t unix_ms) {
  ++next_;
  AppendCell(*out_, (unix_ms - kPostgresEpochMs) * 1000);
}

}  // namespace weir::worker
