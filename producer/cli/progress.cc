#include "producer/cli/progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <ostream>

#include "common/base/json_text.h"
#include "common/base/time_text.h"
#include "common/obs/memory.h"

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
  return fmt::format("{}/{}  job {}  {}  {}/{} accounts  {}  {}", job.source, job.stream, job.id.value,
                     job.state, EndedAccounts(job), job.accounts.size(), RateText(rates.Total()),
                     Short(job.seconds));
}

bool HasEnded(const ledger::AccountStatus& a) {
  return a.state != "queued" && a.state != "running" && a.state != "paused";
}

std::optional<double> DoneShareOf(const ledger::AccountStatus& a) {
  // What was cut short is as far as it came, and the next run goes on from there.
  const bool cut_short = a.state == "expired" || a.state == "cancelled";
  if (HasEnded(a) && !cut_short) return 1;
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
  const auto shown = Shown(job, style.max_accounts);
  int name_width = 0, pages_width = 0;
  for (const auto* a : shown) {
    name_width = std::max(name_width, std::min(kWidestName, DisplayWidth(Printable(a->account, 200))));
    pages_width = std::max(pages_width, DisplayWidth(Pages(*a)));
  }
  std::vector<std::string> lines = {
      Paint(Shorten(Head(job, rates), style.width), Colour::kBold, style.colour),
      Shorten("  " + Numbers(job, memory), style.width)};
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

std::string RenderProgressLine(const ledger::JobStatus& job, const RateMeter& rates,
                               const ProgressMemory& memory) {
  std::string line = Head(job, rates) + "  " + Numbers(job, memory);
  const ledger::AccountStatus* longest = nullptr;
  for (const auto& a : job.accounts) {
    if (Waits(a) && (longest == nullptr || a.waiting_ms > longest->waiting_ms)) longest = &a;
  }
  if (longest != nullptr) line += fmt::format("  {} {}", Printable(longest->account, 60), WaitText(*longest));
  return line;
}

void ProgressPrinter::Update(const ledger::JobStatus& job, milliseconds now,
                             const ledger::WorkersMemory& workers) {
  rates_.Observe(job, now);
  const ProgressMemory memory{ResidentBytes(), workers.workers, workers.bytes, workers.largest};
  peak_.own = std::max(peak_.own, memory.own);
  peak_.workers = std::max(peak_.workers, memory.workers);
  peak_.largest_worker = std::max(peak_.largest_worker, memory.largest_worker);
  if (!io_.err_is_terminal) {
    if (last_line_.count() >= 0 && now - last_line_ < kLineEvery && job.state == last_state_) return;
    last_line_ = now;
    last_state_ = job.state;
    *io_.err << RenderProgressLine(job, rates_, memory) << std::endl;
    return;
  }
  // One column less than there is: a full line would make some terminals wrap and the drawing climb.
  const auto lines = RenderProgress(job, rates_, {std::max(20, io_.width - 1), 8, io_.err_colour}, memory);
  std::string frame = drawn_ > 0 ? fmt::format("\x1b[{}A\r", drawn_) : "";
  for (const std::string& line : lines) frame += "\x1b[2K" + line + "\n";
  frame += "\x1b[J";
  drawn_ = static_cast<int>(lines.size());
  *io_.err << frame << std::flush;
}

void ProgressPrinter::PrintPeaks() const {
  constexpr double kMiB = 1 << 20;
  if (peak_.own == 0) return;
  *io_.err << fmt::format("memory at most: weir {:.0f} MiB", static_cast<double>(peak_.own) / kMiB);
  if (peak_.largest_worker > 0)
    *io_.err << fmt::format(", a worker {:.0f} MiB", static_cast<double>(peak_.largest_worker) / kMiB);
  *io_.err << std::endl;
}

void ProgressPrinter::Clear() {
  if (drawn_ > 0) *io_.err << fmt::format("\x1b[{}A\r\x1b[J", drawn_) << std::flush;
  drawn_ = 0;
}

}  // namespace weir::cli
