#include "common/access/renewal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "common/config/fake_sources.h"

namespace weir {
namespace {

using ledger::Credential;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using State = Credential::State;

// One account's row, as weir.credentials would have it, on the test's clock.
class FakeStore final : public CredentialStore {
 public:
  explicit FakeStore(const Clock& clock) : clock_(clock) {}

  Result<std::optional<Credential>> Load(const ledger::CredentialKey& key) override {
    ++loads;
    if (load_fails) return Fail(ErrorClass::kDatabase, "away");
    if (!there || key.seed != seed) return std::optional<Credential>();
    Credential row = stored;
    row.expires_in = expires_at - clock_.Boot();
    row.busy = renewer.empty() ? milliseconds(0) : std::max(held_until - clock_.Boot(), milliseconds(0));
    row.resting = std::max(rests_until - clock_.Boot(), milliseconds(0));
    return std::optional(row);
  }

  Result<std::optional<ledger::RenewalClaim>> Claim(const ledger::CredentialKey& key, const std::string& name,
                                                    std::int64_t generation, milliseconds hold) override {
    names.push_back(name);
    if (on_claim) on_claim();
    const bool heard = Heard(claim_answers);
    if (!heard && !commit_unheard) return Fail(ErrorClass::kDatabase, "away");
    const bool own = renewer == name;
    if (there && key.seed == seed) {
      if (stored.generation != generation || stored.state == State::kLost) return Nobody();
      if (!own && !renewer.empty() && held_until > clock_.Boot()) return Nobody();
      if (!own && rests_until > clock_.Boot()) return Nobody();
    } else {
      stored.sealed.clear();
      stored.tries = 0;
    }
    there = true;
    seed = key.seed;
    stored.state = State::kSpending;
    renewer = name;
    held_until = clock_.Boot() + hold;
    if (!own) ++attempt;
    if (!heard) return Fail(ErrorClass::kDatabase, "the answer to COMMIT was lost");
    return std::optional(ledger::RenewalClaim{name, attempt, stored.generation});
  }

  Result<bool> End(const ledger::CredentialKey&, const ledger::RenewalClaim& claim,
                   const ledger::RenewalEnd& end) override {
    if (end_fails) return Fail(ErrorClass::kDatabase, "away");
    if (renewer != claim.renewer || stored.generation != claim.generation) return false;
    stored.state = end.state;
    stored.tries = end.tries;
    rests_until = clock_.Boot() + end.rest;
    renewer.clear();
    return true;
  }

  Result<std::int64_t> Save(const ledger::CredentialKey&, const ledger::RenewalClaim& claim,
                            const std::string& sealed, milliseconds lives) override {
    ++saves;
    if (!Heard(save_answers)) return Fail(ErrorClass::kDatabase, "away");
    if (granted >= claim.number) return Fail(ErrorClass::kConflict, "newer");
    granted = claim.number;
    stored.state = State::kReady;
    stored.sealed = sealed;
    stored.tries = 0;
    expires_at = clock_.Boot() + lives;
    if (renewer == claim.renewer) renewer.clear();
    return ++stored.generation;
  }

  // What another process does meanwhile: takes the claim over and saves its own tokens.
  void AnotherSaves(const std::string& sealed) {
    granted = ++attempt;
    stored.state = State::kReady;
    stored.sealed = sealed;
    ++stored.generation;
    expires_at = clock_.Boot() + std::chrono::hours(1);
    renewer.clear();
  }

  // As if the account had never had a token.
  void Forget() {
    there = false;
    stored = {};
    renewer.clear();
    rests_until = milliseconds(0);
  }

  bool there = false;
  std::string seed;
  Credential stored;
  milliseconds expires_at{0}, held_until{0}, rests_until{0};
  std::string renewer;
  std::int64_t attempt = 0, granted = 0;

  bool load_fails = false, end_fails = false, commit_unheard = false;
  std::deque<bool> claim_answers, save_answers;  // false: this one fails
  std::function<void()> on_claim;
  std::vector<std::string> names;
  int loads = 0, saves = 0;

