#pragma once

#include <algorithm>

#include "common/sources/source.h"

namespace weir {

// Sources for tests of what only looks at a source's description: "chess" (one meter for all without a token)
// and "crm" (a meter an account).
class FakeSource : public Source {
 public:
  explicit FakeSource(SourceInfo info, bool meter_per_account)
      : info_(std::move(info)), own_(meter_per_account) {}

  const SourceInfo& Info() const override { return info_; }
  Result<std::string> AccountKey(std::string_view name) const override {
    if (name.empty() || name.find(' ') != std::string_view::npos)
      return Fail(ErrorClass::kConfig, "no such name can exist", "names have no spaces");
    std::string key(name);
    std::transform(key.begin(), key.end(), key.begin(), [](unsigned char c) { return std::tolower(c); });
    return key;
  }
  std::string Meter(const AccountRef& account, const Secret& token) const override {
    if (own_) return info_.name + ":" + account.name;
    return info_.name + (token.empty() ? "" : ":" + std::to_string(std::hash<std::string>{}(token.Reveal())));
  }
  std::vector<std::pair<std::string, Secret>> SecretHeaders(
      const std::map<std::string, Secret>&) const override {
    return {};
  }
  Result<PageRequest> Request(const TaskContext&) const override { return PageRequest{}; }
  Verdict Judge(const TaskContext&, const HttpResponseHead&, std::string_view) const override {
    return ReadBody{};
  }
  std::optional<std::string> RenamedTo(std::string_view) const override { return std::nullopt; }
  Result<void> Plan(const TaskContext&, const AccountState&, std::string_view,
                    const TaskSink&) const override {
    return {};
  }
  Result<PageEnd> FinishPage(const TaskContext&, const PageResult&) const override { return PageEnd{}; }
  std::unique_ptr<RecordMapper> NewMapper(std::string_view) const override { return nullptr; }

 private:
  SourceInfo info_;
  bool own_;
};

inline const std::vector<const Source*>& FakeSources() {
  static const FakeSource chess({"chess",
                                 "games",
                                 "https://chess.example",
                                 1,
                                 "",
                                 std::chrono::minutes(1),
                                 {{"games", "all games", {"chess", "games", {}}}},
                                 {"token"},
                                 {{"window_games", "5000", "games in a window"}},
                                 ""},
                                false);
  static const FakeSource crm({"crm",
                               "opportunities",
                               "https://crm.example",
                               2,
                               "100/10s",
                               std::chrono::seconds(1),
                               {{"opportunities", "all", {"crm", "opportunities", {}}}},
                               {"token", "refresh_token"},
                               {},
                               ""},
                              true);
  static const std::vector<const Source*> all = {&chess, &crm};
  return all;
}

}  // namespace weir
