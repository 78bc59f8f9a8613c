#include "common/sources/highlevel/pipelines.h"

#include <fmt/core.h>

#include "common/sources/highlevel/key_text.h"
#include "common/sources/highlevel/search_page.h"
#include "common/sources/record_reader.h"

namespace weir::highlevel {

Result<void> PlanPipelines(std::string_view document, const TaskSink& sink) {
  std::int64_t count = 0;
  const auto reader = NewJsonArrayReader("pipelines", {}, [&](std::string_view, bool) -> Result<bool> {
    ++count;
    return true;
  });
  const auto read = reader->Feed(document);
  const Result<void> whole = read ? reader->End() : Result<void>(Fail(read.error()));
  if (!whole) return NotWhole("the answer is no list of pipelines: " + whole.error().message);
  return sink({{SelectorKind::kPages, 0, 1, std::to_string(count)}, std::nullopt});
}

Result<PageEnd> FinishPipelines(const TaskContext& task, const PageResult& result) {
  const auto planned = KeyNumber(task.selector.key);
  if (result.budget_spent || !planned || result.records >= *planned) return PageEnd{};
  return NotWhole(fmt::format("{} pipelines came, and there were {} a moment ago", result.records, *planned));
}

}  // namespace weir::highlevel
