#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "common/base/json_text.h"
#include "common/config/config_file.h"
#include "common/config/config_loader.h"
#include "common/config/nearest.h"
#include "common/config/references.h"
#include "common/config/value_text.h"

namespace weir {
namespace {

constexpr std::size_t kMaxMeter = 100;
constexpr std::size_t kMaxName = 200;

bool IsMeter(std::string_view text) {
  return !text.empty() && text.size() <= kMaxMeter &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == ':' || c == '.' || c == '_' || c == '-';
         });
}

// What accounts were told about a meter, and where, so that a second word on it can be compared.
struct MeterWord {
  std::string value, where;
};

class AccountsReader {
 public:
  AccountsReader(const std::string& file, const ConfigInputs& inputs, const SourceList& sources,
                 Config& config)
      : file_(file), inputs_(inputs), sources_(sources), config_(config) {}

  Result<void> Read(const YamlNode& list) {
    if (list.kind == YamlNode::Kind::kNull) return {};
    if (list.kind != YamlNode::Kind::kList) {
      return Fail(ErrorClass::kConfig, fmt::format("{}: accounts: expected a list", Where(list)),
                  "each entry begins with \"- name: …\"");
    }
    for (const YamlNode& item : list.items) {
      if (auto done = ReadOne(item); !done) return done;
    }
    return {};
  }

 private:
  std::string Where(const YamlNode& node) const { return fmt::format("{}:{}", file_, node.line); }

  template <typename... Args>
  tl::unexpected<Error> Refuse(const YamlNode& node, std::string message, std::string hint = {}) const {
    return Fail(ErrorClass::kConfig, fmt::format("{}: {}", Where(node), message), std::move(hint));
  }

