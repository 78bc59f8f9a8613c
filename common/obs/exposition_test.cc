// What /metrics answers, of both programs: Prometheus' conventions by its own tool, our own about labels, and
// that docs/metrics.md lists exactly what there is.
#include "common/obs/exposition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "common/obs/metrics.h"
#include "common/obs/producer_metrics.h"

namespace weir {
namespace {

// Every series there can be of one stream.
std::string WorkerText() {
  Metrics metrics("weir-worker", "1");
  metrics.For("lichess", "games", LaneClass::kBulk).Page();
  metrics.For("lichess", "games", LaneClass::kInteractive).Page();
  return metrics.Render();
}

std::string ProducerText() {
  ProducerMetrics metrics("1");
  metrics.SetEngine(true, 5, false);
  metrics.SetDeleted({{"tasks", 3}});
  return metrics.Render();
}

// Name → type.
std::map<std::string, std::string> Families(const std::string& text) {
  std::map<std::string, std::string> families;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# TYPE ", 0) != 0) continue;
    std::istringstream words(line.substr(7));
    std::string name;
    words >> name;
    words >> families[name];
  }
  return families;
}

struct Checked {
  int status = -1;
  std::string out;
};

Checked RunPromtool(const std::string& text) {
  std::string file = ::testing::TempDir() + "weir-metrics-XXXXXX";
  const int fd = mkstemp(file.data());
  EXPECT_GE(fd, 0);
  EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  close(fd);
  Checked checked;
  FILE* pipe = popen(("promtool check metrics <'" + file + "' 2>&1").c_str(), "r");
  if (pipe == nullptr) return checked;
  std::array<char, 4096> buffer;
  while (fgets(buffer.data(), static_cast<int>(buffer.size()), pipe) != nullptr) checked.out += buffer.data();
  checked.status = WEXITSTATUS(pclose(pipe));
  unlink(file.c_str());
  return checked;
}

TEST(ExpositionTest, PromtoolFindsNothingToMend) {
  for (const std::string& text : {WorkerText(), ProducerText()}) {
    const Checked checked = RunPromtool(text);
    ASSERT_NE(checked.status, 127) << "promtool is missing: ./dev setup test";
    EXPECT_EQ(checked.status, 0) << checked.out;
    EXPECT_EQ(checked.out, "");
  }
  EXPECT_NE(RunPromtool("# TYPE weir_x counter\nweir_x 1\n").status, 0) << "it does look";
}

TEST(ExpositionTest, LabelsAreFewAndNeverIds) {
  const std::set<std::string> allowed = {"source", "stream", "lane_class", "outcome", "status", "class",
                                         "result", "le",     "program",    "version", "table"};
  std::size_t labels = 0;
  for (const std::string& text : {WorkerText(), ProducerText()}) {
    const std::regex label("[{,]([a-z_]+)=\"");
    for (auto at = std::sregex_iterator(text.begin(), text.end(), label); at != std::sregex_iterator();
         ++at) {
      EXPECT_EQ(allowed.count((*at)[1]), 1u) << (*at)[1];
      ++labels;
    }
  }
  EXPECT_GT(labels, 100u);
}

TEST(ExpositionTest, TheDocumentationListsWhatThereIs) {
  const char* sources = std::getenv("WEIR_TEST_SOURCES");
  ASSERT_NE(sources, nullptr);
  std::ifstream file(std::string(sources) + "/docs/metrics.md");
  ASSERT_TRUE(file);
  std::map<std::string, std::map<std::string, std::string>> documented;  // by section
  std::string section;
  const std::regex row("\\| `(weir_[a-z_]+)` \\| ([a-z]+) \\|.*");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("## ", 0) == 0) section = line.substr(3);
    std::smatch match;
    if (std::regex_match(line, match, row)) documented[section][match[1]] = match[2];
  }
  EXPECT_EQ(documented["weir-worker"], Families(WorkerText()));
  EXPECT_EQ(documented["weir serve"], Families(ProducerText()));
}

}  // namespace
}  // namespace weir
