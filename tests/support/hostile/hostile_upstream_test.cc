#include "tests/support/hostile/hostile_upstream.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/hostile/page_text.h"
#include "tests/support/upstream/http_client.h"

namespace weir::sim {
namespace {

class HostileUpstreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(truth_.Start());
    ASSERT_TRUE(hostile_.Start());
    ASSERT_TRUE(truth_.AddPlayer("lichess/alice=30"));
    ASSERT_TRUE(truth_.AddPlayer("chesscom/hikaru=30"));
  }

  // What a client sees: status and body, or that there was no answer.
  std::string Ask(const std::string& path) {
    ClientRequest request;
    request.url = hostile_.url() + path;
    request.deadline = std::chrono::milliseconds(200);  // of a stall
    const auto answer = Exchange(request);
    if (!answer) return "none";
    return std::to_string(answer->status) + (answer->whole ? " " : " cut ") + answer->body;
  }

  SampleUpstream truth_;
  HostileUpstream hostile_{truth_};
};

constexpr const char* kAlice = "/api/games/user/alice";

TEST_F(HostileUpstreamTest, AnAccountThatWasNotNamedGetsTheTruth) {
  EXPECT_EQ(Ask(kAlice), "200 " + *Get(truth_.url() + kAlice));
  ASSERT_EQ(hostile_.Log("alice").size(), 1U);
  EXPECT_EQ(hostile_.Log("alice")[0].Text(), "200 true [lichess.games] GET /api/games/user/alice");
}

TEST_F(HostileUpstreamTest, LinksInAnAnswerLeadBackHere) {
  const std::string archives = Ask("/pub/player/hikaru/games/archives");
  EXPECT_NE(archives.find(hostile_.url()), std::string::npos) << archives;
  EXPECT_EQ(archives.find(truth_.url()), std::string::npos);
}

TEST_F(HostileUpstreamTest, TheSameSeedAnswersAlikeWhateverOthersAsk) {
  std::vector<std::string> kinds[2];
  for (auto& of : kinds) {
    hostile_.Treat("alice", {.seed = 7, .chance = 90, .answers = 12});
    hostile_.ForgetLog();
    for (int i = 0; i < 12; ++i) {
      Ask(kAlice);
      if (&of == &kinds[1]) Ask("/api/user/bob");
    }
    for (const Answered& a : hostile_.Log("alice")) of.push_back(a.kind);
  }
  EXPECT_EQ(kinds[0], kinds[1]);
  EXPECT_EQ(kinds[0].size(), 12U);
}

TEST_F(HostileUpstreamTest, BecomesGoodAfterItsAnswers) {
  hostile_.Treat("alice", {.seed = 3, .chance = 100, .answers = 2});
  Ask(kAlice);
  Ask(kAlice);
  const std::string truth = "200 " + *Get(truth_.url() + kAlice);
  EXPECT_EQ(Ask(kAlice), truth);
  hostile_.Treat("alice", {.seed = 3, .chance = 100, .answers = 1'000});
  hostile_.BecomeGood("alice");
  EXPECT_EQ(Ask(kAlice), truth);
}

// A kind that never applies would be no test of anything.
TEST_F(HostileUpstreamTest, EveryKindIsOfUse) {
  truth_.world().highlevel.With("Loc", true, [&](Location& l) {
    truth_.world().highlevel.Add(l, 30, 1'700'000'000'000, 1'710'000'000'000);
  });
  const std::string search = "/opportunities/search?location_id=Loc&limit=10&order=added_asc&page=";
  for (const Kind& kind : AllKinds()) {
    hostile_.Leave({}, {std::string(kind.name)});
    hostile_.ForgetLog();
    for (const char* account : {"alice", "hikaru", "Loc"}) {
      hostile_.Treat(account, {.seed = 5, .chance = 100, .answers = 1});
    }
    bool applied = false;
    for (const std::string& path :
         {std::string(kAlice) + "?max=5", std::string(kAlice) + "?max=9", std::string("/api/user/alice"),
          std::string("/pub/player/hikaru/games/archives"), search + "1", search + "2"}) {
      const std::string account = path.find("alice") != std::string::npos    ? "alice"
                                  : path.find("hikaru") != std::string::npos ? "hikaru"
                                                                             : "Loc";
      ClientRequest request;
      request.url = hostile_.url() + path;
      request.headers = {{"User-Agent", "weir-tests/1"},
                         {"Accept", "application/x-ndjson"},
                         {"Authorization", "Bearer t"},
                         {"Version", "2021-07-28"}};
      request.deadline = std::chrono::milliseconds(100);
      (void)Exchange(request);
      for (const Answered& a : hostile_.Log(account)) applied = applied || a.kind == kind.name;
    }
    EXPECT_TRUE(applied) << kind.name;
  }
}

TEST(PageText, IsPutTogetherAsItWas) {
  const std::string lines = "{\"id\":\"a\"}\n{\"id\":\"b\"}\n";
  EXPECT_EQ(TakeApart("lichess.games", lines)->Text(), lines);
  const std::string month = R"({"games":[{"a":1},{"b":"]"}],"x":2})";
  EXPECT_EQ(TakeApart("chesscom.month", month)->Text(), month);
  EXPECT_FALSE(TakeApart("chesscom.month", R"({"games":[]})"));
}

TEST(PageText, ACutInsideLeavesNothingWhole) {
  const std::string lines = "{\"id\":\"a\"}\n{\"id\":\"b\"}\n";
  for (std::size_t draw = 0; draw < 100; ++draw) {
    const auto at = PlaceInside(lines, draw);
    ASSERT_TRUE(at);
    EXPECT_NE(lines[*at - 1], '\n');
    EXPECT_NE(lines[*at], '\n');
  }
}

}  // namespace
}  // namespace weir::sim
