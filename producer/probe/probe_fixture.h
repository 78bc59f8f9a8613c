#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/config/fake_sources.h"
#include "common/http/script_server.h"
#include "producer/probe/prober.h"

namespace weir::probe {

constexpr std::int64_t kWrongNow = 1'700'000'000'000;  // what this machine believes: November 2023
constexpr std::int64_t kRightNow = 1'735'689'600'000;  // 2025-01-01T00:00:00Z
constexpr char kDate[] = "Date: Wed, 01 Jan 2025 00:00:00 GMT\r\n";

// A record is its own id; "bad" has none.
class TestMapper final : public RecordMapper {
 public:
  Result<RecordHead> Head(std::string_view raw) override {
    if (raw == R"({"bad":1})") return Fail(ErrorClass::kBadRecord, "it has no id");
    return RecordHead{std::string(raw)};
  }
  Result<RecordNotes> Map(std::string_view raw, RowSink& row) override {
    row.Text(raw);
    return RecordNotes{};
  }
};

// Lists at /list, then has pages at /page/N, newest first, down to 1.
class TestSource final : public FakeSource {
 public:
  TestSource() : FakeSource(FakeSources()[0]->Info(), false) {}

  Result<PageRequest> Request(const TaskContext& task) const override {
    PageRequest page;
    if (task.selector.kind == SelectorKind::kDiscover) {
      page.format = BodyFormat::kDocument;
      page.request.target = "/list";
      if (names_time) page.request.target += "?until=" + std::to_string(task.now_ms);
      if (!task.account.memo.empty()) page.request.target += "?form=" + task.account.memo;
    } else {
      page.request.target = "/page/" + std::to_string(task.selector.lo);
    }
    return page;
  }
  Verdict Judge(const TaskContext& task, const HttpResponseHead& head, std::string_view body) const override {
    if (head.status == 422) return AskAgain{"other"};
    return JudgeHttp(head, body, task.now_ms);
  }
  Result<void> Plan(const TaskContext& task, const AccountState&, std::string_view document,
                    const TaskSink& sink) const override {
    planned_at = task.now_ms;
    if (document == "broken") return Fail(ErrorClass::kInvalid, "the list is broken");
    for (std::int64_t page = pages; page > 0; --page) {
      if (auto ok = sink({Selector{SelectorKind::kWindow, page, page + 1, {}}, std::nullopt}); !ok) return ok;
    }
    return {};
  }
  Result<PageEnd> FinishPage(const TaskContext& task, const PageResult&) const override {
    PageEnd end;
    if (task.selector.lo > 1) {
      end.successors.push_back(
          {Selector{SelectorKind::kWindow, task.selector.lo - 1, task.selector.lo, {}}, std::nullopt});
    }
    return end;
  }
  std::unique_ptr<RecordMapper> NewMapper(std::string_view) const override {
    return std::make_unique<TestMapper>();
  }

  bool names_time = false;
  std::int64_t pages = 3;
  mutable std::int64_t planned_at = 0;
};

class ProbeFixture : public ::testing::Test {
 protected:
  ProbeFixture() {
    account_.account.name = account_.account.canonical = "anna";
    account_.key = "anna";
    account_.meter = "chess";
    account_.user_agent = "weir-test/1";
  }

  static std::string Answer(int status, const std::string& body, const std::string& headers = kDate) {
    return "HTTP/1.1 " + std::to_string(status) + " x\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  // One answer a request; the last one again and again.
  void Serve(std::vector<std::string> answers) {
    server_ = std::make_unique<ScriptServer>([this, answers](ScriptServer::Connection& connection) {
      for (std::string request; !(request = connection.ReadRequest()).empty();) {
        std::size_t n = 0;
        {
          const std::lock_guard lock(mutex_);
          n = targets_.size();
          const auto from = request.find(' ') + 1;
          targets_.push_back(request.substr(from, request.find(' ', from) - from));
        }
        if (!connection.Send(answers[std::min(n, answers.size() - 1)])) return;
      }
    });
    account_.base_url = server_->Url();
  }
  std::vector<std::string> Targets() {
    const std::lock_guard lock(mutex_);
    return targets_;
  }
  Prober& Get(pg::Session* session = nullptr) {
    LaneTurnOptions options;
    options.holder = "probe-test";
    prober_.emplace(config_, session, options,
                    LaneTurn::Callbacks{[this](const std::string& text) { said_.push_back(text); },
                                        [this](std::chrono::milliseconds time) {
                                          clock_.Advance(time);
                                          return interrupted_;
                                        },
                                        [this] { return interrupted_; }},
                    clock_);
    return *prober_;
  }

  Config config_;
  TestSource source_;
  AccountSettings account_;
  ManualClock clock_{kWrongNow};
  std::mutex mutex_;
  std::vector<std::string> targets_;  // guarded by mutex_
  std::vector<std::string> said_;
  bool interrupted_ = false;
  std::unique_ptr<ScriptServer> server_;
  std::optional<Prober> prober_;
};

}  // namespace weir::probe
