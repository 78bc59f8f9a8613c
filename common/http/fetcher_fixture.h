#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/http/fetcher.h"
#include "common/http/script_server.h"

namespace weir {

using Secrets = std::vector<std::pair<std::string, Secret>>;

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
    Serve([bytes = std::move(bytes)](ScriptServer::Connection& connection) {
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

}  // namespace weir
