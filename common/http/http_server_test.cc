#include "common/http/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

namespace weir {
namespace {

// A raw client of the server under test.
class Client {
 public:
  explicit Client(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool Connected() const { return connected_; }
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // All until the server closes.
  std::string ReadAll() {
    std::string all;
    char chunk[4096];
    for (ssize_t got = 0; (got = recv(fd_, chunk, sizeof chunk, 0)) > 0;) {
      all.append(chunk, static_cast<std::size_t>(got));
    }
    return all;
  }
  // The next bytes that come; "" = closed.
  std::string ReadSome() {
    char chunk[4096];
    const ssize_t got = recv(fd_, chunk, sizeof chunk, 0);
    return got > 0 ? std::string(chunk, static_cast<std::size_t>(got)) : "";
  }
  void Reset() {
    const linger now{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }

 private:
  const int fd_;
  bool connected_ = false;
};

class HttpServerTest : public testing::Test {
 protected:
  void Start(HttpServerOptions options = {}) {
    Result<std::unique_ptr<HttpServer>> server = HttpServer::Start(
        options, RouteByPath({{"/metrics",
                               [](const HttpServerRequest& request) {
                                 return HttpReply{200, "text/plain", "up 1 " + request.query + "\n", {}};
                               }},
                              {"/throw", [](const HttpServerRequest&) -> HttpReply {
                                 throw std::runtime_error("secret");
                               }}}));
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  std::string Ask(std::string_view request) {
    Client client(server_->Port());
    client.Send(request);
    return client.ReadAll();
  }
  void ExpectAlive() {
    const std::string answer = Ask("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(answer.find("HTTP/1.1 200 "), 0U) << answer;
  }

  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersByPathAndMethod) {
  Start();
  const std::string get = Ask("GET /metrics?a=b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(get.find("HTTP/1.1 200 OK\r\n"), 0U);
  EXPECT_NE(get.find("\r\n\r\nup 1 a=b\n"), std::string::npos);
  const std::string head = Ask("HEAD /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_NE(head.find("Content-Length: 6\r\n"), std::string::npos);
  EXPECT_EQ(head.substr(head.size() - 4), "\r\n\r\n");
  EXPECT_EQ(Ask("GET /x HTTP/1.0\r\n\r\n").find("HTTP/1.0 404 "), 0U);
  EXPECT_EQ(Ask("POST /metrics HTTP/1.0\r\n\r\n").find("HTTP/1.0 405 "), 0U);
}

TEST_F(HttpServerTest, KeepsAConnectionForTheNextRequest) {
  Start();
  Client client(server_->Port());
  for (int i = 0; i < 3; ++i) {
    client.Send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(client.ReadSome().find("HTTP/1.1 200 "), 0U);
  }
}

TEST_F(HttpServerTest, AThrowingHandlerIsA500WithoutDetails) {
  Start();
  const std::string answer = Ask("GET /throw HTTP/1.0\r\n\r\n");
  EXPECT_EQ(answer.find("HTTP/1.0 500 "), 0U);
  EXPECT_EQ(answer.find("secret"), std::string::npos);
  ExpectAlive();
}

TEST_F(HttpServerTest, RefusesOversizeAndGarbage) {
  Start();
  EXPECT_EQ(Ask("GET / HTTP/1.1\r\nX: " + std::string(9000, 'a')).find("HTTP/1.1 431 "), 0U);
  EXPECT_EQ(Ask("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n").find("HTTP/1.1 413 "), 0U);
  EXPECT_EQ(Ask("\x16\x03\x01\x02 not http at all\r\n\r\n").find("HTTP/1.1 400 "), 0U);
  ExpectAlive();
}

// More than the sockets hold: closed over it, the connection would be reset and the answer lost.
TEST_F(HttpServerTest, ARefusalReachesAPeerThatIsStillSending) {
  HttpServerOptions options;
  options.refusal = [](int status, std::string_view why) {
    return HttpReply{status, "text/x-own", "own: " + std::string(why), {}};
  };
  Start(options);
  Client client(server_->Port());
  EXPECT_TRUE(
      client.Send("POST / HTTP/1.1\r\nContent-Length: 8000000\r\n\r\n" + std::string(8'000'000, 'a')));
  const std::string answer = client.ReadAll();
  EXPECT_EQ(answer.find("HTTP/1.1 413 "), 0U);
  EXPECT_NE(answer.find("own: body too large"), std::string::npos) << answer;
  EXPECT_NE(Ask("GET /throw HTTP/1.0\r\n\r\n").find("own: internal error"), std::string::npos);
}

TEST_F(HttpServerTest, SurvivesAbruptCloses) {
  Start();
  for (int i = 0; i < 20; ++i) {
    Client client(server_->Port());
    client.Send(i % 2 == 0 ? "GET /metr" : "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    client.Reset();
  }
  ExpectAlive();
}

TEST_F(HttpServerTest, ASlowRequestIsCutOff) {
  HttpServerOptions options;
  options.timeout = std::chrono::milliseconds(50);
  Start(options);
  Client client(server_->Port());
  client.Send("GET /metrics HTTP/1.1\r\nX-Slow");
  EXPECT_EQ(client.ReadAll(), "");  // closed, not answered
  ExpectAlive();
}

TEST_F(HttpServerTest, ConnectionsThatSayNothingMakeWayForOneThatDoes) {
  HttpServerOptions options;
  options.max_connections = 4;
  Start(options);
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 12; ++i) {
    idle.push_back(std::make_unique<Client>(server_->Port()));
    ASSERT_TRUE(idle.back()->Connected());
    idle.back()->Send("GET /metrics HTTP/1.1\r\nX-Slow");
  }
  ExpectAlive();
  EXPECT_EQ(idle.front()->ReadAll(), "");
}

class SlowRequestTest : public HttpServerTest {
 protected:
  void StartSlow() {
    HttpServerOptions options;
    options.slow = [](const HttpServerRequest& request) { return request.path == "/slow"; };
    auto server = HttpServer::Start(options, [this](const HttpServerRequest& request) {
      if (request.path != "/slow") return HttpReply{200, "text/plain", "quick\n", {}};
      began_.set_value();
      go_on_.get_future().wait();
      ended_ = true;
      return HttpReply{200, "text/plain", "slow\n", {}};
    });
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  std::promise<void> began_, go_on_;
  std::atomic<bool> ended_{false};
};

TEST_F(SlowRequestTest, NoOtherRequestWaitsForASlowOne) {
  StartSlow();
  Client slow(server_->Port());
  slow.Send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  began_.get_future().wait();
  ExpectAlive();
  go_on_.set_value();
  EXPECT_NE(slow.ReadSome().find("slow\n"), std::string::npos);
  slow.Send("GET /quick HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_NE(slow.ReadAll().find("quick\n"), std::string::npos) << "its connection goes on";
}

TEST_F(SlowRequestTest, AClientThatIsGoneMeanwhileLosesItsAnswerAlone) {
  StartSlow();
  {
    Client slow(server_->Port());
    slow.Send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    began_.get_future().wait();
    slow.Reset();
  }
  go_on_.set_value();
  ExpectAlive();
}

TEST_F(SlowRequestTest, StopWaitsForTheSlowHandler) {
  StartSlow();
  Client slow(server_->Port());
  slow.Send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  began_.get_future().wait();
  std::thread stop([this] {
    server_->Stop();
    EXPECT_TRUE(ended_);
  });
  go_on_.set_value();
  stop.join();
  server_.reset();
}

TEST_F(HttpServerTest, StopClosesOpenConnectionsAndMayBeRepeated) {
  Start();
  Client client(server_->Port());
  client.Send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_NE(client.ReadSome(), "");
  const int port = server_->Port();
  server_->Stop();
  server_->Stop();
  EXPECT_FALSE(Client(port).Connected());
  server_.reset();
  EXPECT_EQ(client.ReadAll(), "");
}

TEST_F(HttpServerTest, SaysWhichAddressIsTaken) {
  Start();
  HttpServerOptions options;
  options.port = server_->Port();
  const auto handler = [](const HttpServerRequest&) { return HttpReply{}; };
  const auto second = HttpServer::Start(options, handler);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().error_class, ErrorClass::kConfig);
  EXPECT_NE(second.error().message.find(std::to_string(options.port)), std::string::npos);
  options.address = "not an address";
  EXPECT_FALSE(HttpServer::Start(options, handler));
  options = {};
  options.port = 70000;
  EXPECT_FALSE(HttpServer::Start(options, handler));
}

}  // namespace
}  // namespace weir
