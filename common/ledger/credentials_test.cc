#include "common/ledger/credentials.h"

#include <gtest/gtest.h>

#include "common/ledger/migrations.h"
#include "common/ledger/testing/ledger_fixture.h"
#include "common/pg/migrations.h"

namespace weir::ledger {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using State = Credential::State;

class Credentials : public testing::LedgerFixture {
 protected:
  static constexpr seconds kHold{30};

  std::optional<RenewalClaim> Claim(const std::string& name, std::int64_t generation = 0) {
    return Claim(key_, name, generation);
  }
  std::optional<RenewalClaim> Claim(const CredentialKey& key, const std::string& name,
                                    std::int64_t generation) {
    auto claim = ClaimRenewal(session_, key, name, generation, kHold);
    EXPECT_TRUE(claim) << claim.error().message;
    return claim ? *claim : std::nullopt;
  }
  Credential Stored() {
    auto stored = LoadCredential(session_, key_);
    EXPECT_TRUE(stored && *stored);
    return stored && *stored ? **stored : Credential();
  }
  Result<std::int64_t> Save(const RenewalClaim& claim, const std::string& sealed) {
    return SaveCredential(session_, key_, claim, sealed, std::chrono::hours(1));
  }
  bool End(const RenewalClaim& claim, const RenewalEnd& end) {
    auto ended = EndRenewal(session_, key_, claim, end);
    EXPECT_TRUE(ended) << ended.error().message;
    return ended && *ended;
  }
  void RunOut() { Run("update weir.credentials set renewer_until = clock_timestamp()"); }

  const CredentialKey key_{"crm", "anna", "seed-1"};
};

TEST_F(Credentials, OneAttemptHasTheClaimAndKnowsItAgain) {
  const auto nothing = LoadCredential(session_, key_);
  ASSERT_TRUE(nothing) << nothing.error().message;
  EXPECT_FALSE(*nothing);
  const auto first = Claim("a");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->number, 1);
  EXPECT_EQ(Stored().state, State::kSpending);
  EXPECT_GT(Stored().busy, seconds(20));
  EXPECT_FALSE(Claim("b"));
  const auto again = Claim("a");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->number, 1);
  RunOut();
  const auto other = Claim("b");
  ASSERT_TRUE(other);
  EXPECT_EQ(other->number, 2);
  EXPECT_FALSE(Claim("a"));
}

TEST_F(Credentials, SavedTokensAreTheNextGenerationAndFreeTheClaim) {
  const auto claim = Claim("a");
  EXPECT_EQ(*Save(*claim, std::string("\0\xff sealed", 9)), 1);
  const Credential stored = Stored();
  EXPECT_EQ(stored.state, State::kReady);
  EXPECT_EQ(stored.sealed, std::string("\0\xff sealed", 9));
  EXPECT_EQ(stored.generation, 1);
  EXPECT_GT(stored.expires_in, seconds(3500));
  EXPECT_EQ(stored.busy, milliseconds(0));
  // Asked again, since the answer was lost: the same.
  EXPECT_EQ(*Save(*claim, "sealed"), 1);
  EXPECT_EQ(Stored().sealed, std::string("\0\xff sealed", 9));
  EXPECT_FALSE(Claim("b", 0)) << "it was renewed since the caller looked";
  EXPECT_TRUE(Claim("b", 1));
}

TEST_F(Credentials, ALateAttemptSavesUnlessALaterOneHas) {
  const auto slow = Claim("a");
  RunOut();
  const auto quick = Claim("b");
  // The slow one's answer comes: nobody has saved since, and the claim stays with the other.
  EXPECT_EQ(*Save(*slow, "of a"), 1);
  EXPECT_GT(Stored().busy, milliseconds(0));
  // The other is refused, as the token was spent: what is there is good.
  EXPECT_FALSE(End(*quick, {State::kLost, 0, milliseconds(0)}));
  EXPECT_EQ(Stored().state, State::kReady);
  EXPECT_EQ(Stored().sealed, "of a");
  // Were it granted tokens, they would be the newer ones.
  EXPECT_EQ(*Save(*quick, "of b"), 2);
  EXPECT_EQ(Stored().busy, milliseconds(0));
  const auto late = Save(RenewalClaim{"a", 1, 0}, "of a");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().error_class, ErrorClass::kConflict);
  EXPECT_EQ(Stored().sealed, "of b");
}

TEST_F(Credentials, TokensThatComeAfterTheLossWereNotLost) {
  const auto slow = Claim("a");
  RunOut();
  const auto quick = Claim("b");
  EXPECT_TRUE(End(*quick, {State::kLost, 0, milliseconds(0)}));
  EXPECT_EQ(Stored().state, State::kLost);
  EXPECT_FALSE(Claim("c"));
  EXPECT_EQ(*Save(*slow, "of a"), 1);
  EXPECT_EQ(Stored().state, State::kReady);
}

TEST_F(Credentials, NobodyClaimsWhileItRests) {
  const auto claim = Claim("a");
  EXPECT_TRUE(End(*claim, {State::kUnknown, 3, seconds(60)}));
  EXPECT_EQ(Stored().state, State::kUnknown);
  EXPECT_EQ(Stored().tries, 3);
  EXPECT_GT(Stored().resting, seconds(50));
  EXPECT_EQ(Stored().busy, milliseconds(0));
  EXPECT_FALSE(Claim("b"));
  EXPECT_FALSE(End(*claim, {State::kReady, 0, milliseconds(0)})) << "it ended already";
  Run("update weir.credentials set not_before = clock_timestamp()");
  const auto next = Claim("b");
  ASSERT_TRUE(next);
  EXPECT_EQ(*Save(*next, "sealed"), 1);
  EXPECT_EQ(Stored().tries, 0);
  EXPECT_EQ(Stored().resting, milliseconds(0));
}

TEST_F(Credentials, AnotherAuthorisationBeginsAgain) {
  const auto old = Claim("a");
  ASSERT_TRUE(Save(*old, "sealed"));
  const auto spending = Claim("a", 1);
  ASSERT_TRUE(spending);
  const CredentialKey other{"crm", "anna", "seed-2"};
  EXPECT_FALSE(*LoadCredential(session_, other));
  const auto claim = Claim(other, "b", 0);
  ASSERT_TRUE(claim);
  EXPECT_EQ((*LoadCredential(session_, other))->sealed, "");
  // What the old one's attempt still brings is of no use.
  EXPECT_EQ(Save(*spending, "late").error().error_class, ErrorClass::kConflict);
  EXPECT_FALSE(End(*spending, {State::kLost, 0, milliseconds(0)}));
  EXPECT_TRUE(*EndRenewal(session_, other, *claim, {State::kReady, 1, milliseconds(0)}));
}

TEST_F(Credentials, TheVersionBeforeFindsWhatItKnows) {
  const auto claim = Claim("a");
  EXPECT_TRUE(End(*claim, {State::kUnknown, 1, milliseconds(0)}));
  for (const pg::Migration& migration : AllMigrations()) {
    if (migration.number != 7) continue;
    ASSERT_TRUE(session_.Script(migration.down));
    EXPECT_EQ(Text("select state from weir.credentials"), "spending");
    ASSERT_TRUE(session_.Script(migration.up));
    EXPECT_EQ(Text("select renewer from weir.credentials"), "before 0007");
    EXPECT_FALSE(Claim("b")) << "a worker of that version may be asking";
    RunOut();
    EXPECT_TRUE(Claim("b"));
  }
}

}  // namespace
}  // namespace weir::ledger
