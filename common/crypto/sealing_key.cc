#include "common/crypto/sealing_key.h"

#include <fmt/core.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <memory>

namespace weir {
namespace {

constexpr std::size_t kKeyBytes = 32, kNonceBytes = 12, kTagBytes = 16;
constexpr char kFormat = 1;  // the first byte of what is sealed

struct ContextFree {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, ContextFree>;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

tl::unexpected<Error> NoCipher() { return Fail(ErrorClass::kInternal, "OpenSSL cannot encrypt"); }

tl::unexpected<Error> WrongKey() {
  return Fail(ErrorClass::kConfig,
              "what the database keeps encrypted cannot be read with this WEIR_ENCRYPTION_KEY",
              "set the key it was stored with on every producer and worker");
}

}  // namespace

Result<SealingKey> SealingKey::Parse(const Secret& text) {
  constexpr std::string_view kHint = "make one and keep it: openssl rand -base64 32";
  if (text.empty()) {
    return Fail(ErrorClass::kConfig,
                "WEIR_ENCRYPTION_KEY is not set: refresh tokens are stored encrypted only",
                std::string(kHint));
  }
  std::string key(text.Reveal().size(), '\0');
  const int decoded =
      EVP_DecodeBlock(Bytes(key), Bytes(text.Reveal()), static_cast<int>(text.Reveal().size()));
  // 44 characters, the last of which is padding that decodes to a byte too many.
  if (text.Reveal().size() != 44 || text.Reveal()[43] != '=' || text.Reveal()[42] == '=' ||
      decoded != static_cast<int>(kKeyBytes) + 1) {
    return Fail(ErrorClass::kConfig, "WEIR_ENCRYPTION_KEY is not 32 bytes in base64", std::string(kHint));
  }
  key.resize(kKeyBytes);
  return SealingKey(Secret(std::move(key)));
}

Result<std::string> SealingKey::Seal(const Secret& plain, std::string_view place) const {
  std::array<unsigned char, kNonceBytes> nonce{};
  const Context context(EVP_CIPHER_CTX_new());
  if (!context || RAND_bytes(nonce.data(), static_cast<int>(nonce.size())) != 1) return NoCipher();
  std::string sealed(1, kFormat);
  sealed.append(reinterpret_cast<const char*>(nonce.data()), nonce.size());
  const std::size_t head = sealed.size();
  sealed.resize(head + plain.Reveal().size() + kTagBytes);
  unsigned char* const out = Bytes(sealed) + head;
  int length = 0;
  const bool done =
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, Bytes(key_.Reveal()), nonce.data()) ==
          1 &&
      EVP_EncryptUpdate(context.get(), nullptr, &length, Bytes(place), static_cast<int>(place.size())) == 1 &&
      EVP_EncryptUpdate(context.get(), out, &length, Bytes(plain.Reveal()),
                        static_cast<int>(plain.Reveal().size())) == 1 &&
      EVP_EncryptFinal_ex(context.get(), out + length, &length) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, out + plain.Reveal().size()) == 1;
  if (!done) return NoCipher();
  return sealed;
}

Result<Secret> SealingKey::Open(std::string_view sealed, std::string_view place) const {
  constexpr std::size_t kHead = 1 + kNonceBytes;
  if (sealed.size() < kHead + kTagBytes || sealed[0] != kFormat) return WrongKey();
  const Context context(EVP_CIPHER_CTX_new());
  if (!context) return NoCipher();
  const std::string_view body = sealed.substr(kHead, sealed.size() - kHead - kTagBytes);
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  std::string plain(body.size(), '\0');
  std::array<unsigned char, 1> rest{};
  int length = 0;
  const bool done =
      EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, Bytes(key_.Reveal()),
                         Bytes(sealed) + 1) == 1 &&
      EVP_DecryptUpdate(context.get(), nullptr, &length, Bytes(place), static_cast<int>(place.size())) == 1 &&
      EVP_DecryptUpdate(context.get(), Bytes(plain), &length, Bytes(body), static_cast<int>(body.size())) ==
          1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, Bytes(tag)) == 1 &&
      EVP_DecryptFinal_ex(context.get(), rest.data(), &length) == 1;
  if (!done) return WrongKey();
  return Secret(std::move(plain));
}

std::string SealingKey::Fingerprint(const Secret& text) const {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  HMAC(EVP_sha256(), key_.Reveal().data(), static_cast<int>(kKeyBytes), Bytes(text.Reveal()),
       text.Reveal().size(), digest.data(), &length);
  std::string hex;
  for (unsigned i = 0; i < 16; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace weir
