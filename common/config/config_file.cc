#include "common/config/config_file.h"

#include <fmt/core.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "common/config/text_file.h"

namespace weir {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kMaxBytes = 8 << 20;  // some 50,000 accounts

// $NAME/weir, else ~/fallback/weir. The XDG specification has relative paths ignored.
std::optional<std::string> XdgFolder(const ConfigInputs& inputs, const char* name, const char* fallback) {
  const auto set = FromEnv(inputs, name);
  if (set && set->front() == '/') return *set + "/weir";
  const auto home = FromEnv(inputs, "HOME");
  if (home && home->front() == '/') return *home + "/" + fallback + "/weir";
  return std::nullopt;
}

Result<ConfigFile> Read(const std::string& path) {
  auto text = ReadTextFile({path, "the configuration file", kMaxBytes, "`weir init` writes a commented one"});
  if (!text) return tl::unexpected(text.error());
  return ConfigFile{path, std::move(*text)};
}

}  // namespace

std::optional<std::string> FromEnv(const ConfigInputs& inputs, const std::string& name) {
  const auto found = inputs.env.find(name);
  if (found == inputs.env.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

std::string AbsolutePath(const ConfigInputs& inputs, const std::string& base, const std::string& path) {
  if (path.starts_with("~/")) {
    if (const auto home = FromEnv(inputs, "HOME")) return *home + path.substr(1);
  }
  std::error_code ec;
  const fs::path full = fs::absolute(fs::path(base) / path, ec);
  return ec ? path : full.lexically_normal().string();
}

Result<ConfigFile> FindConfigFile(const ConfigInputs& inputs) {
  const std::string& here = inputs.working_directory;
  if (inputs.file) return Read(AbsolutePath(inputs, here, *inputs.file));
  if (const auto named = FromEnv(inputs, "WEIR_CONFIG")) return Read(AbsolutePath(inputs, here, *named));
  std::error_code ec;
  const std::string local = AbsolutePath(inputs, here, "weir.yaml");
  if (fs::exists(local, ec)) return Read(local);
  if (const auto folder = XdgFolder(inputs, "XDG_CONFIG_HOME", ".config")) {
    if (fs::exists(*folder + "/weir.yaml", ec)) return Read(*folder + "/weir.yaml");
  }
  return ConfigFile{};
}

Result<std::string> DefaultHome(const ConfigInputs& inputs) {
  if (inputs.is_root) return std::string("/var/lib/weir");
  if (const auto folder = XdgFolder(inputs, "XDG_DATA_HOME", ".local/share")) return *folder;
  return Fail(ErrorClass::kConfig, "there is no place for weir's data: neither WEIR_HOME nor HOME is set",
              "set WEIR_HOME to a directory");
}

}  // namespace weir
