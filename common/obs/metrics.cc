#include "common/obs/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "common/obs/exposition.h"
#include "common/obs/memory.h"

namespace weir {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;

constexpr std::size_t kMaxStreams = 200;
constexpr const char* kOutcomeNames[] = {"inserted", "updated", "unchanged", "rejected", "duplicate"};
constexpr const char* kStatusNames[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
constexpr const char* kResultNames[] = {"done", "parked", "dead", "dropped"};

// Seconds. An upstream's answer may be streamed for many minutes; a commit is milliseconds.
const Histogram::BucketBoundaries kRequestBuckets = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800};
const Histogram::BucketBoundaries kCommitBuckets = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                    0.1,   0.25,   0.5,   1,    5,     30};
// Waits over 5 s park the lane's tasks; a day's quota may take hours.
const Histogram::BucketBoundaries kDelayBuckets = {0, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30, 60, 600, 3600};
constexpr const char* kLaneClassNames[] = {"interactive", "bulk"};

Labels With(Labels labels, const char* name, std::string_view value) {
  labels.emplace(name, value);
  return labels;
}

template <typename Rep, typename Period>
double Seconds(std::chrono::duration<Rep, Period> duration) {
  return std::max(0.0, std::chrono::duration<double>(duration).count());
}

template <typename Enum>
constexpr std::size_t Index(Enum value) {
  return static_cast<std::size_t>(value);
}

// Prometheus counters abort on nothing and take no negative numbers; ours never go back.
void Add(Counter* counter, std::int64_t count) {
  if (count > 0) counter->Increment(static_cast<double>(count));
}

}  // namespace

struct Metrics::Impl {
  prometheus::Registry registry;

  Family<Counter>& CounterFamily(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }
  Gauge& OneGauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
  }
  Family<Histogram>& HistogramFamily(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
  }

  Family<Counter>& pages = CounterFamily("weir_pages_total", "Pages committed whole.");
  Family<Counter>& records = CounterFamily("weir_records_total", "Records committed, by outcome.");
  Family<Counter>& bytes = CounterFamily("weir_response_bytes_total", "Bytes received from upstreams.");
  Family<Counter>& requests = CounterFamily("weir_requests_total", "Requests, by class of status.");
  Family<Counter>& retries = CounterFamily("weir_retries_total", "Retries, by class of error.");
  Family<Counter>& throttled = CounterFamily("weir_throttled_total", "Answers that told a lane to wait.");
  Family<Counter>& tasks = CounterFamily("weir_tasks_total", "Tasks that ended here, by result.");
  Family<Histogram>& request_seconds =
      HistogramFamily("weir_request_duration_seconds", "From asking to the answer's end.");
  Family<Histogram>& commit_seconds =
      HistogramFamily("weir_commit_duration_seconds", "From sending a batch to its commit.");
  Family<Histogram>& limiter_delay = HistogramFamily(
      "weir_limiter_delay_seconds", "What a lane is told to wait before its next request, task by task.");
  Counter& rebalances =
      CounterFamily("weir_rebalances_total", "Rebalances of the worker group seen.").Add({});
  Counter& kafka_bytes =
      CounterFamily("weir_kafka_bytes_received_total", "Bytes received from Kafka.").Add({});
  Gauge& lag = OneGauge("weir_consumer_lag_messages", "Messages not yet finished on the partitions held.");
  Gauge& inflight = OneGauge("weir_inflight_bytes", "Bytes of batches being built or written.");
  Gauge& memory = OneGauge("weir_resident_memory_bytes", "Memory this process holds.");
  Gauge& lanes = OneGauge("weir_lanes_held", "Lanes this worker holds a lease of.");

  std::mutex mutex;
  std::int64_t kafka_total = 0;  // mutex
  // mutex; the values' addresses never change.
  using Key = std::tuple<std::string, std::string, LaneClass>;
  std::map<Key, std::unique_ptr<StreamMetrics>> streams;

  void Fill(StreamMetrics& stream, const Labels& labels);
};

