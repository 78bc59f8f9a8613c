// What tells of the settings: the JSON Schema for editors and the commented example. Both from the one table.
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/config/config_loader.h"

namespace weir {
namespace {

using Json = nlohmann::ordered_json;

Json AnyOfNumberOrPattern(const char* pattern) {
  return Json{{"type", {"string", "integer"}}, {"pattern", pattern}};
}

Json TypeSchema(const SettingSpec& spec) {
  switch (spec.type) {
    case SettingType::kInteger:
      return Json{{"type", "integer"}, {"minimum", spec.min}, {"maximum", spec.max}};
    case SettingType::kDecimal:
      return Json{{"type", "number"},
                  {"minimum", static_cast<double>(spec.min) / 1000},
                  {"maximum", static_cast<double>(spec.max) / 1000}};
    case SettingType::kSize:
      return AnyOfNumberOrPattern("^[0-9]+ ?([KMGT]iB|[kKMGT]B|B)?$");
    case SettingType::kDuration:
      return AnyOfNumberOrPattern("^[0-9]+(ms|s|m|h|d)?$");
    case SettingType::kChoice:
      return Json{{"enum", spec.choices}};
    case SettingType::kUrl:
      return Json{{"type", "string"}, {"pattern", "^https?://[^?# ]+$"}};
    case SettingType::kBrokers:
      return Json{{"type", {"string", "array"}}, {"items", {{"type", "string"}}}};
    case SettingType::kTopicPrefix:
      return Json{{"type", "string"}, {"pattern", "^[A-Za-z0-9._-]*$"}};
    case SettingType::kText:
      return Json{{"type", {"string", "number", "boolean"}}};
    default:
      return Json{{"type", "string"}};
  }
}

Json SettingSchema(const SettingSpec& spec) {
  Json schema = TypeSchema(spec);
  const std::string allowed = AllowedValues(spec);
  const bool bounded = spec.type == SettingType::kSize || spec.type == SettingType::kDuration;
  schema["description"] = bounded ? spec.help + "; " + allowed : spec.help;
  // Numbers as numbers, so that an editor which fills defaults in writes what the schema takes.
  if (spec.type == SettingType::kInteger) {
    schema["default"] = std::stoll(spec.default_text);
  } else if (spec.type == SettingType::kDecimal) {
    schema["default"] = std::stod(spec.default_text);
  } else if (!spec.default_text.empty()) {
    schema["default"] = spec.default_text;
  }
  return schema;
}

Json ClosedObject() {
  return Json{{"type", {"object", "null"}}, {"additionalProperties", false}, {"properties", Json::object()}};
}

// The object that holds `key`'s last part, made on the way.
Json& Section(Json& root, std::string_view& key) {
  Json* object = &root;
  for (auto dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.')) {
    Json& properties = (*object)["properties"];
    const std::string name(key.substr(0, dot));
    if (!properties.contains(name)) properties[name] = ClosedObject();
    object = &properties[name];
    key.remove_prefix(dot + 1);
  }
  return *object;
}

Json AccountSchema(const SourceList& sources) {
  Json names = Json::array(), params = ClosedObject(), secrets = ClosedObject();
  for (const Source* source : sources) {
    names.push_back(source->Info().name);
    for (const auto& param : source->Info().params) {
      params["properties"][param.name] = {{"type", {"string", "number", "boolean"}},
                                          {"description", param.help}};
    }
    for (const std::string& secret : source->Info().secret_names) {
      secrets["properties"][secret] = {{"type", "string"}, {"pattern", "^(env|file):.+$"}};
    }
  }
  Json account = ClosedObject();
  account["type"] = "object";
  account["required"] = {"name", "source"};
  account["properties"]["name"] = {{"type", {"string", "integer"}},
                                   {"description", "as the upstream knows it"}};
  account["properties"]["source"] = {{"enum", names}};
  for (const SettingSpec& spec : AccountSettingSpecs()) {
    Json schema = TypeSchema(spec);
    schema["description"] = spec.help;
    account["properties"][spec.key] = schema;
  }
  account["properties"]["params"] = params;
  account["properties"]["secrets"] = secrets;
  return account;
}

// A scalar that YAML reads back as this text.
std::string YamlScalar(const std::string& text) {
  const bool plain = !text.empty() &&
                     text.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789._/-") == std::string::npos &&
                     text.front() != '-';
  if (plain || text == "-1") return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string Comment(const SettingSpec& spec) {
  std::string comment = spec.help;
  const bool ranged = spec.type == SettingType::kInteger || spec.type == SettingType::kDecimal ||
                      spec.type == SettingType::kSize || spec.type == SettingType::kDuration ||
                      spec.type == SettingType::kChoice;
  if (ranged) comment += " (" + AllowedValues(spec) + ")";
  return comment;
}

// A token as it is; and, of a source that can renew one, what that wants instead.
std::string ExampleSecrets(const Source& source) {
  const auto line = [&](const std::string& secret, std::string_view mark) {
    std::string variable = source.Info().name + "_" + secret;
    for (char& c : variable) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return fmt::format("#    {}  {}: env:{}  # or file:/run/secrets/{}\n", mark, secret, variable, secret);
  };
  const auto& names = source.Info().secret_names;
  const bool renews = std::find(names.begin(), names.end(), "refresh_token") != names.end();
  std::string text = "#    secrets:\n", instead;
  for (const std::string& secret : names) {
    (renews && secret != "token" ? instead : text) += line(secret, renews && secret != "token" ? "# " : "");
  }
  if (instead.empty()) return text;
  return text +
         "#      # Or, for tokens that weir renews (wants WEIR_ENCRYPTION_KEY), instead of the token:\n" +
         instead;
}

std::string ExampleAccounts(const SourceList& sources) {
  std::string text =
      "\n# Accounts that need something of their own. Others work without being named here.\n"
      "# lanes and quota are those of the account's meter: they hold for all accounts of that meter, over "
      "those\n"
      "# of sources.<name>. Secrets are named, never written here.\n#accounts:\n";
  for (const Source* source : sources) {
    text += fmt::format("#  - name: example\n#    source: {}\n", source->Info().name);
    if (source->Info().secret_names.empty()) continue;
    text += ExampleSecrets(*source);
  }
  return text;
}

}  // namespace

std::string ConfigJsonSchemaFor(const SourceList& sources) {
  Json root = ClosedObject();
  for (const SettingSpec& spec : SettingsTable(sources)) {
    std::string_view key = spec.key;
    Json& section = Section(root, key);
    section["properties"][std::string(key)] = SettingSchema(spec);
  }
  root["properties"]["kafka"]["properties"]["properties"] = {
      {"type", {"object", "null"}},
      {"description", "librdkafka's own settings; passwords as env:NAME or file:PATH"},
      {"additionalProperties", {{"type", {"string", "number", "boolean"}}}}};
  root["properties"]["accounts"] = {{"type", {"array", "null"}}, {"items", AccountSchema(sources)}};
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "weir.yaml"}};
  schema.update(root);
  return schema.dump(2) + "\n";
}