 private:
  static std::optional<ledger::RenewalClaim> Nobody() { return std::nullopt; }
  static bool Heard(std::deque<bool>& answers) {
    if (answers.empty()) return true;
    const bool heard = answers.front();
    answers.pop_front();
    return heard;
  }
  const Clock& clock_;
};

// A CRM whose grants are "access refresh".
class OAuthSource final : public FakeSource {
 public:
  OAuthSource() : FakeSource(FakeSources()[1]->Info(), true) {}
  Result<HttpRequest> RenewRequest(const std::map<std::string, Secret>&, const Secret& token) const override {
    if (unfit) return Fail(ErrorClass::kConfig, "a refresh_token needs the secret client_id too");
    HttpRequest request;
    request.method = "POST";
    request.body = token.Reveal();
    return request;
  }
  Result<TokenGrant> ReadGrant(const HttpResponseHead& head, std::string_view text) const override {
    const auto between = text.find(' ');
    if (head.status != 200 || between == std::string_view::npos) return Fail(ErrorClass::kInvalid, "none");
    return TokenGrant{Secret(std::string(text.substr(0, between))),
                      Secret(std::string(text.substr(between + 1))), std::chrono::hours(24)};
  }
  bool unfit = false;
};

TokenAnswer Answered(int status, std::string text) {
  TokenAnswer answer;
  answer.head.status = status;
  answer.text = std::move(text);
  return answer;
}

TokenAnswer NoAnswer(bool sent) {
  TokenAnswer answer;
  answer.error = MakeError(ErrorClass::kTransient, "connection reset");
  answer.sent = sent;
  return answer;
}

class RenewalTest : public testing::Test {
 protected:
  RenewalTest() : store_(clock_) {
    account_.account.name = "Anna";
    account_.key = "anna";
    account_.secrets = {{"refresh_token", Secret("rt-0")}, {"client_secret", Secret("s3cr3t")}};
    clock_.Advance(std::chrono::hours(1));
  }

  Result<AccessToken> Have(std::optional<std::int64_t> refused = std::nullopt) {
    const RenewalSeams seams{&clock_, &store_,
                             [this](const HttpRequest& request, milliseconds patience) {
                               sent_.push_back(request.body);
                               EXPECT_TRUE(request.fresh_connection);
                               EXPECT_EQ(patience, seconds(20));
                               EXPECT_EQ(store_.stored.state, State::kSpending)
                                   << "sent before it was marked";
                               if (meanwhile_) meanwhile_();
                               if (answers_.empty()) return Answered(500, "");
                               TokenAnswer answer = std::move(answers_.front());
                               answers_.pop_front();
                               return answer;
                             },
                             [this](milliseconds time) { clock_.Advance(time); }};
    auto key = SealingKey::Parse(Secret("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="));
    return Renewal(seams, source_, account_, *key).Have(refused);
  }
  std::string Sealed(const std::string& access, const std::string& refresh) {
    auto key = SealingKey::Parse(Secret("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="));
    return *key->Seal(Secret(access + "\n" + refresh), "crm/anna");
  }
  // The first tokens are there.
  void Renewed() {
    answers_.push_back(Answered(200, "at-1 rt-1"));
    ASSERT_TRUE(Have());
    sent_.clear();
  }

