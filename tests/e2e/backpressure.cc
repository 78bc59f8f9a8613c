#include "tests/e2e/backpressure.h"

#include <fmt/core.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/ledger/task_message.h"
#include "tests/support/upstream/http_client.h"

namespace weir::e2e {

void Backpressure::SetUp() {
  OnDatabase::SetUp();
  kafka_ = OwnKafka::Start(dir_ + "/kafka");
  ASSERT_TRUE(kafka_);
  client_.brokers = kafka_->Brokers();
  const auto admin = kafka::Admin::Create(client_);
  ASSERT_TRUE(admin && (*admin)->EnsureTopics(-1, std::chrono::seconds(60)));
  const std::string host =
      Text("select split_part(setting, ',', 1) from pg_settings where name = 'unix_socket_directories'");
  const std::string port = Text("select setting from pg_settings where name = 'port'");
  network_ = std::make_unique<proxy::FaultProxy>(
      proxy::ProxyOptions{.target = host + "/.s.PGSQL." + port, .protocol = proxy::Protocol::kPostgres});
  ASSERT_TRUE(network_->Start());
}

void Backpressure::TearDown() {
  worker_.reset();
  kafka_.reset();
  OnDatabase::TearDown();
}

void Backpressure::StartIt() {
  auto options = Options("weir-worker", {});
  options.env["WEIR_KAFKA_BROKERS"] = kafka_->Brokers();
  options.env["WEIR_LOG_FORMAT"] = "json";
  options.env["WEIR_DATABASE_URL"] =
      fmt::format("postgresql://{}@127.0.0.1:{}/{}?sslmode=disable&gssencmode=disable",
                  Text("select current_user"), network_->port(), postgres_->database());
  auto worker = Process::Spawn(options);
  ASSERT_TRUE(worker) << worker.error().message;
  worker_ = std::move(*worker);
  ASSERT_TRUE(worker_->WaitForErr("partitions assigned", kPatience)) << worker_->Err();
  const std::string log = worker_->Err();
  const auto line = log.substr(0, log.find('\n'));
  metrics_ = Json::parse(line).at("metrics");
}

std::int64_t Backpressure::Produce(std::int64_t tasks) const {
  std::int64_t bytes = 0;
  auto producer = kafka::Producer::Create(client_);
  EXPECT_TRUE(producer);
  for (std::int64_t sent = 0; producer && sent < tasks;) {
    std::vector<kafka::OutgoingMessage> messages;
    for (int i = 0; i < 10'000 && sent < tasks; ++i, ++sent) {
      ledger::ReadyTask task;
      task.id = TaskId{1'000'000'000 + sent};
      task.job = JobId{1};
      task.lane = LaneId{fmt::format("lichess:meter{}", sent % 480), 0};
      task.source = "lichess";
      task.stream = "games";
      task.account = fmt::format("player{}", sent % 480);
      task.selector = {SelectorKind::kWindow, 1'356'998'400'070 + sent, 1'356'998'500'070 + sent, ""};
      task.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
      messages.push_back({kafka::kTaskTopic,
                          task.lane.Text(),
                          ledger::EncodeTask(task),
                          {{"traceparent", task.traceparent}}});
      bytes += static_cast<std::int64_t>(messages.back().key.size() + messages.back().value.size() +
                                         std::string_view("traceparent").size() + task.traceparent.size());
    }
    const auto acknowledged = (*producer)->Send(messages, std::chrono::seconds(60));
    EXPECT_TRUE(acknowledged && *acknowledged == std::vector<bool>(messages.size(), true));
    if (!acknowledged) break;
  }
  return bytes;
}

std::int64_t Backpressure::BytesInLog() const {
  std::int64_t bytes = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(dir_ + "/kafka")) {
    const bool of_tasks = file.path().parent_path().filename().string().rfind("weir.tasks-", 0) == 0;
    if (of_tasks && file.path().extension() == ".log") bytes += static_cast<std::int64_t>(file.file_size());
  }
  return bytes;
}

double Backpressure::Metric(const std::string& name) const {
  const auto text = sim::Get("http://" + metrics_ + "/metrics");
  if (!text) return -1;
  const auto at = text->find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::strtod(text->c_str() + at + name.size() + 2, nullptr);
}

std::int64_t Backpressure::StatusKib(const std::string& field) const {
  std::ifstream file(fmt::format("/proc/{}/status", worker_->pid()));
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(field + ":", 0) == 0) return std::strtoll(line.c_str() + field.size() + 1, nullptr, 10);
  }
  return -1;
}

void Backpressure::ExpectLagNotMemory(std::int64_t tasks) {
  const std::int64_t bytes = Produce(tasks);
  ASSERT_GT(bytes, tasks * 100);
  // A worker wants the database when it starts; it has it until it has its partitions.
  ASSERT_NO_FATAL_FAILURE(StartIt());
  network_->Refuse(true);
  network_->ResetAll();
  // All of it is seen and nearly none of it taken.
  const double most = 0.8 * static_cast<double>(tasks);
  ASSERT_TRUE(process::WaitUntil([&] { return Metric("weir_consumer_lag_messages") >= most; }, kPatience))
      << Metric("weir_consumer_lag_messages");
  const double prefetched = Metric("weir_kafka_bytes_received_total");
  EXPECT_LT(prefetched, 8e6);
  fmt::print("{} tasks of {} bytes; peak {} KiB, anonymous {} KiB, {} bytes prefetched\n", tasks, bytes,
             StatusKib("VmHWM"), StatusKib("RssAnon"), prefetched);
  EXPECT_LE(StatusKib("VmHWM"), 28 << 10);
  EXPECT_LE(StatusKib("RssAnon"), 14 << 10);
  network_->Refuse(false);
  ASSERT_TRUE(
      process::WaitUntil([&] { return Metric("weir_consumer_lag_messages") == 0; }, Millis(1'500'000)))
      << Metric("weir_consumer_lag_messages");
  const double received = Metric("weir_kafka_bytes_received_total");
  fmt::print(
      "{} bytes received: {:.3f} of the tasks', {:.3f} of Kafka's log; peak {} KiB, anonymous {} KiB\n",
      received, received / static_cast<double>(bytes), received / static_cast<double>(BytesInLog()),
      StatusKib("VmHWM"), StatusKib("RssAnon"));
  EXPECT_LE(received, 1.2 * static_cast<double>(bytes));
  EXPECT_LE(StatusKib("VmHWM"), 28 << 10);
}

}  // namespace weir::e2e
