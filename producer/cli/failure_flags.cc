#include "producer/cli/failure_flags.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "common/base/error.h"
#include "common/base/json_text.h"
#include "common/base/time_text.h"
#include "producer/cli/job_id.h"

namespace weir::cli {
namespace {

Result<std::optional<std::int64_t>> Time(const char* option, const std::string& text) {
  if (text.empty()) return std::optional<std::int64_t>();
  const auto time = ParseTime(text);
  if (time) return time;
  return Fail(ErrorClass::kConfig, fmt::format("{}: \"{}\" is not a time", option, Printable(text, 60)),
              "write 2026-11-22 or 2026-11-22T20:47:39Z");
}

}  // namespace

void FailureFlags::Declare(CLI::App& app) {
  app.add_option("--class", error_class, "Only of this class, e.g. auth")->type_name("CLASS");
  app.add_option("--source", source, "Only of this source")->type_name("SOURCE");
  app.add_option("--account", account, "Only of this account")->type_name("NAME");
  app.add_option("--since", since, "Only given up at this time or later (a date or RFC 3339 time)")
      ->type_name("TIME");
  app.add_option("--until", until, "Only given up before this time")->type_name("TIME");
}

bool FailureFlags::Any() const {
  return !(task.empty() && error_class.empty() && source.empty() && account.empty() && since.empty() &&
           until.empty());
}

Result<ledger::FailureFilter> FailureFlags::Filter() const {
  ledger::FailureFilter filter;
  if (!job.empty()) {
    const auto id = ParseJobId(job);
    if (!id) return tl::unexpected(id.error());
    filter.job = *id;
  }
  if (!task.empty()) {
    const auto id = ParseTaskId(task);
    if (!id) return tl::unexpected(id.error());
    filter.task = *id;
  }
  if (!error_class.empty() && !ParseErrorClass(error_class)) {
    return Fail(ErrorClass::kConfig,
                fmt::format("--class: there is no class \"{}\"", Printable(error_class, 60)),
                "`weir failures list` shows each task's class");
  }
  filter.error_class = error_class;
  filter.source = source;
  filter.account = account;
  auto from = Time("--since", since);
  if (!from) return tl::unexpected(from.error());
  filter.since_ms = *from;
  auto to = Time("--until", until);
  if (!to) return tl::unexpected(to.error());
  filter.until_ms = *to;
  if (filter.since_ms && filter.until_ms && *filter.since_ms >= *filter.until_ms)
    return Fail(ErrorClass::kConfig, "--since is not before --until", "nothing lies between them");
  return filter;
}

}  // namespace weir::cli
