// What the programs tell of themselves while they work: the log as JSON, and /metrics.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>

#include <sstream>

#include "tests/e2e/e2e.h"
#include "tests/support/upstream/http_client.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class Observe : public OnDatabase {
 protected:
  static std::vector<Json> Lines(const std::string& log) {
    std::vector<Json> lines;
    std::istringstream in(log);
    for (std::string line; std::getline(in, line);) {
      lines.push_back(Json::parse(line, nullptr, false));
      EXPECT_TRUE(lines.back().is_object()) << "no JSON: " << line;
    }
    return lines;
  }
  // The sum of a metric's series that have all these texts in their labels.
  static double Sum(const std::string& text, const std::string& name, const Strings& labels = {}) {
    double sum = 0;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      if (line.rfind(name + "{", 0) != 0 && line.rfind(name + " ", 0) != 0) continue;
      bool all = true;
      for (const std::string& label : labels) all = all && line.find(label) != std::string::npos;
      if (all) sum += std::strtod(line.c_str() + line.rfind(' '), nullptr);
    }
    return sum;
  }
  static std::string Scrape(const std::string& address) {
    const auto text = sim::Get("http://" + address + "/metrics");
    EXPECT_TRUE(text) << text.error().message;
    return text ? *text : "";
  }
};

TEST_F(Observe, LinesAndNumbersOfAWorker) {
  env_["WEIR_LOG_FORMAT"] = "json";
  env_["WEIR_LOG_LEVEL"] = "debug";
  env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "100";
  Players({"lichess/alice=1000"});
  Faults({{{"match", "/api/games/user"}, {"action", "status"}, {"status", 502}, {"skip", 2}, {"times", 1}},
          {{"match", "/api/games/user"}, {"action", "status"}, {"status", 429}, {"skip", 5}, {"times", 1}}});
  StartServices();
  const auto worker = StartWorker();
  const Outcome outcome = Sync("lichess", {"alice"}, {"--workers", "0"});
  ExpectFirstSync(outcome, 1000);
  const std::int64_t pages = outcome.Total("pages");
  const std::string job = outcome.json["job"].dump();
  const std::string trace = Text("select split_part(traceparent, '-', 2) from weir.jobs");

  std::int64_t committed = 0, failed = 0;
  std::string address;
  for (const Json& line : Lines(worker->Err())) {
    if (line.contains("metrics")) address = line["metrics"];
    const std::string message = line.value("message", "");
    const bool page = message.find("page") != std::string::npos;
    EXPECT_TRUE(!page || (line.contains("page") && line.contains("task"))) << line;
    if (!line.contains("task")) continue;
    EXPECT_EQ(line.value("job", ""), job) << line;
    EXPECT_EQ(line.value("lane", ""), "lichess:anonymous#0") << line;
    EXPECT_EQ(line.value("trace", ""), trace) << line;
    committed += message == "page committed" ? 1 : 0;
    failed += message == "a page failed" ? 1 : 0;
  }
  EXPECT_EQ(trace.size(), 32u);
  EXPECT_EQ(committed, pages);
  EXPECT_EQ(failed, 2);

  ASSERT_NE(address, "");
  const std::string text = Scrape(address);
  const Strings games{"source=\"lichess\"", "stream=\"games\"", "lane_class=\"bulk\""};
  const auto with = [&](const char* label) {
    Strings labels = games;
    labels.emplace_back(label);
    return labels;
  };
  EXPECT_EQ(Sum(text, "weir_pages_total", games), pages);
  EXPECT_EQ(Sum(text, "weir_records_total", with("outcome=\"inserted\"")), 1000);
  EXPECT_EQ(Sum(text, "weir_records_total"), 1000);
  EXPECT_EQ(Sum(text, "weir_requests_total"), outcome.Total("requests"));
  EXPECT_EQ(Sum(text, "weir_requests_total", with("status=\"5xx\"")), 1);
  EXPECT_EQ(Sum(text, "weir_requests_total", with("status=\"4xx\"")), 1);
  EXPECT_EQ(Sum(text, "weir_throttled_total", games), 1);
  EXPECT_EQ(Sum(text, "weir_retries_total", with("class=\"transient\"")), 1);
  EXPECT_EQ(Sum(text, "weir_tasks_total", with("result=\"done\"")), pages + 1) << "and the plan";
  EXPECT_EQ(Sum(text, "weir_tasks_total", with("result=\"parked\"")), 2);
  EXPECT_EQ(Sum(text, "weir_request_duration_seconds_count"), outcome.Total("requests"));
  EXPECT_GE(Sum(text, "weir_commit_duration_seconds_count", games), pages);
  // Each task, two of them again; and one for each pause before a request.
  EXPECT_GE(Sum(text, "weir_limiter_delay_seconds_count", games), pages + 3);
  EXPECT_GT(Sum(text, "weir_response_bytes_total"), 1000 * 300);
  EXPECT_GT(Sum(text, "weir_resident_memory_bytes"), 1 << 20);
  EXPECT_EQ(Sum(text, "weir_inflight_bytes"), 0);
  EXPECT_GE(Sum(text, "weir_rebalances_total"), 1);
}

TEST_F(Observe, NumbersOfTheProducer) {
  Players({"lichess/alice=400"});
  StartServices();
  const auto serve = StartServe();
  ASSERT_TRUE(serve->WaitForErr("health and metrics on ", kPatience)) << serve->Err();
  const std::string said = serve->Err();
  std::string address = said.substr(said.find("health and metrics on ") + 22);
  address = address.substr(0, address.find_first_not_of("0123456789.:"));
  SetPace(30, 30);  // the job stays open; a body that has begun keeps its pace
  ASSERT_EQ(Weir({"enqueue", "lichess/games", "--account", "alice"}).Status(), 0);
  const auto worker = StartWorker();
  EXPECT_TRUE(process::WaitUntil(
      [&] {
        const std::string text = Scrape(address);
        return Sum(text, "weir_open_jobs") == 1 && Sum(text, "weir_oldest_unfinished_age_seconds") > 0 &&
               Sum(text, "weir_tasks_sent_total") >= 1 && Sum(text, "weir_producer_leading") == 1;
      },
      kPatience))
      << Scrape(address);
  SetPace(0, 0);
  EXPECT_TRUE(process::WaitUntil(
      [&] {
        const std::string text = Scrape(address);
        return Sum(text, "weir_open_jobs") == 0 && Sum(text, "weir_oldest_unfinished_age_seconds") == 0;
      },
      kPatience))
      << Scrape(address);
  serve->Signal(SIGTERM);
  ASSERT_TRUE(serve->Wait(kPatience));
}

}  // namespace
}  // namespace weir::e2e
