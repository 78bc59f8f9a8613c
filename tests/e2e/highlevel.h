#pragma once

#include <fmt/core.h>

#include <fstream>
#include <string>

#include "tests/e2e/e2e.h"

namespace weir::e2e {

inline constexpr const char* kLocation = "LocNorth0000000000aa";
inline constexpr const char* kStream = "highlevel/opportunities";

// A location at the sample upstream, and a weir.yaml that names it.
class HighLevel : public OnDatabase {
 protected:
  void SetUp() override {
    OnDatabase::SetUp();
    env_["HL_TOKEN"] = "pit-good";
    env_["WEIR_SOURCES_HIGHLEVEL_QUOTA"] = "1000/1s";
    env_["WEIR_SOURCES_HIGHLEVEL_SLICE_RECORDS"] = "500";
    env_["WEIR_SOURCES_HIGHLEVEL_TASK_PAGES"] = "3";
    Configure("");
  }

  // weir.yaml with the account and what else stands in it.
  void Configure(const std::string& more, const std::string& secrets = "{token: env:HL_TOKEN}") const {
    std::ofstream(dir_ + "/weir.yaml")
        << "accounts:\n  - {name: " << kLocation << ", source: highlevel, secrets: " << secrets << "}\n"
        << more;
  }
  void Location(Json settings) const {
    settings["location"] = settings.value("location", kLocation);
    Control("highlevel", settings);
  }
  Json Facts() const { return Control(fmt::format("highlevel?location={}", kLocation)); }
  Outcome SyncAll(const Strings& more = {}) const { return Sync(kStream, {kLocation}, more); }

  // Of the records that nobody touched while they were read, none is missing or different.
  void ExpectSurvivors() const {
    pg::SessionOptions options;
    options.url = DatabaseUrl();
    pg::Session session(options);
    const auto result =
        sim::CheckUpstream(upstream_.url(), session, {"highlevel", kLocation, "untouched=true"});
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->missing, 0) << result->Summary();
    EXPECT_EQ(result->different, 0) << result->Summary();
  }
};

}  // namespace weir::e2e
