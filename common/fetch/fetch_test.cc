#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "common/config/fake_sources.h"
#include "common/fetch/page_answer.h"
#include "common/fetch/page_fetch.h"
#include "common/http/script_server.h"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::int64_t kNow = 1'700'000'000'000;  // 2023-11-14T22:13:20Z

// Judges as all sources do, has a token, and renames like Chess.com.
class TestSource final : public FakeSource {
 public:
  TestSource() : FakeSource(FakeSources()[0]->Info(), false) {}
  Verdict Judge(const TaskContext& task, const HttpResponseHead& head, std::string_view body) const override {
    ++judged;
    judged_body = body;
    if (head.status == 422) return AskAgain{"other form"};
    if (head.status == 304 || head.status == 410) return NotModified{.absent = head.status == 410};
    return JudgeHttp(head, body, task.now_ms);
  }
  std::optional<std::string> RenamedTo(std::string_view location) const override {
    const auto at = location.rfind("/player/");
    if (at == std::string_view::npos) return std::nullopt;
    return std::string(location.substr(at + 8));
  }
  std::vector<std::pair<std::string, Secret>> SecretHeaders(
      const std::map<std::string, Secret>& secrets) const override {
    const auto token = secrets.find("token");
    if (token == secrets.end()) return {};
    return {{"Authorization", Secret("Bearer " + token->second.Reveal())}};
  }
  mutable int judged = 0;
  mutable std::string judged_body;
};

class KeepingAnswer final : public PageAnswer {
 public:
  using PageAnswer::EndRecords;
  using PageAnswer::Envelope;
  using PageAnswer::IsNotModified;
  using PageAnswer::PageAnswer;

  std::vector<std::string> records;
  std::size_t wanted = 1000;

 private:
  Result<bool> OnRecord(std::string_view raw, bool oversize) override {
    records.push_back(oversize ? "too large" : std::string(raw));
    return records.size() < wanted;
  }
};

HttpResponseHead Head(int status, std::vector<HttpHeader> headers = {}) {
  HttpResponseHead head;
  head.status = status;
  head.headers = std::move(headers);
  return head;
}

class PageAnswerTest : public testing::Test {
 protected:
  KeepingAnswer Answer(BodyFormat format, std::string path = {}) {
    PageRequest page;
    page.format = format;
    page.record_path = std::move(path);
    TaskContext context;
    context.now_ms = kNow;
    return {config_, source_, context, page};
  }
  Config config_;
  TestSource source_;
};

TEST_F(PageAnswerTest, LinesAreRecordsHoweverTheyAreCut) {
  auto answer = Answer(BodyFormat::kNdjson);
  EXPECT_TRUE(*answer.OnHead(Head(200)));
  EXPECT_TRUE(*answer.OnBody("{\"a\":1}\n{\"b\""));
  EXPECT_TRUE(*answer.OnBody(":2}\n"));
  EXPECT_TRUE(answer.EndRecords());
  EXPECT_TRUE(std::holds_alternative<ReadBody>(answer.Judged()));
  EXPECT_THAT(answer.records, ElementsAre("{\"a\":1}", "{\"b\":2}"));
}

TEST_F(PageAnswerTest, ElementsOfTheNamedArrayAreRecordsAndTheRestIsTheEnvelope) {
  auto answer = Answer(BodyFormat::kJsonArray, "games");
  EXPECT_TRUE(*answer.OnHead(Head(200)));
  EXPECT_TRUE(*answer.OnBody(R"({"total":2,"games":[{"a":1},{"b":2}],"next":"x"})"));
  EXPECT_TRUE(answer.EndRecords());
  EXPECT_THAT(answer.records, ElementsAre(R"({"a":1})", R"({"b":2})"));
  EXPECT_THAT(std::string(answer.Envelope()), HasSubstr("\"next\":\"x\""));
}

TEST_F(PageAnswerTest, ABodyThatStopsInTheMiddleIsNotWhole) {
  auto answer = Answer(BodyFormat::kJsonArray, "games");
  EXPECT_TRUE(*answer.OnHead(Head(200)));
  EXPECT_TRUE(*answer.OnBody(R"({"games":[{"a":1},)"));
  const auto ended = answer.EndRecords();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().error_class, ErrorClass::kTransient);
}