  Result<void> ReadOne(const YamlNode& item) {
    if (item.kind != YamlNode::Kind::kMap) return Refuse(item, "an account must have a name and a source");
    static const std::vector<std::string> kKeys = {"name",  "source", "meter",  "lanes",
                                                   "quota", "params", "secrets"};
    for (const auto& [key, node] : item.members) {
      if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
        return Refuse(node, fmt::format("unknown key \"{}\" of an account", Printable(key, 60)),
                      DidYouMean(key, kKeys, "it has name, source, meter, lanes, quota, params, secrets"));
      }
    }
    AccountConfig account;
    const Source* source = nullptr;
    return Names(item, account, source)
        .and_then([&] { return Meter(item, account); })
        .and_then([&] { return ReadParams(item, *source, account); })
        .and_then([&] { return ReadSecrets(item, *source, account); })
        .and_then([&] { return Compare(item, *source, account); })
        .map([&] {
          Show(item, account);
          config_.accounts.push_back(std::move(account));
        });
  }

  Result<std::string> Scalar(const YamlNode& item, const std::string& key) const {
    const YamlNode* node = item.Find(key);
    if (node == nullptr || node->kind == YamlNode::Kind::kNull)
      return Refuse(item, fmt::format("an account has no {}", key));
    if (node->kind != YamlNode::Kind::kScalar || node->scalar.size() > kMaxName)
      return Refuse(*node, fmt::format("{} must be one short value", key));
    return node->scalar;
  }

  Result<void> Names(const YamlNode& item, AccountConfig& account, const Source*& source) {
    auto name = Scalar(item, "name");
    if (!name) return tl::unexpected(name.error());
    auto source_name = Scalar(item, "source");
    if (!source_name) return tl::unexpected(source_name.error());
    account.name = *name;
    account.source = *source_name;
    std::vector<std::string> names;
    for (const Source* s : sources_) {
      names.push_back(s->Info().name);
      if (s->Info().name == account.source) source = s;
    }
    if (source == nullptr) {
      return Refuse(*item.Find("source"), fmt::format("unknown source \"{}\"", Printable(account.source, 60)),
                    DidYouMean(account.source, names, "`weir sources list` shows them"));
    }
    const auto key = source->AccountKey(account.name);
    if (!key) return Refuse(*item.Find("name"), key.error().message, key.error().hint);
    const auto [first, is_new] = seen_.emplace(account.source + "\n" + *key, Where(item));
    if (is_new) return {};
    return Refuse(item,
                  fmt::format("account {} of {} is given twice", Printable(account.name, 60), account.source),
                  "it stands first at " + first->second);
  }

  Result<void> Meter(const YamlNode& item, AccountConfig& account) {
    for (const SettingSpec& spec : AccountSettingSpecs()) {
      const YamlNode* node = item.Find(spec.key);
      if (node == nullptr || node->kind == YamlNode::Kind::kNull) continue;
      if (node->kind != YamlNode::Kind::kScalar) return Refuse(*node, spec.key + " must be one value");
      auto value = ParseSetting(spec, node->scalar);
      if (!value) return Refuse(*node, value.error().message, value.error().hint);
      if (spec.key == "lanes") account.lanes = static_cast<int>(value->number);
      if (spec.key == "quota") account.quota = value->text;
      if (spec.key == "meter") account.meter = value->text;
      if (spec.key == "meter" && !IsMeter(value->text)) {
        return Refuse(*node, fmt::format("\"{}\" is not a meter's name", Printable(value->text, 60)),
                      "up to 100 letters, digits and : . _ -");
      }
    }
    return {};
  }

  Result<void> ReadParams(const YamlNode& item, const Source& source, AccountConfig& account) const {
    const YamlNode* params = item.Find("params");
    if (params == nullptr || params->kind == YamlNode::Kind::kNull) return {};
    if (params->kind != YamlNode::Kind::kMap) return Refuse(*params, "params must be key: value");
    std::vector<std::string> known;
    for (const auto& param : source.Info().params) known.push_back(param.name);
    for (const auto& [name, node] : params->members) {
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        return Refuse(node, fmt::format("{} has no param \"{}\"", account.source, Printable(name, 60)),
                      DidYouMean(name, known, "`weir sources list` shows them"));
      }
      if (node.kind == YamlNode::Kind::kList || node.kind == YamlNode::Kind::kMap)
        return Refuse(node, fmt::format("param {} must be one value", name));
      SettingSpec spec;
      spec.key = name;
      auto value = ParseSetting(spec, node.scalar);
      if (!value) return Refuse(node, value.error().message);
      account.params[name] = value->text;
    }
    return {};
  }

  // A value that is no reference may be the secret itself: it is never quoted.
  Result<void> ReadSecrets(const YamlNode& item, const Source& source, AccountConfig& account) const {
    const YamlNode* secrets = item.Find("secrets");
    if (secrets == nullptr || secrets->kind == YamlNode::Kind::kNull) return {};
    if (secrets->kind != YamlNode::Kind::kMap)
      return Refuse(*secrets, "secrets must be name: env:NAME or file:PATH");
    const std::vector<std::string>& known = source.Info().secret_names;
    for (const auto& [name, node] : secrets->members) {
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        return Refuse(node, fmt::format("{} has no secret \"{}\"", account.source, Printable(name, 60)),
                      DidYouMean(name, known));
      }
      const bool usable = node.kind == YamlNode::Kind::kScalar && IsReference(node.scalar) &&
                          node.scalar.size() > node.scalar.find(':') + 1;
      if (!usable) {
        return Refuse(node, fmt::format("secret {} must say where the secret is, not what it is", name),
                      "write env:NAME or file:PATH");
      }
      std::string reference = node.scalar;
      if (reference.starts_with("file:")) {
        const std::string folder = std::filesystem::path(file_).parent_path().string();
        reference = "file:" + AbsolutePath(inputs_, folder, reference.substr(5));
      }
      account.secret_refs[name] = reference;
    }
    return {};
  }

  // Lanes and quota are the meter's: two accounts of one meter must not say different things.
  Result<void> Compare(const YamlNode& item, const Source& source, const AccountConfig& account) {
    const std::string meter = ComparableMeter(config_, source, account);
    const auto compare = [&](const char* what, const std::string& value) -> Result<void> {
      const auto [first, is_new] = words_.emplace(meter + "\n" + what, MeterWord{value, Where(item)});
      if (is_new || first->second.value == value) return {};
      return Refuse(
          item,
          fmt::format("account {}: {} {} contradicts {} of another account that counts against the same "
                      "meter",
                      Printable(account.name, 60), what, value, first->second.value),
          fmt::format("{} belong to the meter; the other account is at {}", what, first->second.where));
    };
    if (account.lanes) {
      if (auto done = compare("lanes", std::to_string(*account.lanes)); !done) return done;
    }
    return account.quota ? compare("quota", *account.quota) : Result<void>();
  }

  void Show(const YamlNode& item, const AccountConfig& account) const {
    const std::string prefix = fmt::format("accounts[{}].", config_.accounts.size());
    const auto show = [&](const std::string& key, const std::string& value) {
      config_.settings[prefix + key] = {value, Origin::kFile, Where(item)};
    };
    show("name", account.name);
    show("source", account.source);
    if (account.meter) show("meter", *account.meter);
    if (account.lanes) show("lanes", std::to_string(*account.lanes));
    if (account.quota) show("quota", *account.quota);
    for (const auto& [name, value] : account.params) show("params." + name, value);
    for (const auto& [name, reference] : account.secret_refs) show("secrets." + name, reference);
  }

  const std::string& file_;
  const ConfigInputs& inputs_;
  const SourceList& sources_;
  Config& config_;
  std::map<std::string, std::string> seen_;  // source and account key → where
  std::map<std::string, MeterWord> words_;   // meter and what is said of it
};

}  // namespace

Result<void> ReadAccounts(const YamlNode& list, const std::string& file, const ConfigInputs& inputs,
                          const SourceList& sources, Config& config) {
  return AccountsReader(file, inputs, sources, config).Read(list);
}

}  // namespace weir
