#include "tests/e2e/own_kafka.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/process/process.h"

namespace weir::e2e {
namespace {

Result<process::RunResult> Script(std::vector<std::string> arguments) {
  process::SpawnOptions options;
  options.argv = {WEIR_E2E_SOURCES "/tools/kafka/kafka.sh"};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  return process::RunToEnd(options, process::Millis(120'000));
}

}  // namespace

std::unique_ptr<OwnKafka> OwnKafka::Start(const std::string& directory, bool sasl) {
  std::vector<std::string> arguments{"start", "--dir", directory};
  if (sasl) arguments.emplace_back("--sasl");
  const auto started = Script(arguments);
  if (!started || started->exit.code != 0) {
    ADD_FAILURE() << "Apache Kafka did not start: " << (started ? started->err : started.error().message);
    return nullptr;
  }
  std::string brokers = started->out;
  while (!brokers.empty() && brokers.back() == '\n') brokers.pop_back();
  brokers = brokers.substr(brokers.rfind('\n') + 1);
  return std::unique_ptr<OwnKafka>(new OwnKafka(directory, brokers));
}

OwnKafka::~OwnKafka() {
  const auto stopped = Script({"stop", "--dir", directory_});
  EXPECT_TRUE(stopped && stopped->exit.code == 0);
}

}  // namespace weir::e2e
