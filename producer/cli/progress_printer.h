#pragma once

#include <chrono>
#include <set>
#include <string>

#include "common/ledger/jobs.h"
#include "producer/cli/output.h"
#include "producer/cli/progress.h"

namespace weir::cli {

// Keeps a job's progress on io.err: redrawn in place on a terminal, elsewhere some lines every few seconds
// and at each change of the job's state. One thread.
class ProgressPrinter {
 public:
  explicit ProgressPrinter(const Io& io) : io_(io) {}
  void Update(const ledger::JobStatus& job, std::chrono::milliseconds now,
              const ledger::WorkersMemory& workers = {});
  // Takes the drawing away, so that what follows stands where it stood.
  void Clear();
  // The most that this process and a worker held at any Update; to err.
  void PrintPeaks() const;

 private:
  static constexpr std::chrono::milliseconds kLinesEvery{5'000};

  void WriteLines(const ledger::JobStatus& job, std::chrono::milliseconds now, const ProgressMemory& memory);
  void Redraw(const ledger::JobStatus& job, const ProgressMemory& memory);

  Io io_;
  RateMeter rates_;
  int drawn_ = 0;
  std::chrono::milliseconds last_lines_{-1};
  std::string last_state_;
  std::set<std::string> told_;  // accounts whose end was written
  ProgressMemory peak_;
};

}  // namespace weir::cli
