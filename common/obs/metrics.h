#pragma once

#include <array>
#include <chrono>
#include <cstddef>
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
// Which of the two topics a task came by (DESIGN §7).
enum class LaneClass { kInteractive, kBulk };
enum class TaskResult { kDone, kParked, kDead, kDropped };

// The counters of one stream and lane class. Every call is a few atomic additions or one short mutex; any
// thread.
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
  // So long a lane is told to wait before its next request: by quota, adaptive delay, Retry-After or backoff.
  void LimiterDelay(std::chrono::milliseconds wait);
  void Task(TaskResult result);

 private:
  friend class Metrics;
  static constexpr std::size_t kOutcomes = 5;
  static constexpr std::size_t kStatusClasses = 6;  // none, 1xx … 5xx
  static constexpr std::size_t kClasses = 17;
  static constexpr std::size_t kResults = 4;

  StreamMetrics() = default;

  // Owned by the registry of Metrics.
  prometheus::Counter* pages_ = nullptr;
  prometheus::Counter* bytes_ = nullptr;
  prometheus::Counter* throttled_ = nullptr;
  std::array<prometheus::Counter*, kOutcomes> records_{};
  std::array<prometheus::Counter*, kStatusClasses> requests_{};
  std::array<prometheus::Counter*, kClasses> retries_{};
  std::array<prometheus::Counter*, kResults> tasks_{};
  prometheus::Histogram* request_seconds_ = nullptr;
  prometheus::Histogram* commit_seconds_ = nullptr;
  prometheus::Histogram* limiter_delay_ = nullptr;
};

inline constexpr char kMetricsContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// The metrics of a worker, named weir_*; docs/metrics.md lists them. Labels are source, stream, lane class
// and small fixed sets, never an id or an account. Thread-safe; outlives all who use it.
class Metrics {
 public:
  Metrics(std::string_view program, std::string_view version);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Their counters; valid as long as this. Look them up once a task, not once a record. Past 200 streams
  // (a manifest gone wild) all others share one, named "other".
  StreamMetrics& For(std::string_view source, std::string_view stream, LaneClass lane_class);

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

// So many bytes are in flight; none when it dies. One thread's.
class InflightBytes {
 public:
  explicit InflightBytes(Metrics* metrics) : metrics_(metrics) {}
  ~InflightBytes() { Set(0); }
  InflightBytes(const InflightBytes&) = delete;
  InflightBytes& operator=(const InflightBytes&) = delete;
  void Set(std::size_t bytes) {
    const auto now = static_cast<std::int64_t>(bytes);
    if (metrics_ != nullptr && now != bytes_) metrics_->AddInflightBytes(now - bytes_);
    bytes_ = now;
  }

 private:
  Metrics* metrics_;
  std::int64_t bytes_ = 0;
};

}  // namespace weir