void Metrics::Impl::Fill(StreamMetrics& stream, const Labels& labels) {
  stream.pages_ = &pages.Add(labels);
  stream.bytes_ = &bytes.Add(labels);
  stream.throttled_ = &throttled.Add(labels);
  for (std::size_t i = 0; i < stream.records_.size(); ++i) {
    stream.records_[i] = &records.Add(With(labels, "outcome", kOutcomeNames[i]));
  }
  for (std::size_t i = 0; i < stream.requests_.size(); ++i) {
    stream.requests_[i] = &requests.Add(With(labels, "status", kStatusNames[i]));
  }
  // A series for each of the classes that are retried at all; the rest share one.
  stream.retries_.fill(&retries.Add(With(labels, "class", "other")));
  for (const ErrorClass c :
       {ErrorClass::kTransient, ErrorClass::kThrottled, ErrorClass::kAuth, ErrorClass::kDatabase}) {
    stream.retries_[Index(c)] = &retries.Add(With(labels, "class", ToString(c)));
  }
  for (std::size_t i = 0; i < stream.tasks_.size(); ++i) {
    stream.tasks_[i] = &tasks.Add(With(labels, "result", kResultNames[i]));
  }
  stream.request_seconds_ = &request_seconds.Add(labels, kRequestBuckets);
  stream.commit_seconds_ = &commit_seconds.Add(labels, kCommitBuckets);
  stream.limiter_delay_ = &limiter_delay.Add(labels, kDelayBuckets);
}

void StreamMetrics::Page() { pages_->Increment(); }
void StreamMetrics::Records(RecordOutcome outcome, std::int64_t count) {
  Add(records_[Index(outcome)], count);
}
void StreamMetrics::ResponseBytes(std::int64_t bytes) { Add(bytes_, bytes); }

void StreamMetrics::Request(int http_status, std::chrono::milliseconds took) {
  const int status_class = http_status >= 100 && http_status < 600 ? http_status / 100 : 0;
  requests_[static_cast<std::size_t>(status_class)]->Increment();
  request_seconds_->Observe(Seconds(took));
}

void StreamMetrics::Commit(std::chrono::microseconds took) { commit_seconds_->Observe(Seconds(took)); }
void StreamMetrics::Retry(ErrorClass why) { retries_[Index(why)]->Increment(); }
void StreamMetrics::Throttled() { throttled_->Increment(); }
void StreamMetrics::LimiterDelay(std::chrono::milliseconds wait) { limiter_delay_->Observe(Seconds(wait)); }
void StreamMetrics::Task(TaskResult result) { tasks_[Index(result)]->Increment(); }

Metrics::Metrics(std::string_view program, std::string_view version) : impl_(std::make_unique<Impl>()) {
  static_assert(Index(ErrorClass::kInternal) + 1 == StreamMetrics::kClasses);
  AddBuildInfo(impl_->registry, program, version);
}

Metrics::~Metrics() = default;

StreamMetrics& Metrics::For(std::string_view source, std::string_view stream, LaneClass lane_class) {
  const std::lock_guard lock(impl_->mutex);
  Impl::Key key{std::string(source), std::string(stream), lane_class};
  auto found = impl_->streams.find(key);
  if (found != impl_->streams.end()) return *found->second;
  if (impl_->streams.size() >= kMaxStreams) {
    key = {"other", "other", lane_class};
    found = impl_->streams.find(key);
    if (found != impl_->streams.end()) return *found->second;
  }
  std::unique_ptr<StreamMetrics> made(new StreamMetrics);
  impl_->Fill(*made, {{"source", std::get<0>(key)},
                      {"stream", std::get<1>(key)},
                      {"lane_class", kLaneClassNames[Index(lane_class)]}});
  return *impl_->streams.emplace(std::move(key), std::move(made)).first->second;
}

void Metrics::Rebalance() { impl_->rebalances.Increment(); }

void Metrics::KafkaBytesReceived(std::int64_t total) {
  const std::lock_guard lock(impl_->mutex);
  Add(&impl_->kafka_bytes, total >= impl_->kafka_total ? total - impl_->kafka_total : total);
  impl_->kafka_total = total;
}

void Metrics::SetLagMessages(std::int64_t messages) { impl_->lag.Set(static_cast<double>(messages)); }
void Metrics::AddInflightBytes(std::int64_t change) {
  impl_->inflight.Increment(static_cast<double>(change));
}
void Metrics::SetLanesHeld(std::int64_t lanes) { impl_->lanes.Set(static_cast<double>(lanes)); }

std::string Metrics::Render() {
  impl_->memory.Set(static_cast<double>(ResidentBytes()));
  return Text(impl_->registry);
}

}  // namespace weir
