#pragma once

#include <fmt/core.h>

#include <fstream>
#include <string>

#include "tests/faults/fault_fixture.h"

namespace weir::faults {

inline constexpr const char* kStream = "highlevel/opportunities";
inline constexpr const char* kNorth = "LocNorth";

// Three workers and locations of HighLevel, each with a meter of its own.
class HighLevelPool : public FaultTest {
 protected:
  void SetUp() override {
    FaultTest::SetUp();
    env_["HL_TOKEN"] = "pit-good";
    env_["WEIR_SOURCES_HIGHLEVEL_QUOTA"] = "10000/1s";
    env_["WEIR_SOURCES_HIGHLEVEL_SLICE_RECORDS"] = "300";
    env_["WEIR_SOURCES_HIGHLEVEL_TASK_PAGES"] = "2";
  }
  void Configure(const Strings& locations, const std::string& secrets = "{token: env:HL_TOKEN}") const {
    std::ofstream file(dir_ + "/weir.yaml");
    file << "accounts:\n";
    for (const std::string& location : locations)
      file << "  - {name: " << location << ", source: highlevel, secrets: " << secrets << "}\n";
  }
  void Location(const std::string& location, Json settings) const {
    settings["location"] = location;
    Control("highlevel", settings);
  }
  Json Facts(const std::string& location = kNorth) const { return Control("highlevel?location=" + location); }
  void StartCluster() {
    StartProducer();
    StartWorkers(3);
  }
  std::int64_t Ask(const std::string& location) {
    const Outcome outcome = Weir({"enqueue", kStream, "--account", location, "--mode", "full", "-o", "json"});
    EXPECT_EQ(outcome.Status(), 0) << outcome.err;
    return outcome.json.is_object() ? outcome.json.value("job", std::int64_t{0}) : 0;
  }
  // Requests that were answered with this status.
  std::int64_t Answered(const char* status) const {
    const Json of_class = Control("stats")["requests"];
    std::int64_t count = 0;
    for (const auto& [name, numbers] : of_class.items())
      count += numbers["status"].value(status, std::int64_t{0});
    return count;
  }
  std::string StateOf(std::int64_t job) const {
    return Text(fmt::format("select state from weir.jobs where id = {}", job));
  }
  // What nobody touched is there as it is upstream, and nothing is there twice or marked.
  void ExpectSurvivors(const std::string& location) const {
    pg::Session session(postgres_->Options());
    const auto result =
        sim::CheckUpstream(upstream_.url(), session, {"highlevel", location, "untouched=true"});
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->missing + result->different, 0) << location << ": " << result->Summary();
    EXPECT_EQ(Number("select count(*) - count(distinct id) from highlevel.opportunities where account = '" +
                     location + "'"),
              0);
  }
  void ExpectCountersAddUp() const {
    EXPECT_EQ(Number("select count(*) from weir.tasks where fetched <> inserted + updated + unchanged + "
                     "rejected + duplicates"),
              0);
    // What is in the tables was inserted once.
    EXPECT_EQ(Number("select sum(inserted) from weir.tasks"),
              Number("select count(*) from highlevel.opportunities"));
  }
};

}  // namespace weir::faults
