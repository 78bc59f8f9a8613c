#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/config/config_loader.h"
#include "common/config/fake_sources.h"

namespace weir {
namespace {

using nlohmann::json;

// The example with the # taken from every setting, as its head tells the user to do.
std::string Uncommented(const std::string& example) {
  std::istringstream in(example);
  std::string out;
  for (std::string line; std::getline(in, line);) {
    const bool setting = line.size() > 1 && line[0] == '#' && (line.starts_with("#  ") || line[1] != ' ');
    out += (setting ? line.substr(1) : line) + "\n";
  }
  return out;
}

TEST(ConfigExample, AsWrittenItChangesNothing) {
  const auto root = ParseYaml(ConfigExampleFor(FakeSources()), "example");
  ASSERT_TRUE(root);
  EXPECT_EQ(root->kind, YamlNode::Kind::kNull);
}

TEST(ConfigExample, UncommentedItIsTheDefaults) {
  const std::string path = testing::TempDir() + "weir_example.yaml";
  std::ofstream(path) << Uncommented(ConfigExampleFor(FakeSources()));
  ConfigInputs inputs;
  inputs.is_root = true;
  inputs.file = path;
  const auto config = LoadConfigFor(inputs, FakeSources());
  ASSERT_TRUE(config) << config.error().message;
  inputs.file.reset();
  inputs.working_directory = "/";
  const auto defaults = LoadConfigFor(inputs, FakeSources());
  ASSERT_TRUE(defaults) << defaults.error().message;
  for (const auto& [key, setting] : defaults->settings) {
    EXPECT_EQ(config->settings.at(key).value, setting.value) << key;
    EXPECT_EQ(config->settings.at(key).origin, Origin::kFile) << key << " is missing in the example";
  }
  EXPECT_EQ(config->accounts.size(), 2u);
}

TEST(ConfigSchema, HasEverySettingAndNothingElse) {
  const json schema = json::parse(ConfigJsonSchemaFor(FakeSources()));
  std::size_t leaves = 0;
  for (const SettingSpec& spec : SettingsTable(FakeSources())) {
    std::string pointer = "/properties/" + spec.key;
    for (auto dot = pointer.find('.'); dot != std::string::npos; dot = pointer.find('.'))
      pointer.replace(dot, 1, "/properties/");
    ASSERT_TRUE(schema.contains(json::json_pointer(pointer))) << spec.key;
    ++leaves;
  }
  EXPECT_GT(leaves, 25u);
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_EQ(schema["properties"]["batch"]["additionalProperties"], false);
  EXPECT_EQ(schema["properties"]["batch"]["properties"]["records"]["maximum"], 10'000);
  EXPECT_EQ(schema["properties"]["batch"]["properties"]["records"]["default"], 500);
  EXPECT_EQ(schema["properties"]["log"]["properties"]["format"]["enum"], json({"auto", "text", "json"}));
  const json& account = schema["properties"]["accounts"]["items"];
  EXPECT_EQ(account["properties"]["source"]["enum"], json({"chess", "crm"}));
  EXPECT_TRUE(account["properties"]["params"]["properties"].contains("window_games"));
  EXPECT_EQ(account["properties"]["lanes"]["minimum"], 1);
}

}  // namespace
}  // namespace weir
