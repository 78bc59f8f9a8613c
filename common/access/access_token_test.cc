#include "common/access/access_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>

#include "common/config/fake_sources.h"
#include "common/http/script_server.h"
#include "common/ledger/testing/ledger_fixture.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

// A CRM whose grants are "access refresh".
class OAuthSource final : public FakeSource {
 public:
  OAuthSource() : FakeSource(FakeSources()[1]->Info(), true) {}
  Result<HttpRequest> RenewRequest(const std::map<std::string, Secret>&, const Secret& token) const override {
    HttpRequest request;
    request.method = "POST";
    request.target = "/oauth/token";
    request.body = token.Reveal();
    return request;
  }
  Result<TokenGrant> ReadGrant(const HttpResponseHead& head, std::string_view text) const override {
    const auto between = text.find(' ');
    if (head.status != 200 || between == std::string_view::npos) return Fail(ErrorClass::kInvalid, "none");
    return TokenGrant{Secret(std::string(text.substr(0, between))),
                      Secret(std::string(text.substr(between + 1))), std::chrono::hours(24)};
  }
};

std::string Ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

class AccessTokenTest : public ledger::testing::LedgerFixture {
 protected:
  AccessTokenTest() : pool_(options_, 1), fetcher_(FetchOptions{}, clock_) {
    config_.encryption_key = Secret("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=");
    account_.account.name = "Anna";
    account_.key = "anna";
    account_.user_agent = "weir-test/1";
    account_.secrets = {{"refresh_token", Secret("rt-0")}};
  }

  void Serve(ScriptServer::Script script) {
    server_ = std::make_unique<ScriptServer>(std::move(script));
    account_.base_url = server_->Url();
  }
  Result<AccessToken> Have(std::optional<std::int64_t> refused = std::nullopt) {
    RenewalParts parts{&config_, &clock_, &fetcher_, [this](const auto& use) -> Result<void> {
                         auto session = pool_.Acquire();
                         if (!session) return Fail(session.error());
                         return use(**session);
                       }};
    parts.rest = [](std::chrono::milliseconds) {};
    return HaveAccessToken(parts, source_, account_, refused);
  }

  Config config_;
  OAuthSource source_;
  AccountSettings account_;
  SystemClock clock_;
  pg::SessionPool pool_;
  Fetcher fetcher_;
  std::unique_ptr<ScriptServer> server_;
};

// Commits and leases need the pool's sessions while an upstream takes its time.
TEST_F(AccessTokenTest, NoSessionIsHeldWhileTheUpstreamIsAsked) {
  std::promise<void> answer;
  std::promise<std::string> asked;
  Serve([&](ScriptServer::Connection& connection) {
    asked.set_value(connection.ReadRequest());
    answer.get_future().wait();
    connection.Send(Ok("at-1 rt-1"));
  });
  auto renewal = std::async(std::launch::async, [this] { return Have(); });
  EXPECT_THAT(asked.get_future().get(), HasSubstr("rt-0"));
  {
    auto session = pool_.Acquire();  // the only one there is
    ASSERT_TRUE(session);
    EXPECT_EQ((*session)->Exec("select state from weir.credentials")->Text(0, 0), "spending");
  }
  answer.set_value();
  const auto token = renewal.get();
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->token.Reveal(), "at-1");
  EXPECT_EQ(Have()->token.Reveal(), "at-1");
  EXPECT_EQ(server_->Connections(), 1);
}

TEST_F(AccessTokenTest, AnAnswerThatIsCutOffIsUnknownAndNotLost) {
  Serve([](ScriptServer::Connection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nat-1");
  });
  const auto cut = Have();
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().error_class, ErrorClass::kTransient) << cut.error().message;
  EXPECT_EQ(Text("select state || ' ' || tries from weir.credentials"), "unknown 1");
  EXPECT_EQ(Have().error().error_class, ErrorClass::kStopped);
  EXPECT_EQ(server_->Connections(), 1);
}

TEST_F(AccessTokenTest, AnUpstreamThatIsNotThereHasSeenNothing) {
  Serve([](ScriptServer::Connection&) {});
  server_.reset();
  EXPECT_EQ(Have().error().error_class, ErrorClass::kTransient);
  EXPECT_EQ(Text("select state from weir.credentials"), "ready");
}

TEST_F(AccessTokenTest, AnAnswerLargerThanAnyGrantIsUnknown) {
  Serve([](ScriptServer::Connection& connection) {
    connection.ReadRequest();
    connection.Send(Ok("at-1 " + std::string(100'000, 'x')));
    connection.AwaitClose();
  });
  EXPECT_EQ(Have().error().error_class, ErrorClass::kTransient);
  EXPECT_EQ(Text("select state from weir.credentials"), "unknown");
}

// A database session that is cut takes nothing with it: there is no lock in it.
TEST_F(AccessTokenTest, TwoProcessesAskOnce) {
  std::promise<void> answer;
  std::promise<void> asked;
  Serve([&](ScriptServer::Connection& connection) {
    connection.ReadRequest();
    asked.set_value();
    answer.get_future().wait();
    connection.Send(Ok("at-1 rt-1"));
  });
  auto renewal = std::async(std::launch::async, [this] { return Have(); });
  asked.get_future().wait();
  Fetcher fetcher(FetchOptions{}, clock_);
  const RenewalParts other{&config_, &clock_, &fetcher, [this](const auto& use) { return use(session_); }};
  const auto waits = HaveAccessToken(other, source_, account_, std::nullopt);
  ASSERT_FALSE(waits);
  EXPECT_EQ(waits.error().error_class, ErrorClass::kStopped);
  EXPECT_TRUE(waits.error().retry_after);
  answer.set_value();
  EXPECT_TRUE(renewal.get());
  EXPECT_EQ(HaveAccessToken(other, source_, account_, std::nullopt)->generation, 1);
}

TEST_F(AccessTokenTest, WithoutAKeyNothingIsAsked) {
  config_.encryption_key = Secret();
  EXPECT_EQ(Have().error().error_class, ErrorClass::kConfig);
}

}  // namespace
}  // namespace weir
