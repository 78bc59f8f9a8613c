#pragma once

#include <string>

#include "common/base/result.h"
#include "common/config/config.h"

namespace weir {

struct ConfigFile {
  std::string path;  // "" = there is none
  std::string text;
};

// The first there is of --config, WEIR_CONFIG (these two must exist), ./weir.yaml,
// $XDG_CONFIG_HOME/weir/weir.yaml. At most 8 MiB. Errors: kConfig.
Result<ConfigFile> FindConfigFile(const ConfigInputs& inputs);

// WEIR_HOME's default: $XDG_DATA_HOME/weir (~/.local/share/weir), for root /var/lib/weir, since the
// PostgreSQL server refuses to run as root and its user cannot enter root's home. Errors: kConfig (no HOME).
Result<std::string> DefaultHome(const ConfigInputs& inputs);

// `path` with "~/" replaced and made absolute against `base`.
std::string AbsolutePath(const ConfigInputs& inputs, const std::string& base, const std::string& path);

// A variable that is set and not empty: compose files pass empty ones for "not set".
std::optional<std::string> FromEnv(const ConfigInputs& inputs, const std::string& name);

}  // namespace weir
