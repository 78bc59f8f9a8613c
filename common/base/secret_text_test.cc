#include "common/base/secret_text.h"

#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

const std::map<std::string, Secret> kSecrets = {{"token", Secret("lip/0123+456789=")},
                                                {"pin", Secret("1234")}};

TEST(SecretText, ASecretIsFoundHoweverItIsSpelt) {
  EXPECT_EQ(WithoutSecrets("no token lip/0123+456789=!", kSecrets), "no token ***!");
  EXPECT_EQ(WithoutSecrets("?t=lip%2F0123%2B456789%3D&x=1", kSecrets), "?t=***&x=1");
  EXPECT_EQ(WithoutSecrets("?t=lip%2f0123%2b456789=&x=1", kSecrets), "?t=***&x=1");
  EXPECT_EQ(WithoutSecrets(R"("lip\/0123+456789=")", kSecrets), R"("***")");
  EXPECT_EQ(WithoutSecrets(R"("lip\u002f0123\u002B456789\u003d")", kSecrets), R"("***")");
  EXPECT_EQ(WithoutSecrets("twice lip/0123+456789=lip/0123+456789=", kSecrets), "twice ******");
  const std::map<std::string, Secret> hostile = {{"token", Secret("%41%42\\x+ y")}};
  EXPECT_EQ(WithoutSecrets("a %41%42\\x+ y b", hostile), "a *** b");
  EXPECT_EQ(WithoutSecrets("a %2541%2542%5Cx%2B+y b", hostile), "a *** b");
}

TEST(SecretText, ItsBeginningIsFoundWhereATextWasCut) {
  EXPECT_EQ(WithoutSecrets("no token lip/0123", kSecrets), "no token ***");
  EXPECT_EQ(WithoutSecrets("\"no token lip/01\": more", kSecrets), "\"no token ***\": more");
  EXPECT_EQ(WithoutSecrets("no token lip/0123+ and more", kSecrets), "no token *** and more");
  EXPECT_EQ(WithoutSecrets("no token lip%2F01", kSecrets), "no token ***");
  EXPECT_EQ(WithoutSecrets("a lip/stick, a lip", kSecrets), "a lip/stick, a lip") << "words stay";
  EXPECT_EQ(WithoutSecrets("1234", kSecrets), "1234") << "too short to be a secret";
}

// Whatever the place of the cut, and whatever stands before it.
TEST(SecretText, NoCutLeavesAPartOfASecret) {
  const std::string secret = kSecrets.at("token").Reveal();
  constexpr std::size_t kMost = 64;
  const std::size_t kept = kMost + SecretReach(kSecrets);
  for (std::size_t before = 0; before < 2 * kMost; ++before) {
    const std::string body = secret + std::string(before, 'x') + secret + secret + std::string(500, 'y');
    const std::string clean = WithoutSecrets(std::string_view(body).substr(0, kept), kSecrets, kMost);
    EXPECT_EQ(clean.find("lip"), std::string::npos) << before << ": " << clean;
    EXPECT_EQ(clean.find("6789="), std::string::npos) << before << ": " << clean;
  }
}

TEST(SecretText, AnErrorIsCleanedInAllItsTexts) {
  Error error = MakeError(ErrorClass::kAuth, "lip/0123+456789=", "try lip%2F0123%2B456789%3D");
  error.body_start = "lip/0123+456789=";
  const Error clean = WithoutSecrets(error, kSecrets);
  EXPECT_EQ(clean.message, "***");
  EXPECT_EQ(clean.hint, "try ***");
  EXPECT_EQ(clean.body_start, "***");
}

}  // namespace
}  // namespace weir
