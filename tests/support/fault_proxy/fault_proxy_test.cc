#include "tests/support/fault_proxy/fault_proxy.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "tests/support/upstream/http_client.h"
#include "tests/support/upstream/http_server.h"

namespace weir::proxy {
namespace {

using namespace std::chrono_literals;
using sim::ClientRequest;
using sim::ClientResponse;

// A server of `size` bytes through a proxy.
class FaultProxyTest : public ::testing::Test {
 protected:
  FaultProxyTest()
      : server_([this](sim::Connection& c, const sim::Request&) {
          return c.Send(fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body_.size()), body_,
                        {}) &&
                 false;
        }) {}
  void SetUp() override {
    ASSERT_TRUE(server_.Start());
    proxy_ = std::make_unique<FaultProxy>(
        ProxyOptions{fmt::format("127.0.0.1:{}", server_.port()), 0, Protocol::kOther});
    ASSERT_TRUE(proxy_->Start());
  }
  Result<ClientResponse> Ask(Millis deadline = 20s) const {
    ClientRequest request;
    request.url = fmt::format("http://127.0.0.1:{}/", proxy_->port());
    request.deadline = deadline;
    return Exchange(request);
  }
  std::chrono::milliseconds Timed(Result<ClientResponse>& answer) const {
    const auto start = std::chrono::steady_clock::now();
    answer = Ask();
    return std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - start);
  }

  std::string body_ = std::string(100'000, 'b');
  sim::HttpServer server_;
  std::unique_ptr<FaultProxy> proxy_;
};

TEST_F(FaultProxyTest, PassesBytesUnchanged) {
  const auto answer = Ask();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_TRUE(answer->whole);
  EXPECT_EQ(answer->body, body_);
  EXPECT_EQ(proxy_->stats().accepted, 1);
}

TEST_F(FaultProxyTest, LatencyDelaysBothWays) {
  ProxyFaults faults;
  faults.latency = 150ms;
  proxy_->Set(faults);
  Result<ClientResponse> answer;
  EXPECT_GE(Timed(answer), 300ms);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, body_);
}

TEST_F(FaultProxyTest, BandwidthIsKept) {
  ProxyFaults faults;
  faults.bytes_per_second = 400'000;
  proxy_->Set(faults);
  Result<ClientResponse> answer;
  EXPECT_GE(Timed(answer), 200ms);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, body_);
}

TEST_F(FaultProxyTest, SlicesArriveWhole) {
  body_.resize(500);
  ProxyFaults faults;
  faults.slice_bytes = 7;
  faults.slice_delay = 1ms;
  proxy_->Set(faults);
  Result<ClientResponse> answer;
  EXPECT_GE(Timed(answer), 70ms);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, body_);
}

TEST_F(FaultProxyTest, LimitCutsTheAnswerShort) {
  ProxyFaults faults;
  faults.limit_bytes = 1000;
  proxy_->Set(faults);
  const auto answer = Ask();
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->whole);
  EXPECT_LT(answer->body.size(), 1000U);
  EXPECT_GT(answer->body.size(), 900U);
}

TEST_F(FaultProxyTest, SwallowAnswersNothing) {
  ProxyFaults faults;
  faults.swallow = true;
  proxy_->Set(faults);
  EXPECT_FALSE(Ask(200ms));
  proxy_->Heal();
  EXPECT_TRUE(Ask());
}

TEST_F(FaultProxyTest, RefusedUntilWelcomeAgain) {
  proxy_->Refuse(true);
  EXPECT_FALSE(Ask());
  proxy_->Refuse(false);
  EXPECT_TRUE(Ask());
}

TEST_F(FaultProxyTest, ATargetThatIsGoneResetsTheClient) {
  server_.Stop();
  EXPECT_FALSE(Ask());
  EXPECT_EQ(proxy_->stats().failed_connects, 1);
}

