#include "producer/cli/progress_printer.h"

#include <fmt/core.h>

#include <algorithm>
#include <ostream>

#include "common/obs/memory.h"

namespace weir::cli {

using std::chrono::milliseconds;

void ProgressPrinter::Update(const ledger::JobStatus& job, milliseconds now,
                             const ledger::WorkersMemory& workers) {
  rates_.Observe(job, now);
  const ProgressMemory memory{ResidentBytes(), workers.workers, workers.bytes, workers.largest};
  peak_.own = std::max(peak_.own, memory.own);
  peak_.workers = std::max(peak_.workers, memory.workers);
  peak_.largest_worker = std::max(peak_.largest_worker, memory.largest_worker);
  if (io_.err_is_terminal) {
    Redraw(job, memory);
  } else {
    WriteLines(job, now, memory);
  }
}

void ProgressPrinter::WriteLines(const ledger::JobStatus& job, milliseconds now,
                                 const ProgressMemory& memory) {
  if (last_lines_.count() >= 0 && now - last_lines_ < kLinesEvery && job.state == last_state_) return;
  last_lines_ = now;
  last_state_ = job.state;
  std::string text;
  for (const std::string& line : RenderProgressLines(job, rates_, memory, told_)) text += line + "\n";
  *io_.err << text << std::flush;
  told_.clear();  // a replay may have opened an account again
  for (const auto& a : job.accounts) {
    if (a.Ended()) told_.insert(a.account);
  }
}

void ProgressPrinter::Redraw(const ledger::JobStatus& job, const ProgressMemory& memory) {
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
