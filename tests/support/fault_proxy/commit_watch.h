#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::proxy {

// Follows one PostgreSQL connection's bytes and tells where its server says that a COMMIT is done. Pure. Sees
// nothing in an encrypted connection.
class CommitWatch {
 public:
  void FromClient(std::string_view bytes);
  // Appends to `out` what may be passed on: all but a CommandComplete that is not whole yet. Stops before a
  // COMMIT's: true, and it and what follows stay held.
  bool FromServer(std::string_view bytes, std::string& out);
  // The message that FromServer stopped before, to be passed on after all.
  std::string TakeCommit();

 private:
  bool NextMessage(std::string& out);

  std::string start_;  // of the client, until its start-up packet is known
  bool started_ = false;
  bool blind_ = false;    // encrypted: all is passed on
  int single_bytes_ = 0;  // answers to SSLRequest and GSSENCRequest still to come
  std::string held_;      // of the server, passed on up to `at_`
  std::size_t at_ = 0;
  std::uint64_t pass_ = 0;  // bytes left of a message that is passed on
};

}  // namespace weir::proxy
