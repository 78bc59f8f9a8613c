#include "common/crypto/sealing_key.h"

#include <gtest/gtest.h>

#include <set>

namespace weir {
namespace {

// 32 bytes 'k' and 32 bytes 'l'.
constexpr const char* kKey = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
constexpr const char* kOther = "bGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGw=";

TEST(SealingKey, OpensOnlyWhatItSealedForThatPlace) {
  const auto key = SealingKey::Parse(Secret(kKey));
  const auto other = SealingKey::Parse(Secret(kOther));
  ASSERT_TRUE(key && other);
  const auto sealed = key->Seal(Secret("refresh-1"), "highlevel/loc");
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->find("refresh-1"), std::string::npos);
  EXPECT_EQ(key->Open(*sealed, "highlevel/loc")->Reveal(), "refresh-1");
  EXPECT_FALSE(other->Open(*sealed, "highlevel/loc"));
  EXPECT_FALSE(key->Open(*sealed, "highlevel/other"));
  for (std::size_t i = 0; i < sealed->size(); ++i) {
    std::string altered = *sealed;
    altered[i] = static_cast<char>(altered[i] ^ 1);
    EXPECT_FALSE(key->Open(altered, "highlevel/loc")) << i;
    EXPECT_FALSE(key->Open(sealed->substr(0, i), "highlevel/loc")) << i;
  }
  EXPECT_EQ(key->Open(*key->Seal(Secret(""), "p"), "p")->Reveal(), "");
}

TEST(SealingKey, TheSameTextIsNeverSealedTheSameWay) {
  const auto key = SealingKey::Parse(Secret(kKey));
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) seen.insert(*key->Seal(Secret("x"), "p"));
  EXPECT_EQ(seen.size(), 100u);
}

TEST(SealingKey, AFingerprintTellsTextsApartAndDependsOnTheKey) {
  const auto key = SealingKey::Parse(Secret(kKey));
  const auto other = SealingKey::Parse(Secret(kOther));
  EXPECT_EQ(key->Fingerprint(Secret("a")), key->Fingerprint(Secret("a")));
  EXPECT_NE(key->Fingerprint(Secret("a")), key->Fingerprint(Secret("b")));
  EXPECT_NE(key->Fingerprint(Secret("a")), other->Fingerprint(Secret("a")));
}

TEST(SealingKey, AnythingButThirtyTwoBytesIsRefusedWithAHint) {
  for (const char* bad :
       {"", "a2tra2s=", "not base64 at all, but forty-four characters",
        "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2trKysr", "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2=="}) {
    const auto key = SealingKey::Parse(Secret(bad));
    ASSERT_FALSE(key) << bad;
    EXPECT_EQ(key.error().error_class, ErrorClass::kConfig);
    EXPECT_NE(key.error().hint.find("openssl rand -base64 32"), std::string::npos);
    if (*bad != '\0') {
      EXPECT_EQ(key.error().message.find(bad), std::string::npos) << "quotes the key";
    }
  }
}

}  // namespace
}  // namespace weir
