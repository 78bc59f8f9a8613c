#pragma once

#include <librdkafka/rdkafka.h>

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace weir::kafka {

// What keeps a client from working, in words for whoever runs weir; nothing for what passes by itself or is
// nobody's to mend. `reason` is librdkafka's text. Class kBroker.
std::optional<Error> ExplainTrouble(rd_kafka_resp_err_t code, std::string_view reason,
                                    const std::string& brokers);
// That this user may not read as one of the group. `reason` as above.
Error ExplainGroup(const std::string& group, std::string_view reason, const std::string& brokers);

// Remembers why a client's brokers do not serve it. librdkafka reports the cause (a login that is refused)
// and then what follows from it (no broker is up): the cause is kept. Any thread.
class ClientTrouble {
 public:
  void Note(rd_kafka_resp_err_t code, std::string_view reason, const std::string& brokers);
  void Clear();
  std::optional<Error> Now() const;
  // The login was refused: waiting will not change that.
  bool LoginRefused() const;

 private:
  mutable std::mutex mutex_;
  std::optional<Error> error_;  // guarded by mutex_, as all below
  rd_kafka_resp_err_t code_ = RD_KAFKA_RESP_ERR_NO_ERROR;
};

}  // namespace weir::kafka
