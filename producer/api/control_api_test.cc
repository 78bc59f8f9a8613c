#include "producer/api/control_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace weir::api {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

class ControlApiTest : public ::testing::Test {
 protected:
  HttpReply Ask(const std::string& method, const std::string& path, const std::string& body = "",
                std::vector<HttpHeader> headers = {}) {
    ControlParts parts;
    parts.token = Secret(token_);
    parts.health = [this] { return health_; };
    parts.open = [this](const cli::SyncOptions& options) -> Result<ledger::OpenedJob> {
      asked_.push_back(options);
      if (trouble_) return tl::unexpected(*trouble_);
      return ledger::OpenedJob{JobId{12}, false};
    };
    parts.get = [](JobId id) -> Result<ledger::JobStatus> {
      if (id.value != 12) return Fail(ErrorClass::kNotFound, "there is no such job", "see: weir jobs list");
      ledger::JobStatus job;
      job.id = id;
      job.state = "running";
      return job;
    };
    parts.list = [this](const JobsAsked& asked) -> Result<std::vector<ledger::JobStatus>> {
      listed_ = asked;
      if (trouble_) return tl::unexpected(*trouble_);
      std::vector<ledger::JobStatus> jobs(2);
      jobs[0].id = JobId{12};
      jobs[0].accounts.resize(3);
      jobs[0].totals.fetched = 7;
      jobs[1].id = JobId{9};
      return jobs;
    };
    const std::size_t mark = path.find('?');
    if (!body.empty() && content_type_) headers.push_back({"Content-Type", *content_type_});
    if (!token_.empty() && send_token_) headers.push_back({"Authorization", "Bearer " + token_});
    return ControlHandler(std::move(parts))({method, path.substr(0, mark),
                                             mark == std::string::npos ? "" : path.substr(mark + 1),
                                             std::move(headers), body});
  }
  HttpReply Post(const std::string& body) { return Ask("POST", "/v1/jobs", body); }
  // The problem that a body is answered with, "status detail | hint".
  std::string Refused(const std::string& body) {
    const HttpReply reply = Post(body);
    EXPECT_EQ(reply.content_type, "application/problem+json");
    const Json problem = Json::parse(reply.body);
    EXPECT_EQ(problem["type"], "about:blank");
    EXPECT_EQ(problem["status"], reply.status);
    EXPECT_FALSE(problem["title"].get<std::string>().empty());
    return std::to_string(reply.status) + " " + problem["detail"].get<std::string>() + " | " +
           problem.value("hint", "");
  }
  static std::string Header(const HttpReply& reply, const std::string& name) {
    for (const HttpHeader& header : reply.headers) {
      if (header.name == name) return header.value;
    }
    return "";
  }

  std::string token_ = "t0ken";
  bool send_token_ = true;
  std::optional<std::string> content_type_ = "application/json; charset=utf-8";
  Health health_{true, "leading"};
  std::optional<Error> trouble_;
  std::vector<cli::SyncOptions> asked_;
  std::optional<JobsAsked> listed_;
};

TEST_F(ControlApiTest, ListsJobsByPagesWithoutTheirAccounts) {
  HttpReply reply = Ask("GET", "/v1/jobs");
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(listed_->limit, 20);
  EXPECT_FALSE(listed_->before || listed_->open_only);
  Json body = Json::parse(reply.body);
  ASSERT_EQ(body["jobs"].size(), 2u);
  EXPECT_EQ(body["jobs"][0]["job"], 12);
  EXPECT_EQ(body["jobs"][0]["accounts"], 3);
  EXPECT_EQ(body["jobs"][0]["totals"]["fetched"], 7);
  EXPECT_EQ(body["jobs"][0]["href"], "/v1/jobs/12");
  EXPECT_FALSE(body.contains("next")) << "fewer came than may";
  reply = Ask("GET", "/v1/jobs?limit=2&before=30&open=true");
  EXPECT_EQ(listed_->limit, 2);
  EXPECT_EQ(listed_->before, JobId{30});
  EXPECT_TRUE(listed_->open_only);
  EXPECT_EQ(Json::parse(reply.body)["next"], "/v1/jobs?limit=2&before=9&open=true");
}

