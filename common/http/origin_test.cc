#include "common/http/origin.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(OriginTest, SameOriginComparesSchemeHostAndPort) {
  EXPECT_TRUE(SameOrigin("https://lichess.org", "HTTPS://LiChess.org:443/x?y"));
  EXPECT_TRUE(SameOrigin("http://a.example:80/", "http://a.example"));
  EXPECT_FALSE(SameOrigin("https://lichess.org", "http://lichess.org"));
  EXPECT_FALSE(SameOrigin("https://lichess.org", "https://lichess.org:8443"));
  EXPECT_FALSE(SameOrigin("https://lichess.org", "https://lichess.org.evil.example"));
  EXPECT_FALSE(SameOrigin("https://lichess.org", "https://lichess.org@evil.example"));
  EXPECT_FALSE(SameOrigin("https://lichess.org", "lichess.org"));
  EXPECT_FALSE(SameOrigin("ftp://lichess.org", "ftp://lichess.org"));
}

TEST(OriginTest, JoinAppendsToThePrefix) {
  EXPECT_EQ(JoinUrl("https://h.example", "/a?b=c"), "https://h.example/a?b=c");
  EXPECT_EQ(JoinUrl("https://h.example/", "/a"), "https://h.example/a");
  EXPECT_EQ(JoinUrl("http://127.0.0.1:9/api/", "/a"), "http://127.0.0.1:9/api/a");
}

TEST(OriginTest, JoinRefusesWhatLeavesTheBase) {
  for (const char* target : {"", "a", "@evil.example/", "/a b", "/a\r\nX: y", "/a#b", "/../x", "/a/../../x",
                             "/%2e%2e/x", "/\\evil.example", ".evil.example/"}) {
    const Result<std::string> joined = JoinUrl("https://h.example/api", target);
    ASSERT_FALSE(joined) << target << " became " << *joined;
    EXPECT_EQ(joined.error().error_class, ErrorClass::kInvalid) << target;
  }
  for (const char* base : {"", "h.example", "https://user:pw@h.example", "https://h.example?x", "file:///etc",
                           "https://", "https://h.example#x"}) {
    const Result<std::string> joined = JoinUrl(base, "/a");
    ASSERT_FALSE(joined) << base;
    EXPECT_EQ(joined.error().error_class, ErrorClass::kConfig) << base;
    EXPECT_EQ(joined.error().message.find("pw"), std::string::npos);
  }
}

struct Case {
  const char* location;
  const char* target;  // nullptr = refused
};

TEST(OriginTest, TargetWithinTakesOnlyItsOwnOrigin) {
  const Case cases[] = {
      {"https://h.example/pub/x?y=z", "/pub/x?y=z"},
      {"HTTPS://H.EXAMPLE:443/x#frag", "/x"},
      {"https://h.example", "/"},
      {"/x?y", "/x?y"},
      {"03", "/pub/2023/03"},
      {"../x", "/pub/x"},
      {"//h.example/x", "/x"},
      {"https://evil.example/x", nullptr},
      {"//evil.example/x", nullptr},
      {"https://h.example.evil.example/x", nullptr},
      {"https://h.example@evil.example/x", nullptr},
      {"https://user@h.example/x", nullptr},
      {"https://h.example:8443/x", nullptr},
      {"http://h.example/x", nullptr},
      {"https://h.example\\@evil.example/x", nullptr},
      {"/\\evil.example/x", nullptr},
      {"\\\\evil.example/x", nullptr},
      {"https:\t//evil.example", nullptr},
      {"/x\r\nSet-Cookie: a", nullptr},
      {"/x y", nullptr},
      {"javascript:alert(1)", nullptr},
      {"file:///etc/passwd", nullptr},
      {"ftp://h.example/x", nullptr},
      {"data:text/html,x", nullptr},
      {"", nullptr},
  };
  for (const Case& c : cases) {
    const Result<std::string> target = TargetWithin("https://h.example", c.location, "/pub/2023/02?a=b");
    if (c.target != nullptr) {
      ASSERT_TRUE(target) << c.location << ": " << target.error().message;
      EXPECT_EQ(*target, c.target) << c.location;
    } else if (target) {
      // What a parser takes for a relative path is harmless, but must stay on the base.
      const Result<std::string> joined = JoinUrl("https://h.example", *target);
      ADD_FAILURE() << c.location << " became " << *target << (joined ? " " + *joined : "");
    } else {
      const bool foreign = target.error().message.find("another origin") != std::string::npos;
      EXPECT_EQ(target.error().error_class, foreign ? ErrorClass::kTransient : ErrorClass::kInvalid)
          << c.location;
    }
  }
}

TEST(OriginTest, TargetWithinKeepsToThePrefix) {
  EXPECT_EQ(TargetWithin("https://h.example/api", "https://h.example/api/x"), "/x");
  EXPECT_EQ(TargetWithin("https://h.example/api", "https://h.example/api"), "/");
  EXPECT_FALSE(TargetWithin("https://h.example/api", "https://h.example/apix"));
  EXPECT_FALSE(TargetWithin("https://h.example/api", "/x"));
  EXPECT_FALSE(TargetWithin("https://h.example/api", "/api/../x"));
  EXPECT_FALSE(TargetWithin("https://h.example/api", "/api/%2E./x"));
  EXPECT_FALSE(TargetWithin("https://h.example/api", "/api/x/.%2e/%2e%2E/y"));
  // curl 7.88 would leave it to the server, so it is refused; newer ones resolve it, to what is within.
  const Result<std::string> dots = TargetWithin("https://h.example/api", "/api/x/.%2e");
  EXPECT_EQ(dots.value_or("/"), "/");
}

TEST(OriginTest, TheMessageNamesOnlyTheForeignHost) {
  const Result<std::string> target = TargetWithin("https://h.example", "https://evil.example/x?token=secret");
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().error_class, ErrorClass::kTransient) << "a status page, for a while";
  EXPECT_NE(target.error().message.find("evil.example"), std::string::npos);
  EXPECT_EQ(target.error().message.find("secret"), std::string::npos);
  const Result<std::string> user = TargetWithin("https://h.example", "https://me:secret@h.example/x");
  ASSERT_FALSE(user);
  EXPECT_EQ(user.error().message.find("secret"), std::string::npos);
}

}  // namespace
}  // namespace weir
