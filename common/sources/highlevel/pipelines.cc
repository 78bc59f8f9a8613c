#include "common/sources/highlevel/pipelines.h"

#include <fmt/core.h>

#include <optional>
#include <set>
#include <string>
#include <utility>

#include "common/sources/field_columns.h"
#include "common/sources/highlevel/key_text.h"
#include "common/sources/highlevel/search_page.h"
#include "common/sources/record_check.h"
#include "common/sources/record_reader.h"
#include "common/sources/upstream_sentence.h"

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

// How many different pipelines the answer lists; one without an id is its own. Errors: kTransient.
Result<std::int64_t> CountPipelines(std::string_view document) {
  static const FieldTree kTree({"id"});
  RecordCheck check(kTree);
  std::int64_t nameless = 0;
  std::set<std::string> ids;
  const auto reader =
      NewJsonArrayReader("pipelines", {}, [&](std::string_view raw, bool oversize) -> Result<bool> {
        const bool read = !oversize && check.UntilFound(raw);
        if (auto id = read ? AsId(check.Field(0)) : std::nullopt) {
          ids.insert(std::move(*id));
          return true;
        }
        ++nameless;
        const Error none = NoRecord(raw, "the pipeline has no id");
        if (read && none.error_class != ErrorClass::kBadRecord) return Fail(none);
        return true;
      });
  if (auto fed = reader->Feed(document); !fed) return Fail(std::move(fed.error()));
  if (auto ended = reader->End(); !ended) return Fail(std::move(ended.error()));
  return nameless + static_cast<std::int64_t>(ids.size());
}

std::string AgainKey(std::int64_t count) { return fmt::format("{};{}", count, kAgain); }

}  // namespace

Result<void> PlanPipelines(const TaskContext& task, std::string_view document, const TaskSink& sink) {
  const auto count = CountPipelines(document);
  if (!count) return NotWhole("the answer is no list of pipelines: " + count.error().message);
  const bool again = IsAgain(task.selector.key);
  if (again && *count == 0 && CountIn(task.selector.key).value_or(0) > 0)
    return NotWhole(
        fmt::format("no pipelines came, and there were {} a moment ago", *CountIn(task.selector.key)));
  return sink(
      {{SelectorKind::kPages, 0, 1, again ? AgainKey(*count) : std::to_string(*count)}, std::nullopt});
}

Result<PageEnd> FinishPipelines(const TaskContext& task, const PageResult& result) {
  const auto planned = CountIn(task.selector.key);
  PageEnd end;
  // One that came twice makes up for none that is missing.
  const std::int64_t came = DifferentIn(result);
  if (result.budget_spent || !planned || came >= *planned) return end;
  if (IsAgain(task.selector.key))
    return NotWhole(fmt::format("{} pipelines came, and there were {} a moment ago", came, *planned));
  // Some may have been deleted since, or the answer was cut: asked once more, the upstream must say the same
  // twice.
  end.successors.push_back({{SelectorKind::kDiscover, 0, 0, AgainKey(*planned)}, std::nullopt});
  return end;
}

}  // namespace weir::highlevel
