#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace weir {

// The metrics of `weir serve`, named weir_*; docs/metrics.md lists them. Thread-safe; outlives all who use
// it.
class ProducerMetrics {
 public:
  explicit ProducerMetrics(std::string_view version);
  ~ProducerMetrics();
  ProducerMetrics(const ProducerMetrics&) = delete;
  ProducerMetrics& operator=(const ProducerMetrics&) = delete;

  // `sent`: tasks sent to Kafka since the process began. `waits`: the database or Kafka is being waited for.
  void SetEngine(bool leading, std::int64_t sent, bool waits);
  // Rows of history deleted since the process began, by table.
  void SetDeleted(const std::map<std::string, std::int64_t>& rows);
  // Jobs that have not ended, and how long ago the oldest of them was asked for (0 = there is none).
  void SetBacklog(std::int64_t open_jobs, std::chrono::milliseconds oldest);

  // Prometheus' text exposition; reads the memory in use as it does.
  std::string Render();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
