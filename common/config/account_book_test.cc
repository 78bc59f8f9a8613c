#include "common/config/account_book.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "common/config/fake_sources.h"

namespace weir {
namespace {

// Counts what a configuration of many accounts costs.
class CountingSource final : public FakeSource {
 public:
  CountingSource() : FakeSource(FakeSources()[0]->Info(), false) {}
  Result<std::string> AccountKey(std::string_view name) const override {
    ++calls;
    return FakeSource::AccountKey(name);
  }
  std::string Meter(const AccountRef& account, const Secret& token) const override {
    ++calls;
    return FakeSource::Meter(account, token);
  }
  mutable int calls = 0;
};

AccountConfig Account(std::string name) {
  AccountConfig account;
  account.name = std::move(name);
  account.source = "chess";
  return account;
}

TEST(AccountBook, TheWorkDoesNotGrowWithTheOtherAccounts) {
  constexpr int kAccounts = 10'000;
  Config config;
  for (int i = 0; i < kAccounts; ++i) {
    config.accounts.push_back(Account("player" + std::to_string(i)));
    config.accounts.back().quota = "5/s";
    config.accounts.back().meter = "m" + std::to_string(i % 100);
  }
  const CountingSource source;
  const AccountBook book(config);
  ASSERT_TRUE(book.Resolve(source, "player0"));
  const int first = source.calls;
  EXPECT_LE(first, 3 * kAccounts);
  for (int i = 0; i < kAccounts; ++i) {
    const auto place = book.Find(source, "player" + std::to_string(i));
    ASSERT_TRUE(place);
    ASSERT_EQ(place->meter, "m" + std::to_string(i % 100));
  }
  EXPECT_LE(source.calls - first, 6 * kAccounts);
}

TEST(AccountBook, WhatIsKeptKnowsHowTheAccountIsSpelledNow) {
  Config config;
  config.accounts.push_back(Account("Anna"));
  const AccountBook book(config);
  EXPECT_EQ(book.Resolve(*FakeSources()[0], "Anna")->account.name, "Anna");
  const auto again = book.Resolve(*FakeSources()[0], "ANNA");
  EXPECT_EQ(again->account.name, "ANNA");
  EXPECT_EQ(again->account.canonical, "ANNA");
  EXPECT_EQ(again->key, "anna");
  EXPECT_TRUE(again->configured);
  EXPECT_FALSE(book.Resolve(*FakeSources()[0], "bob")->configured);
}

TEST(AccountBook, ASecretIsReadAgainWhenItsFileHasChanged) {
  const std::string path = testing::TempDir() + "weir_account_book_secret";
  std::ofstream(path) << "one\n";
  Config config;
  config.accounts.push_back(Account("anna"));
  config.accounts[0].secret_refs["token"] = "file:" + path;
  const AccountBook book(config);
  const auto token = [&] { return book.Resolve(*FakeSources()[0], "anna")->secrets.at("token").Reveal(); };
  const std::string meter = book.Resolve(*FakeSources()[0], "anna")->meter;
  EXPECT_EQ(token(), "one");
  std::ofstream(path) << "other\n";
  EXPECT_EQ(token(), "other");
  EXPECT_NE(book.Resolve(*FakeSources()[0], "anna")->meter, meter);
  // Of the same length, put in its place as editors and Kubernetes do.
  std::ofstream(path + ".new") << "third\n";
  std::filesystem::rename(path + ".new", path);
  EXPECT_EQ(token(), "third");
  // One that is gone is said, not remembered; and found again.
  std::filesystem::remove(path);
  EXPECT_EQ(book.Resolve(*FakeSources()[0], "anna").error().error_class, ErrorClass::kConfig);
  std::ofstream(path) << "fourth\n";
  EXPECT_EQ(token(), "fourth");
  std::filesystem::remove(path);
}

TEST(AccountBook, APlaceNeedsNoSecretsButWhatIsElseWrongIsSaid) {
  Config config;
  config.accounts.push_back(Account("anna"));
  config.accounts[0].secret_refs["token"] = "env:WEIR_TEST_TOKEN_THAT_IS_NOT_HERE";
  config.accounts[0].lanes = 3;
  config.accounts.push_back(Account("bob"));
  config.accounts[1].params["unheard_of"] = "1";
  const AccountBook book(config);
  const auto place = book.Find(*FakeSources()[0], "anna");
  ASSERT_TRUE(place) << place.error().message;
  EXPECT_EQ(place->lanes, 3);
  EXPECT_NE(place->meter, book.Find(*FakeSources()[0], "carl")->meter);
  EXPECT_FALSE(book.Resolve(*FakeSources()[0], "anna"));
  EXPECT_FALSE(book.Find(*FakeSources()[0], "bob"));
  EXPECT_FALSE(book.Find(*FakeSources()[0], "no such"));
  // With the secret at hand it is the same as the workers'.
  ASSERT_EQ(setenv("WEIR_TEST_TOKEN_THAT_IS_NOT_HERE", "s3cret", 1), 0);
  EXPECT_EQ(book.Find(*FakeSources()[0], "anna")->meter, book.Resolve(*FakeSources()[0], "anna")->meter);
  ASSERT_EQ(unsetenv("WEIR_TEST_TOKEN_THAT_IS_NOT_HERE"), 0);
}

TEST(AccountBook, ManyThreadsAskAtOnce) {
  Config config;
  for (int i = 0; i < 600; ++i) config.accounts.push_back(Account("p" + std::to_string(i)));
  const AccountBook book(config);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 1200; ++i) {
        const std::string name = "p" + std::to_string((i * 7 + t) % 600);
        const auto settings = book.Resolve(*FakeSources()[0], name);
        EXPECT_TRUE(settings && settings->account.name == name);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace weir
