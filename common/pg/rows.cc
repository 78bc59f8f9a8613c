#include <libpq-fe.h>

#include <algorithm>
#include <charconv>

#include "common/pg/session.h"

namespace weir::pg {
namespace {

template <typename T>
T Parse(std::string_view text) {
  T value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

namespace {

void AppendElement(std::string& out, std::string_view value) {
  const auto special = [](char c) { return c == '"' || c == '\\'; };
  out += '"';
  while (!value.empty()) {
    const auto end = std::find_if(value.begin(), value.end(), special);
    const auto plain = static_cast<std::size_t>(end - value.begin());
    out.append(value, 0, plain);
    if (end == value.end()) break;
    (out += '\\') += *end;
    value.remove_prefix(plain + 1);
  }
  out += '"';
}

template <typename Texts>
std::string TextArray(const Texts& values) {
  std::size_t size = 2;
  for (const std::string_view value : values) size += value.size() + 3;
  std::string out;
  out.reserve(size);
  out += '{';
  for (const std::string_view value : values) {
    if (out.size() > 1) out += ',';
    AppendElement(out, value);
  }
  out += '}';
  return out;
}

}  // namespace

std::string ArrayLiteral(const std::vector<std::string>& values) { return TextArray(values); }

std::string ArrayLiteral(std::span<const std::string_view> values) { return TextArray(values); }

std::string ArrayLiteral(const std::vector<std::int64_t>& values) {
  std::string out = "{";
  for (const std::int64_t value : values) {
    if (out.size() > 1) out += ',';
    out += std::to_string(value);
  }
  out += '}';
  return out;
}

void Rows::Clear::operator()(pg_result* r) const { PQclear(r); }

int Rows::Size() const { return PQntuples(result_.get()); }
int Rows::Columns() const { return PQnfields(result_.get()); }

std::string_view Rows::Name(int column) const {
  const char* name = PQfname(result_.get(), column);
  return name ? name : "";
}

bool Rows::IsNull(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }

std::string_view Rows::Text(int row, int column) const {
  const char* value = PQgetvalue(result_.get(), row, column);
  if (!value) return {};
  return {value, static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::int64_t Rows::Int(int row, int column) const { return Parse<std::int64_t>(Text(row, column)); }
double Rows::Double(int row, int column) const { return Parse<double>(Text(row, column)); }
bool Rows::Bool(int row, int column) const { return Text(row, column) == "t"; }
std::int64_t Rows::Affected() const { return Parse<std::int64_t>(PQcmdTuples(result_.get())); }

}  // namespace weir::pg
