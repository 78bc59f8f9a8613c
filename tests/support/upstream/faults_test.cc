#include "tests/support/upstream/faults.h"

#include <fmt/core.h>
#include <zlib.h>

#include <thread>

#include "tests/support/upstream/poison.h"
#include "tests/support/upstream/upstream_test.h"

namespace weir::sim {
namespace {

class FaultsTest : public UpstreamTest {
 protected:
  void SetUp() override {
    UpstreamTest::SetUp();
    Add("lichess/alice=50");
    Add("chesscom/erik=50;from=2024-01-01;to=2024-02-01");
  }
  ClientResponse Spoilt(const std::string& rule, const std::string& target = kGames) {
    Spoil(rule);
    return Ask(target);
  }
  static std::string Unzip(const std::string& bytes) {
    z_stream stream{};
    inflateInit2(&stream, 15 + 16);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    std::string out(4'000'000, '\0');
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    inflate(&stream, Z_FINISH);
    out.resize(out.size() - stream.avail_out);
    inflateEnd(&stream);
    return out;
  }

  static constexpr const char* kGames = "/api/games/user/alice";
  static constexpr const char* kMonth = "/pub/player/erik/games/2024/01";
};

TEST_F(FaultsTest, RulesFireWhenTheySay) {
  const auto statuses = [&](const std::string& rule) {
    Spoil(rule);
    std::string all;
    for (int i = 0; i < 6; ++i) all += Ask("/api/user/alice").status == 503 ? 'x' : '.';
    return all;
  };
  EXPECT_EQ(statuses(R"({"match":"/api/user","action":"status","status":503,"nth":3})"), "..x...");
  EXPECT_EQ(statuses(R"({"match":"/api/user","action":"status","status":503,"every":2})"), ".x.x.x");
  EXPECT_EQ(statuses(R"({"regex":"user/[a-z]+$","action":"status","status":503,"times":2})"), "xx....");
  EXPECT_EQ(statuses(R"({"skip":4,"action":"status","status":503})"), "....xx");
  EXPECT_EQ(statuses(R"({"match":"/pub/","action":"status","status":503})"), "......");
  EXPECT_EQ(statuses(R"({"method":"POST","action":"status","status":503})"), "......");
  const std::string random = statuses(R"({"action":"status","status":503,"probability":0.5,"seed":3})");
  EXPECT_EQ(random, statuses(R"({"action":"status","status":503,"probability":0.5,"seed":3})"));
  EXPECT_NE(random.find('x'), std::string::npos);
  EXPECT_NE(random.find('.'), std::string::npos);
  EXPECT_EQ(Stats()["faults"][0]["seen"], 6);
}

TEST_F(FaultsTest, RetryAfterIsSentAsOrdered) {
  for (const char* value : {"60", "-5", "99999999999", "soon"}) {
    const auto answer =
        Spoilt(fmt::format(R"({{"action":"status","status":429,"retry_after":"{}"}})", value));
    EXPECT_EQ(answer.status, 429);
    EXPECT_EQ(answer.Get("Retry-After"), value);
  }
  Control("settings", {{"now", 784111687000}});
  EXPECT_EQ(Spoilt(R"({"action":"status","status":429,"retry_after":"date:+90"})").Get("Retry-After"),
            "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST_F(FaultsTest, HtmlPages) {
  auto answer = Spoilt(R"({"action":"html"})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.Get("Content-Type").substr(0, 9), "text/html");
  EXPECT_EQ(Spoilt(R"({"action":"fake404"})").status, 404);
  answer = Spoilt(R"({"action":"content_type","content_type":"text/plain"})");
  EXPECT_EQ(answer.Get("Content-Type"), "text/plain");
  EXPECT_EQ(Lines(answer.body).size(), 50U);
}

TEST_F(FaultsTest, TruncatedBodies) {
  for (const char* framing : {"length", "chunked"}) {
    const auto answer =
        Spoilt(fmt::format(R"({{"action":"truncate","after":1000,"framing":"{}"}})", framing));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body.size(), 1000U) << framing;
    EXPECT_FALSE(answer.whole) << framing;
    EXPECT_EQ(answer.Get("Transfer-Encoding").empty(), framing == std::string("length"));
  }
  for (const char* framing : {"close", "valid"}) {
    const auto answer =
        Spoilt(fmt::format(R"({{"action":"truncate","after":1000,"framing":"{}"}})", framing), kMonth);
    EXPECT_EQ(answer.body.size(), 1000U) << framing;
    EXPECT_TRUE(answer.whole) << framing;
    EXPECT_FALSE(Json::accept(answer.body));
  }
}

TEST_F(FaultsTest, ResetBeforeTheHeadAndInTheBody) {
  EXPECT_EQ(Spoilt(R"({"action":"reset"})").status, 0);
  const auto answer = Spoilt(R"({"action":"reset","after":500})", kMonth);
  EXPECT_EQ(answer.status, 200);
  EXPECT_FALSE(answer.whole);
}

TEST_F(FaultsTest, AStallGoesOnWhenReleased) {
  Spoil(R"({"action":"stall","after":100})");
  ClientRequest request;
  request.url = upstream_.url() + kGames;
  std::string got;
  const auto answer = Exchange(request, [&](std::string_view bytes) {
    if (got.empty()) upstream_.Release();
    got += bytes;
    return true;
  });
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->whole);
  EXPECT_EQ(Lines(got).size(), 50U);
}

// The request is counted, and the stall begins only then: a test that waits for the count may release first.
TEST_F(FaultsTest, AStallBeforeTheHeadThatIsReleasedEarlyDoesNotBegin) {
  Control("settings", {{"latency_ms", 100}});
  Spoil(R"({"action":"stall","times":1})");
  std::thread releaser([&] {
    EXPECT_TRUE(upstream_.world().traffic.WaitForRequests("lichess.games", 1, std::chrono::seconds(30)));
    upstream_.Release();
  });
  const auto answer = Ask(kGames);
  releaser.join();
  EXPECT_TRUE(answer.whole);
  EXPECT_EQ(Lines(answer.body).size(), 50U);
}

TEST_F(FaultsTest, ATrickleIsSlowButWhole) {
  const auto start = std::chrono::steady_clock::now();
  const auto answer = Spoilt(R"({"action":"trickle","bytes":5000,"interval_ms":20})");
  EXPECT_EQ(Lines(answer.body).size(), 50U);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(100));
}

TEST_F(FaultsTest, GzipUnpacksToTheSame) {
  const std::string plain = Ask(kGames).body;
  const auto answer = Spoilt(R"({"action":"gzip"})");
  EXPECT_EQ(answer.Get("Content-Encoding"), "gzip");
  EXPECT_LT(answer.body.size(), plain.size() / 2);
  EXPECT_EQ(Unzip(answer.body), plain);
}

TEST_F(FaultsTest, AGzipBombIsSmallOnTheWire) {
  const auto answer = Spoilt(R"({"action":"gzip_bomb","amount":3000000})");
  EXPECT_LT(answer.body.size(), 10'000U);
  EXPECT_GE(Unzip(answer.body).size(), 3'000'000U);
}

TEST_F(FaultsTest, EndlessBodiesGoOnUntilTheClientHasEnough) {
  for (const char* with : {"spaces", "records", "one_record"}) {
    Spoil(fmt::format(R"({{"action":"endless","with":"{}"}})", with));
    ClientRequest request;
    request.url = upstream_.url() + kGames;
    std::size_t got = 0;
    const auto answer =
        Exchange(request, [&](std::string_view bytes) { return (got += bytes.size()) < 5'000'000; });
    ASSERT_TRUE(answer);
    EXPECT_GE(got, 5'000'000U) << with;
  }
}

TEST_F(FaultsTest, RedirectsAndForeignArchives) {
  const auto answer = Spoilt(R"({"action":"redirect","status":307,"location":"http://127.0.0.2:1/x"})");
  EXPECT_EQ(answer.status, 307);
  EXPECT_EQ(answer.Get("Location"), "http://127.0.0.2:1/x");
  const auto archives = Spoilt(R"({"action":"foreign_archive","location":"http://127.0.0.2:1/2024/02"})",
                               "/pub/player/erik/games/archives");
  EXPECT_EQ(Json::parse(archives.body)["archives"].back(), "http://127.0.0.2:1/2024/02");
  EXPECT_EQ(Json::parse(archives.body)["archives"].size(), 2U);
}

TEST_F(FaultsTest, ARepeatedPageIsTheFirst) {
  Spoil(R"({"match":"alice?","action":"repeat_page"})");
  const std::string first = Ask("/api/games/user/alice?max=3").body;
  EXPECT_EQ(Lines(first).size(), 3U);
  EXPECT_EQ(Ask("/api/games/user/alice?max=9&sort=dateAsc").body, first);
}

TEST_F(FaultsTest, PoisonStandsAmongGoodRecords) {
  const auto good = Lines(Ask(kGames).body);
  for (const std::string& kind : PoisonKinds()) {
    const auto lines =
        Lines(Spoilt(fmt::format(R"({{"action":"poison","records":["{}"],"at":2}})", kind)).body);
    ASSERT_EQ(lines.size(), 51U) << kind;
    const std::string bad = lines[2];
    if (kind == "duplicate") {
      EXPECT_EQ(bad, good[2]);
    } else {
      EXPECT_NE(bad, good[2]);
    }
    EXPECT_EQ(lines[3], good[2]) << kind;
    const std::string id = PoisonId(Api::kLichess, kind);
    if (id.empty()) continue;
    EXPECT_EQ(bad.substr(0, 16), "{\"id\":\"" + id + "\"") << kind;
  }
  EXPECT_EQ(Expected("player=alice").size(), 50U);
}

TEST_F(FaultsTest, PoisonIsWhatItSays) {
  const auto bad = [&](const std::string& kind) {
    return Lines(Spoilt(fmt::format(R"({{"action":"poison","records":["{}"]}})", kind)).body).at(0);
  };
  EXPECT_NE(bad("nul").find("\\u0000"), std::string::npos);
  EXPECT_NE(bad("surrogate").find("\\ud800"), std::string::npos);
  EXPECT_NE(bad("utf8").find('\xFF'), std::string::npos);
  EXPECT_FALSE(Json::parse(bad("no_id")).contains("id"));
  EXPECT_NE(bad("digits30").find("123456789012345678901234567890"), std::string::npos);
  EXPECT_NE(bad("exp131000").find("1e131000"), std::string::npos);
  EXPECT_NE(bad("deep").find(std::string(100'000, '[')), std::string::npos);
  EXPECT_GT(bad("huge").size(), 5'000'000U);
  EXPECT_GT(bad("over_cap").size(), 1'048'576U);
}

TEST_F(FaultsTest, PoisonInAnArrayIsStillAnArray) {
  const auto answer =
      Spoilt(R"({"action":"poison","records":["duplicate_changed","no_id"],"at":1000})", kMonth);
  const Json games = Json::parse(answer.body)["games"];
  ASSERT_EQ(games.size(), 53U);
  EXPECT_EQ(games[50]["uuid"], games[49]["uuid"]);
  EXPECT_FALSE(games[51].contains("uuid") || games[51].contains("url"));
  EXPECT_EQ(games[52], games[49]);
}

}  // namespace
}  // namespace weir::sim
