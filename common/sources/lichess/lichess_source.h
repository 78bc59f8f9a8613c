#pragma once

#include "common/sources/source.h"

namespace weir {

// lichess.org: games of a player. The API's facts and limits are in this folder's README.md.
class LichessSource final : public Source {
 public:
  const SourceInfo& Info() const override;
  Result<std::string> AccountKey(std::string_view name) const override;
  std::string Meter(const AccountRef& account, const Secret& token) const override;
  std::vector<std::pair<std::string, Secret>> SecretHeaders(
      const std::map<std::string, Secret>& secrets) const override;
  Result<PageRequest> Request(const TaskContext& task) const override;
  Verdict Judge(const TaskContext& task, const HttpResponseHead& head,
                std::string_view body_start) const override;
  std::optional<std::string> RenamedTo(std::string_view location) const override;
  Result<void> Plan(const TaskContext& task, const AccountState& state, std::string_view document,
                    const TaskSink& sink) const override;
  std::optional<std::int64_t> EstimateIn(const TaskContext& task, std::string_view document) const override;
  PlanEstimate EstimatePlan(const TaskContext& task, std::string_view document,
                            const std::vector<NewTask>& tasks) const override;
  Result<PageEnd> FinishPage(const TaskContext& task, const PageResult& result) const override;
  std::unique_ptr<RecordMapper> NewMapper(std::string_view stream) const override;
};

}  // namespace weir
