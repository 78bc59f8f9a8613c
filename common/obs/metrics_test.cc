#include "common/obs/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "common/obs/memory.h"

namespace weir {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using testing::HasSubstr;

TEST(MetricsTest, CountsByStream) {
  Metrics metrics("weir-worker", "1.2.3");
  StreamMetrics& games = metrics.For("lichess", "games");
  EXPECT_EQ(&games, &metrics.For("lichess", "games"));
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
  games.LaneWait(milliseconds(1500));
  games.Task(TaskResult::kParked);
  const std::string text = metrics.Render();
  const std::string stream = "source=\"lichess\",stream=\"games\"";
  EXPECT_THAT(text, HasSubstr("weir_pages_total{" + stream + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_records_total{outcome=\"inserted\"," + stream + "} 500\n"));
  EXPECT_THAT(text, HasSubstr("weir_records_total{outcome=\"duplicate\"," + stream + "} 2\n"));
  EXPECT_THAT(text, HasSubstr("weir_records_total{outcome=\"updated\"," + stream + "} 0\n"));
  EXPECT_THAT(text, HasSubstr("weir_requests_total{source=\"lichess\",status=\"2xx\",stream=\"games\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("weir_requests_total{source=\"lichess\",status=\"none\",stream=\"games\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("weir_request_duration_seconds_count{" + stream + "} 3\n"));
  EXPECT_THAT(text, HasSubstr("weir_commit_duration_seconds_bucket{" + stream + ",le=\"0.005\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_retries_total{class=\"transient\"," + stream + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_retries_total{class=\"other\"," + stream + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("weir_lane_wait_seconds_total{" + stream + "} 1.5\n"));
  EXPECT_THAT(text, HasSubstr("weir_tasks_total{result=\"parked\"," + stream + "} 1\n"));
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
  EXPECT_THAT(text, HasSubstr("weir_lag_messages 12\n"));
  EXPECT_THAT(text, HasSubstr("weir_inflight_bytes 300\n"));
  EXPECT_THAT(text, HasSubstr("weir_lanes_held 3\n"));
  EXPECT_GT(ResidentBytes(), 1 << 20);
  EXPECT_THAT(text, testing::Not(HasSubstr("weir_resident_memory_bytes 0\n")));
}

TEST(MetricsTest, NamesFollowTheConventions) {
  Metrics metrics("weir-worker", "1");
  metrics.For("lichess", "games").Page();
  const std::set<std::string> allowed = {"source", "stream", "outcome", "status", "class",
                                         "result", "le",     "program", "version"};
  std::set<std::string> typed;
  std::istringstream lines(metrics.Render());
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# TYPE ", 0) == 0) {
      std::istringstream words(line.substr(7));
      std::string name, type;
      words >> name >> type;
      typed.insert(name);
      EXPECT_EQ(name.rfind("weir_", 0), 0U) << line;
      EXPECT_EQ(type == "counter", name.size() > 6 && name.substr(name.size() - 6) == "_total") << line;
      EXPECT_TRUE(type != "histogram" || name.find("_seconds") != std::string::npos) << line;
    } else if (line.rfind("#", 0) != 0) {
      EXPECT_THAT(line, testing::MatchesRegex("[a-z_]+([{]([a-z]+=\"[^\"]*\",?)+[}])? [^ ]+"));
      for (std::size_t at = line.find("=\""); at != std::string::npos; at = line.find("=\"", at + 1)) {
        const std::size_t before = line.find_last_of("{,", at);
        EXPECT_TRUE(allowed.count(line.substr(before + 1, at - before - 1)) == 1) << line;
      }
    }
  }
  EXPECT_EQ(typed.size(), 17U);
}

TEST(MetricsTest, StreamsAreBounded) {
  Metrics metrics("weir-worker", "1");
  for (int i = 0; i < 1000; ++i) metrics.For("s" + std::to_string(i), "x").Page();
  EXPECT_THAT(metrics.Render(), HasSubstr("weir_pages_total{source=\"other\",stream=\"other\"} 800\n"));
}

}  // namespace
}  // namespace weir
