#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace weir {

// A value that is an id and nothing else: it compares, hashes and prints, but does not mix with another kind
// of id.
template <typename Tag, typename T>
struct Id {
  T value{};

  friend bool operator==(const Id&, const Id&) = default;
  friend auto operator<=>(const Id&, const Id&) = default;
};

using JobId = Id<struct JobTag, std::int64_t>;    // weir.jobs.id
using TaskId = Id<struct TaskTag, std::int64_t>;  // weir.tasks.id
using Epoch = Id<struct EpochTag, std::int64_t>;  // weir.tasks.epoch; each claim raises it (DESIGN §4.2)

// One strictly sequential channel of a meter (DESIGN §1). Its text, `meter#index`, is the Kafka key.
struct LaneId {
  std::string meter;
  int index = 0;

  std::string Text() const { return meter + "#" + std::to_string(index); }
  friend bool operator==(const LaneId&, const LaneId&) = default;
  friend auto operator<=>(const LaneId&, const LaneId&) = default;
};

}  // namespace weir

template <typename Tag, typename T>
struct std::hash<weir::Id<Tag, T>> {
  std::size_t operator()(const weir::Id<Tag, T>& id) const noexcept { return std::hash<T>{}(id.value); }
};

template <>
struct std::hash<weir::LaneId> {
  std::size_t operator()(const weir::LaneId& lane) const noexcept {
    return std::hash<std::string>{}(lane.meter) * 31 + static_cast<std::size_t>(lane.index);
  }
};
