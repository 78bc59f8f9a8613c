#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/upstream/faults.h"
#include "tests/support/upstream/http_server.h"
#include "tests/support/upstream/meters.h"

namespace weir::sim {

// Writes one answer, spoilt as its fault says. Every call returns false once there is no use in going on
// (peer gone, fault has struck). The meter's ticket is given back just before the last bytes leave: when the
// client has read them all it may at once ask again.
class Response {
 public:
  Response(Connection& connection, const Request& request, std::optional<Fault> fault, const Faults& faults);
  ~Response();
  Response(const Response&) = delete;
  Response& operator=(const Response&) = delete;

  void SetTicket(Meters::Ticket* ticket) { ticket_ = ticket; }
  void Header(std::string name, std::string value);
  // A whole answer.
  bool Send(int status, std::string_view content_type, std::string_view body);
  // A streamed one: Begin, Write…, End. Without a length it is chunked. End must be reached for a whole
  // answer.
  bool Begin(int status, std::string_view content_type, std::optional<std::uint64_t> length = std::nullopt);
  bool Write(std::string_view data);
  bool End();
  // Writes out what is buffered: paced streams arrive as they are made.
  bool Flush();
  // Answers in place of the API, if the fault is one of those. True: the answer is done.
  bool TakeOver(std::int64_t now_ms);

  Connection& connection() { return connection_; }
  const std::optional<Fault>& fault() const { return fault_; }
  int status() const { return status_; }
  std::uint64_t bytes() const { return body_bytes_; }
  // The connection may carry another request.
  bool KeepAlive() const { return alive_ && keep_alive_; }

 private:
  class Gzip;

  bool Is(Fault::Kind kind) const { return fault_ && fault_->kind == kind; }
  bool Emit(std::string_view data);     // body bytes as they shall arrive, after any encoding
  bool Strike();                        // the fault's moment in the body has come
  bool Deliver(std::string_view data);  // framing and buffering
  bool SendFramed(std::string_view a, std::string_view b);
  bool Stall(std::uint64_t before);  // until more releases than `before`
  bool Trickle(std::string_view data);
  bool Bomb();
  bool Endless();
  bool Dead();

  Connection& connection_;
  const Faults& faults_;
  std::optional<Fault> fault_;
  const std::uint64_t released_before_;  // the releases when the request was read
  Meters::Ticket* ticket_ = nullptr;
  std::vector<HttpHeader> headers_;
  std::unique_ptr<Gzip> gzip_;
  std::string pending_;  // the last bytes, framed only when more come or the end does
  int status_ = 0;
  std::uint64_t body_bytes_ = 0;
  bool chunked_ = false, struck_ = false, alive_ = true, keep_alive_ = true;
};

}  // namespace weir::sim
