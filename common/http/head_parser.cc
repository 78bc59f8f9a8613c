#include "common/http/head_parser.h"

#include <algorithm>
#include <string>

#include "common/base/json_text.h"

namespace weir {
namespace {

std::string_view Trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

// Printable changes whatever is not plain text. A tab may stand in a value.
bool IsText(std::string value) {
  std::replace(value.begin(), value.end(), '\t', ' ');
  return Printable(value, value.size()) == value;
}

}  // namespace

Result<bool> HeadParser::Line(std::string_view line) {
  bytes_ += line.size();
  if (bytes_ > max_bytes_) {
    return Fail(ErrorClass::kInvalid,
                "the answer's headers are over " + std::to_string(max_bytes_) + " bytes");
  }
  if (done_) return false;  // a trailer
  if (line.substr(0, 5) == "HTTP/") {
    StatusLine(line);
  } else if (Trim(line).empty()) {
    done_ = head_.status >= 200;
    if (done_) DropWhatIsNoText();
    return done_;
  } else if (auto kept = Field(line); !kept) {
    return Fail(std::move(kept.error()));
  }
  return false;
}

// Once the head is whole, since a value may go on in the next line.
void HeadParser::DropWhatIsNoText() {
  std::erase_if(head_.headers, [](const HttpHeader& h) { return !IsName(h.name) || !IsText(h.value); });
}

void HeadParser::StatusLine(std::string_view line) {
  head_ = {};
  line = line.substr(std::min(line.find(' '), line.size()));
  line = Trim(line);
  if (line.size() < 3 || !std::all_of(line.begin(), line.begin() + 3, IsDigit)) return;
  head_.status = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
}

Result<void> HeadParser::Field(std::string_view line) {
  // A line that begins with a blank continues the one before (obsolete, but seen).
  if (line.front() == ' ' || line.front() == '\t') {
    if (!head_.headers.empty()) head_.headers.back().value.append(" ").append(Trim(line));
    return {};
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  if (head_.headers.size() == kMaxHeaders) {
    return Fail(ErrorClass::kInvalid, "the answer has over " + std::to_string(kMaxHeaders) + " headers");
  }
  head_.headers.push_back(
      {std::string(Trim(line.substr(0, colon))), std::string(Trim(line.substr(colon + 1)))});
  return {};
}

}  // namespace weir