std::string ConfigExampleFor(const SourceList& sources) {
  std::string text =
      "# weir.yaml: everything here is optional, and everything is shown with its default. To set something, "
      "take\n"
      "# the # away from its line and from the sections above it. --set section.key=value and "
      "WEIR_SECTION_KEY win\n"
      "# over this file; `weir config show --origin` tells what holds and why.\n";
  std::vector<std::string> open;
  for (const SettingSpec& spec : SettingsTable(sources)) {
    std::vector<std::string> path;
    std::string_view key = spec.key;
    for (auto dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.')) {
      path.emplace_back(key.substr(0, dot));
      key.remove_prefix(dot + 1);
    }
    if (path.empty() || open.empty() || path.front() != open.front()) text += "\n";
    for (std::size_t depth = 0; depth < path.size(); ++depth) {
      if (depth < open.size() && open[depth] == path[depth]) continue;
      text += fmt::format("#{}{}:\n", std::string(depth * 2, ' '), path[depth]);
      open.resize(depth);
      open.push_back(path[depth]);
    }
    open.resize(path.size());
    const std::string value = spec.key == "home" ? "/var/lib/weir" : YamlScalar(spec.default_text);
    text += fmt::format("#{}{}: {}  # {}\n", std::string(path.size() * 2, ' '), key, value, Comment(spec));
  }
  return text + ExampleAccounts(sources);
}

}  // namespace weir
