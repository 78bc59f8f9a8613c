// The control API of `weir serve` over real HTTP: a sync asked for, watched to its end, and all that may be
// wrong with a request.
#include <arpa/inet.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/e2e.h"
#include "tests/support/upstream/http_client.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kToken = "0123456789abcdef-secret";
constexpr const char* kJson = "application/json";

// A TCP connection that says what the test wants.
class RawClient {
 public:
  explicit RawClient(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const timeval patience{60, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~RawClient() { close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  void Send(const std::string& text) const {
    EXPECT_EQ(send(fd_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  // All until it is closed; nothing when it never is.
  std::optional<std::string> ReadToEnd() const {
    std::string all;
    char part[4096];
    ssize_t got = 0;
    while ((got = recv(fd_, part, sizeof part, 0)) > 0) all.append(part, static_cast<std::size_t>(got));
    return got == 0 ? std::optional(all) : std::nullopt;
  }

 private:
  const int fd_;
};

class ControlApi : public OnDatabase {
 protected:
  void TearDown() override {
    if (serve_) {
      serve_->Signal(SIGTERM);
      EXPECT_TRUE(serve_->Wait(kPatience));
    }
    // `weir down` ends what `weir up` started.
    if (broker_ == Broker::kEmbedded) env_.erase("WEIR_KAFKA_BROKERS");
    OnDatabase::TearDown();
  }
  void Serve(const Strings& more = {}) {
    StartServices();
    env_["WEIR_KAFKA_BROKERS"] = Brokers();
    Strings arguments{"serve"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    serve_ = Start("weir", arguments);
    ASSERT_TRUE(serve_->WaitForErr("control API on 127.0.0.1:", kPatience)) << serve_->Err();
    const std::string said = serve_->Err();
    port_ = std::atoi(said.c_str() + said.find("control API on 127.0.0.1:") + 25);
    const auto health = said.find("health and metrics on 127.0.0.1:");
    ASSERT_NE(health, std::string::npos) << said;
    health_port_ = std::atoi(said.c_str() + health + 32);
    ASSERT_GT(port_, 0);
    ASSERT_GT(health_port_, 0);
  }
  // What /livez or /readyz say: "200 leading".
  std::string Health(const std::string& path) const {
    sim::ClientRequest request;
    request.url = fmt::format("http://127.0.0.1:{}{}", health_port_, path);
    const auto response = sim::Exchange(request);
    if (!response) return response.error().message;
    return fmt::format("{} {}", response->status, response->body.substr(0, response->body.find('\n')));
  }
  sim::ClientResponse Ask(const std::string& method, const std::string& path, const std::string& body = "",
                          const std::string& token = kToken, const std::string& type = kJson) const {
    sim::ClientRequest request;
    request.method = method;
    request.url = fmt::format("http://127.0.0.1:{}{}", port_, path);
    if (!token.empty()) request.headers.push_back({"Authorization", "Bearer " + token});
    if (!body.empty()) request.headers.push_back({"Content-Type", type});
    request.body = body;
    const auto response = sim::Exchange(request);
    EXPECT_TRUE(response) << response.error().message;
    return response ? *response : sim::ClientResponse{};
  }
  // The status, when the answer is a problem as RFC 9457 has it.
  static int ProblemOf(const sim::ClientResponse& response) {
    EXPECT_EQ(response.Get("Content-Type"), "application/problem+json");
    const Json problem = Json::parse(response.body, nullptr, false);
    EXPECT_TRUE(problem.is_object()) << response.body;
    if (!problem.is_object()) return 0;
    EXPECT_EQ(problem.value("status", 0), response.status);
    EXPECT_FALSE(problem.value("detail", "").empty());
    return response.status;
  }

  std::unique_ptr<Process> serve_;
  int port_ = 0, health_port_ = 0;
};

TEST_F(ControlApi, ASyncIsAskedForAndWatchedToItsEnd) {
  env_["WEIR_API_TOKEN"] = kToken;
  Players({"lichess/alice=500"});
  Serve();
  EXPECT_TRUE(process::WaitUntil([&] { return Ask("GET", "/health", "", "").status == 200; }, kPatience));
  SetPace(100, 100);  // so that it is open when it is asked for again
  const std::string body =
      R"({"source": "lichess", "stream": "games", "accounts": ["Alice"], "mode": "full"})";
  const auto queued = Ask("POST", "/v1/jobs", body);
  ASSERT_EQ(queued.status, 202) << queued.body;
  const std::string place(queued.Get("Location"));
  EXPECT_EQ(place, "/v1/jobs/" + Json::parse(queued.body)["job"].dump());
  const auto again = Ask("POST", "/v1/jobs", body);
  EXPECT_EQ(again.Get("Location"), place);
  EXPECT_EQ(Json::parse(again.body)["resumed"], true);
  const auto worker = StartWorker();
  SetPace(0, 0);
  Json job;
  EXPECT_TRUE(process::WaitUntil(
      [&] {
        job = Json::parse(Ask("GET", place).body);
        return job["state"] == "succeeded";
      },
      kPatience))
      << job;
  Outcome outcome;
  outcome.json = job;
  outcome.exit.code = 0;
  ExpectFirstSync(outcome, 500);
  ExpectCopy("lichess", "Alice");
  // The command line finds the same job, in the same shape.
  EXPECT_EQ(Weir({"status", job["job"].dump(), "--output", "json"}).json, job);
  const Json list = Json::parse(Ask("GET", "/v1/jobs?limit=1").body);
  EXPECT_EQ(list["jobs"][0]["job"], job["job"]);
  EXPECT_EQ(list["jobs"][0]["totals"], job["totals"]);
  EXPECT_EQ(Json::parse(Ask("GET", "/v1/jobs?before=1").body)["jobs"], Json::array());
  EXPECT_EQ(Number("select count(*) from weir.jobs"), 1);
  EXPECT_THAT(serve_->Err(), Not(HasSubstr(kToken)));
  worker->Signal(SIGTERM);
  EXPECT_TRUE(worker->Wait(kPatience));
}

TEST_F(ControlApi, WhatIsWrongIsSaidAndOpensNothing) {
  env_["WEIR_API_TOKEN"] = kToken;
  Serve();
  const RawClient slow(port_), slow_body(port_);
  slow.Send("POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow");
  slow_body.Send(
      "POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\nContent-Type: "
      "application/json\r\n\r\n{");
  const std::string good = R"({"source": "lichess", "accounts": ["alice"]})";
  EXPECT_EQ(ProblemOf(Ask("POST", "/v1/jobs", good, "wrong")), 401);
  EXPECT_EQ(ProblemOf(Ask("POST", "/v1/jobs", good, "")), 401);
  EXPECT_EQ(ProblemOf(Ask("POST", "/v1/jobs", "{\"source\": ")), 400);
  EXPECT_EQ(ProblemOf(Ask("POST", "/v1/jobs", good, kToken, "text/plain")), 415);
  const auto unknown = Ask("POST", "/v1/jobs", R"({"source": "lichess", "account": ["alice"]})");
  EXPECT_EQ(ProblemOf(unknown), 422);
  EXPECT_THAT(unknown.body, HasSubstr("did you mean accounts?"));
  EXPECT_EQ(ProblemOf(Ask("POST", "/v1/jobs", R"({"source": "lychess", "accounts": ["alice"]})")), 422);
  // The account wants a secret that only the configuration can tell of.
  EXPECT_EQ(ProblemOf(Ask("POST", "/v1/jobs", R"({"source": "lichess", "accounts": ["no/such"]})")), 422);
  EXPECT_EQ(ProblemOf(Ask("POST", "/v1/jobs",
                          R"({"source": "lichess", "accounts": [")" + std::string(300'000, 'a') + "\"]}")),
            413);
  EXPECT_EQ(ProblemOf(Ask("DELETE", "/v1/jobs")), 405);
  EXPECT_EQ(ProblemOf(Ask("GET", "/v1/jobs/7")), 404);
  const auto origin = Ask("POST", "/sync", "{}");
  EXPECT_EQ(ProblemOf(origin), 404);
  EXPECT_THAT(origin.body, HasSubstr("POST /v1/jobs"));
  EXPECT_EQ(ProblemOf(Ask("GET", "/" + std::string(9'000, 'a'))), 431);
  const RawClient garbage(port_);
  garbage.Send("\x16\x03\x01 no http\r\n\r\n");
  EXPECT_THAT(garbage.ReadToEnd().value_or(""), HasSubstr("HTTP/1.1 400 "));
  EXPECT_EQ(slow.ReadToEnd(), "") << "closed, not answered";
  EXPECT_EQ(slow_body.ReadToEnd(), "");
  EXPECT_EQ(Ask("GET", "/health", "", "").status, 200);
  EXPECT_EQ(Number("select count(*) from weir.jobs"), 0);
}

// For whoever watches the process: alive is who goes round, also while the database is away; ready is who can
// work.
TEST_F(ControlApi, LivezAndReadyzTellOfServe) {
  Serve({"--port", "0"});
  const auto says = [this](const char* path, const std::string& what) {
    return process::WaitUntil([&] { return Health(path) == what; }, kPatience);
  };
  EXPECT_TRUE(says("/readyz", "200 leading")) << Health("/readyz");
  EXPECT_EQ(Health("/livez"), "200 ok");
  const auto second = Start("weir", {"serve", "--port", "0"});
  ASSERT_TRUE(second->WaitForErr("health and metrics on 127.0.0.1:", kPatience)) << second->Err();
  const int first_port = health_port_;
  const std::string said = second->Err();
  health_port_ = std::atoi(said.c_str() + said.find("health and metrics on 127.0.0.1:") + 32);
  EXPECT_TRUE(says("/readyz", "200 standing by")) << Health("/readyz");
  EXPECT_EQ(Health("/livez"), "200 ok");
  second->Signal(SIGTERM);
  EXPECT_TRUE(second->Wait(kPatience));
  health_port_ = first_port;
  // The database goes away, for everyone, and comes back.
  const weir::testing::TestPostgres beside;
  const auto admit = [&](const std::string& allowed) {
    beside.Query(fmt::format("alter database {} allow_connections {}", postgres_->database(), allowed));
  };
  admit("false");
  beside.Query(fmt::format("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}'",
                           postgres_->database()));
  EXPECT_TRUE(process::WaitUntil([&] { return Health("/readyz").starts_with("503 "); }, kPatience))
      << Health("/readyz");
  EXPECT_EQ(Health("/livez"), "200 ok");
  admit("true");
  EXPECT_TRUE(says("/readyz", "200 leading")) << Health("/readyz");
}

TEST_F(ControlApi, WhereItListens) {
  Serve({"--port", "0"});
  EXPECT_THAT(serve_->Err(), HasSubstr("without a token"));
  EXPECT_EQ(Ask("POST", "/v1/jobs", R"({"source": "lichess", "accounts": ["alice"]})", "").status, 202);
  const Outcome taken = Weir({"serve", "--port", std::to_string(port_)});
  EXPECT_EQ(taken.Status(), 2) << taken.err;
  EXPECT_THAT(taken.err, HasSubstr(fmt::format("control API: cannot listen on 127.0.0.1:{}", port_)));
  EXPECT_THAT(taken.err, HasSubstr("--port"));
  const Outcome open = Weir({"serve", "--set", "api.address=0.0.0.0"});
  EXPECT_EQ(open.Status(), 2) << open.err;
  EXPECT_THAT(open.err, HasSubstr("WEIR_API_TOKEN"));
  EXPECT_EQ(Weir({"serve", "--port", "70000"}).Status(), 2);
}

}  // namespace
}  // namespace weir::e2e
