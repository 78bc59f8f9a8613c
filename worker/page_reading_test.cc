#include "worker/page_reading.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "worker/testing/fake_database.h"
#include "worker/testing/plain_records.h"

namespace weir::worker {
namespace {

using testing::DataError;
using ::testing::ElementsAre;
using testing::FakeDatabase;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::PlainMapper;
using testing::PlainStream;
using testing::SentBatch;
using ::testing::SizeIs;

class PlainSource final : public Source {
 public:
  const SourceInfo& Info() const override { return info_; }
  Result<std::string> AccountKey(std::string_view name) const override { return std::string(name); }
  std::string Meter(const AccountRef&, const Secret&) const override { return "plain"; }
  std::vector<std::pair<std::string, Secret>> SecretHeaders(
      const std::map<std::string, Secret>&) const override {
    return {};
  }
  Result<PageRequest> Request(const TaskContext&) const override { return PageRequest{}; }
  Verdict Judge(const TaskContext& task, const HttpResponseHead& head,
                std::string_view body_start) const override {
    judged_body = body_start;
    return JudgeHttp(head, body_start, task.now_ms, {.asked_conditionally = true});
  }
  std::optional<std::string> RenamedTo(std::string_view) const override { return std::nullopt; }
  Result<void> Plan(const TaskContext&, const AccountState&, std::string_view,
                    const TaskSink&) const override {
    return {};
  }
  Result<PageEnd> FinishPage(const TaskContext&, const PageResult& result) const override {
    finished = result;
    return end;
  }
  std::unique_ptr<RecordMapper> NewMapper(std::string_view) const override { return nullptr; }

  Result<PageEnd> end = PageEnd{};
  mutable PageResult finished;
  mutable std::string judged_body;

 private:
  SourceInfo info_;
};

class PageReadingTest : public ::testing::Test {
 protected:
  PageReadingTest() {
    work_.source = &source_;
    work_.stream = &stream_;
    work_.task.selector.kind = SelectorKind::kWindow;
    work_.task.account = "mine";
    page_.format = BodyFormat::kJsonArray;
    page_.record_path = "items";
    config_.batch_records = 2;
    PageEnd end;
    end.read.push_back({1, 2});
    source_.end = end;
  }

  static std::string Body(const std::vector<std::string>& records) {
    std::string body = R"({"items":[)";
    for (const std::string& raw : records) {
      if (body.back() != '[') body += ',';
      body += '"' + raw + '"';
    }
    return body + "]}";
  }

  // A new attempt at the page.
  PageProcessor::Reading& Begin() {
    writer_.Begin(&work_.task, &stream_, &mapper_, /*lookup=*/true);
    reading_ = std::make_unique<PageProcessor::Reading>(
        PageProcessor::Parts{&config_, &clock_, nullptr, &writer_, nullptr, nullptr}, &mapper_, &batch_,
        &work_, ContextOf(work_), page_);
    return *reading_;
  }
  // One answer, to the page's commit, as the processor drives it.
  Result<void> Read(const std::string& body, int status = 200, std::vector<HttpHeader> headers = {}) {
    PageProcessor::Reading& reading = Begin();
    auto go = reading.OnHead({status, std::move(headers)});
    if (go && *go) go = reading.OnBody(body);
    if (!go && !reading.Moved()) return Fail(go.error());
    if (const auto* error = std::get_if<Error>(&reading.Judged())) return Fail(*error);
    if (auto ended = reading.End(); !ended) return ended;
    if (reading.Moved()) return {};
    return reading.Commit();
  }
  // What the ledger would say to the next claim.
  void ClaimAgain() {
    writer_.Abandon();
    const SentBatch& last = database_.committed.back();
    work_.task.position = last.position;
    work_.task.digest = last.digest;
    work_.task.inserted = database_.Totals().inserted;
  }
  bool Claims() const {
    for (const SentBatch& batch : database_.committed) {
      if (batch.sql.find("read_ranges") != std::string::npos) return true;
    }
    return false;
  }

