#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/error.h"

namespace prometheus {
class Counter;
class Histogram;
}  // namespace prometheus

namespace weir {

enum class RecordOutcome { kInserted, kUpdated, kUnchanged, kRejected, kDuplicate };
// kDropped: not ours any more (cancelled, expired, fenced) or a message seen before.
enum class TaskResult { kDone, kParked, kDead, kDropped };

// The counters of one stream. Every call is a few atomic additions or one short mutex; any thread.
class StreamMetrics {
 public:
  StreamMetrics(const StreamMetrics&) = delete;
  StreamMetrics& operator=(const StreamMetrics&) = delete;

  void Page();
  void Records(RecordOutcome outcome, std::int64_t count);
  void ResponseBytes(std::int64_t bytes);
  // http_status 0 = no answer was had.
  void Request(int http_status, std::chrono::milliseconds took);
  void Commit(std::chrono::microseconds took);
  void Retry(ErrorClass why);
  void Throttled();
  // A lane of the stream was not ready for so long: rate limit or retry delay.
  void LaneWait(std::chrono::milliseconds waited);
  void Task(TaskResult result);

 private:
  friend class Metrics;
  static constexpr std::size_t kOutcomes = 5;
  static constexpr std::size_t kStatusClasses = 6;  // none, 1xx … 5xx
  static constexpr std::size_t kClasses = 16;
  static constexpr std::size_t kResults = 4;

  StreamMetrics() = default;

  // Owned by the registry of Metrics.
  prometheus::Counter* pages_ = nullptr;
  prometheus::Counter* bytes_ = nullptr;
  prometheus::Counter* throttled_ = nullptr;
  prometheus::Counter* lane_wait_ = nullptr;
  std::array<prometheus::Counter*, kOutcomes> records_{};
  std::array<prometheus::Counter*, kStatusClasses> requests_{};
  std::array<prometheus::Counter*, kClasses> retries_{};
  std::array<prometheus::Counter*, kResults> tasks_{};
  prometheus::Histogram* request_seconds_ = nullptr;
  prometheus::Histogram* commit_seconds_ = nullptr;
};

inline constexpr char kMetricsContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// A program's metrics, named weir_*. Labels are source, stream and small fixed sets, never an id or an
// account. Thread-safe; outlives all who use it.
class Metrics {
 public:
  Metrics(std::string_view program, std::string_view version);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The stream's counters; valid as long as this. Look it up once a task, not once a record. Past 200 streams
  // (a manifest gone wild) all others share one, named "other".
  StreamMetrics& For(std::string_view source, std::string_view stream);

  void Rebalance();
  // All that Kafka has sent so far, as the client counts it; a smaller number than before (a new client)
  // starts over.
  void KafkaBytesReceived(std::int64_t total);
  void SetLagMessages(std::int64_t messages);
  // Of batches being built or written; `change` may be negative.
  void AddInflightBytes(std::int64_t change);
  void SetLanesHeld(std::int64_t lanes);

  // Prometheus' text exposition; reads the memory in use as it does.
  std::string Render();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
