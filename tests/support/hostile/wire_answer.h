#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/http/http_message.h"
#include "tests/support/upstream/http_server.h"

namespace weir::sim {

// An answer as it goes over the wire, lies and cuts included.
struct WireAnswer {
  enum class Framing { kLength, kChunked, kUntilClose, kNoBody };

  std::string before;  // whole answers or bytes that come first, e.g. those of a 1xx
  std::string status_line = "HTTP/1.1 200 OK";
  std::vector<HttpHeader> headers;  // without those of the framing
  std::string body;
  Framing framing = Framing::kLength;
  std::optional<std::size_t> length_says;  // kLength: what Content-Length says in place of the truth
  std::string more_framing;                // header lines that contradict it
  std::optional<std::size_t> cut_head;     // the connection ends after so many bytes of the head
  std::optional<std::size_t> cut_body;     // … of the body; without a mark of the end
  bool reset = false;                      // ends by RST
  bool stall = false;                      // at the cut, before it ends: silence until the client hangs up
  bool bad_chunk = false;                  // a chunk's size that is no number, after the cut
  std::size_t pieces = 1;                  // sent in so many, a moment apart
  bool keep = true;                        // the connection lives on, if the answer allows it

  int Status() const;
  void SetStatus(int status, std::string_view reason = "Odd");
  void RemoveHeader(std::string_view name);
  void SetHeader(std::string name, std::string value);
};

// Sends it. True: the connection may carry another request.
bool SendAnswer(Connection& connection, const WireAnswer& answer);

}  // namespace weir::sim
