#include "producer/cli/progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "common/base/json_text.h"
#include "common/base/time_text.h"

namespace weir::cli {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kWindow{10'000};
constexpr int kWidestName = 24;

std::string Short(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::ceil(seconds));
  return whole < 60 ? fmt::format("{}s", whole) : FormatDuration(milliseconds(whole * 1000));
}

std::string RateText(double rate) {
  return rate >= 10 || rate == 0 ? fmt::format("{}/s", Grouped(std::llround(rate)))
                                 : fmt::format("{:.1f}/s", rate);
}

bool Waits(const ledger::AccountStatus& a) { return !a.waiting_for.empty() && a.waiting_ms > 0; }

std::string WaitText(const ledger::AccountStatus& a) {
  const std::string left = Short(static_cast<double>(a.waiting_ms) / 1000);
  if (a.waiting_for == "throttled" || a.waiting_for == "quota") return "waiting for limit " + left;
  if (a.waiting_for == "database") return WaitsForDatabase(a.waiting_reason);
  if (a.waiting_for == "backoff") return "trying again in " + left;
  return fmt::format("waiting for {} {}", Printable(a.waiting_for, 20), left);
}

// The tasks that are left are taken for as large as those that are done, at the rate of late: accounts that
// share a lane wait for each other, and all do when a worker is lost. Nothing while the plan is not whole.
std::string EtaText(const ledger::AccountStatus& a, double rate, double records_each) {
  if (a.total_before.value_or(0) > 0) {
    const auto left = static_cast<double>(*a.total_before - a.carried - a.counters.fetched);
    return left > 0 && rate > 0 ? "ETA " + Short(left / rate) : "";
  }
  if (!a.planned || a.finished_tasks >= a.planned_tasks || rate <= 0) return {};
  const double left =
      records_each * static_cast<double>(a.planned_tasks) - static_cast<double>(a.counters.fetched);
  return left > 0 ? "ETA " + Short(left / rate) : "";
}

std::string LastColumn(const ledger::AccountStatus& a, double rate, double records_each) {
  if (!a.error_class.empty()) return fmt::format("{}: {}", a.error_class, Printable(a.error_message, 200));
  if (a.state == "succeeded" || a.state == "partial") {
    return a.counters.dead_pages > 0 ? Counted(a.counters.dead_pages, "page") + " given up"
                                     : "in " + Short(a.counters.seconds);
  }
  if (Waits(a)) return WaitText(a);
  if (a.state == "running" && !a.planned && a.planned_tasks == 0) return "asking how much there is";
  return EtaText(a, rate, records_each);
}

std::string Pages(const ledger::AccountStatus& a) {
  if (a.planned_tasks == 0) return "-";
  return fmt::format("{}/{}{}", Grouped(a.finished_tasks), Grouped(a.planned_tasks), a.planned ? "" : "+");
}

using Accounts = std::vector<const ledger::AccountStatus*>;

// Those that something can be said of come first, what moves or waits before all.
int Rank(const ledger::AccountStatus& a, const RateMeter& rates) {
  if (a.state == "running") return Waits(a) || rates.Of(a.account) > 0 ? 0 : 1;
  if (!a.error_class.empty() || a.state == "failed" || a.state == "partial") return 2;
  if (a.state == "paused") return 3;
  return a.state == "queued" ? 4 : 5;
}

// By rank where not all have room; the order of the list within.
void KeepFirst(Accounts& accounts, int max, const RateMeter& rates) {
  if (static_cast<int>(accounts.size()) <= max) return;
  std::stable_sort(accounts.begin(), accounts.end(),
                   [&](auto* a, auto* b) { return Rank(*a, rates) < Rank(*b, rates); });
  accounts.resize(static_cast<std::size_t>(max));
}

std::string CountStates(const Accounts& accounts) {
  std::string text;
  for (const char* state :
       {"running", "queued", "paused", "succeeded", "partial", "failed", "cancelled", "expired"}) {
    const auto n =
        std::count_if(accounts.begin(), accounts.end(), [&](auto* a) { return a->state == state; });
    if (n > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", Grouped(n), state);
  }
  return text;
}

std::int64_t EndedAccounts(const ledger::JobStatus& job) {
  return std::count_if(job.accounts.begin(), job.accounts.end(), [](const auto& a) { return a.Ended(); });
}

std::string Head(const ledger::JobStatus& job, const RateMeter& rates) {
  return fmt::format("{}/{}  job {}  {}  {}/{} accounts  {}  {}", job.source, job.stream, job.id.value,
                     job.state, EndedAccounts(job), job.accounts.size(), RateText(rates.Total()),
                     Short(job.seconds));
}

std::optional<double> DoneShareOf(const ledger::AccountStatus& a) {
  // What was cut short is as far as it came, and the next run goes on from there.
  const bool cut_short = a.state == "expired" || a.state == "cancelled";
  if (a.Ended() && !cut_short) return 1;
  // What is read twice at the edges of slices must not look like the end.
  constexpr double kMostWhileRunning = 0.99;
  if (a.total_before.value_or(0) > 0) {
    const double share =
        static_cast<double>(a.carried + a.counters.fetched) / static_cast<double>(*a.total_before);
    return std::min(share, kMostWhileRunning);
  }
  if (cut_short || !a.planned || a.planned_tasks == 0) return std::nullopt;
  return static_cast<double>(a.finished_tasks) / static_cast<double>(a.planned_tasks);
}

// Of the whole job; from the time it took so far, since accounts that share a lane do not run at once.
std::string JobEta(const ledger::JobStatus& job, double share) {
  constexpr double kTooEarly = 0.01;
  double carried = 0, fetched = 0;
  for (const auto& a : job.accounts) {
    carried += static_cast<double>(a.carried);
    fetched += static_cast<double>(a.counters.fetched);
  }
  // Of what is done, this job did only a part.
  const double own = carried > 0 ? share * fetched / std::max(carried + fetched, 1.0) : share;
  if (job.state != "running" || own < kTooEarly || share >= 1) return {};
  return "  ETA " + Short(job.seconds * (1 - share) / own);
}

std::string MemoryText(const ProgressMemory& memory) {
  constexpr double kMiB = 1 << 20;
  const auto mib = [](std::int64_t bytes) { return std::llround(static_cast<double>(bytes) / kMiB); };
  if (memory.own == 0) return {};
  std::string text = fmt::format("  memory {} MiB", mib(memory.own));
  if (memory.workers > 0)
    text += fmt::format(", {} {} MiB", Counted(memory.workers, "worker"), mib(memory.workers_bytes));
  return text;
}

// What the summary will say, as far as it has come.
std::string Numbers(const ledger::JobStatus& job, const ProgressMemory& memory) {
  const ledger::Counters& c = job.totals;
  std::string text =
      fmt::format("{} pages  {} retrieved  {} inserted  {} updated  {} unchanged", Grouped(c.pages),
                  Grouped(c.fetched), Grouped(c.inserted), Grouped(c.updated), Grouped(c.unchanged));
  if (const auto share = DoneShare(job)) {
    text += fmt::format("  {}%", static_cast<int>(*share * 100));
    text += JobEta(job, *share);
  }
  return text + MemoryText(memory);
}

struct Columns {
  int name = 0, pages = 0;
};

Columns ColumnsOf(const Accounts& accounts) {
  Columns columns;
  for (const auto* a : accounts) {
    columns.name = std::max(columns.name, std::min(kWidestName, DisplayWidth(Printable(a->account, 200))));
    columns.pages = std::max(columns.pages, DisplayWidth(Pages(*a)));
  }
  return columns;
}

std::string AccountLine(const ledger::AccountStatus& a, const Columns& columns, const RateMeter& rates) {
  std::string name = Shorten(Printable(a.account, 200), columns.name);
  name.append(static_cast<std::size_t>(columns.name - DisplayWidth(name)), ' ');
  const double rate = a.state == "running" ? rates.Of(a.account) : 0;
  const std::string line =
      fmt::format("  {}  {:<9}  {:>{}} pages  {:>10} records  {:>7}  {}", name, a.state, Pages(a),
                  columns.pages, Grouped(a.counters.fetched), rate > 0 ? RateText(rate) : "",
                  LastColumn(a, rate, rates.RecordsEach(a.account)));
  return line.substr(0, line.find_last_not_of(' ') + 1);
}

// For the accounts of the job that have no line.
std::string RestLine(const ledger::JobStatus& job, const Accounts& shown) {
  const std::set<const ledger::AccountStatus*> lines(shown.begin(), shown.end());
  Accounts rest;
  for (const auto& a : job.accounts) {
    if (!lines.contains(&a)) rest.push_back(&a);
  }
  return fmt::format("  and {} more: {}", Grouped(static_cast<std::int64_t>(rest.size())), CountStates(rest));
}

}  // namespace

std::optional<double> DoneShare(const ledger::JobStatus& job) {
  double sum = 0;
  std::int64_t fetched = 0, total = 0;
  bool all_told = true;
  for (const auto& a : job.accounts) {
    const auto share = DoneShareOf(a);
    if (!share) return std::nullopt;
    sum += *share;
    all_told = all_told && a.total_before.value_or(0) > 0;
    total += a.total_before.value_or(0);
    fetched += static_cast<std::int64_t>(*share * static_cast<double>(a.total_before.value_or(0)));
  }
  if (job.accounts.empty()) return std::nullopt;
  if (all_told) return static_cast<double>(fetched) / static_cast<double>(total);
  return sum / static_cast<double>(job.accounts.size());
}

void RateMeter::Observe(const ledger::JobStatus& job, milliseconds at) {
  const auto add = [at](std::deque<Sample>& samples, std::int64_t fetched) {
    samples.push_back({at, fetched});
    while (samples.size() > 2 && at - samples[1].at >= kWindow) samples.pop_front();
  };
  for (const auto& account : job.accounts) {
    add(accounts_[account.account], account.counters.fetched);
    Finished& finished = finished_[account.account];
    if (account.finished_tasks != finished.tasks)
      finished = {account.finished_tasks, account.counters.fetched};
  }
  add(total_, job.totals.fetched);
}

double RateMeter::Rate(const std::deque<Sample>& samples) {
  if (samples.size() < 2) return 0;
  const auto span = samples.back().at - samples.front().at;
  if (span.count() <= 0) return 0;
  const auto gained = samples.back().fetched - samples.front().fetched;
  return std::max(0.0, static_cast<double>(gained) * 1000 / static_cast<double>(span.count()));
}

double RateMeter::Of(const std::string& account) const {
  const auto found = accounts_.find(account);
  return found == accounts_.end() ? 0 : Rate(found->second);
}

double RateMeter::RecordsEach(const std::string& account) const {
  const auto found = finished_.find(account);
  if (found == finished_.end() || found->second.tasks == 0) return 0;
  return static_cast<double>(found->second.fetched) / static_cast<double>(found->second.tasks);
}

double RateMeter::Total() const { return Rate(total_); }

std::vector<std::string> RenderProgress(const ledger::JobStatus& job, const RateMeter& rates,
                                        const ProgressStyle& style, const ProgressMemory& memory) {
  Accounts shown;
  for (const auto& account : job.accounts) shown.push_back(&account);
  KeepFirst(shown, style.max_accounts, rates);
  std::vector<std::string> lines = {
      Paint(Shorten(Head(job, rates), style.width), Colour::kBold, style.colour),
      Shorten("  " + Numbers(job, memory), style.width)};
  const Columns columns = ColumnsOf(shown);
  for (const auto* a : shown) {
    const Colour colour = Waits(*a)               ? Colour::kYellow
                          : a->state == "running" ? Colour::kNone
                                                  : StateColour(a->state);
    lines.push_back(Paint(Shorten(AccountLine(*a, columns, rates), style.width), colour, style.colour));
  }
  if (shown.size() < job.accounts.size()) lines.push_back(Shorten(RestLine(job, shown), style.width));
  return lines;
}

std::vector<std::string> RenderProgressLines(const ledger::JobStatus& job, const RateMeter& rates,
                                             const ProgressMemory& memory,
                                             const std::set<std::string>& told) {
  constexpr int kMostAccounts = 8;
  Accounts shown;
  for (const auto& a : job.accounts) {
    if (a.state == "running" || (a.Ended() && !told.contains(a.account))) shown.push_back(&a);
  }
  KeepFirst(shown, kMostAccounts, rates);
  std::vector<std::string> lines = {Head(job, rates) + "  " + Numbers(job, memory)};
  const Columns columns = ColumnsOf(shown);
  for (const auto* a : shown) lines.push_back(AccountLine(*a, columns, rates));
  if (!shown.empty() && shown.size() < job.accounts.size()) lines.push_back(RestLine(job, shown));
  return lines;
}

}  // namespace weir::cli
