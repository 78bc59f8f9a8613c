#include "producer/cli/progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <ostream>

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
  if (a.waiting_for == "backoff") return "trying again in " + left;
  return fmt::format("waiting for {} {}", Printable(a.waiting_for, 20), left);
}

// The tasks that are left are taken for as large as those that are done, at the rate of late: accounts that
// share a lane wait for each other, and all do when a worker is lost. Nothing while the plan is not whole.
std::string EtaText(const ledger::AccountStatus& a, double rate, double records_each) {
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

// Those that something can be said of come first; the order of the list within.
int Rank(const ledger::AccountStatus& a) {
  if (a.state == "running") return 0;
  if (!a.error_class.empty() || a.state == "failed" || a.state == "partial") return 1;
  if (a.state == "paused") return 2;
  return a.state == "queued" ? 3 : 4;
}

std::vector<const ledger::AccountStatus*> Shown(const ledger::JobStatus& job, int max) {
  std::vector<const ledger::AccountStatus*> shown;
  for (const auto& account : job.accounts) shown.push_back(&account);
  if (static_cast<int>(shown.size()) <= max) return shown;
  std::stable_sort(shown.begin(), shown.end(), [](auto* a, auto* b) { return Rank(*a) < Rank(*b); });
  shown.resize(static_cast<std::size_t>(max));
  return shown;
}

std::string CountStates(const std::vector<const ledger::AccountStatus*>& accounts) {
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
  return std::count_if(job.accounts.begin(), job.accounts.end(), [](const auto& a) {
    return a.state != "queued" && a.state != "running" && a.state != "paused";
  });
}

std::string Head(const ledger::JobStatus& job, const RateMeter& rates) {
  return fmt::format("{}/{}  job {}  {}  {}/{} accounts  {} records  {}  {}", job.source, job.stream,
                     job.id.value, job.state, EndedAccounts(job), job.accounts.size(),
                     Grouped(job.totals.fetched), RateText(rates.Total()), Short(job.seconds));
}

}  // namespace

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
                                        const ProgressStyle& style) {
  const auto shown = Shown(job, style.max_accounts);
  int name_width = 0, pages_width = 0;
  for (const auto* a : shown) {
    name_width = std::max(name_width, std::min(kWidestName, DisplayWidth(Printable(a->account, 200))));
    pages_width = std::max(pages_width, DisplayWidth(Pages(*a)));
  }
  std::vector<std::string> lines = {
      Paint(Shorten(Head(job, rates), style.width), Colour::kBold, style.colour)};
  for (const auto* a : shown) {
    std::string name = Shorten(Printable(a->account, 200), name_width);
    name.append(static_cast<std::size_t>(name_width - DisplayWidth(name)), ' ');
    const double rate = a->state == "running" ? rates.Of(a->account) : 0;
    const std::string line =
        fmt::format("  {}  {:<9}  {:>{}} pages  {:>10} records  {:>7}  {}", name, a->state, Pages(*a),
                    pages_width, Grouped(a->counters.fetched), rate > 0 ? RateText(rate) : "",
                    LastColumn(*a, rate, rates.RecordsEach(a->account)));
    const auto end = line.find_last_not_of(' ');
    const Colour colour = Waits(*a)               ? Colour::kYellow
                          : a->state == "running" ? Colour::kNone
                                                  : StateColour(a->state);
    lines.push_back(Paint(Shorten(line.substr(0, end + 1), style.width), colour, style.colour));
  }
  if (shown.size() < job.accounts.size()) {
    std::vector<const ledger::AccountStatus*> rest;
    for (const auto& a : job.accounts) {
      if (std::find(shown.begin(), shown.end(), &a) == shown.end()) rest.push_back(&a);
    }
    lines.push_back(Shorten(
        fmt::format("  and {} more: {}", Grouped(static_cast<std::int64_t>(rest.size())), CountStates(rest)),
        style.width));
  }
  return lines;
}

std::string RenderProgressLine(const ledger::JobStatus& job, const RateMeter& rates) {
  std::string line = Head(job, rates);
  const ledger::AccountStatus* longest = nullptr;
  for (const auto& a : job.accounts) {
    if (Waits(a) && (longest == nullptr || a.waiting_ms > longest->waiting_ms)) longest = &a;
  }
  if (longest != nullptr) line += fmt::format("  {} {}", Printable(longest->account, 60), WaitText(*longest));
  return line;
}

void ProgressPrinter::Update(const ledger::JobStatus& job, milliseconds now) {
  rates_.Observe(job, now);
  if (!io_.err_is_terminal) {
    if (last_line_.count() >= 0 && now - last_line_ < kLineEvery && job.state == last_state_) return;
    last_line_ = now;
    last_state_ = job.state;
    *io_.err << RenderProgressLine(job, rates_) << std::endl;
    return;
  }
  // One column less than there is: a full line would make some terminals wrap and the drawing climb.
  const auto lines = RenderProgress(job, rates_, {std::max(20, io_.width - 1), 8, io_.err_colour});
  std::string frame = drawn_ > 0 ? fmt::format("\x1b[{}A\r", drawn_) : "";
  for (const std::string& line : lines) frame += "\x1b[2K" + line + "\n";
  frame += "\x1b[J";
  drawn_ = static_cast<int>(lines.size());
  *io_.err << frame << std::flush;
}

void ProgressPrinter::Clear() {
  if (drawn_ > 0) *io_.err << fmt::format("\x1b[{}A\r\x1b[J", drawn_) << std::flush;
  drawn_ = 0;
}

}  // namespace weir::cli
