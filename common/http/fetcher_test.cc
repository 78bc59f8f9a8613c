#include "common/http/fetcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <semaphore>

#include "common/http/gzip_for_test.h"
#include "common/http/script_server.h"

namespace weir {
namespace {

using Connection = ScriptServer::Connection;
using Secrets = std::vector<std::pair<std::string, Secret>>;
using std::chrono::hours;
using std::chrono::seconds;

// Keeps what it is given; the hooks decide otherwise.
class KeepingSink final : public BodySink {
 public:
  Result<bool> OnHead(const HttpResponseHead& head) override {
    ++heads;
    status = head.status;
    return on_head ? on_head(head) : Result<bool>(true);
  }
  Result<bool> OnBody(std::string_view bytes) override {
    largest = std::max(largest, bytes.size());
    total += bytes.size();
    if (body.size() < (1 << 20)) body.append(bytes);
    return on_body ? on_body(bytes) : Result<bool>(true);
  }

  std::function<Result<bool>(const HttpResponseHead&)> on_head;
  std::function<Result<bool>(std::string_view)> on_body;
  int heads = 0;
  int status = 0;
  std::string body;
  std::size_t total = 0;
  std::size_t largest = 0;
};

class FetcherTest : public testing::Test {
 protected:
  void Serve(ScriptServer::Script script) { server_ = std::make_unique<ScriptServer>(std::move(script)); }
  // Answers one request with `bytes` and closes.
  void ServeBytes(std::string bytes) {
    Serve([bytes = std::move(bytes)](Connection& connection) {
      if (!connection.ReadRequest().empty()) connection.Send(bytes);
    });
  }
  Fetcher& Get() {
    if (!fetcher_) {
      options_.base_url = server_->Url();
      options_.user_agent = "weir-test/1";
      fetcher_ = std::make_unique<Fetcher>(options_, clock_);
    }
    return *fetcher_;
  }
  Result<HttpResponseHead> Fetch(HttpRequest request = {"GET", "/x", {}, ""}, const Secrets& secrets = {}) {
    return Get().Fetch(request, secrets, sink_, abort_);
  }
  void ExpectFailure(ErrorClass error_class) {
    const Result<HttpResponseHead> result = Fetch();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().error_class, error_class) << result.error().message;
  }

  ManualClock clock_;
  FetchOptions options_;
  AbortCheck abort_;
  KeepingSink sink_;
  std::unique_ptr<ScriptServer> server_;
  std::unique_ptr<Fetcher> fetcher_;
};

TEST_F(FetcherTest, ReadsABodyOfKnownLength) {
  ServeBytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b \r\n\r\nhello");
  const Result<HttpResponseHead> head = Fetch();
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->Get("x-a"), "b");
  EXPECT_EQ(sink_.body, "hello");
  EXPECT_EQ(Get().LastStats().body_bytes, 5);
  EXPECT_GT(Get().LastStats().wire_bytes, 5);
}

