#include "common/config/inherited_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Inherited(const std::string& value) {
  return InheritedSettings({{kInheritedSettings, value}});
}

TEST(InheritedSettings, AnyValueComesAsItWas) {
  const std::vector<std::string> settings = {"a=1", "", "kafka.properties.ssl.key.pem=-----\n12:34\n\x1e\xff",
                                             "b=\"x, y\""};
  EXPECT_EQ(Inherited(PackSettings(settings)), settings);
  EXPECT_EQ(PackSettings({}), "");
}

TEST(InheritedSettings, WhatIsNotOfTheFormIsLeftOut) {
  EXPECT_THAT(InheritedSettings({}), IsEmpty());
  for (const char* value :
       {"", "x", "3", "3:", "3:ab", "-1:a", ":a", "99999999999999999999999:a", "18446744073709551615:a"})
    EXPECT_THAT(Inherited(value), IsEmpty()) << value;
  EXPECT_THAT(Inherited("3:a=1garbage"), ElementsAre("a=1"));
}

}  // namespace
}  // namespace weir