TEST_F(ControlApiTest, RefusesAListThatItCannotGive) {
  for (const char* query :
       {"limit=0", "limit=101", "limit=x", "before=", "before=-1", "open=1", "page=2", "limit"}) {
    const HttpReply reply = Ask("GET", std::string("/v1/jobs?") + query);
    EXPECT_EQ(reply.status, 422) << query;
    EXPECT_THAT(reply.body, HasSubstr("limit=1 to 100")) << query;
  }
  trouble_ = MakeError(ErrorClass::kDatabase, "away");
  EXPECT_EQ(Ask("GET", "/v1/jobs").status, 503);
  send_token_ = false;
  EXPECT_EQ(Ask("GET", "/v1/jobs").status, 401);
}

TEST_F(ControlApiTest, NothingButHealthMayBeSlow) {
  Config config;
  config.api_token = Secret("t");
  const auto options = ControlServerOptions(config);
  ASSERT_TRUE(options);
  EXPECT_FALSE(options->slow({"GET", "/health", "", {}, ""}));
  EXPECT_TRUE(options->slow({"GET", "/v1/jobs/12", "", {}, ""}));
  EXPECT_TRUE(options->slow({"POST", "/v1/jobs", "", {}, ""}));
}

TEST_F(ControlApiTest, OpensAJobAsTheCommandLineWould) {
  const HttpReply reply =
      Post(R"({"source": "lichess", "stream": "games", "accounts": ["Alice", "bob", "alice"],
               "mode": "incremental", "since": "2025-01-01", "until": "2026-01-01T00:00:00Z", "limit": 7,
               "priority": "interactive", "deadline": "9m"})");
  EXPECT_EQ(reply.status, 202) << reply.body;
  EXPECT_EQ(Header(reply, "Location"), "/v1/jobs/12");
  EXPECT_EQ(Json::parse(reply.body)["job"], 12);
  ASSERT_EQ(asked_.size(), 1u);
  const cli::SyncOptions& asked = asked_.front();
  EXPECT_EQ(asked.source + "/" + asked.stream, "lichess/games");
  EXPECT_EQ(asked.accounts, (std::vector<std::string>{"Alice", "bob"}));
  EXPECT_EQ(asked.mode, JobMode::kIncremental);
  EXPECT_EQ(asked.filter.since_ms, 1'735'689'600'000);
  EXPECT_EQ(asked.filter.until_ms, 1'767'225'600'000);
  EXPECT_EQ(asked.filter.limit, 7);
  EXPECT_EQ(asked.priority, "interactive");
  EXPECT_EQ(asked.deadline, std::chrono::minutes(9));
}

TEST_F(ControlApiTest, WhatMayBeLeftOutIs) {
  EXPECT_EQ(Post(R"({"source": "lichess", "accounts": ["alice"], "deadline": 540})").status, 202);
  EXPECT_EQ(asked_.at(0).stream, "games");
  EXPECT_FALSE(asked_.at(0).mode);
  EXPECT_EQ(asked_.at(0).priority, "bulk");
  EXPECT_EQ(asked_.at(0).deadline, std::chrono::seconds(540));
}