  FakeDatabase database_;
  PlainSource source_;
  StreamInfo stream_ = PlainStream();
  PlainMapper mapper_;
  Config config_;
  ManualClock clock_;
  BatchWriter writer_{database_.Sessions(), WriterOptions{}};
  RecordBatch batch_;
  TaskWork work_;
  PageRequest page_;
  std::unique_ptr<PageProcessor::Reading> reading_;
};

TEST_F(PageReadingTest, APageIsWrittenInBatchesAndEndsWithItsLast) {
  ASSERT_TRUE(Read(Body({"a 1 x", "b 2 x", "c 3 x", "d 4 x"})));
  ASSERT_THAT(database_.committed, SizeIs(2));
  EXPECT_EQ(database_.committed.back().pages, 1);
  EXPECT_EQ(source_.finished.records, 4);
  EXPECT_EQ(source_.finished.first_order_ms, 1);
  EXPECT_EQ(source_.finished.last_order_ms, 4);
}

TEST_F(PageReadingTest, WhatAnEarlierAttemptCommittedIsPassedOver) {
  const std::string body = Body({"a 1 x", "b 2 x", "c 3 x", "d 4 x", "e 5 x"});
  PageProcessor::Reading& cut = Begin();
  ASSERT_TRUE(cut.OnHead({200, {}}));
  ASSERT_TRUE(cut.OnBody(body.substr(0, body.find("\"d 4"))));
  EXPECT_EQ(cut.End().error().error_class, ErrorClass::kTransient) << "it was cut off";
  ASSERT_TRUE(writer_.Await());
  ClaimAgain();
  ASSERT_TRUE(Read(body));
  EXPECT_FALSE(reading_->Moved());
  EXPECT_EQ(database_.Totals().fetched, 5);
  EXPECT_EQ(database_.rows.size(), 5U);
  EXPECT_EQ(source_.finished.records, 5);
}

TEST_F(PageReadingTest, RecordsThatMovedSinceAreNoticed) {
  ASSERT_TRUE(Read(Body({"a 1 x", "b 2 x"})));
  ClaimAgain();
  const auto pages = database_.Totals().pages;
  ASSERT_TRUE(Read(Body({"z 0 x", "a 1 x", "b 2 x"})));
  EXPECT_TRUE(reading_->Moved());
  ASSERT_TRUE(Read(Body({"a 1 x"})));
  EXPECT_TRUE(reading_->Moved()) << "it shrank";
  ASSERT_TRUE(Read(Body({"a 1 edited", "b 2 x", "c 3 x"})));
  EXPECT_FALSE(reading_->Moved()) << "an edit moves nothing";
  EXPECT_EQ(database_.Totals().pages, pages + 1) << "a page that moved is not ended";
}

TEST_F(PageReadingTest, ARecordOverTheCapIsRejectedAlone) {
  config_.max_record_bytes = 20;
  ASSERT_TRUE(Read(Body({"a 1 x", "b 2 " + std::string(100, 'x'), "c 3 x"})));
  EXPECT_EQ(database_.rows.size(), 2U);
  EXPECT_THAT(database_.rejects, ElementsAre(std::pair(0, 1)));
  EXPECT_TRUE(Claims());
}

TEST_F(PageReadingTest, RecordsOutsideTheFilterAreNotCounted) {
  work_.task.filter.since_ms = 3;
  ASSERT_TRUE(Read(Body({"a 1 x", "b 2 x", "c 3 x"})));
  EXPECT_EQ(database_.Totals().fetched, 1);
  EXPECT_TRUE(Claims());
}

TEST_F(PageReadingTest, APageWhoseEveryWantedRecordIsRejectedClaimsNothing) {
  work_.task.filter.since_ms = 3;
  const std::string body = Body({"a 1 x", "b 3 bad", "c 4 bad", "d 5 bad"});
  auto failed = Read(body);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kInvalid);
  EXPECT_FALSE(Claims());
  // Its worker died before it could say so: the next one finds the same, and counts nothing twice.
  ClaimAgain();
  failed = Read(body);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kInvalid);
  EXPECT_FALSE(Claims());
  EXPECT_EQ(database_.Totals().rejected, 3);
  EXPECT_THAT(database_.rejects, SizeIs(3));
}

TEST_F(PageReadingTest, AnAnswerThatNothingChangedMustHaveBeenAskedFor) {
  auto failed = Read("", 304);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kTransient);
  EXPECT_EQ(failed.error().http_status, 304);
  EXPECT_THAT(database_.committed, SizeIs(0));
  for (const char* const header : {"if-none-match", "If-Modified-Since"}) {
    page_.request.headers = {{header, "x"}};
    ASSERT_TRUE(Read("", 304));
    EXPECT_TRUE(source_.finished.not_modified);
    EXPECT_THAT(database_.committed.back().sql, HasSubstr("not modified")) << "as a doubt";
  }
}

