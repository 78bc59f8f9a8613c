#include "common/kafka/leader_pause.h"

#include <chrono>
#include <cstdint>
#include <string_view>
#include <thread>

namespace weir::kafka {
namespace {

constexpr char kName[] = "weir-leader-pause";
// For the others to hear that the group is joined and to ask, which takes a millisecond where processors are
// free.
constexpr std::chrono::milliseconds kPause{100};
constexpr std::int16_t kMetadata = 3;  // the request's number in Kafka's protocol
constexpr std::string_view kCoordinator = "GroupCoordinator";

// Who is elected asks its coordinator what partitions there are; nobody else asks anyone by that name. The
// answer is held up on that connection's own thread, which has nothing else to do meanwhile: the next
// heartbeat is a second away.
rd_kafka_resp_err_t OnResponse(rd_kafka_t*, int, const char* broker, std::int32_t, std::int16_t request,
                               std::int16_t, std::int32_t, std::size_t, std::int64_t, rd_kafka_resp_err_t,
                               void*) {
  if (request == kMetadata && broker != nullptr && std::string_view(broker).starts_with(kCoordinator)) {
    std::this_thread::sleep_for(kPause);
  }
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t OnNew(rd_kafka_t* client, const rd_kafka_conf_t*, void*, char*, std::size_t) {
  return rd_kafka_interceptor_add_on_response_received(client, kName, OnResponse, nullptr);
}

}  // namespace

void PauseLeader(rd_kafka_conf_t* conf) { rd_kafka_conf_interceptor_add_on_new(conf, kName, OnNew, nullptr); }

}  // namespace weir::kafka
