#include "tests/support/fault_proxy/commit_watch.h"

#include <gtest/gtest.h>

namespace weir::proxy {
namespace {

std::string Int32(std::size_t n) {
  return {static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8),
          static_cast<char>(n)};
}
std::string Message(char type, std::string body) { return type + Int32(body.size() + 4) + body; }
std::string Complete(const std::string& tag) { return Message('C', tag + '\0'); }

const std::string kStartup = Int32(40) + Int32(196608) + std::string(32, 'p');
const std::string kReady = Message('Z', "I");

TEST(CommitWatchTest, StopsBeforeTheCommitAndPassesItOnWhenTold) {
  CommitWatch watch;
  watch.FromClient(kStartup);
  std::string out;
  const std::string before = Message('R', Int32(0)) + Complete("BEGIN") + Complete("UPDATE 1");
  EXPECT_TRUE(watch.FromServer(before + Complete("COMMIT") + kReady, out));
  EXPECT_EQ(out, before);
  EXPECT_EQ(watch.TakeCommit(), Complete("COMMIT"));
  out.clear();
  EXPECT_FALSE(watch.FromServer({}, out));
  EXPECT_EQ(out, kReady);
}

TEST(CommitWatchTest, SeesACommitThatComesByteByByte) {
  CommitWatch watch;
  watch.FromClient(kStartup);
  const std::string stream = Message('D', std::string(300, 'C')) + Complete("BEGIN") + Complete("COMMIT");
  std::string out;
  bool seen = false;
  for (const char c : stream) seen = watch.FromServer(std::string_view(&c, 1), out) || seen;
  EXPECT_TRUE(seen);
  EXPECT_EQ(out, stream.substr(0, stream.size() - Complete("COMMIT").size()));
}

TEST(CommitWatchTest, TwoCommitsInOnePieceAreTwo) {
  CommitWatch watch;
  watch.FromClient(kStartup);
  std::string out;
  EXPECT_TRUE(watch.FromServer(Complete("COMMIT") + Complete("COMMIT"), out));
  watch.TakeCommit();
  EXPECT_TRUE(watch.FromServer({}, out));
  EXPECT_EQ(out, "");
}

TEST(CommitWatchTest, TextThatLooksLikeACommitIsData) {
  CommitWatch watch;
  watch.FromClient(kStartup);
  const std::string row =
      Message('D', Complete("COMMIT")) + Complete("COMMIT PREPARED") + Complete("ROLLBACK");
  std::string out;
  EXPECT_FALSE(watch.FromServer(row, out));
  EXPECT_EQ(out, row);
}

TEST(CommitWatchTest, SkipsTheAnswersToEncryptionRequests) {
  CommitWatch watch;
  watch.FromClient(Int32(8) + Int32(80877104));
  std::string out;
  EXPECT_FALSE(watch.FromServer("N", out));
  watch.FromClient(Int32(8) + Int32(80877103));
  EXPECT_FALSE(watch.FromServer("N", out));
  watch.FromClient(kStartup);
  EXPECT_TRUE(watch.FromServer(Complete("COMMIT"), out));
  EXPECT_EQ(out, "NN");
}

TEST(CommitWatchTest, AnEncryptedConnectionPassesUntouched) {
  CommitWatch watch;
  watch.FromClient(Int32(8) + Int32(80877103));
  std::string out;
  EXPECT_FALSE(watch.FromServer("S", out));
  EXPECT_FALSE(watch.FromServer(Complete("COMMIT"), out));
  EXPECT_EQ(out, "S" + Complete("COMMIT"));
}

}  // namespace
}  // namespace weir::proxy