TEST_F(PageReadingTest, HeadersThatCannotBeStoredAreNot) {
  for (const std::string& tag :
       {std::string("\"caf\xe9\""), std::string("a\nb"), std::string("a\0b", 3), std::string(10'000, 'x')}) {
    PageEnd end;
    end.archive = ArchiveState{"2023/03", tag, tag, true};
    source_.end = end;
    ASSERT_TRUE(Read(Body({"a 1 x"})));
    EXPECT_THAT(database_.committed.back().sql, HasSubstr("'2023/03', '', '', true"));
  }
  PageEnd end;
  end.archive = ArchiveState{"2023/03", "W/\"it's\"", "Mon", true};
  source_.end = end;
  ASSERT_TRUE(Read(Body({"a 1 x"})));
  EXPECT_THAT(database_.committed.back().sql, HasSubstr("'W/\"it''s\"', 'Mon', true"));
}

TEST_F(PageReadingTest, ANextPageThatCannotBeStoredIsNoAnswer) {
  const auto refused = [&](std::optional<std::string> next_key, std::vector<NewTask> successors) {
    PageEnd end;
    end.next_key = std::move(next_key);
    end.successors = std::move(successors);
    source_.end = std::move(end);
    auto failed = Read(Body({"a 1 x"}));
    return !failed && failed.error().error_class == ErrorClass::kInvalid;
  };
  const auto to = [](std::string key) {
    return std::vector<NewTask>{{{SelectorKind::kCursor, 0, 0, std::move(key)}, std::nullopt}};
  };
  EXPECT_TRUE(refused("caf\xe9", {}));
  EXPECT_TRUE(refused(std::string(1 << 20, 'x'), {}));
  EXPECT_TRUE(refused(std::nullopt, to(std::string("a\0", 2))));
  EXPECT_TRUE(refused(std::nullopt, std::vector<NewTask>(5'000)));
  EXPECT_FALSE(refused("next", to("")));
}

TEST_F(PageReadingTest, MoreIdsThanWereAskedForAreNoAnswer) {
  work_.task.selector = {SelectorKind::kIds, 0, 0, "a,b,c"};
  ASSERT_TRUE(Read(Body({"a 1 x", "c 1 x", "a 1 x", "a 1 x"})));
  EXPECT_THAT(*source_.finished.seen_ids, ElementsAre("a", "c"));
  auto failed = Read(Body({"a 1 x", "b 1 x", "c 1 x", "d 1 x", "e 1 x"}));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kTransient);
  EXPECT_THAT(failed.error().message, HasSubstr("3 asked for"));
}

TEST_F(PageReadingTest, ALimitIsCommittedBeforeThePageEndsByIt) {
  work_.task.budget = 3;
  work_.task.selector.kind = SelectorKind::kNewest;
  database_.rows["b"] = {ContentHash("\"b 8 x\"")};
  ASSERT_TRUE(Read(Body({"a 9 x", "b 8 x", "c 7 x", "d 6 x", "e 5 x"})));
  EXPECT_THAT(database_.Totals().inserted, 3);
  EXPECT_TRUE(source_.finished.budget_spent);
  EXPECT_EQ(source_.finished.inserted, 3);
  EXPECT_EQ(source_.finished.last_order_ms, 6);
  EXPECT_FALSE(database_.rows.contains("e"));
}

// Another lane wrote one of them after the look-up: fewer are new than was thought, and the reading goes on.
TEST_F(PageReadingTest, ALimitCountsWhatTheTableTook) {
  work_.task.budget = 2;
  bool raced = false;
  database_.at_commit = [&](const SentBatch& batch) -> std::optional<Error> {
    if (batch.Copies("b") && !std::exchange(raced, true)) database_.rows["b"] = {1};
    return std::nullopt;
  };
  ASSERT_TRUE(Read(Body({"a 9 x", "b 8 x", "c 7 x", "d 6 x"})));
  EXPECT_EQ(database_.Totals().inserted, 2);
  EXPECT_TRUE(database_.rows.contains("c"));
  EXPECT_FALSE(database_.rows.contains("d"));
  EXPECT_EQ(source_.finished.last_order_ms, 7);
  EXPECT_EQ(source_.finished.inserted, 2);
}

TEST_F(PageReadingTest, ALimitThatWasSpentBeforeItsWorkerDiedTakesNoMore) {
  work_.task.budget = 2;
  database_.at_commit = [](const SentBatch& batch) -> std::optional<Error> {
    if (batch.pages == 1) return MakeError(ErrorClass::kDatabase, "gone");
    return std::nullopt;
  };
  const std::string body = Body({"a 9 x", "b 8 x", "c 7 x", "d 6 x"});
  EXPECT_FALSE(Read(body));
  EXPECT_EQ(database_.Totals().inserted, 2);
  database_.at_commit = nullptr;
  ClaimAgain();
  ASSERT_TRUE(Read(body));
  EXPECT_EQ(database_.Totals().inserted, 2);
  EXPECT_EQ(database_.Totals().pages, 1);
  EXPECT_TRUE(source_.finished.budget_spent);
  EXPECT_EQ(source_.finished.last_order_ms, 8);
}

TEST_F(PageReadingTest, ASourceThatFindsThePageWrongEndsNothing) {
  source_.end = Fail(ErrorClass::kTransient, "the total does not fit");
  const auto failed = Read(Body({"a 1 x", "b 1 x", "c 1 x"}));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kTransient);
  EXPECT_EQ(database_.Totals().pages, 0);
}

// Each fits, and all of them would be a statement of many megabytes.
TEST_F(PageReadingTest, WhatComesNextIsBoundedInAll) {
  PageEnd end;
  for (int i = 0; i < 17; ++i) {
    NewTask next;
    next.selector.kind = SelectorKind::kCursor;
    next.selector.key = std::string(kMostKeyBytes, 'k');
    end.successors.push_back(std::move(next));
  }
  source_.end = end;
  const auto failed = Read(Body({"a 1 x"}));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kInvalid);
  end.successors.resize(16);
  source_.end = end;
  EXPECT_TRUE(Read(Body({"a 1 x"})));
}

TEST_F(PageReadingTest, AnErrorIsJudgedWithTheStartOfItsBodyAndShownWithoutSecrets) {
  const auto failed =
      Read(std::string(100'000, 'x'), 403, {{"Set-Cookie", "secret"}, {"X-Why", "no\x1b[31m"}});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().http_status, 403);
  EXPECT_LE(failed.error().body_start.size(), 512U);
  EXPECT_THAT(work_.last_head, HasSubstr("X-Why: no."));
  EXPECT_THAT(work_.last_head, Not(HasSubstr("secret")));
}

// Some upstreams answer with the token that they refuse.
TEST_F(PageReadingTest, NothingThatIsKeptOfAnAnswerHoldsTheAccountsSecrets) {
  work_.settings.secrets = {{"token", Secret("lip_0123456789")}};
  const auto failed =
      Read(R"({"error":"No such token: lip_0123456789"})", 403, {{"X-You", "Bearer lip_0123456789"}});
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("No such token: ***"));
  EXPECT_THAT(failed.error().body_start, Not(HasSubstr("lip_")));
  EXPECT_THAT(work_.last_head, HasSubstr("X-You: Bearer ***"));
}

// The body is kept to 4,096 bytes, and a message to fewer: no cut may leave the beginning of a secret.
TEST_F(PageReadingTest, ASecretAtTheCutOfAnErrorsBodyIsNotKeptInPart) {
  work_.settings.secrets = {{"token", Secret("lip_0123456789abcdef")}};
  for (std::size_t before = 4'070; before < 4'100; ++before) {
    PageProcessor::Reading& reading = Begin();
    ASSERT_TRUE(reading.OnHead({400, {}}));
    const std::string body =
        "lip_0123456789abcdef" + std::string(before, ' ') + "lip_0123456789abcdef" + std::string(5'000, 'y');
    for (std::size_t at = 0; at < body.size(); at += 1'000) {
      const auto more = reading.OnBody(std::string_view(body).substr(at, 1'000));
      if (!more || !*more) break;
    }
    const auto* error = std::get_if<Error>(&reading.Judged());
    ASSERT_NE(error, nullptr);
    EXPECT_THAT(error->message + error->body_start + source_.judged_body, Not(HasSubstr("lip"))) << before;
  }
}

TEST_F(PageReadingTest, ASecretIsFoundAsUrlsSpellItToo) {
  work_.settings.secrets = {{"token", Secret("lip/0123+456789")}};
  const auto failed = Read("unknown: lip%2F0123%2b456789, lip\\/0123+456789", 403);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().body_start, HasSubstr("unknown: ***, ***"));
}

TEST_F(PageReadingTest, ADocumentOverItsCapIsRefused) {
  page_.format = BodyFormat::kDocument;
  config_.max_document_bytes = 10;
  PageProcessor::Reading& reading = Begin();
  ASSERT_TRUE(reading.OnHead({200, {}}));
  const auto more = reading.OnBody("0123456789");
  EXPECT_TRUE(more && *more) << "what follows must be seen";
  EXPECT_EQ(reading.Document(), "0123456789");
  EXPECT_EQ(reading.OnBody("x").error().error_class, ErrorClass::kInvalid);
}

}  // namespace
}  // namespace weir::worker
