#include "common/config/references.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "common/base/json_text.h"
#include "common/config/config.h"
#include "common/config/text_file.h"
#include "common/config/value_text.h"

namespace weir {
namespace {

constexpr std::string_view kEnv = "env:";
constexpr std::string_view kFile = "file:";
constexpr std::size_t kMaxSecretBytes = 64 << 10;

Result<std::string> ReadSecretFile(const std::string& path) {
  auto text = ReadTextFile({path == "-" ? "./-" : path, "the secret's file", kMaxSecretBytes,
                            "check that it exists, is a text file, and that this user may read it"});
  while (text && !text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  return text;
}

// Where a value that begins at `at` ends: at one of `stops`, or at its quote (libpq's key=value form).
std::size_t EndOfValue(std::string_view text, std::size_t at, std::string_view stops) {
  if (at < text.size() && text[at] == '\'') {
    for (++at; at < text.size() && text[at] != '\''; ++at) {
      if (text[at] == '\\') ++at;
    }
    return std::min(at + 1, text.size());
  }
  return std::min(text.find_first_of(stops, at), text.size());
}

// Every `password=…` and `sslpassword=…`, also with spaces around the sign, as libpq takes it.
std::string RedactParameter(std::string_view text, std::string_view stops) {
  constexpr std::string_view kName = "password";
  std::string out;
  for (;;) {
    const auto at = text.find(kName);
    if (at == std::string_view::npos) return out.append(text);
    const auto sign = text.find_first_not_of(" \t", at + kName.size());
    if (sign == std::string_view::npos || text[sign] != '=') {
      out.append(text.substr(0, at + kName.size()));
      text.remove_prefix(at + kName.size());
      continue;
    }
    const auto value = std::min(text.find_first_not_of(" \t", sign + 1), text.size());
    out.append(text.substr(0, sign + 1)).append("***");
    text.remove_prefix(EndOfValue(text, value, stops));
  }
}

}  // namespace

bool IsReference(std::string_view text) { return text.starts_with(kEnv) || text.starts_with(kFile); }

Result<Secret> ReadReference(std::string_view reference, const EnvLookup& env) {
  std::string value;
  if (reference.starts_with(kEnv)) {
    const std::string name(reference.substr(kEnv.size()));
    const auto found = env(name);
    if (!found || found->empty()) {
      return Fail(ErrorClass::kConfig, fmt::format("the environment variable {} is not set", name),
                  fmt::format("export {}=…, or use file:PATH", name));
    }
    value = *found;
  } else if (reference.starts_with(kFile)) {
    auto text = ReadSecretFile(std::string(reference.substr(kFile.size())));
    if (!text) return tl::unexpected(text.error());
    value = std::move(*text);
    if (value.empty()) {
      return Fail(ErrorClass::kConfig,
                  fmt::format("the secret's file {} is empty", reference.substr(kFile.size())));
    }
  } else {
    return Fail(ErrorClass::kConfig, "a secret must be given as env:NAME or file:PATH");
  }
  return Secret(std::move(value));
}

std::string RedactDatabaseUrl(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos) {
    return RedactParameter(url, " \t\n");
  }
  const std::size_t start = scheme + 3;
  const std::size_t end = std::min(url.find_first_of("/?", start), url.size());
  // The last '@' ends the user part: a password with an unescaped '/' or '@' must not be shown by halves.
  const auto last_at = url.rfind('@');
  std::string out(url.substr(0, start));
  std::string_view rest = url.substr(start);
  if (last_at != std::string_view::npos && (last_at < end || url.find(':', start) < end)) {
    const std::string_view user = url.substr(start, last_at - start);
    const auto colon = user.find(':');
    out.append(user.substr(0, colon));
    if (colon != std::string_view::npos) out.append(":***");
    rest = url.substr(last_at);
  }
  return out + RedactParameter(rest, "&");
}

bool IsSecretProperty(std::string_view name) {
  for (const std::string_view part : {"password", "secret", "key.pem", "jaas", "oauthbearer.config"}) {
    if (name.find(part) != std::string_view::npos) return true;
  }
  return false;
}

Result<std::map<std::string, Secret>> ResolveSecrets(const AccountConfig& account) {
  std::map<std::string, Secret> secrets;
  const EnvLookup process_env = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  for (const auto& [name, reference] : account.secret_refs) {
    auto secret = ReadReference(reference, process_env);
    if (!secret) {
      return Fail(ErrorClass::kConfig,
                  fmt::format("account {} of {}, secret {}: {}", account.name, account.source, name,
                              secret.error().message),
                  secret.error().hint);
    }
    // Secrets become header values: a line end in one would start another header.
    for (const unsigned char c : secret->Reveal()) {
      if (c >= 0x20 && c != 0x7f) continue;
      return Fail(ErrorClass::kConfig,
                  fmt::format("account {} of {}, secret {}: it holds a control character", account.name,
                              account.source, name));
    }
    secrets.emplace(name, std::move(*secret));
  }
  return secrets;
}

}  // namespace weir