TEST_F(PageAnswerTest, WhoHasEnoughStopsTheTransfer) {
  auto answer = Answer(BodyFormat::kNdjson);
  answer.wanted = 1;
  EXPECT_TRUE(*answer.OnHead(Head(200)));
  EXPECT_FALSE(*answer.OnBody("{\"a\":1}\n{\"b\":2}\n"));
  EXPECT_THAT(answer.records, ElementsAre("{\"a\":1}"));
}

TEST_F(PageAnswerTest, ADocumentIsKeptUpToItsLimit) {
  config_.max_document_bytes = 8;
  auto answer = Answer(BodyFormat::kDocument);
  EXPECT_TRUE(*answer.OnHead(Head(200)));
  EXPECT_TRUE(*answer.OnBody("[1,2"));
  EXPECT_TRUE(*answer.OnBody(",34]"));
  EXPECT_EQ(answer.Document(), "[1,2,34]");
  const auto over = answer.OnBody(" ");
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().error_class, ErrorClass::kInvalid);
}

TEST_F(PageAnswerTest, ADocumentThatFillsItsLimitIsReadOn) {
  config_.max_document_bytes = 4;
  auto answer = Answer(BodyFormat::kDocument);
  EXPECT_TRUE(*answer.OnHead(Head(200)));
  EXPECT_TRUE(*answer.OnBody("[12]")) << "else what follows is never seen";
  EXPECT_FALSE(answer.OnBody("x"));
}

TEST_F(PageAnswerTest, AnErrorIsJudgedAgainWithTheStartOfItsBody) {
  auto answer = Answer(BodyFormat::kNdjson);
  EXPECT_TRUE(*answer.OnHead(Head(403)));
  EXPECT_TRUE(*answer.OnBody("{\"error\":\"No such token\"}"));
  const int judged = source_.judged;
  const auto* error = std::get_if<Error>(&answer.Judged());
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(source_.judged, judged + 1);
  EXPECT_EQ(error->http_status, 403);
  EXPECT_THAT(error->body_start, HasSubstr("No such token"));
  EXPECT_THAT(answer.records, IsEmpty()) << "an error's body holds no records";
}

// Some upstreams answer with the token that they refuse.
TEST_F(PageAnswerTest, NothingThatIsKeptOfAnAnswerHoldsTheAccountsSecrets) {
  auto answer = Answer(BodyFormat::kNdjson);
  answer.SetSecrets({{"token", Secret("lip_0123456789")}, {"short", Secret("such")}});
  EXPECT_TRUE(*answer.OnHead(Head(403)));
  // Where body_start is cut.
  const std::string padding(502, ' ');
  EXPECT_TRUE(*answer.OnBody("{\"error\":\"No such token: lip_0123456789\"}" + padding.substr(50) +
                             "lip_0123456789"));
  const Error error = std::get<Error>(answer.Judged());
  EXPECT_THAT(error.message, HasSubstr("No such token: ***"));
  EXPECT_THAT(error.body_start, Not(HasSubstr("lip_")));
}

