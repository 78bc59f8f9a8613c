#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace weir::proxy {

enum class Protocol { kOther, kPostgres, kKafka };

// A moment on the wire. Of a PostgreSQL connection: a client's message whose text ("Q begin; …", "B
// \0task_claim…", "d begin; …": CopyData and CopyDone carry the query they belong to) contains `what`. Of a
// Kafka connection: a request whose text ("api 8 …" and the start of its bytes; the number is Kafka's API
// key) does.
struct StopPoint {
  std::string what;
  std::string without{};  // and does not contain this; "" = whatever
  bool reply = false;     // stop not before the message but before the server's answer to it
  int nth = 1;
};

// Follows one connection's bytes and finds the moment to stop at. Pure. Sees nothing in an encrypted
// connection.
class WireWatch {
 public:
  explicit WireWatch(Protocol protocol) : protocol_(protocol) {}

  // How many of these bytes may pass before the point's moment; nullopt: all. Takes one off `point.nth` for
  // each match.
  std::optional<std::size_t> FromClient(std::string_view bytes, StopPoint* point);
  std::optional<std::size_t> FromServer(std::string_view bytes);

 private:
  struct Request {
    std::uint64_t size = 0;  // of the whole message; 0 = not known yet
    std::uint64_t seen = 0;
    std::string start;  // its first bytes
    bool named = false;
  };

  std::string Name();
  bool Matches(StopPoint* point);
  std::optional<std::size_t> KafkaReply(std::string_view bytes);

  const Protocol protocol_;
  bool started_ = false;  // PostgreSQL: the start-up packet is over
  Request request_;
  std::string query_;                    // PostgreSQL: the last query string's start
  bool awaits_reply_ = false;            // PostgreSQL: the server's next bytes are the answer
  std::optional<std::int32_t> awaited_;  // Kafka: the answer with this correlation id
  std::string reply_start_;              // Kafka: of the server's message, until its id is known
  std::uint64_t reply_left_ = 0;
};

}  // namespace weir::proxy