TEST_F(FetcherTest, ShowsOnlyTheFinalHeadAndSkipsTrailers) {
  ServeBytes(
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Late: 1\r\n\r\n");
  const Result<HttpResponseHead> head = Fetch();
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(sink_.heads, 1);
  EXPECT_EQ(sink_.status, 200);
  EXPECT_EQ(head->Get("Link"), "");
  EXPECT_EQ(head->Get("X-Late"), "");
  EXPECT_EQ(sink_.body, "abcde");
}

TEST_F(FetcherTest, TruncatedBodyIsTransient) {
  ServeBytes("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
  const Result<HttpResponseHead> result =
      Fetch({"GET", "/x?key=querysecret", {}, ""}, {{"Authorization", Secret("Bearer headersecret")}});
  ASSERT_FALSE(result);
  const Error& error = result.error();
  EXPECT_EQ(error.error_class, ErrorClass::kTransient);
  EXPECT_EQ(error.http_status, 200);
  EXPECT_EQ((error.message + error.hint + error.body_start).find("secret"), std::string::npos);
  EXPECT_NE(error.message.find("127.0.0.1"), std::string::npos);
}

TEST_F(FetcherTest, TruncatedChunksAreTransient) {
  ServeBytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
  ExpectFailure(ErrorClass::kTransient);
}

TEST_F(FetcherTest, ResetInTheBodyIsTransient) {
  std::promise<void> had_bytes;
  Serve([&](Connection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    had_bytes.get_future().wait();
    connection.Reset();
  });
  sink_.on_body = [&](std::string_view) {
    had_bytes.set_value();
    return true;
  };
  ExpectFailure(ErrorClass::kTransient);
  EXPECT_EQ(sink_.body, "hello");
  server_.reset();  // its script uses this frame
}

TEST_F(FetcherTest, ClosedBeforeAnyAnswerIsTransient) {
  Serve([](Connection& connection) { connection.ReadRequest(); });
  ExpectFailure(ErrorClass::kTransient);
}

TEST_F(FetcherTest, RefusedConnectionIsTransientWithAHint) {
  ServeBytes("");
  Get();
  server_.reset();
  const Result<HttpResponseHead> result = Fetch();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error_class, ErrorClass::kTransient);
  EXPECT_FALSE(result.error().hint.empty());
  EXPECT_FALSE(Get().LastStats().first_byte);
}

TEST_F(FetcherTest, GarbageInsteadOfHttpIsInvalid) {
  ServeBytes("SSH-2.0-OpenSSH_9.2\r\n");
  ExpectFailure(ErrorClass::kInvalid);
  EXPECT_EQ(sink_.heads, 0);
}

TEST_F(FetcherTest, SilenceEndsTheFetchByTheInjectedClock) {
  Serve([](Connection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    connection.AwaitClose();
  });
  abort_ = [&]() -> std::optional<Error> {
    if (sink_.total > 0) clock_.Advance(seconds(20));
    return std::nullopt;
  };
  ExpectFailure(ErrorClass::kTransient);
  EXPECT_EQ(sink_.body, "hello");
}

TEST_F(FetcherTest, TrickleBelowTheRateEndsTheFetch) {
  std::counting_semaphore<> tick{0};
  std::atomic<bool> over{false};
  Serve([&](Connection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    while (!over && connection.Send("a")) tick.acquire();
  });
  abort_ = [&]() -> std::optional<Error> {
    clock_.Advance(seconds(1));
    tick.release();
    return std::nullopt;
  };
  ExpectFailure(ErrorClass::kTransient);
  EXPECT_GT(sink_.total, 1U);
  over = true;
  tick.release();
  server_.reset();  // its script uses this frame
}

TEST_F(FetcherTest, ASlowConsumerIsNotASlowUpstream) {
  ServeBytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  sink_.on_head = [&](const HttpResponseHead&) {
    clock_.Advance(hours(1));
    return true;
  };
  sink_.on_body = [&](std::string_view) {
    clock_.Advance(hours(1));
    return true;
  };
  const Result<HttpResponseHead> head = Fetch();
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(sink_.body, "abcde");
  EXPECT_GE(Get().LastStats().in_sink, hours(2));
  EXPECT_EQ(Get().LastStats().in_sink, Get().LastStats().total);
}

TEST_F(FetcherTest, DecodesGzip) {
  const std::string packed = Gzip("hello hello hello", 1);
  ServeBytes("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " + std::to_string(packed.size()) +
             "\r\n\r\n" + packed);
  const Result<HttpResponseHead> head = Fetch();
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(sink_.body, "hello hello hello");
}

TEST_F(FetcherTest, BrokenGzipIsInvalid) {
  ServeBytes("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\nnot gzip, not at all");
  ExpectFailure(ErrorClass::kInvalid);
}

TEST_F(FetcherTest, GzipBombStopsAtTheCap) {
  const std::string bomb = Gzip(std::string(1 << 20, '\0'), 100);
  ASSERT_LT(bomb.size(), 300'000U);
  options_.max_response_bytes = 3 << 20;
  ServeBytes("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + bomb);
  ExpectFailure(ErrorClass::kInvalid);
  EXPECT_LE(sink_.total, 3U << 20);
  EXPECT_GT(sink_.total, 2U << 20);
  EXPECT_LE(sink_.largest, 64U << 10);
}

TEST_F(FetcherTest, FollowsNoRedirect) {
  ScriptServer other([](Connection& connection) { connection.ReadRequest(); });
  ServeBytes("HTTP/1.1 302 Found\r\nLocation: " + other.Url() + "/x\r\nContent-Length: 0\r\n\r\n");
  const Result<HttpResponseHead> head = Fetch({"GET", "/x", {}, ""}, {{"Authorization", Secret("Bearer s")}});
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->status, 302);
  EXPECT_EQ(other.Connections(), 0);
}

TEST_F(FetcherTest, HeaderFloodIsInvalid) {
  Serve([](Connection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\n");
    while (connection.Send("X-Flood: yes, and more of it\r\n")) {
    }
  });
  ExpectFailure(ErrorClass::kInvalid);
  EXPECT_EQ(sink_.heads, 0);
}

TEST_F(FetcherTest, EndlessHeaderLineIsInvalid) {
  Serve([](Connection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nX-Flood: ");
    const std::string more(4096, 'a');
    while (connection.Send(more)) {
    }
  });
  ExpectFailure(ErrorClass::kInvalid);
}

TEST_F(FetcherTest, AbortEndsASilentTransfer) {
  std::promise<void> asked;
  Serve([&](Connection& connection) {
    connection.ReadRequest();
    asked.set_value();
    connection.AwaitClose();
  });
  std::atomic<bool> lost{false};
  abort_ = [&]() -> std::optional<Error> {
    if (lost) return MakeError(ErrorClass::kStopped, "the lease is lost");
    return std::nullopt;
  };
  Fetcher& fetcher = Get();
  std::thread loser([&] {
    asked.get_future().wait();
    lost = true;
    fetcher.Wake();
  });
  const Result<HttpResponseHead> result = Fetch();
  loser.join();
  fetcher_.reset();
  server_.reset();  // its script uses this frame
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error_class, ErrorClass::kStopped);
  EXPECT_EQ(result.error().message, "the lease is lost");
}

TEST_F(FetcherTest, AbortBeforeTheFirstByteAsksNobody) {
  ServeBytes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  abort_ = []() -> std::optional<Error> { return MakeError(ErrorClass::kStopped, "stop"); };
  ExpectFailure(ErrorClass::kStopped);
  EXPECT_EQ(server_->Connections(), 0);
}

TEST_F(FetcherTest, SendsWhatItIsGivenAndReusesTheConnection) {
  std::vector<std::string> requests;
  Serve([&](Connection& connection) {
    while (true) {
      std::string request = connection.ReadRequest();
      if (request.empty()) return;
      requests.push_back(std::move(request));
      connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
  });
  const Secrets secrets = {{"Authorization", Secret("Bearer s3cret")}};
  ASSERT_TRUE(
      Fetch({"GET", "/a?b=c%20d", {{"Accept", "application/x-ndjson"}, {"X-Empty", ""}}, ""}, secrets));
  EXPECT_FALSE(Get().LastStats().reused_connection);
  ASSERT_TRUE(Fetch({"POST", "/ids", {{"Content-Type", "text/plain"}}, "one,two"}, {}));
  EXPECT_TRUE(Get().LastStats().reused_connection);
  ASSERT_TRUE(Fetch());
  fetcher_.reset();
  EXPECT_EQ(server_->Connections(), 1);
  server_.reset();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[0].find("GET /a?b=c%20d HTTP/1.1\r\n"), 0U);
  EXPECT_NE(requests[0].find("Authorization: Bearer s3cret\r\n"), std::string::npos);
  EXPECT_NE(requests[0].find("User-Agent: weir-test/1\r\n"), std::string::npos);
  EXPECT_NE(requests[0].find("Accept: application/x-ndjson\r\n"), std::string::npos);
  EXPECT_NE(requests[0].find("Accept-Encoding: gzip, deflate\r\n"), std::string::npos);
  EXPECT_NE(requests[0].find("X-Empty:"), std::string::npos);
  EXPECT_NE(requests[1].find("\r\n\r\none,two"), std::string::npos);
  EXPECT_EQ(requests[1].find("s3cret"), std::string::npos);
  EXPECT_EQ(requests[2].find("GET /x HTTP/1.1\r\n"), 0U);
  EXPECT_EQ(requests[2].find("Content-"), std::string::npos);
}

TEST_F(FetcherTest, EnoughIsNotAnError) {
  Serve([](Connection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello");
    connection.AwaitClose();
  });
  sink_.on_body = [](std::string_view) { return false; };
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(sink_.body, "hello");
  sink_.on_head = [](const HttpResponseHead&) { return false; };
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(sink_.body, "hello");
  EXPECT_EQ(server_->Connections(), 2);  // the rest of a body is never read to keep its connection
}

TEST_F(FetcherTest, TheSinksErrorPassesThrough) {
  ServeBytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
  sink_.on_body = [](std::string_view) -> Result<bool> { return Fail(ErrorClass::kDatabase, "disk full"); };
  const Result<HttpResponseHead> result = Fetch();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error_class, ErrorClass::kDatabase);
  EXPECT_EQ(result.error().message, "disk full");
}

TEST_F(FetcherTest, RefusesHeadersThatWouldAddOthers) {
  ServeBytes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const Result<HttpResponseHead> result =
      Fetch({"GET", "/x", {}, ""}, {{"Authorization", Secret("Bearer a\r\nX-Evil: 1")}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error_class, ErrorClass::kConfig);
  EXPECT_EQ(result.error().message.find("Evil"), std::string::npos);
  EXPECT_FALSE(Fetch({"GET", "/x", {{"X-A", "b\nX-Evil: 1"}}, ""}));
  EXPECT_FALSE(Fetch({"GET", "//evil.example/\\x", {}, ""}));
  EXPECT_EQ(server_->Connections(), 0);
}

}  // namespace
}  // namespace weir
