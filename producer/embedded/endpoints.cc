#include "producer/embedded/endpoints.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace weir {

Result<void> WriteEndpoints(const std::string& path, const Endpoints& endpoints) {
  const nlohmann::json json{{"supervisor", endpoints.supervisor},
                            {"database_url", endpoints.database_url},
                            {"brokers", endpoints.brokers},
                            {"error", endpoints.error},
                            {"hint", endpoints.hint}};
  const std::string temporary = fmt::format("{}.{}", path, getpid());
  std::ofstream out(temporary, std::ios::trunc);
  out << json.dump() << '\n';
  out.close();
  if (out && std::rename(temporary.c_str(), path.c_str()) == 0) return {};
  std::remove(temporary.c_str());
  return Fail(ErrorClass::kConfig, "cannot write " + path);
}

std::optional<Endpoints> ReadEndpoints(const std::string& path) {
  std::ifstream in(path);
  if (!in) return std::nullopt;
  const auto json = nlohmann::json::parse(in, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  Endpoints endpoints;
  endpoints.supervisor = json.value("supervisor", 0);
  endpoints.database_url = json.value("database_url", "");
  endpoints.brokers = json.value("brokers", "");
  endpoints.error = json.value("error", "");
  endpoints.hint = json.value("hint", "");
  return endpoints;
}

}  // namespace weir
