#include "common/http/fetcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <semaphore>
#include <thread>

#include "common/http/fetcher_fixture.h"

namespace weir {
namespace {

using Connection = ScriptServer::Connection;
using std::chrono::hours;
using std::chrono::seconds;

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

}  // namespace
}  // namespace weir
