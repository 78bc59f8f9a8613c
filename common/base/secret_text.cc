#include "common/base/secret_text.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace weir {
namespace {

constexpr std::size_t kShortest = 8;
constexpr std::size_t kTelling = 8;          // so many of a secret's first characters are not shown
constexpr std::size_t kTellingAtCut = 4;     // nor so many, where the rest may have been cut off
constexpr std::size_t kLongestSpelling = 6;  // \u002f

bool IsHexOf(std::string_view digits, char c) {
  unsigned value = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return read.ec == std::errc() && read.ptr == digits.data() + digits.size() &&
         value == static_cast<unsigned char>(c);
}

// How many bytes at the text's begin spell `c`, in a coding if that is one; 0 = none do.
std::size_t Spelling(std::string_view text, char c) {
  if (text.empty()) return 0;
  if (text.size() >= 3 && text[0] == '%' && IsHexOf(text.substr(1, 2), c)) return 3;
  if (text.size() >= 6 && text.starts_with("\\u") && IsHexOf(text.substr(2, 4), c)) return 6;
  if (text.size() >= 2 && text[0] == '\\' && text[1] == c) return 2;
  if (c == ' ' && text[0] == '+') return 1;
  return text[0] == c ? 1 : 0;
}

struct Spelt {
  std::size_t characters = 0;  // of the secret
  std::size_t bytes = 0;       // of the text
};

Spelt AsItIs(std::string_view text, std::string_view secret) {
  const auto end = std::mismatch(text.begin(), text.end(), secret.begin(), secret.end()).first;
  const auto same = static_cast<std::size_t>(end - text.begin());
  return {same, same};
}

Spelt Coded(std::string_view text, std::string_view secret) {
  Spelt spelt;
  for (const char c : secret) {
    const std::size_t bytes = Spelling(text.substr(spelt.bytes), c);
    if (bytes == 0) break;
    spelt.bytes += bytes;
    ++spelt.characters;
  }
  return spelt;
}

bool IsCut(std::string_view rest) {
  return rest.empty() || rest.front() == '"' || rest.starts_with("…") || rest.starts_with("...");
}

// The bytes at the text's begin that tell the secret, or too much of it.
std::size_t Telling(std::string_view text, std::string_view secret) {
  const Spelt plain = AsItIs(text, secret), coded = Coded(text, secret);
  const Spelt& spelt = plain.characters >= coded.characters ? plain : coded;
  const std::size_t least = IsCut(text.substr(spelt.bytes)) ? kTellingAtCut : kTelling;
  return spelt.characters >= std::min(least, secret.size()) ? spelt.bytes : 0;
}

}  // namespace

std::string WithoutSecrets(std::string_view text, const std::map<std::string, Secret>& secrets,
                           std::size_t most) {
  std::string clean;
  clean.reserve(std::min(most, text.size()));
  for (std::size_t at = 0; at < std::min(most, text.size());) {
    std::size_t told = 0;
    for (const auto& [name, secret] : secrets) {
      if (secret.Reveal().size() >= kShortest)
        told = std::max(told, Telling(text.substr(at), secret.Reveal()));
    }
    if (told > 0) {
      clean += "***";
    } else {
      clean += text[at];
    }
    at += std::max<std::size_t>(told, 1);
  }
  return clean;
}

std::string WithoutSecrets(std::string_view text, const std::map<std::string, Secret>& secrets) {
  return WithoutSecrets(text, secrets, text.size());
}

std::size_t SecretReach(const std::map<std::string, Secret>& secrets) {
  std::size_t longest = 0;
  for (const auto& [name, secret] : secrets) longest = std::max(longest, secret.Reveal().size());
  return longest * kLongestSpelling;
}

Error WithoutSecrets(Error error, const std::map<std::string, Secret>& secrets) {
  for (std::string* text : {&error.message, &error.hint, &error.body_start})
    *text = WithoutSecrets(*text, secrets);
  return error;
}

}  // namespace weir
