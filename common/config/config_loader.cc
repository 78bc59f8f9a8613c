#include "common/config/config_loader.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "common/base/json_text.h"
#include "common/config/config_file.h"
#include "common/config/nearest.h"
#include "common/config/references.h"
#include "common/config/value_text.h"

namespace weir {
namespace {

constexpr std::string_view kKafkaEnv = "WEIR_KAFKA_PROPERTIES_";
constexpr char kCaFileEnv[] = "SSL_CERT_FILE";

Error At(const std::string& where, Error e) {
  e.message = fmt::format("{}: {}", where, e.message);
  return e;
}

// Puts values into a Config in the order of their precedence, the later over the earlier.
class Loader {
 public:
  Loader(const ConfigInputs& inputs, const SourceList& sources)
      : inputs_(inputs), sources_(sources), table_(SettingsTable(sources)) {}

  Result<Config> Load() {
    return Defaults()
        .and_then([this] { return File(); })
        .and_then([this] { return Environment(); })
        .and_then([this] { return Flags(); })
        // Last: whether accounts agree on a meter depends on their source's settings.
        .and_then([this] { return ReadAccounts(accounts_, config_.file, inputs_, sources_, config_); })
        .and_then([this] { return Finish(); })
        .map([this] { return std::move(config_); });
  }

 private:
  Result<void> Defaults() {
    for (const SettingSpec& spec : table_)
      config_.settings[spec.key] = {spec.default_text, Origin::kDefault, ""};
    auto home = DefaultHome(inputs_);
    if (!home) {
      home_error_ = home.error();  // of no account when home is configured
      return {};
    }
    config_.home = *home;
    config_.settings["home"].value = *home;
    return {};
  }

  Result<void> File() {
    auto file = FindConfigFile(inputs_);
    if (!file) return tl::unexpected(file.error());
    config_.file = file->path;
    if (file->path.empty()) return {};
    const auto root = ParseYaml(file->text, file->path);
    if (!root) return tl::unexpected(root.error());
    if (root->kind == YamlNode::Kind::kNull) return {};
    if (root->kind != YamlNode::Kind::kMap) {
      return Fail(ErrorClass::kConfig,
                  fmt::format("{}:{}: expected settings as key: value", file->path, root->line),
                  "`weir init` writes a commented example");
    }
    for (const auto& [key, node] : root->members) {
      if (key == "accounts") continue;
      if (auto done = Walk(key, node); !done) return done;
    }
    if (const YamlNode* accounts = root->Find("accounts")) accounts_ = *accounts;
    return {};
  }

  // A part of the file whose path from the root is `key`.
  Result<void> Walk(const std::string& key, const YamlNode& node) {
    const std::string where = fmt::format("{}:{}", config_.file, node.line);
    switch (node.kind) {
      case YamlNode::Kind::kNull:
        return IsSetting(key) || IsSection(key) ? Result<void>() : Unknown(key, where);
      case YamlNode::Kind::kScalar:
        return Set(key, node.scalar, Origin::kFile, where);
      case YamlNode::Kind::kMap:
        for (const auto& [name, child] : node.members) {
          if (auto done = Walk(key + "." + name, child); !done) return done;
        }
        return {};
      case YamlNode::Kind::kList:
        break;
    }
    if (key != "kafka.brokers") {
      if (!IsSetting(key)) return Unknown(key, where);
      return Fail(ErrorClass::kConfig,
                  fmt::format("{}: {}: a list stands where one value is wanted", where, key));
    }
    std::string brokers;
    for (const YamlNode& item : node.items) brokers += (brokers.empty() ? "" : ",") + item.scalar;
    return Set(key, brokers, Origin::kFile, where);
  }

  Result<void> Environment() {
    for (const SettingSpec& spec : table_) {
      for (const std::string& name : spec.env) {
        const auto value = FromEnv(inputs_, name);
        if (!value) continue;
        if (auto done = Set(spec.key, *value, Origin::kEnv, name); !done) return done;
        break;
      }
    }
    // Every program with OpenSSL knows this one, so a setting of ours wins over it, wherever it stands.
    if (const auto value = FromEnv(inputs_, kCaFileEnv); value && config_.ca_file.empty()) {
      if (auto done = Set("http.ca_file", *value, Origin::kEnv, kCaFileEnv); !done) return done;
    }
    // librdkafka's names have dots, which a variable cannot: WEIR_KAFKA_PROPERTIES_SASL_PASSWORD.
    for (const auto& [name, value] : inputs_.env) {
      if (!name.starts_with(kKafkaEnv) || name.size() == kKafkaEnv.size() || value.empty()) continue;
      std::string property = name.substr(kKafkaEnv.size());
      for (char& c : property)
        c = c == '_' ? '.' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      if (auto done = Set(std::string(kKafkaProperties) + property, value, Origin::kEnv, name); !done)
        return done;
    }
    return {};
  }

  Result<void> Flags() {
    for (const std::string& set : inputs_.sets) {
      const auto equals = set.find('=');
      const std::string key(TrimSpace(std::string_view(set).substr(0, equals)));
      if (equals == std::string::npos || key.empty()) {
        return Fail(ErrorClass::kConfig, "--set wants dotted.key=value",
                    "e.g. --set sources.lichess.lanes=1; `weir config show` lists the keys");
      }
      const std::string where = "--set " + key;
      if (key.starts_with("accounts")) {
        return Fail(ErrorClass::kConfig, fmt::format("{}: accounts can only be described in the file", where),
                    "`weir init` writes a commented weir.yaml");
      }
      if (auto done = Set(key, set.substr(equals + 1), Origin::kFlag, where); !done) return done;
    }
    return {};
  }

