#include "common/sources/highlevel/pipelines.h"

#include <fmt/core.h>

#include "common/sources/highlevel/key_text.h"
#include "common/sources/highlevel/search_page.h"
#include "common/sources/record_reader.h"

namespace weir::highlevel {

namespace {

// "12" = as many are to come; "12;again" = the plan was asked for twice.
constexpr std::string_view kAgain = "again";

std::optional<std::int64_t> CountIn(std::string_view key) {
  const auto parts = KeyParts(key);
  return parts.empty() ? std::nullopt : KeyNumber(parts[0]);
}

bool IsAgain(std::string_view key) {
  const auto parts = KeyParts(key);
  return parts.size() == 2 && parts[1] == kAgain;
}

std::string AgainKey(std::int64_t count) { return fmt::format("{};{}", count, kAgain); }

}  // namespace

Result<void> PlanPipelines(const TaskContext& task, std::string_view document, const TaskSink& sink) {
  std::int64_t count = 0;
  const auto reader = NewJsonArrayReader("pipelines", {}, [&](std::string_view, bool) -> Result<bool> {
    ++count;
    return true;
  });
  const auto read = reader->Feed(document);
  const Result<void> whole = read ? reader->End() : Result<void>(Fail(read.error()));
  if (!whole) return NotWhole("the answer is no list of pipelines: " + whole.error().message);
  const bool again = IsAgain(task.selector.key);
  if (again && count == 0 && CountIn(task.selector.key).value_or(0) > 0)
    return NotWhole(
        fmt::format("no pipelines came, and there were {} a moment ago", *CountIn(task.selector.key)));
  return sink({{SelectorKind::kPages, 0, 1, again ? AgainKey(count) : std::to_string(count)}, std::nullopt});
}

Result<PageEnd> FinishPipelines(const TaskContext& task, const PageResult& result) {
  const auto planned = CountIn(task.selector.key);
  PageEnd end;
  if (result.budget_spent || !planned || result.records >= *planned) return end;
  if (IsAgain(task.selector.key))
    return NotWhole(
        fmt::format("{} pipelines came, and there were {} a moment ago", result.records, *planned));
  // Some may have been deleted since, or the answer was cut: asked once more, the upstream must say the same
  // twice.
  end.successors.push_back({{SelectorKind::kDiscover, 0, 0, AgainKey(*planned)}, std::nullopt});
  return end;
}

}  // namespace weir::highlevel