  ManualClock clock_;
  FakeStore store_;
  OAuthSource source_;
  AccountSettings account_;
  std::deque<TokenAnswer> answers_;
  std::function<void()> meanwhile_;
  std::vector<std::string> sent_;
};

TEST_F(RenewalTest, TheConfiguredTokenIsSpentOnceAndItsTokensAreKept) {
  answers_.push_back(Answered(200, "at-1 rt-1"));
  auto token = Have();
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->token.Reveal(), "at-1");
  EXPECT_EQ(token->generation, 1);
  EXPECT_EQ(store_.stored.sealed.find("rt-1"), std::string::npos) << "it is sealed";
  EXPECT_EQ(Have()->token.Reveal(), "at-1");
  EXPECT_THAT(sent_, ElementsAre("rt-0"));
}

TEST_F(RenewalTest, ATokenThatIsAboutToExpireOrIsRefusedIsRenewedWithItsSuccessor) {
  Renewed();
  answers_.push_back(Answered(200, "at-2 rt-2"));
  EXPECT_EQ(Have(1)->generation, 2);
  EXPECT_EQ(Have(1)->token.Reveal(), "at-2") << "another lane was refused with the first one too";
  EXPECT_THAT(sent_, ElementsAre("rt-1"));
  clock_.Advance(std::chrono::hours(24) - seconds(59));
  answers_.push_back(Answered(200, "at-3 rt-3"));
  EXPECT_EQ(Have()->generation, 3);
  EXPECT_THAT(sent_, ElementsAre("rt-1", "rt-2"));
}

TEST_F(RenewalTest, OnlyInvalidGrantLosesTheToken) {
  answers_.push_back(Answered(400, R"({"error":"invalid_grant","error_description":"Token rt-0 is spent"})"));
  const auto lost = Have();
  EXPECT_EQ(lost.error().error_class, ErrorClass::kAuth);
  EXPECT_EQ(lost.error().http_status, 400);
  EXPECT_THAT(lost.error().message, HasSubstr("account Anna: HTTP 400: its refresh token is refused"));
  EXPECT_THAT(lost.error().message, Not(HasSubstr("rt-0"))) << "the upstream repeats a secret";
  EXPECT_THAT(lost.error().hint, HasSubstr("authorise the account again"));
  EXPECT_EQ(store_.stored.state, State::kLost);
  // Nobody sends it again, until there is another one.
  EXPECT_EQ(Have().error().error_class, ErrorClass::kAuth);
  EXPECT_EQ(sent_.size(), 1u);
  account_.secrets["refresh_token"] = Secret("rt-new");
  answers_.push_back(Answered(200, "at-1 rt-1"));
  EXPECT_TRUE(Have());
  EXPECT_THAT(sent_, ElementsAre("rt-0", "rt-new"));
}

TEST_F(RenewalTest, NoPartOfASecretThatTheUpstreamRepeatsIsShown) {
  const struct {
    std::string words;
    bool shown;
  } cases[] = {
      {"Token rotated/token+1 is spent", false},
      {"Token rotated%2Ftoken%2B1 is spent", false},
      {"Token \\u2026ated/tok\\u2026 is spent", false},
      {"of client s3cr3t", false},
      {"the token was used before", true},
  };
  for (const auto& [words, shown] : cases) {
    SCOPED_TRACE(words);
    store_.Forget();
    answers_ = {Answered(200, "at-1 rotated/token+1"),
                Answered(400, R"({"error":"invalid_grant","error_description":")" + words + R"("})")};
    ASSERT_TRUE(Have());
    const auto lost = Have(store_.stored.generation);
    ASSERT_FALSE(lost);
    EXPECT_EQ(sent_.back(), "rotated/token+1");
    EXPECT_THAT(lost.error().message, HasSubstr("invalid_grant"));
    EXPECT_EQ(lost.error().message.find("invalid_grant: " + words) != std::string::npos, shown)
        << lost.error().message;
    EXPECT_THAT(lost.error().message, Not(HasSubstr("ated")));
  }
}

TEST_F(RenewalTest, WhatIsNoWordOfTheTokenEndpointLosesNothing) {
  const std::pair<const char*, TokenAnswer> cases[] = {
      {"a proxy's 403", Answered(403, "<html>Forbidden</html>")},
      {"408", Answered(408, "")},
      {"404 of a wrong base_url", Answered(404, R"({"error":"Not Found"})")},
      {"HighLevel's 400", Answered(400, R"({"message":"Location is not active","error":"Bad Request"})")},
      {"500", Answered(500, R"({"error":"invalid_grant"})")},
      {"502", Answered(502, "<html>Bad Gateway</html>")},
      {"a redirect", Answered(302, "")},
      {"200 without tokens", Answered(200, "{}")},
      {"204", Answered(204, "")},
      {"an answer that was cut", NoAnswer(true)},
  };
  for (const auto& [what, answer] : cases) {
    SCOPED_TRACE(what);
    store_.Forget();
    sent_.clear();
    answers_ = {answer};
    const auto unknown = Have();
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().error_class, ErrorClass::kTransient);
    EXPECT_EQ(unknown.error().retry_after, seconds(1));
    EXPECT_EQ(store_.stored.state, State::kUnknown);
    // The same token again, but not before the rest is over.
    EXPECT_EQ(Have().error().error_class, ErrorClass::kStopped);
    EXPECT_EQ(Have().error().retry_after, seconds(1));
    EXPECT_EQ(sent_.size(), 1u);
    clock_.Advance(seconds(1));
    answers_ = {Answered(200, "at-1 rt-1")};
    EXPECT_TRUE(Have());
    EXPECT_THAT(sent_, ElementsAre("rt-0", "rt-0"));
  }
}

TEST_F(RenewalTest, AnUnknownAnswerThatDidSpendTheTokenIsSettledByTheNextTry) {
  answers_ = {NoAnswer(true), Answered(400, R"({"error":"invalid_grant"})")};
  EXPECT_EQ(Have().error().error_class, ErrorClass::kTransient);
  clock_.Advance(seconds(1));
  EXPECT_EQ(Have().error().error_class, ErrorClass::kAuth);
  EXPECT_EQ(store_.stored.state, State::kLost);
}