TEST_F(PageAnswerTest, ASecretAtTheCutOfAnErrorsBodyIsNotKeptInPart) {
  for (std::size_t before = 4'070; before < 4'100; ++before) {
    auto answer = Answer(BodyFormat::kNdjson);
    answer.SetSecrets({{"token", Secret("lip_0123456789abcdef")}});
    EXPECT_TRUE(*answer.OnHead(Head(400)));
    const std::string body = "lip_0123456789abcdef" + std::string(before, ' ') + "lip_0123456789abcdef";
    EXPECT_TRUE(answer.OnBody(body + std::string(5'000, 'y')));
    const Error error = std::get<Error>(answer.Judged());
    EXPECT_THAT(error.message + error.body_start + source_.judged_body, Not(HasSubstr("lip"))) << before;
  }
}

// What stands behind the head of an answer that has no body would be read as the next answer's.
TEST_F(PageAnswerTest, OfAnAnswerThatHasNoBodyNoneIsRead) {
  for (const int status : {204, 304}) {
    auto answer = Answer(BodyFormat::kNdjson);
    const auto go = answer.OnHead(Head(status));
    ASSERT_TRUE(go);
    EXPECT_FALSE(*go) << status;
  }
}

TEST_F(PageAnswerTest, OfAnErrorNoMoreThan4KiBAreRead) {
  auto answer = Answer(BodyFormat::kNdjson);
  EXPECT_TRUE(*answer.OnHead(Head(500)));
  EXPECT_FALSE(*answer.OnBody(std::string(100'000, 'x')));
  EXPECT_LE(std::get<Error>(answer.Judged()).body_start.size(), 600u);
}

TEST_F(PageAnswerTest, WhatIsNotModifiedOrElsewhereIsNotRead) {
  auto same = Answer(BodyFormat::kNdjson);
  EXPECT_TRUE(same.OnHead(Head(304)));
  EXPECT_FALSE(same.IsNotModified()) << "nobody asked what has changed";
  auto absent = Answer(BodyFormat::kNdjson);
  EXPECT_FALSE(*absent.OnHead(Head(410)));
  EXPECT_TRUE(absent.IsNotModified());
  EXPECT_TRUE(absent.EndRecords());
  auto moved = Answer(BodyFormat::kNdjson);
  EXPECT_FALSE(*moved.OnHead(Head(302, {{"Location", "/y"}})));
  EXPECT_TRUE(std::holds_alternative<FollowTo>(moved.Judged()));
}

TEST_F(PageAnswerTest, AskedAgainItBeginsAgain) {
  auto answer = Answer(BodyFormat::kDocument);
  EXPECT_TRUE(*answer.OnHead(Head(500)));
  EXPECT_TRUE(*answer.OnBody("oops"));
  EXPECT_TRUE(*answer.OnHead(Head(200)));
  EXPECT_TRUE(*answer.OnBody("[]"));
  EXPECT_EQ(answer.Document(), "[]");
  EXPECT_EQ(answer.Head().status, 200);
}

// Whatever this machine's clock says.
TEST_F(PageAnswerTest, ARetryAfterThatIsADateCountsFromTheUpstreamsOwn) {
  auto answer = Answer(BodyFormat::kNdjson);
  EXPECT_TRUE(*answer.OnHead(Head(
      429, {{"Date", "Wed, 01 Jan 2025 00:00:00 GMT"}, {"Retry-After", "Wed, 01 Jan 2025 00:00:30 GMT"}})));
  EXPECT_EQ(std::get<Error>(answer.Judged()).retry_after, std::chrono::seconds(30));
}

class FetchPageTest : public testing::Test {
 protected:
  FetchPageTest() : fetcher_(FetchOptions{}, clock_) {
    account_.user_agent = "weir-test/1";
    page_.format = BodyFormat::kDocument;
  }
  // Answers each request with the next of these; the last one again and again.
  void Serve(std::vector<std::string> answers) {
    server_ = std::make_unique<ScriptServer>([this, answers](ScriptServer::Connection& connection) {
      for (;;) {
        const std::string request = connection.ReadRequest();
        if (request.empty()) return;
        const auto n = static_cast<std::size_t>(served_++);
        {
          const std::lock_guard lock(mutex_);
          requests_.push_back(request);
        }
        if (!connection.Send(answers[std::min(n, answers.size() - 1)])) return;
      }
    });
    account_.base_url = server_->Url();
  }
  Result<void> Fetch(const PageFetchHooks& hooks = {}) {
    answer_ = std::make_unique<DocumentAnswer>(config_, source_, TaskContext{}, page_);
    HttpRequest request;
    request.target = "/x";
    return FetchPage(fetcher_, config_, source_, account_, request, *answer_, abort_, hooks);
  }
  static std::string Ok(const std::string& body) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  static std::string To(int status, const std::string& location) {
    return "HTTP/1.1 " + std::to_string(status) + " x\r\nLocation: " + location +
           "\r\nContent-Length: 0\r\n\r\n";
  }
  std::string Sent(std::size_t i) {
    const std::lock_guard lock(mutex_);
    return i < requests_.size() ? requests_[i] : "";
  }

  Config config_;
  TestSource source_;
  AccountSettings account_;
  PageRequest page_;
  SystemClock clock_;
  Fetcher fetcher_;
  AbortCheck abort_ = [] { return std::optional<Error>(); };
  std::atomic<int> served_{0};
  std::mutex mutex_;
  std::vector<std::string> requests_;  // guarded by mutex_
  std::unique_ptr<ScriptServer> server_;
  std::unique_ptr<DocumentAnswer> answer_;
};

TEST_F(FetchPageTest, APageComesWithTheAccountsSecretAndUserAgent) {
  Serve({Ok("[1]")});
  account_.secrets = {{"token", Secret("s3cret")}};
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(answer_->Document(), "[1]");
  EXPECT_THAT(Sent(0), HasSubstr("GET /x HTTP/1.1"));
  EXPECT_THAT(Sent(0), HasSubstr("Authorization: Bearer s3cret"));
  EXPECT_THAT(Sent(0), HasSubstr("User-Agent: weir-test/1"));
}

TEST_F(FetchPageTest, RedirectsWithinTheOriginAreFollowedAndTold) {
  Serve({To(302, "/y"), To(301, "/player/anna"), Ok("[2]")});
  std::vector<std::string> sent, names;
  PageFetchHooks hooks;
  hooks.sends = [&](const HttpRequest& request) { sent.push_back(request.target); };
  hooks.renamed = [&](const std::string& name) -> Result<void> {
    names.push_back(name);
    return {};
  };
  ASSERT_TRUE(Fetch(hooks));
  EXPECT_EQ(answer_->Document(), "[2]");
  EXPECT_THAT(sent, ElementsAre("/x", "/y", "/player/anna"));
  EXPECT_THAT(names, ElementsAre("anna")) << "only what is permanent renames";
}

TEST_F(FetchPageTest, AfterThreeRedirectsItIsAnError) {
  Serve({To(302, "/y")});
  const auto done = Fetch();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().error_class, ErrorClass::kInvalid);
  EXPECT_EQ(served_, 4);
}

TEST_F(FetchPageTest, ARedirectElsewhereIsNotFollowed) {
  Serve({To(302, "http://127.0.0.2:1/steal")});
  account_.secrets = {{"token", Secret("s3cret")}};
  const auto done = Fetch();
  ASSERT_FALSE(done);
  EXPECT_EQ(served_, 1);
  EXPECT_EQ(done.error().error_class, ErrorClass::kTransient);
  EXPECT_THAT(done.error().message, Not(HasSubstr("s3cret")));
}

TEST_F(FetchPageTest, AnErrorOfAHookEndsTheFetch) {
  Serve({To(301, "/player/anna"), Ok("[2]")});
  PageFetchHooks hooks;
  hooks.renamed = [](const std::string&) -> Result<void> { return Fail(ErrorClass::kDatabase, "away"); };
  EXPECT_EQ(Fetch(hooks).error().error_class, ErrorClass::kDatabase);
  EXPECT_EQ(served_, 1);
}

TEST_F(FetchPageTest, AVerdictThatIsAnErrorIsTheCallersToLookAt) {
  Serve({"HTTP/1.1 404 x\r\nContent-Length: 4\r\n\r\ngone"});
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(std::get<Error>(answer_->Judged()).error_class, ErrorClass::kGone);
  Serve({"HTTP/1.1 422 x\r\nContent-Length: 0\r\n\r\n"});
  ASSERT_TRUE(Fetch());
  EXPECT_TRUE(std::holds_alternative<AskAgain>(answer_->Judged()));
}

TEST_F(FetchPageTest, ACutAnswerAndAnAbortAreErrorsOfTheFetch) {
  server_ = std::make_unique<ScriptServer>([](ScriptServer::Connection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  });
  account_.base_url = server_->Url();
  EXPECT_EQ(Fetch().error().error_class, ErrorClass::kTransient);
  server_ = std::make_unique<ScriptServer>([](ScriptServer::Connection& connection) {
    connection.ReadRequest();
    connection.AwaitClose();
  });
  account_.base_url = server_->Url();
  abort_ = [] { return std::optional(MakeError(ErrorClass::kStopped, "enough")); };
  EXPECT_EQ(Fetch().error().error_class, ErrorClass::kStopped);
}

}  // namespace
}  // namespace weir
