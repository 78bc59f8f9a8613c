#include "common/obs/producer_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <algorithm>
#include <mutex>

#include "common/obs/exposition.h"
#include "common/obs/memory.h"

namespace weir {

struct ProducerMetrics::Impl {
  prometheus::Registry registry;

  prometheus::Gauge& OneGauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
  }

  prometheus::Gauge& leading = OneGauge("weir_producer_leading", "1 while this process dispatches.");
  prometheus::Gauge& waiting =
      OneGauge("weir_producer_waiting", "1 while the database or Kafka is being waited for.");
  prometheus::Gauge& jobs = OneGauge("weir_open_jobs", "Jobs that have not ended.");
  prometheus::Gauge& oldest = OneGauge("weir_oldest_unfinished_age_seconds",
                                       "Since the oldest job that has not ended was asked for; 0 = none.");
  prometheus::Gauge& memory = OneGauge("weir_resident_memory_bytes", "Memory this process holds.");
  prometheus::Counter& sent = prometheus::BuildCounter()
                                  .Name("weir_tasks_sent_total")
                                  .Help("Tasks sent to Kafka.")
                                  .Register(registry)
                                  .Add({});
  prometheus::Family<prometheus::Counter>& deleted =
      prometheus::BuildCounter()
          .Name("weir_history_deleted_total")
          .Help("Rows of history deleted because they were old enough (retention.*).")
          .Register(registry);
  std::mutex mutex;  // what is counted elsewhere is added once
};

ProducerMetrics::ProducerMetrics(std::string_view version) : impl_(std::make_unique<Impl>()) {
  AddBuildInfo(impl_->registry, "weir", version);
}

ProducerMetrics::~ProducerMetrics() = default;

void ProducerMetrics::SetEngine(bool leading, std::int64_t sent, bool waits) {
  const std::lock_guard lock(impl_->mutex);
  impl_->leading.Set(leading ? 1 : 0);
  impl_->waiting.Set(waits ? 1 : 0);
  const double more = static_cast<double>(sent) - impl_->sent.Value();
  if (more > 0) impl_->sent.Increment(more);
}

void ProducerMetrics::SetDeleted(const std::map<std::string, std::int64_t>& rows) {
  const std::lock_guard lock(impl_->mutex);
  for (const auto& [table, count] : rows) {
    prometheus::Counter& counter = impl_->deleted.Add({{"table", table}});
    const double more = static_cast<double>(count) - counter.Value();
    if (more > 0) counter.Increment(more);
  }
}

void ProducerMetrics::SetBacklog(std::int64_t open_jobs, std::chrono::milliseconds oldest) {
  impl_->jobs.Set(static_cast<double>(open_jobs));
  impl_->oldest.Set(std::max(0.0, std::chrono::duration<double>(oldest).count()));
}

std::string ProducerMetrics::Render() {
  impl_->memory.Set(static_cast<double>(ResidentBytes()));
  return Text(impl_->registry);
}

}  // namespace weir
