// What a bad upstream does to the fetcher.
#include <gtest/gtest.h>

#include <future>

#include "common/http/fetcher_fixture.h"
#include "common/http/gzip_for_test.h"

namespace weir {
namespace {

using HostileFetcherTest = FetcherTest;
using Connection = ScriptServer::Connection;

TEST_F(HostileFetcherTest, TruncatedBodyIsTransient) {
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

TEST_F(HostileFetcherTest, TruncatedChunksAreTransient) {
  ServeBytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
  ExpectFailure(ErrorClass::kTransient);
}

TEST_F(HostileFetcherTest, ChunksWithoutTheirEndAreTransient) {
  ServeBytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  ExpectFailure(ErrorClass::kTransient);
}

TEST_F(HostileFetcherTest, ResetInTheBodyIsTransient) {
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

TEST_F(HostileFetcherTest, ClosedBeforeAnyAnswerIsTransient) {
  Serve([](Connection& connection) { connection.ReadRequest(); });
  ExpectFailure(ErrorClass::kTransient);
}

TEST_F(HostileFetcherTest, RefusedConnectionIsTransientWithAHint) {
  ServeBytes("");
  Get();
  server_.reset();
  const Result<HttpResponseHead> result = Fetch();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error_class, ErrorClass::kTransient);
  EXPECT_FALSE(result.error().hint.empty());
  EXPECT_FALSE(Get().LastStats().first_byte);
}

TEST_F(HostileFetcherTest, GarbageInsteadOfHttpIsInvalid) {
  ServeBytes("SSH-2.0-OpenSSH_9.2\r\n");
  ExpectFailure(ErrorClass::kInvalid);
  EXPECT_EQ(sink_.heads, 0);
}

TEST_F(HostileFetcherTest, DecodesGzip) {
  const std::string packed = Gzip("hello hello hello", 1);
  ServeBytes("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " + std::to_string(packed.size()) +
             "\r\n\r\n" + packed);
  const Result<HttpResponseHead> head = Fetch();
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(sink_.body, "hello hello hello");
}

TEST_F(HostileFetcherTest, DecodesEveryGzipMember) {
  const std::string packed = Gzip("hello ", 1) + Gzip("again", 1);
  ServeBytes("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " + std::to_string(packed.size()) +
             "\r\n\r\n" + packed);
  const Result<HttpResponseHead> head = Fetch();
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(sink_.body, "hello again");
}

TEST_F(HostileFetcherTest, BrokenGzipIsTransient) {
  ServeBytes("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\nnot gzip, not at all");
  ExpectFailure(ErrorClass::kTransient);
}

// HTTP's own length is right, so that only the gzip stream tells.
TEST_F(HostileFetcherTest, CutOffGzipIsTransient) {
  const std::string packed = Gzip("hello hello hello", 1);
  for (const std::size_t cut : {std::size_t{1}, std::size_t{8}, packed.size() - 5}) {
    fetcher_.reset();
    ServeBytes("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " +
               std::to_string(packed.size() - cut) + "\r\n\r\n" + packed.substr(0, packed.size() - cut));
    ExpectFailure(ErrorClass::kTransient);
  }
}

TEST_F(HostileFetcherTest, AnUnknownCodingOfAnErrorLeavesItsStatus) {
  ServeBytes("HTTP/1.1 404 Not Found\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\nhello");
  const Result<HttpResponseHead> head = Fetch();
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->status, 404);
  EXPECT_EQ(sink_.body, "");
  fetcher_.reset();
  ServeBytes("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\nhello");
  ExpectFailure(ErrorClass::kTransient);
}

// Empty members decode to nothing, so that no bound on what is decoded ends them.
TEST_F(HostileFetcherTest, EndlessBytesThatDecodeToNothingStopAtTheCap) {
  options_.max_response_bytes = 1 << 20;
  Serve([](Connection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
    std::string members;
    for (int i = 0; i < 1000; ++i) members += Gzip("", 1);
    while (connection.Send(members)) {
    }
  });
  ExpectFailure(ErrorClass::kInvalid);
  EXPECT_EQ(sink_.total, 0U);
}

// Bytes come, fast enough not to be slow.
TEST_F(HostileFetcherTest, AnAnswerThatDoesNotEndIsGivenUp) {
  options_.slow_rate = 0;
  options_.idle_timeout = std::chrono::hours(100);
  Serve([](Connection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\n\r\n{");
    connection.AwaitClose();
  });
  int asked = 0;
  abort_ = [&]() -> std::optional<Error> {
    clock_.Advance(std::chrono::hours(1));
    if (++asked < 20) return std::nullopt;
    return MakeError(ErrorClass::kStopped, "nobody has given it up");
  };
  ExpectFailure(ErrorClass::kTransient);
  EXPECT_GE(asked, 6) << "it has its time";
}

TEST_F(HostileFetcherTest, AHeaderThatIsNoTextIsNotHandedOn) {
  ServeBytes("HTTP/1.1 200 OK\r\nETag: \"caf\xe9\"\r\nX-Good: 1\r\nContent-Length: 0\r\n\r\n");
  const Result<HttpResponseHead> head = Fetch();
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->Get("ETag"), "");
  EXPECT_EQ(head->Get("X-Good"), "1");
}

TEST_F(HostileFetcherTest, GzipBombStopsAtTheCap) {
  const std::string bomb = Gzip(std::string(1 << 20, '\0'), 100);
  ASSERT_LT(bomb.size(), 300'000U);
  options_.max_response_bytes = 3 << 20;
  ServeBytes("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + bomb);
  ExpectFailure(ErrorClass::kInvalid);
  EXPECT_LE(sink_.total, 3U << 20);
  EXPECT_GT(sink_.total, 2U << 20);
  EXPECT_LE(sink_.largest, 64U << 10);
}

TEST_F(HostileFetcherTest, FollowsNoRedirect) {
  ScriptServer other([](Connection& connection) { connection.ReadRequest(); });
  ServeBytes("HTTP/1.1 302 Found\r\nLocation: " + other.Url() + "/x\r\nContent-Length: 0\r\n\r\n");
  const Result<HttpResponseHead> head = Fetch({"GET", "/x", {}, ""}, {{"Authorization", Secret("Bearer s")}});
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->status, 302);
  EXPECT_EQ(other.Connections(), 0);
}

TEST_F(HostileFetcherTest, HeaderFloodIsInvalid) {
  Serve([](Connection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\n");
    while (connection.Send("X-Flood: yes, and more of it\r\n")) {
    }
  });
  ExpectFailure(ErrorClass::kInvalid);
  EXPECT_EQ(sink_.heads, 0);
}

TEST_F(HostileFetcherTest, EndlessHeaderLineIsInvalid) {
  Serve([](Connection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nX-Flood: ");
    const std::string more(4096, 'a');
    while (connection.Send(more)) {
    }
  });
  ExpectFailure(ErrorClass::kInvalid);
}

TEST_F(HostileFetcherTest, RefusesHeadersThatWouldAddOthers) {
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
