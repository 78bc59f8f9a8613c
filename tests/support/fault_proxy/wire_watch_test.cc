#include "tests/support/fault_proxy/wire_watch.h"

#include <gtest/gtest.h>

namespace weir::proxy {
namespace {

std::string Number(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}
std::string Pg(char type, const std::string& body) {
  return std::string(1, type) + Number(static_cast<std::uint32_t>(body.size()) + 4) + body;
}
std::string PgStart() { return Number(8 + 9) + Number(196608) + std::string("user\0me\0\0", 9); }
std::string KafkaRequest(int api, std::uint32_t id, const std::string& body) {
  const std::string head =
      std::string(1, '\0') + static_cast<char>(api) + std::string("\0\1", 2) + Number(id);
  return Number(static_cast<std::uint32_t>(head.size() + body.size())) + head + body;
}
std::string KafkaReply(std::uint32_t id, const std::string& body) {
  return Number(static_cast<std::uint32_t>(4 + body.size())) + Number(id) + body;
}

// Every way to cut the stream into two pieces must find the same message: what may pass never holds its last
// byte.
void ExpectStop(Protocol protocol, const std::string& before, const std::string& message,
                const StopPoint& wanted) {
  const std::string all = before + message + "more";
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    WireWatch watch(protocol);
    StopPoint point = wanted;
    std::size_t passed = 0;
    bool stopped = false;
    for (const auto& piece : {all.substr(0, cut), all.substr(cut)}) {
      const auto stop = watch.FromClient(piece, &point);
      passed += stop.value_or(piece.size());
      stopped = stop.has_value();
      if (stopped) break;
    }
    EXPECT_TRUE(stopped) << cut;
    EXPECT_GE(passed, before.size()) << cut;
    EXPECT_LT(passed, before.size() + message.size()) << cut;
  }
}

TEST(WireWatch, StopsBeforeAPostgresMessageHoweverTheBytesAreCut) {
  const std::string before = Number(8) + Number(80877103) + PgStart() +
                             Pg('Q', std::string("select 1\0", 9)) + Pg('B', std::string("\0other\0", 7));
  ExpectStop(Protocol::kPostgres, before, Pg('B', std::string("\0task_claim\0", 12)), {.what = "task_claim"});
}

TEST(WireWatch, CopyDataBelongsToItsQuery) {
  const std::string done = "begin; update t set state = 'done'; copy g from stdin";
  const std::string before = PgStart() + Pg('Q', "begin; update t; copy g from stdin") + Pg('d', "row") +
                             Pg('c', "") + Pg('Q', done) + Pg('d', std::string(10'000, 'x'));
  ExpectStop(Protocol::kPostgres, before, Pg('c', ""), {.what = "c begin; update t set state = 'done'"});
}

TEST(WireWatch, StopsBeforeAKafkaRequestAndBeforeItsAnswer) {
  const std::string before = KafkaRequest(3, 1, "metadata") + KafkaRequest(8, 2, "first");
  ExpectStop(Protocol::kKafka, before, KafkaRequest(8, 3, "second"), {.what = "api 8 ", .nth = 2});

  WireWatch watch(Protocol::kKafka);
  StopPoint point{.what = "second", .reply = true};
  EXPECT_FALSE(watch.FromClient(before + KafkaRequest(8, 3, "second"), &point));
  EXPECT_EQ(point.nth, 0);
  const std::string answers = KafkaReply(1, "topics") + KafkaReply(2, "");
  EXPECT_FALSE(watch.FromServer(answers.substr(0, 9)));
  EXPECT_FALSE(watch.FromServer(answers.substr(9)));
  EXPECT_EQ(watch.FromServer(KafkaReply(3, "committed")), 0u);
}

TEST(WireWatch, NothingToStopAtPassesAll) {
  WireWatch watch(Protocol::kPostgres);
  EXPECT_FALSE(watch.FromClient(PgStart() + Pg('Q', "select 1"), nullptr));
  StopPoint point{.what = "select", .without = "1"};
  EXPECT_FALSE(watch.FromClient(Pg('Q', "select 1"), &point));
  EXPECT_EQ(point.nth, 1);
  EXPECT_FALSE(watch.FromServer("anything"));
}

}  // namespace
}  // namespace weir::proxy
