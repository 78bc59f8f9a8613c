#include "common/config/account_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/config/fake_sources.h"
#include "common/config/version.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const Source& Chess() { return *FakeSources()[0]; }
const Source& Crm() { return *FakeSources()[1]; }

AccountConfig Account(std::string name, std::string source) {
  AccountConfig account;
  account.name = std::move(name);
  account.source = std::move(source);
  return account;
}

TEST(ResolveAccount, AnAccountOutsideTheFileHasItsSourcesDefaults) {
  const auto settings = ResolveAccount(Config(), Chess(), "Anna");
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->account.name, "Anna");
  EXPECT_EQ(settings->account.canonical, "Anna");
  EXPECT_EQ(settings->key, "anna");
  EXPECT_EQ(settings->base_url, "https://chess.example");
  EXPECT_THAT(settings->user_agent, HasSubstr("weir/" + std::string(Version())));
  EXPECT_THAT(settings->user_agent, HasSubstr("contact"));
  EXPECT_EQ(settings->meter, "chess");
  EXPECT_EQ(settings->lanes, 1);
  EXPECT_EQ(settings->retry_after_floor, milliseconds(60'000));
  EXPECT_EQ(settings->account.params.at("window_games"), "5000");
  EXPECT_FALSE(settings->account.has_token);
}

TEST(ResolveAccount, AccountOverSourceOverDefault) {
  Config config;
  SourceConfig& source = config.sources["crm"];
  source.base_url = "http://127.0.0.1:1";
  source.user_agent = "me";
  source.lanes = 3;
  source.quota = "9/s";
  source.retry_after_floor = milliseconds(5);
  AccountConfig account = Account("Bob", "crm");
  account.lanes = 5;
  config.accounts.push_back(account);
  const auto bob = ResolveAccount(config, Crm(), "bob");
  ASSERT_TRUE(bob);
  EXPECT_EQ(bob->base_url, "http://127.0.0.1:1");
  EXPECT_EQ(bob->user_agent, "me");
  EXPECT_EQ(bob->lanes, 5);
  EXPECT_EQ(bob->quota, "9/s");
  EXPECT_EQ(bob->retry_after_floor, milliseconds(5));
  EXPECT_EQ(ResolveAccount(config, Crm(), "carl")->lanes, 3);
}

TEST(ResolveAccount, LanesAndQuotaAreTheMeters) {
  Config config;
  AccountConfig anna = Account("anna", "chess");
  anna.lanes = 4;
  anna.quota = "7/s";
  config.accounts.push_back(anna);
  // Everyone without a token counts against the same meter as anna.
  const auto other = ResolveAccount(config, Chess(), "carl");
  EXPECT_EQ(other->meter, ResolveAccount(config, Chess(), "anna")->meter);
  EXPECT_EQ(other->lanes, 4);
  EXPECT_EQ(other->quota, "7/s");
  // At the CRM each has a meter of his own.
  config.accounts[0].source = "crm";
  EXPECT_EQ(ResolveAccount(config, Crm(), "carl")->lanes, 2);
}

TEST(ResolveAccount, LanesThatTheQuotaCutsAreSaid) {
  Config config;
  EXPECT_THAT(LanesOverQuota(config, FakeSources()), IsEmpty());
  config.sources["crm"].lanes = 8;
  config.sources["crm"].quota = "5/s, 3/10s";
  for (const char* name : {"anna", "bob"}) {
    config.accounts.push_back(Account(name, "chess"));
    config.accounts.back().quota = "1/s";
    config.accounts.back().lanes = 4;
  }
  config.accounts.push_back(Account("carl", "crm"));  // as its source, of which it was said
  config.accounts.push_back(Account("dora", "crm"));
  config.accounts.back().lanes = 3;  // as many as fit
  EXPECT_EQ(ResolveAccount(config, Crm(), "carl")->lanes, 3);
  EXPECT_EQ(ResolveAccount(config, Crm(), "dora")->lanes, 3);
  EXPECT_EQ(ResolveAccount(config, Chess(), "bob")->lanes, 1);
  EXPECT_THAT(
      LanesOverQuota(config, FakeSources()),
      ElementsAre(
          "account anna of chess: of 4 lanes 1 is used: the quota 1/s has no more requests to share out",
          "sources.crm: of 8 lanes 3 are used: the quota 5/s, 3/10s has no more requests to share out"));
}

TEST(ResolveAccount, SecretsAreReadAndDecideTheMeter) {
  ASSERT_EQ(setenv("WEIR_TEST_TOKEN", "s3cret", 1), 0);
  Config config;
  config.accounts.push_back(Account("anna", "chess"));
  config.accounts[0].secret_refs["token"] = "env:WEIR_TEST_TOKEN";
  auto settings = ResolveAccount(config, Chess(), "anna");
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->secrets.at("token").Reveal(), "s3cret");
  EXPECT_TRUE(settings->account.has_token);
  EXPECT_NE(settings->meter, "chess");
  EXPECT_THAT(settings->meter, Not(HasSubstr("s3cret")));
  config.accounts[0].meter = "mine";
  EXPECT_EQ(ResolveAccount(config, Chess(), "anna")->meter, "mine");
}

TEST(ResolveAccount, SecretsThatCannotBeUsed) {
  const std::string folder = testing::TempDir();
  const std::string empty = folder + "weir_empty_secret", broken = folder + "weir_broken_secret",
                    good = folder + "weir_good_secret";
  std::ofstream(empty) << "\n";
  std::ofstream(broken) << "hunter2\r\nHost: evil";
  std::ofstream(good) << "\xEF\xBB\xBFhunter2\n";  // an editor's byte order mark is not part of it
  const std::pair<std::string, const char*> cases[] = {
      {"env:WEIR_TEST_NOT_SET", "WEIR_TEST_NOT_SET is not set"},
      {"file:/nonexistent/x", "cannot be read"},
      {"file:" + folder, "is a folder"},
      {"file:" + empty, "is empty"},
      {"file:" + broken, "control character"},
      {"hunter2", "env:NAME or file:PATH"},
  };
  for (const auto& [reference, message] : cases) {
    AccountConfig account = Account("a", "chess");
    account.secret_refs["token"] = reference;
    const auto secrets = ResolveSecrets(account);
    ASSERT_FALSE(secrets) << reference;
    EXPECT_EQ(secrets.error().error_class, ErrorClass::kConfig);
    EXPECT_THAT(secrets.error().message, HasSubstr(message));
    EXPECT_THAT(secrets.error().message, Not(HasSubstr("hunter2")));
  }
  AccountConfig account = Account("a", "chess");
  account.secret_refs["token"] = "file:" + good;
  EXPECT_EQ(ResolveSecrets(account)->at("token").Reveal(), "hunter2");
  for (const std::string& path : {empty, broken, good}) std::filesystem::remove(path);
}

TEST(ResolveAccount, ANameTheUpstreamCannotHave) {
  const auto settings = ResolveAccount(Config(), Chess(), "a b");
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().error_class, ErrorClass::kConfig);
}

}  // namespace
}  // namespace weir