TEST_F(RenewalTest, TheRestGrowsAndAfterEightTriesTheAccountEnds) {
  std::vector<std::int64_t> rests;
  for (int i = 1; i <= 12; ++i) {
    const auto failed = Have();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().error_class, i < 8 ? ErrorClass::kTransient : ErrorClass::kAuth) << i;
    rests.push_back(failed.error().retry_after->count() / 1000);
    EXPECT_EQ(store_.stored.state, State::kUnknown) << "it may be tried again all the same";
    clock_.Advance(*failed.error().retry_after);
  }
  EXPECT_THAT(rests, ElementsAre(1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300));
  EXPECT_EQ(sent_.size(), 12u);
  // Tokens begin the count again.
  answers_ = {Answered(200, "at-1 rt-1")};
  EXPECT_TRUE(Have());
  EXPECT_EQ(store_.stored.tries, 0);
}

TEST_F(RenewalTest, ARefusedClientSpendsNothingAndSaysWhatToCompare) {
  answers_ = {Answered(401, R"({"error":"invalid_client","error_description":"bad secret s3cr3t"})")};
  const auto refused = Have();
  EXPECT_EQ(refused.error().error_class, ErrorClass::kAuth);
  EXPECT_THAT(refused.error().message, HasSubstr("the refresh token was not spent"));
  EXPECT_THAT(refused.error().message, HasSubstr("invalid_client"));
  EXPECT_THAT(refused.error().message, Not(HasSubstr("s3cr3t")));
  EXPECT_THAT(refused.error().hint, HasSubstr("client_id"));
  EXPECT_EQ(store_.stored.state, State::kReady);
  EXPECT_EQ(Have().error().error_class, ErrorClass::kStopped) << "nor is it asked again at once";
  clock_.Advance(seconds(1));
  answers_ = {Answered(200, "at-1 rt-1")};
  EXPECT_TRUE(Have());
}

TEST_F(RenewalTest, ABusyOrUnreachableUpstreamHasNotSpentIt) {
  TokenAnswer busy = Answered(429, "");
  busy.head.headers = {{"Retry-After", "7"}};
  answers_ = {busy};
  auto waits = Have();
  EXPECT_EQ(waits.error().error_class, ErrorClass::kThrottled);
  EXPECT_EQ(waits.error().retry_after, seconds(7));
  EXPECT_EQ(store_.stored.state, State::kReady);
  clock_.Advance(seconds(7));
  answers_ = {Answered(503, "")};
  waits = Have();
  EXPECT_EQ(waits.error().error_class, ErrorClass::kTransient);
  EXPECT_EQ(waits.error().http_status, 503);
  EXPECT_EQ(waits.error().retry_after, seconds(2)) << "the second in a row";
  clock_.Advance(seconds(2));
  answers_ = {NoAnswer(false)};
  EXPECT_EQ(Have().error().message, "connection reset");
  EXPECT_EQ(store_.stored.state, State::kReady);
}

TEST_F(RenewalTest, AClaimWhoseCommitWasNotHeardIsKnownAgainAndGoesOn) {
  store_.commit_unheard = true;
  store_.claim_answers = {false, false};
  answers_ = {Answered(200, "at-1 rt-1")};
  EXPECT_TRUE(Have());
  EXPECT_THAT(sent_, ElementsAre("rt-0"));
  EXPECT_EQ(store_.attempt, 1) << "one attempt, not three";
  ASSERT_EQ(store_.names.size(), 3u);
  EXPECT_EQ(store_.names[0], store_.names[2]);
  EXPECT_GE(store_.names[0].size(), 32u);
}

TEST_F(RenewalTest, ADatabaseThatStaysAwayEndsTheAttemptBeforeAnythingIsSent) {
  store_.commit_unheard = true;
  store_.claim_answers.assign(1000, false);
  EXPECT_EQ(Have().error().error_class, ErrorClass::kDatabase);
  EXPECT_THAT(sent_, IsEmpty());
  // Its mark stands, and whoever sent nothing cannot say so any more: the next attempt spends the same token.
  store_.claim_answers.clear();
  const auto waits = Have();
  EXPECT_EQ(waits.error().error_class, ErrorClass::kStopped);
  EXPECT_EQ(waits.error().retry_after, seconds(1));
  clock_.Advance(seconds(30));
  answers_ = {Answered(200, "at-1 rt-1")};
  EXPECT_TRUE(Have());
  EXPECT_THAT(sent_, ElementsAre("rt-0"));
}

TEST_F(RenewalTest, AnAttemptThatWasHeldUpSendsNothing) {
  store_.on_claim = [this] { clock_.Advance(seconds(11)); };  // e.g. stopped and resumed
  const auto stopped = Have();
  EXPECT_EQ(stopped.error().error_class, ErrorClass::kStopped);
  EXPECT_THAT(sent_, IsEmpty());
  EXPECT_EQ(store_.stored.state, State::kReady);
  EXPECT_EQ(store_.renewer, "");
}

