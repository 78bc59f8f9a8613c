#include "common/pg/server_binaries.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

namespace weir::pg {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDebianRoot = "/usr/lib/postgresql";

bool HoldsServer(const fs::path& dir) {
  return access((dir / "initdb").c_str(), X_OK) == 0 && access((dir / "postgres").c_str(), X_OK) == 0;
}

// First line of what a program prints; "" if it fails. Only for commands that are fixed here or were found
// above.
std::string FirstLineOf(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen((command + " 2>/dev/null").c_str(), "re"), &pclose);
  std::array<char, 512> line{};
  if (!pipe || !std::fgets(line.data(), line.size(), pipe.get())) return {};
  const std::string_view text(line.data());
  return std::string(text.substr(0, text.find('\n')));
}

// "postgres (PostgreSQL) 15.20 (Debian …)" → 15
int MajorOf(const fs::path& bin_dir) {
  if (bin_dir.string().find('\'') != std::string::npos) return 0;
  const std::string text = FirstLineOf("'" + (bin_dir / "postgres").string() + "' --version");
  const auto digit = text.find_first_of("0123456789");
  int major = 0;
  if (digit != std::string::npos) std::from_chars(text.data() + digit, text.data() + text.size(), major);
  return major;
}

void AddDir(const fs::path& dir, std::vector<ServerBinaries>& out) {
  std::error_code ignored;
  const fs::path real = fs::canonical(dir, ignored);
  if (real.empty() || !HoldsServer(real)) return;
  out.push_back({real.string(), MajorOf(real)});
}

std::vector<ServerBinaries> Installed() {
  std::vector<ServerBinaries> out;
  std::error_code error;
  for (fs::directory_iterator it(kDebianRoot, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    int major = 0;
    std::from_chars(name.data(), name.data() + name.size(), major);
    if (major > 0 && HoldsServer(it->path() / "bin")) out.push_back({(it->path() / "bin").string(), major});
  }
  std::string_view path = std::getenv("PATH") ? std::getenv("PATH") : "";
  while (!path.empty()) {
    const auto colon = path.find(':');
    const std::string_view dir = path.substr(0, colon);
    if (dir.starts_with('/')) AddDir(dir, out);
    path = colon == std::string_view::npos ? std::string_view() : path.substr(colon + 1);
  }
  if (out.empty()) {
    if (const std::string dir = FirstLineOf("pg_config --bindir"); dir.starts_with('/')) AddDir(dir, out);
  }
  return out;
}

}  // namespace

Result<ServerBinaries> ServerBinaries::Find(int major) {
  std::vector<ServerBinaries> found = Installed();
  if (found.empty()) {
    return Fail(ErrorClass::kConfig, "no PostgreSQL server is installed on this machine",
                "apt-get install postgresql, or set WEIR_DATABASE_URL to a server elsewhere");
  }
  const auto newest = std::max_element(found.begin(), found.end(),
                                       [](const auto& a, const auto& b) { return a.major < b.major; });
  if (major == 0) return *newest;
  for (const ServerBinaries& one : found) {
    if (one.major == major) return one;
  }
  return Fail(
      ErrorClass::kConfig,
      fmt::format("the data was made by PostgreSQL {}, which is not installed (found: {})", major,
                  newest->major),
      fmt::format("apt-get install postgresql-{}, or move the data folder away to begin anew", major));
}

}  // namespace weir::pg
