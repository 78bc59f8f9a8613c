#include "tests/support/hostile/wire_answer.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace weir::sim {
namespace {

using Framing = WireAnswer::Framing;

std::string HeadText(const WireAnswer& answer) {
  std::string head = answer.status_line + "\r\n";
  for (const HttpHeader& h : answer.headers) head += h.name + ": " + h.value + "\r\n";
  if (answer.framing == Framing::kChunked) head += "Transfer-Encoding: chunked\r\n";
  if (answer.framing == Framing::kLength)
    head += fmt::format("Content-Length: {}\r\n", answer.length_says.value_or(answer.body.size()));
  head += answer.more_framing;
  if (!answer.keep || answer.framing == Framing::kUntilClose) head += "Connection: close\r\n";
  return head + "\r\n";
}

// `body` in a few chunks, the last one still open.
std::string Chunked(std::string_view body) {
  std::string out;
  const std::size_t size = std::max<std::size_t>(1, body.size() / 3);
  for (; !body.empty(); body.remove_prefix(std::min(size, body.size()))) {
    const std::string_view chunk = body.substr(0, size);
    out += fmt::format("{:X};ext=\"a b\"\r\n", chunk.size());
    out += chunk;
    out += "\r\n";
  }
  return out;
}

bool SendPieces(Connection& connection, std::string_view bytes, std::size_t pieces) {
  const std::size_t size = std::max<std::size_t>(1, bytes.size() / std::max<std::size_t>(1, pieces));
  for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size()))) {
    if (!connection.Send(bytes.substr(0, size))) return false;
    if (pieces > 1 && !connection.Sleep(std::chrono::microseconds(300))) return false;
  }
  return true;
}

bool EndHere(Connection& connection, const WireAnswer& answer) {
  // Longer than any client of a test waits; it hangs up first.
  if (answer.stall) connection.Sleep(std::chrono::seconds(20));
  if (answer.reset) connection.ResetOnClose();
  return false;
}

}  // namespace

int WireAnswer::Status() const {
  const auto blank = status_line.find(' ');
  return blank == std::string::npos ? 0 : std::atoi(status_line.c_str() + blank);
}

void WireAnswer::SetStatus(int status, std::string_view reason) {
  status_line = fmt::format("HTTP/1.1 {:03} {}", status, reason);
}

void WireAnswer::RemoveHeader(std::string_view name) {
  headers.erase(std::remove_if(headers.begin(), headers.end(),
                               [&](const HttpHeader& h) { return EqualsIgnoreCase(h.name, name); }),
                headers.end());
}

void WireAnswer::SetHeader(std::string name, std::string value) {
  RemoveHeader(name);
  headers.push_back({std::move(name), std::move(value)});
}

bool SendAnswer(Connection& connection, const WireAnswer& answer) {
  if (!answer.before.empty() && !connection.Send(answer.before)) return false;
  const std::string head = HeadText(answer);
  if (answer.cut_head) {
    connection.Send(std::string_view(head).substr(0, *answer.cut_head));
    return EndHere(connection, answer);
  }
  const std::string_view body =
      std::string_view(answer.body).substr(0, answer.cut_body.value_or(answer.body.size()));
  std::string bytes = head;
  if (answer.framing == Framing::kChunked) {
    bytes += Chunked(body);
    if (answer.bad_chunk) bytes += "not-hex\r\n";
    if (!answer.cut_body) bytes += "0\r\nX-Trailer: a\r\n\r\n";
  } else if (answer.framing != Framing::kNoBody) {
    bytes += body;
  }
  if (!SendPieces(connection, bytes, answer.pieces)) return false;
  if (answer.cut_body || answer.bad_chunk) return EndHere(connection, answer);
  const bool honest = answer.framing == Framing::kChunked || answer.framing == Framing::kNoBody ||
                      (answer.framing == Framing::kLength &&
                       answer.length_says.value_or(answer.body.size()) == answer.body.size());
  return answer.keep && honest && answer.more_framing.empty();
}

}  // namespace weir::sim
