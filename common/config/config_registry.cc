// config.h for the sources of the registry. In a file of its own, so that what gives its own sources (tests)
// does not pull every API in.
#include "common/config/config.h"
#include "common/config/config_loader.h"

namespace weir {

Result<Config> LoadConfig(const ConfigInputs& inputs) { return LoadConfigFor(inputs, AllSources()); }

std::string ConfigJsonSchema() { return ConfigJsonSchemaFor(AllSources()); }

std::string ConfigExample() { return ConfigExampleFor(AllSources()); }

}  // namespace weir
