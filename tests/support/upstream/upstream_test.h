#pragma once

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/upstream/http_client.h"
#include "tests/support/upstream/sample_upstream.h"

namespace weir::sim {

// A running upstream and a client for it.
class UpstreamTest : public ::testing::Test {
 protected:
  using Json = nlohmann::json;

  void SetUp() override { ASSERT_TRUE(upstream_.Start()); }

  void Add(const std::string& spec) {
    const auto added = upstream_.AddPlayer(spec);
    ASSERT_TRUE(added) << added.error().message;
  }
  void Spoil(const std::string& rule) {
    const auto set = upstream_.SetFaults(rule);
    ASSERT_TRUE(set) << set.error().message;
  }
  // The answer, when it has been taken down as well.
  ClientResponse Ask(ClientRequest request, const std::string& target) const {
    request.url = upstream_.url() + target;
    const Traffic& traffic = upstream_.world().traffic;
    const std::int64_t ended = traffic.EndedCount();
    auto response = Exchange(request);
    const bool counted = response && target.rfind("/_control/", 0) != 0;
    EXPECT_TRUE(!counted || traffic.WaitForEnded(ended + 1, std::chrono::seconds(30))) << target;
    return response ? std::move(*response) : ClientResponse{};
  }
  ClientResponse Ask(const std::string& target) const { return Ask(ClientRequest{}, target); }
  Json Control(const std::string& call, const Json& body) const {
    const auto answer = Post(upstream_.url() + "/_control/" + call, body.dump());
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? Json::parse(*answer) : Json();
  }
  Json Stats() const {
    const auto answer = Get(upstream_.url() + "/_control/stats");
    return answer ? Json::parse(*answer) : Json();
  }
  // {id: raw} of /_control/expected.
  std::map<std::string, std::string> Expected(const std::string& query) const {
    const auto text = Get(upstream_.url() + "/_control/expected?" + query);
    EXPECT_TRUE(text) << text.error().message;
    std::map<std::string, std::string> all;
    for (const std::string& line : Lines(text.value_or(""))) {
      const auto raw = line.find(",\"raw\":");
      all[line.substr(7, raw - 8)] = line.substr(raw + 7, line.size() - raw - 8);
    }
    return all;
  }
  static std::vector<std::string> Lines(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
      lines.push_back(text.substr(at, end - at));
    return lines;
  }

  SampleUpstream upstream_{7};
};

}  // namespace weir::sim