TEST_F(RenewalTest, WhileAnotherRenewsTheCallerWaitsForIt) {
  Renewed();
  store_.renewer = "other";
  store_.stored.state = State::kSpending;
  store_.held_until = clock_.Boot() + milliseconds(300);
  const auto waits = Have();
  EXPECT_EQ(waits.error().error_class, ErrorClass::kStopped);
  EXPECT_EQ(waits.error().retry_after, milliseconds(300));
  store_.AnotherSaves(Sealed("at-2", "rt-2"));
  EXPECT_EQ(Have(1)->token.Reveal(), "at-2");
  EXPECT_THAT(sent_, IsEmpty());
}

TEST_F(RenewalTest, ALostRaceForTheClaimTakesTheOthersTokens) {
  Renewed();
  store_.on_claim = [this] {
    store_.AnotherSaves(Sealed("at-2", "rt-2"));
    store_.on_claim = nullptr;
  };
  const auto token = Have(1);
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->token.Reveal(), "at-2");
  EXPECT_THAT(sent_, IsEmpty());
}

TEST_F(RenewalTest, ASlowAttemptDoesNotOverwriteALaterOnesTokens) {
  Renewed();
  meanwhile_ = [this] { store_.AnotherSaves(Sealed("at-3", "rt-3")); };
  answers_ = {Answered(200, "at-2 rt-2")};
  const auto token = Have(1);
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->token.Reveal(), "at-3");
}

TEST_F(RenewalTest, ALateRefusalDoesNotLoseALaterOnesTokens) {
  Renewed();
  meanwhile_ = [this] { store_.AnotherSaves(Sealed("at-3", "rt-3")); };
  answers_ = {Answered(400, R"({"error":"invalid_grant"})")};
  const auto token = Have(1);
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->token.Reveal(), "at-3");
  EXPECT_EQ(store_.stored.state, State::kReady);
}

TEST_F(RenewalTest, TokensThatComeLateAreSavedWhenNobodySpentSince) {
  // Its claim ran out, another took it over, and was refused: the token was spent, by this one.
  meanwhile_ = [this] {
    store_.renewer.clear();
    ++store_.attempt;
    store_.stored.state = State::kLost;
  };
  answers_ = {Answered(200, "at-1 rt-1")};
  EXPECT_EQ(Have()->token.Reveal(), "at-1");
  EXPECT_EQ(store_.stored.state, State::kReady);
}

TEST_F(RenewalTest, TokensAreOfferedToTheDatabaseForHalfAMinute) {
  store_.save_answers.assign(100, false);
  answers_ = {Answered(200, "at-1 rt-1")};
  EXPECT_TRUE(Have());
  EXPECT_EQ(store_.saves, 101);
  clock_.Advance(std::chrono::hours(24));
  store_.save_answers.assign(1000, false);
  answers_ = {Answered(200, "at-2 rt-2")};
  EXPECT_EQ(Have().error().error_class, ErrorClass::kDatabase);
  EXPECT_LE(store_.saves, 101 + 122);
}

TEST_F(RenewalTest, ErrorsOfTheDatabaseAndTheConfigurationAreTheirOwn) {
  store_.load_fails = true;
  EXPECT_EQ(Have().error().error_class, ErrorClass::kDatabase);
  store_.load_fails = false;
  source_.unfit = true;
  EXPECT_EQ(Have().error().error_class, ErrorClass::kConfig);
  EXPECT_THAT(store_.names, IsEmpty()) << "nothing is claimed for a request that cannot be made";
  source_.unfit = false;
  // What became of the answer could not be written: the claim runs out, and the token is tried again.
  store_.end_fails = true;
  answers_ = {Answered(400, R"({"error":"invalid_grant"})")};
  EXPECT_EQ(Have().error().error_class, ErrorClass::kDatabase);
  EXPECT_EQ(store_.stored.state, State::kSpending);
  store_.end_fails = false;
  clock_.Advance(seconds(30));
  answers_ = {Answered(400, R"({"error":"invalid_grant"})")};
  EXPECT_EQ(Have().error().error_class, ErrorClass::kAuth);
}

TEST_F(RenewalTest, TokensSealedUnderAnotherKeyAreAConfigurationError) {
  Renewed();
  store_.stored.sealed = "not sealed at all, and not by this key";
  EXPECT_EQ(Have().error().error_class, ErrorClass::kConfig);
  EXPECT_EQ(Have(1).error().error_class, ErrorClass::kConfig);
  EXPECT_THAT(sent_, IsEmpty());
}

}  // namespace
}  // namespace weir
