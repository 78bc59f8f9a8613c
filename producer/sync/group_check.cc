#include "producer/sync/group_check.h"

#include "common/kafka/producer.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kEvery{30'000};
constexpr milliseconds kPatience{3'000};  // with Kafka's answer

}  // namespace

std::optional<Error> GroupCheck::Look() {
  if (clock_.Boot() < next_) return std::nullopt;
  next_ = clock_.Boot() + kEvery;
  auto admin = kafka::Admin::Create(client_);
  if (!admin) return std::nullopt;
  auto group = (*admin)->CheckGroup(kPatience);
  if (group) return std::nullopt;
  return group.error();
}

}  // namespace weir