  Result<void> Set(const std::string& key, const std::string& text, Origin origin, const std::string& where) {
    if (key.starts_with(kKafkaProperties) && key.size() > kKafkaProperties.size())
      return SetProperty(key, text, origin, where);
    const auto spec = std::find_if(table_.begin(), table_.end(), [&](const auto& s) { return s.key == key; });
    if (spec == table_.end()) return Unknown(key, where);
    auto value = ParseSetting(*spec, text);
    if (!value) return tl::unexpected(At(where, value.error()));
    if (spec->type == SettingType::kPath && !value->text.empty()) {
      const std::string folder = std::filesystem::path(config_.file).parent_path().string();
      value->text =
          AbsolutePath(inputs_, origin == Origin::kFile ? folder : inputs_.working_directory, value->text);
    }
    std::string shown = value->text;
    if (spec->type == SettingType::kDatabaseUrl) {
      shown = RedactDatabaseUrl(value->text);
      if (auto done = Dereference(value->text, where); !done) return done;
    }
    spec->store(config_, *value);
    config_.settings[key] = {shown, origin, where};
    return {};
  }

  Result<void> SetProperty(const std::string& key, std::string text, Origin origin,
                           const std::string& where) {
    const std::string name = key.substr(kKafkaProperties.size());
    if (name == "bootstrap.servers" || name == "metadata.broker.list") {
      return Fail(ErrorClass::kConfig, fmt::format("{}: {} is set by kafka.brokers", where, key),
                  "use kafka.brokers");
    }
    const bool secret = IsSecretProperty(name);
    const std::string shown = secret && !IsReference(text) ? "***" : text;
    if (secret) {
      if (auto done = Dereference(text, where); !done) return done;
    }
    config_.kafka_properties[name] = std::move(text);
    config_.settings[key] = {shown, origin, where};
    return {};
  }

  // env:NAME and file:PATH → what stands there.
  Result<void> Dereference(std::string& text, const std::string& where) {
    if (!IsReference(text)) return {};
    auto secret = ReadReference(text, [this](const std::string& name) { return FromEnv(inputs_, name); });
    if (!secret) return tl::unexpected(At(where, secret.error()));
    text = secret->Reveal();
    return {};
  }

  bool IsSetting(const std::string& key) const { return config_.settings.contains(key); }
  bool IsSection(const std::string& key) const {
    if (key == "kafka.properties" || key == "sources") return true;
    const std::string prefix = key + ".";
    return std::any_of(table_.begin(), table_.end(),
                       [&](const auto& s) { return s.key.starts_with(prefix); });
  }

  Result<void> Unknown(const std::string& key, const std::string& where) const {
    const std::string shown = Printable(key, 100);
    if (IsSection(key)) {
      std::string members;
      for (const SettingSpec& spec : table_) {
        if (spec.key.starts_with(key + ".")) members += (members.empty() ? "" : ", ") + spec.key;
      }
      return Fail(ErrorClass::kConfig, fmt::format("{}: \"{}\" is a section, not a value", where, shown),
                  members.empty() ? "" : "it has " + members);
    }
    if (key.starts_with("sources.")) {
      const std::string name = key.substr(8, key.find('.', 8) - 8);
      std::vector<std::string> names;
      for (const Source* source : sources_) names.push_back(source->Info().name);
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        return Fail(ErrorClass::kConfig, fmt::format("{}: unknown source \"{}\"", where, Printable(name, 60)),
                    DidYouMean(name, names, "`weir sources list` shows them"));
      }
    }
    std::vector<std::string> keys = {"accounts"};
    for (const SettingSpec& spec : table_) keys.push_back(spec.key);
    return Fail(ErrorClass::kConfig, fmt::format("{}: unknown key \"{}\"", where, shown),
                DidYouMean(key, keys, "`weir config show` lists the keys"));
  }

  // What only the whole can tell.
  Result<void> Finish() {
    if (auto key = FromEnv(inputs_, "WEIR_ENCRYPTION_KEY")) config_.encryption_key = Secret(std::move(*key));
    if (auto token = FromEnv(inputs_, "WEIR_API_TOKEN")) config_.api_token = Secret(std::move(*token));
    if (config_.home.empty()) return tl::unexpected(home_error_);
    if (config_.base_delay > config_.max_delay) {
      return Fail(
          ErrorClass::kConfig,
          fmt::format("retry.base_delay ({}) is longer than retry.max_delay ({})",
                      config_.settings["retry.base_delay"].value, config_.settings["retry.max_delay"].value),
          "raise retry.max_delay or lower retry.base_delay");
    }
    return {};
  }

  const ConfigInputs& inputs_;
  const SourceList& sources_;
  const std::vector<SettingSpec> table_;
  Config config_;
  YamlNode accounts_;
  Error home_error_;
};

}  // namespace

Result<Config> LoadConfigFor(const ConfigInputs& inputs, const SourceList& sources) {
  return Loader(inputs, sources).Load();
}

}  // namespace weir
