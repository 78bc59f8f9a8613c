#include "common/config/config.h"

#include "common/config/config_loader.h"

extern char** environ;  // POSIX declares it nowhere

namespace weir {
namespace {

char LowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool SameIgnoringCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (LowerAscii(a[i]) != LowerAscii(b[i])) return false;
  }
  return true;
}

}  // namespace

std::map<std::string, std::string> CurrentEnvironment() {
  std::map<std::string, std::string> env;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals != std::string_view::npos) env.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return env;
}

const AccountConfig* FindAccount(const Config& config, std::string_view source, std::string_view name) {
  for (const AccountConfig& account : config.accounts) {
    if (account.source == source && SameIgnoringCase(account.name, name)) return &account;
  }
  return nullptr;
}

}  // namespace weir
