#pragma once

#include <string>

#include "common/config/config.h"
#include "common/config/settings_table.h"
#include "common/config/yaml_tree.h"

namespace weir {

// The functions of config.h for a given set of sources. config.cc gives them the registry's; tests their own.
Result<Config> LoadConfigFor(const ConfigInputs& inputs, const SourceList& sources);
std::string ConfigJsonSchemaFor(const SourceList& sources);
std::string ConfigExampleFor(const SourceList& sources);

// accounts[] of a file into config.accounts, each checked against its source. Errors: kConfig with file:line.
Result<void> ReadAccounts(const YamlNode& list, const std::string& file, const ConfigInputs& inputs,
                          const SourceList& sources, Config& config);

// Which meter an account counts against, without reading its secrets: a secret's reference stands in for it,
// so that accounts of one token fall together. Only for comparing accounts with each other.
std::string ComparableMeter(const Config& config, const Source& source, const AccountConfig& account);

}  // namespace weir
