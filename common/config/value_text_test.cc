#include "common/config/value_text.h"

#include <gtest/gtest.h>

#include "common/config/nearest.h"
#include "common/config/references.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

TEST(ValueText, SizesAreReadWithTheirUnits) {
  EXPECT_EQ(ParseSize("512KiB"), 512 << 10);
  EXPECT_EQ(ParseSize("1 MiB"), 1 << 20);
  EXPECT_EQ(ParseSize("2GB"), 2'000'000'000);
  EXPECT_EQ(ParseSize("77"), 77);
  for (const char* bad : {"", "KiB", "-1", "1.5MiB", "1 mib", "9223372036854775807TiB", "1MiBx"}) {
    EXPECT_EQ(ParseSize(bad), std::nullopt) << bad;
  }
}

TEST(ValueText, FormattedValuesReadBackTheSame) {
  for (const std::int64_t bytes : {0LL, 1LL, 1000LL, 1024LL, 524288LL, 1048577LL, 1LL << 40}) {
    EXPECT_EQ(ParseSize(FormatSize(bytes)), bytes);
  }
  EXPECT_EQ(FormatSize(512 << 10), "512KiB");
  EXPECT_EQ(FormatExactDuration(milliseconds(60'000)), "60s");
  EXPECT_EQ(FormatExactDuration(milliseconds(1'500)), "1500ms");
  EXPECT_EQ(FormatExactDuration(milliseconds(0)), "0s");
  EXPECT_EQ(FormatExactDuration(milliseconds(7 * 86'400'000LL)), "7d");
  EXPECT_EQ(FormatExactDuration(milliseconds(36 * 3'600'000LL)), "129600s");
}

TEST(ValueText, QuotaRules) {
  const auto rules = ParseQuota("100/10s, 200000/day");
  ASSERT_TRUE(rules);
  EXPECT_EQ(*rules,
            (std::vector<QuotaRule>{{100, milliseconds(10'000)}, {200'000, milliseconds(86'400'000)}}));
  EXPECT_TRUE(ParseQuota("")->empty());
  EXPECT_EQ(ParseQuota("5 / minute")->front().per, milliseconds(60'000));
  for (const char* bad : {"100", "0/10s", "-5/s", "1/0s", "1/10s,", "x/s", "1/fortnight",
                          "1/s,1/s,1/s,1/s,1/s,1/s,1/s,1/s,1/s"}) {
    const auto result = ParseQuota(bad);
    ASSERT_FALSE(result) << bad;
    EXPECT_EQ(result.error().error_class, ErrorClass::kConfig);
  }
}

TEST(Nearest, CountsASwapAsOneStep) {
  EXPECT_EQ(EditDistance("recrods", "records"), 1);
  EXPECT_EQ(EditDistance("abc", "abc"), 0);
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
}

TEST(Nearest, NamesOnlyWhatIsNear) {
  const std::vector<std::string> known = {"lichess", "chesscom"};
  EXPECT_EQ(NearestName("liches", known), "lichess");
  EXPECT_EQ(NearestName("Chess.com", known), "chesscom");
  EXPECT_EQ(NearestName("spotify", known), "");
  EXPECT_EQ(DidYouMean("spotify", known, "none"), "none");
}

TEST(References, PasswordsOfDatabaseUrlsAreHidden) {
  const std::pair<const char*, const char*> cases[] = {
      {"postgresql://u:hunter2@h:5432/d", "postgresql://u:***@h:5432/d"},
      {"postgresql://u:hun@ter/2@h/d", "postgresql://u:***@h/d"},
      {"postgresql://u@h/d", "postgresql://u@h/d"},
      {"postgresql://h/d?password=hunter2&x=1", "postgresql://h/d?password=***&x=1"},
      {"host=h password=hunter2 dbname=d", "host=h password=*** dbname=d"},
      {"host=h password = 'hun ter2\\'' dbname=d", "host=h password =*** dbname=d"},
      {"postgresql:///d?host=/run/postgresql", "postgresql:///d?host=/run/postgresql"},
      {"env:URL", "env:URL"},
  };
  for (const auto& [url, shown] : cases) EXPECT_EQ(RedactDatabaseUrl(url), shown);
}

}  // namespace
}  // namespace weir
