#include "common/obs/exposition.h"

#include <prometheus/gauge.h>
#include <prometheus/text_serializer.h>

#include <sstream>
#include <utility>

namespace weir {

void AddBuildInfo(prometheus::Registry& registry, std::string_view program, std::string_view version) {
  prometheus::BuildGauge()
      .Name("weir_build_info")
      .Help("Always 1; its labels say what runs.")
      .Register(registry)
      .Add({{"program", std::string(program)}, {"version", std::string(version)}})
      .Set(1);
}

std::string Text(const prometheus::Registry& registry) {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, registry.Collect());
  return std::move(out).str();
}

}  // namespace weir
