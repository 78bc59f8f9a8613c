#include "common/obs/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/obs/memory.h"
#include "common/obs/producer_metrics.h"

namespace weir {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using testing::HasSubstr;

TEST(MetricsTest, CountsByStream) {
  Metrics metrics("weir-worker", "1.2.3");
  StreamMetrics& games = metrics.For("lichess", "games", LaneClass::kBulk);
  EXPECT_EQ(&games, &metrics.For("lichess", "games", LaneClass::kBulk));
  games.Page();
  games.Records(RecordOutcome::kInserted, 500);
  games.Records(RecordOutcome::kDuplicate, 2);
  games.Records(RecordOutcome::kUpdated, -5);
  games.ResponseBytes(1'000'000);
  games.Request(200, milliseconds(300));
  games.Request(0, milliseconds(20));
  games.Request(999, milliseconds(20));
  games.Commit(microseconds(3000));
  games.Retry(ErrorClass::kTransient);
  games.Retry(ErrorClass::kInternal);
  games.Throttled();
  games.LimiterDelay(milliseconds(1500));
  games.Task(TaskResult::kParked);
  const std::string text = metrics.Render();
  const std::string bulk = "lane_class=\"bulk\",";
  const std::string of = "source=\"lichess\",stream=\"games\"";
  const std::string stream = bulk + of;
  EXPECT_THAT(text, HasSubstr("weir_pages_total{" + stream + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_records_total{" + bulk + "outcome=\"inserted\"," + of + "} 500\n"));
  EXPECT_THAT(text, HasSubstr("weir_records_total{" + bulk + "outcome=\"duplicate\"," + of + "} 2\n"));
  EXPECT_THAT(text, HasSubstr("weir_records_total{" + bulk + "outcome=\"updated\"," + of + "} 0\n"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "weir_requests_total{lane_class=\"bulk\",source=\"lichess\",status=\"2xx\",stream=\"games\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_requests_total{lane_class=\"bulk\",source=\"lichess\",status=\"none\","
                              "stream=\"games\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("weir_request_duration_seconds_count{" + stream + "} 3\n"));
  EXPECT_THAT(text, HasSubstr("weir_commit_duration_seconds_bucket{" + stream + ",le=\"0.005\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_retries_total{class=\"transient\"," + stream + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_retries_total{class=\"other\"," + stream + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_limiter_delay_seconds_sum{" + stream + "} 1.5\n"));
  EXPECT_THAT(text, HasSubstr("weir_tasks_total{" + bulk + "result=\"parked\"," + of + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_build_info{program=\"weir-worker\",version=\"1.2.3\"} 1\n"));
}

TEST(MetricsTest, CountsOfTheProcess) {
  Metrics metrics("weir-worker", "1");
  metrics.Rebalance();
  metrics.KafkaBytesReceived(100);
  metrics.KafkaBytesReceived(150);
  metrics.KafkaBytesReceived(30);  // a new client
  metrics.SetLagMessages(12);
  metrics.AddInflightBytes(500);
  metrics.AddInflightBytes(-200);
  metrics.SetLanesHeld(3);
  const std::string text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("weir_rebalances_total 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_kafka_bytes_received_total 180\n"));
  EXPECT_THAT(text, HasSubstr("weir_consumer_lag_messages 12\n"));
  EXPECT_THAT(text, HasSubstr("weir_inflight_bytes 300\n"));
  EXPECT_THAT(text, HasSubstr("weir_lanes_held 3\n"));
  EXPECT_GT(ResidentBytes(), 1 << 20);
  EXPECT_THAT(text, testing::Not(HasSubstr("weir_resident_memory_bytes 0\n")));
}

TEST(MetricsTest, InflightBytesGoWithTheirOwner) {
  Metrics metrics("weir-worker", "1");
  {
    InflightBytes a(&metrics), b(&metrics), none(nullptr);
    a.Set(500);
    b.Set(50);
    a.Set(100);
    none.Set(7);
    EXPECT_THAT(metrics.Render(), HasSubstr("weir_inflight_bytes 150\n"));
  }
  EXPECT_THAT(metrics.Render(), HasSubstr("weir_inflight_bytes 0\n"));
}

TEST(ProducerMetricsTest, TellOfTheEngineAndTheBacklog) {
  ProducerMetrics metrics("1.2.3");
  metrics.SetEngine(true, 10, false);
  metrics.SetEngine(true, 25, true);
  metrics.SetBacklog(3, milliseconds(90'500));
  metrics.SetDeleted({{"tasks", 1'000}, {"jobs", 0}});
  metrics.SetDeleted({{"tasks", 1'500}, {"jobs", 0}});
  const std::string text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("weir_tasks_sent_total 25\n"));
  EXPECT_THAT(text, HasSubstr("weir_producer_leading 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_producer_waiting 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_open_jobs 3\n"));
  EXPECT_THAT(text, HasSubstr("weir_history_deleted_total{table=\"tasks\"} 1500\n"));
  EXPECT_THAT(text, HasSubstr("weir_history_deleted_total{table=\"jobs\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("weir_oldest_unfinished_age_seconds 90.5\n"));
  EXPECT_THAT(text, HasSubstr("weir_build_info{program=\"weir\",version=\"1.2.3\"} 1\n"));
}

TEST(MetricsTest, StreamsAreBounded) {
  Metrics metrics("weir-worker", "1");
  for (int i = 0; i < 1000; ++i) metrics.For("s" + std::to_string(i), "x", LaneClass::kBulk).Page();
  EXPECT_THAT(metrics.Render(),
              HasSubstr("weir_pages_total{lane_class=\"bulk\",source=\"other\",stream=\"other\"} 800\n"));
}

}  // namespace
}  // namespace weir
