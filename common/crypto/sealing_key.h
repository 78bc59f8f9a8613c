#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "common/base/result.h"
#include "common/base/secret.h"

namespace weir {

// Keeps secrets unreadable in a table: AES-256-GCM under the key of WEIR_ENCRYPTION_KEY. The only user of
// OpenSSL's ciphers. Immutable; any thread.
class SealingKey {
 public:
  // `text`: 32 bytes in base64. Errors: kConfig, with a hint; never quoting it.
  static Result<SealingKey> Parse(const Secret& text);

  // The plain text under a fresh random nonce, bound to `place` (what row it belongs to): binary.
  Result<std::string> Seal(const Secret& plain, std::string_view place) const;
  // Errors: kConfig, when it was sealed under another key, for another place, or was altered.
  Result<Secret> Open(std::string_view sealed, std::string_view place) const;

  // Tells whether two texts are the same without telling either: HMAC-SHA256 under the key, in hex.
  std::string Fingerprint(const Secret& text) const;

 private:
  explicit SealingKey(Secret key) : key_(std::move(key)) {}

  Secret key_;
};

}  // namespace weir