// What happens to a connection that is open, from the client's side. The target echoes.
class OpenConnectionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(::listen(listener_, 8), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    ProxyOptions options;
    options.target = fmt::format("localhost:{}", ntohs(address.sin_port));
    options.protocol = Protocol::kPostgres;
    proxy_ = std::make_unique<FaultProxy>(options);
    ASSERT_TRUE(proxy_->Start());
    client_ = ::socket(AF_INET, SOCK_STREAM, 0);
    address.sin_port = htons(static_cast<std::uint16_t>(proxy_->port()));
    ASSERT_EQ(::connect(client_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    server_ = ::accept(listener_, nullptr, nullptr);
    ASSERT_GE(server_, 0);
  }
  void TearDown() override {
    for (const int fd : {client_, server_, listener_}) ::close(fd);
  }
  static void Send(int fd, const std::string& bytes) {
    ASSERT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  // Exactly so many bytes, or what came before an end ("<eof>", "<reset>") or a silence ("<silent>").
  static std::string Receive(int fd, std::size_t n, int patience_ms = 20'000) {
    std::string got;
    while (got.size() < n) {
      pollfd p{fd, POLLIN, 0};
      if (::poll(&p, 1, patience_ms) == 0) return got + "<silent>";
      char c = 0;
      const ssize_t r = ::recv(fd, &c, 1, 0);
      if (r == 0) return got + "<eof>";
      if (r < 0) return got + (errno == ECONNRESET ? "<reset>" : "<error>");
      got += c;
    }
    return got;
  }

  int listener_ = -1, client_ = -1, server_ = -1;
  std::unique_ptr<FaultProxy> proxy_;
};

const std::string kStartup("\0\0\0\x08\0\3\0\0", 8);
const std::string kBegin(
    "C\0\0\0\x0a"
    "BEGIN\0",
    11);
const std::string kCommit(
    "C\0\0\0\x0b"
    "COMMIT\0",
    12);

TEST_F(OpenConnectionTest, CutIsSilentAndGoesOnWhenHealed) {
  ProxyFaults faults;
  faults.cut = true;
  proxy_->Set(faults);
  Send(client_, "held");
  ::shutdown(client_, SHUT_WR);
  EXPECT_EQ(Receive(server_, 4, 200), "<silent>");
  proxy_->Heal();
  EXPECT_EQ(Receive(server_, 5), "held<eof>");
}

TEST_F(OpenConnectionTest, ResetAllIsARst) {
  proxy_->ResetAll();
  EXPECT_EQ(Receive(client_, 1), "<reset>");
  EXPECT_EQ(Receive(server_, 1), "<reset>");
  EXPECT_EQ(proxy_->stats().open, 0);
}

TEST_F(OpenConnectionTest, AResetOfOneSideReachesTheOther) {
  const linger now{1, 0};
  ::setsockopt(server_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(server_);
  server_ = -1;
  EXPECT_EQ(Receive(client_, 1), "<reset>");
}

TEST_F(OpenConnectionTest, HalfCloseIsPassedOn) {
  ::shutdown(client_, SHUT_WR);
  EXPECT_EQ(Receive(server_, 1), "<eof>");
  Send(server_, "still here");
  EXPECT_EQ(Receive(client_, 10), "still here");
}

TEST_F(OpenConnectionTest, CutAfterCommitSwallowsTheNthAnswerAndResets) {
  proxy_->CutAfterCommit(CommitCut::kReset, 2);
  Send(client_, kStartup);
  EXPECT_EQ(Receive(server_, kStartup.size()), kStartup);
  Send(server_, kBegin + kCommit);
  EXPECT_EQ(Receive(client_, kBegin.size() + kCommit.size()), kBegin + kCommit);
  EXPECT_EQ(proxy_->stats().commit_cuts, 0);
  Send(server_, kCommit);
  EXPECT_EQ(Receive(client_, 1), "<reset>");
  EXPECT_EQ(Receive(server_, 1), "<reset>");
  EXPECT_TRUE(proxy_->WaitForCommitCut(20s));
  EXPECT_EQ(proxy_->stats().commits, 2);
}

TEST_F(OpenConnectionTest, CutAfterCommitAsABlackHoleIsSilentForGood) {
  proxy_->CutAfterCommit(CommitCut::kBlackHole);
  Send(client_, kStartup);
  EXPECT_EQ(Receive(server_, kStartup.size()), kStartup);
  Send(server_, kCommit + "more");
  EXPECT_TRUE(proxy_->WaitForCommitCut(20s));
  proxy_->Heal();
  Send(client_, "anyone?");
  EXPECT_EQ(Receive(client_, 1, 200), "<silent>");
  EXPECT_EQ(Receive(server_, 1, 200), "<silent>");
}

TEST_F(OpenConnectionTest, StopsAtAMomentHoldsTheBytesAndThaws) {
  const std::string query("Q\0\0\0\x0dselect 1\0", 14);
  proxy_->StopAt({.what = "select", .nth = 2});
  Send(client_, kStartup + query);
  EXPECT_EQ(Receive(server_, kStartup.size() + query.size()), kStartup + query);
  Send(client_, query);
  ASSERT_TRUE(proxy_->WaitForStop(20s));
  EXPECT_EQ(Receive(server_, 1, 200), "<silent>");
  Send(server_, kCommit);
  EXPECT_EQ(Receive(client_, 1, 200), "<silent>");
  proxy_->Thaw();
  EXPECT_EQ(Receive(server_, query.size()), query);
  EXPECT_EQ(Receive(client_, kCommit.size()), kCommit);
}

TEST_F(OpenConnectionTest, StopsBeforeTheAnswer) {
  const std::string query("Q\0\0\0\x0dselect 1\0", 14);
  proxy_->StopAt({.what = "select", .reply = true});
  Send(client_, kStartup + query);
  EXPECT_EQ(Receive(server_, kStartup.size() + query.size()), kStartup + query);
  Send(server_, kBegin + kCommit);
  ASSERT_TRUE(proxy_->WaitForStop(20s));
  EXPECT_EQ(Receive(client_, 1, 200), "<silent>");
  proxy_->Thaw();
  EXPECT_EQ(Receive(client_, kBegin.size() + kCommit.size()), kBegin + kCommit);
}

TEST_F(OpenConnectionTest, BlackHolesAreForGood) {
  proxy_->BlackHoleAll();
  proxy_->Heal();
  Send(client_, "anyone?");
  EXPECT_EQ(Receive(server_, 1, 200), "<silent>");
  ::shutdown(client_, SHUT_WR);
  EXPECT_EQ(Receive(server_, 1, 200), "<silent>");
}

}  // namespace
}  // namespace weir::proxy