TEST_F(ControlApiTest, SaysWhatIsWrongWithABody) {
  EXPECT_THAT(Refused("{"), HasSubstr("400 the body is not JSON"));
  EXPECT_THAT(Refused("[1]"), HasSubstr("422 the body is JSON, but no object"));
  const std::string good = R"("source": "lichess", "accounts": ["alice"])";
  const auto with = [&](const std::string& more) { return Refused("{" + good + ", " + more + "}"); };
  EXPECT_THAT(with(R"("mod": "full")"), HasSubstr("422 unknown field \"mod\" | did you mean mode?"));
  EXPECT_THAT(with(R"("zzzzzzzzzz": 1)"), HasSubstr("it may have source, stream, accounts"));
  EXPECT_THAT(with(R"("mode": "ful")"), HasSubstr("422 mode must be full or incremental"));
  EXPECT_THAT(with(R"("mode": 1)"), HasSubstr("422 mode must be a text"));
  EXPECT_THAT(with(R"("limit": 0)"), HasSubstr("422 limit must be a whole number"));
  EXPECT_THAT(with(R"("limit": 1.5)"), HasSubstr("422 limit must be a whole number"));
  EXPECT_THAT(with(R"("since": "yesterday")"), HasSubstr("422 since: \"yesterday\" is not a time"));
  EXPECT_THAT(with(R"("deadline": "soon")"), HasSubstr("422 deadline: \"soon\" is not a duration"));
  for (const char* limit :
       {"-1", "1e3", "1000000000001", "9223372036854775808", "18446744073709551616", "true", "null", "\"5\""})
    EXPECT_THAT(with(std::string("\"limit\": ") + limit), HasSubstr("422 ")) << limit;
  // Beyond what a timestamp can hold they were an error of the database.
  for (const char* deadline : {"-5", "0", "1.5", "1e3", "31536001", "9223372036854775", "9223372036854775807",
                               "18446744073709551615", "18446744073709551616", "\"366d\"",
                               "\"9223372036854775807ms\"", "\"9223372036854775807d\"", "true", "null", "[]"})
    EXPECT_THAT(with(std::string("\"deadline\": ") + deadline), HasSubstr("422 ")) << deadline;
  EXPECT_THAT(with(R"("mode": {"a": [1]})"), HasSubstr("422 the body is nested deeper"));
  EXPECT_THAT(with(R"("source": "chesscom")"), HasSubstr("422 \"source\" stands there twice"));
  EXPECT_THAT(Refused(R"({"source": "lichess"})"), HasSubstr("422 accounts must be a list"));
  EXPECT_THAT(Refused(R"({"source": "lichess", "accounts": []})"), HasSubstr("422 accounts must be a list"));
  EXPECT_THAT(Refused(R"({"source": "lichess", "accounts": [7]})"), HasSubstr("a list of texts"));
  EXPECT_THAT(Refused(R"({"source": "lichess", "accounts": ["a,b"]})"), HasSubstr("one name in each"));
  EXPECT_THAT(Refused(R"({"accounts": ["alice"]})"), HasSubstr("422 source must be the name of one"));
  EXPECT_THAT(Refused(R"({"source": "lichss", "accounts": ["alice"]})"),
              HasSubstr("422 unknown source \"lichss\" | did you mean lichess?"));
  EXPECT_THAT(Refused(R"({"source": "highlevel", "accounts": ["alice"]})"),
              HasSubstr("422 highlevel has no"));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(ControlApiTest, ADeepBodyIsRefusedWithoutBeingBuilt) {
  EXPECT_THAT(Refused(std::string(100'000, '[') + std::string(100'000, ']')), HasSubstr("422 "));
  EXPECT_THAT(Refused(std::string(100'000, '[')), HasSubstr("400 "));
}

TEST_F(ControlApiTest, ErrorsOfTheLedgerKeepTheirMeaning) {
  const std::string body = R"({"source": "lichess", "accounts": ["alice"]})";
  for (const auto& [error_class, status] :
       {std::pair{ErrorClass::kConfig, 422}, std::pair{ErrorClass::kConflict, 409},
        std::pair{ErrorClass::kDatabase, 503}, std::pair{ErrorClass::kInternal, 500}}) {
    trouble_ = MakeError(error_class, "no", "so");
    const HttpReply reply = Post(body);
    EXPECT_EQ(reply.status, status);
    EXPECT_EQ(Json::parse(reply.body)["class"], ToString(error_class));
    EXPECT_EQ(Header(reply, "Retry-After"), status == 503 ? "5" : "");
  }
}

TEST_F(ControlApiTest, TheTokenIsWantedEverywhereButAtHealth) {
  send_token_ = false;
  EXPECT_EQ(Ask("GET", "/health").status, 200);
  for (const char* path : {"/v1/jobs", "/v1/jobs/12", "/sync", "/else"}) {
    const HttpReply reply = Ask("POST", path, "{}");
    EXPECT_EQ(reply.status, 401) << path;
    EXPECT_EQ(Header(reply, "WWW-Authenticate"), "Bearer realm=\"weir\"");
  }
  for (const char* wrong :
       {"Bearer t0kem", "Bearer t0ken0", "Bearer t0ke", "Bearer ", "Basic t0ken", "t0ken"}) {
    EXPECT_EQ(Ask("GET", "/v1/jobs/12", "", {{"Authorization", wrong}}).status, 401) << wrong;
  }
  EXPECT_EQ(Ask("GET", "/v1/jobs/12", "", {{"authorization", "bearer t0ken"}}).status, 200);
  EXPECT_EQ(
      Ask("GET", "/v1/jobs/12", "", {{"Authorization", "Bearer t0ken"}, {"Authorization", "Bearer t0ken"}})
          .status,
      401);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(ControlApiTest, WithoutATokenNoWebPageMayAsk) {
  token_ = "";
  const std::string body = R"({"source": "lichess", "accounts": ["alice"]})";
  const auto status = [&](const char* name, const char* value) {
    return Ask("POST", "/v1/jobs", body, {{name, value}}).status;
  };
  EXPECT_EQ(status("Host", "127.0.0.1:8080"), 202);
  EXPECT_EQ(status("Host", "localhost:8080"), 202);
  EXPECT_EQ(status("Host", "[::1]:8080"), 202);
  EXPECT_EQ(status("Host", "rebound.example:8080"), 403);
  EXPECT_EQ(status("Host", "127.0.0.1.example"), 403);
  EXPECT_EQ(status("Origin", "http://localhost"), 403);
  // What a page's form can send without asking first is no JSON.
  content_type_ = "text/plain";
  EXPECT_EQ(Ask("POST", "/v1/jobs", body).status, 415);
}

TEST_F(ControlApiTest, PathsAndMethods) {
  EXPECT_EQ(Json::parse(Ask("GET", "/health").body), (Json{{"status", "ok"}, {"state", "leading"}}));
  health_ = {false, "database"};
  EXPECT_EQ(Ask("GET", "/health").status, 503);
  EXPECT_EQ(Ask("POST", "/health").status, 405);
  EXPECT_EQ(Header(Ask("DELETE", "/v1/jobs"), "Allow"), "GET, HEAD, POST");
  EXPECT_EQ(Header(Ask("DELETE", "/v1/jobs/12"), "Allow"), "GET, HEAD");
  EXPECT_EQ(Json::parse(Ask("GET", "/v1/jobs/12").body)["state"], "running");
  for (const char* path : {"/v1/jobs/13", "/v1/jobs/", "/v1/jobs/x", "/v1/jobs/12/", "/v1/jobs/-12",
                           "/v1/jobs/99999999999999999999", "/v1/jobsx", "/"}) {
    EXPECT_EQ(Ask("GET", path).status, 404) << path;
  }
  EXPECT_THAT(Ask("POST", "/sync", "{}").body, HasSubstr("POST /v1/jobs"));
}

TEST(ControlServerOptionsTest, NobodyElseReachesItWithoutAToken) {
  Config config;
  for (const char* here : {"127.0.0.1", "127.1.2.3", "::1"}) {
    config.api_address = here;
    EXPECT_TRUE(ControlServerOptions(config)) << here;
  }
  for (const char* open : {"0.0.0.0", "::", "192.0.2.1", "::ffff:127.0.0.1", "somewhere"}) {
    config.api_address = open;
    config.api_token = Secret();
    const auto refused = ControlServerOptions(config);
    ASSERT_FALSE(refused) << open;
    EXPECT_THAT(refused.error().message, HasSubstr("WEIR_API_TOKEN"));
    config.api_token = Secret("long-and-random");
    EXPECT_TRUE(ControlServerOptions(config)) << open;
  }
  config.api_token = Secret("with a space");
  const auto refused = ControlServerOptions(config);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message.find("with a"), std::string::npos);
}

}  // namespace
}  // namespace weir::api
