#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/ledger/jobs.h"
#include "producer/cli/output.h"

namespace weir::cli {

// Records a second of each account over the last ten seconds, and what a task of it holds.
class RateMeter {
 public:
  // Snapshots in the order of their time.
  void Observe(const ledger::JobStatus& job, std::chrono::milliseconds at);
  double Of(const std::string& account) const;
  double Total() const;
  // Of an account's tasks that are done, on average; 0 = none is.
  double RecordsEach(const std::string& account) const;

 private:
  struct Sample {
    std::chrono::milliseconds at;
    std::int64_t fetched;
  };
  static double Rate(const std::deque<Sample>& samples);
  struct Finished {  // when the account's last task ended
    std::int64_t tasks = 0;
    std::int64_t fetched = 0;
  };
  std::map<std::string, std::deque<Sample>> accounts_;
  std::map<std::string, Finished> finished_;
  std::deque<Sample> total_;
};

// What the programs hold at the moment; zeros = not known.
struct ProgressMemory {
  std::int64_t own = 0;      // bytes of this process
  std::int64_t workers = 0;  // how many there are
  std::int64_t workers_bytes = 0, largest_worker = 0;
};

// How much of the job is done, 0 to 1: by what the upstream said there is, else by the tasks of a plan that
// is whole; nothing = it cannot be told.
std::optional<double> DoneShare(const ledger::JobStatus& job);

struct ProgressStyle {
  int width = 80;
  int max_accounts = 8;  // lines of accounts; the rest is summed up in one
  bool colour = false;
};

// What a job looks like now: a head, its numbers, a line an account, and a line for those that have no room.
// Pure; no line is wider than the style's width.
std::vector<std::string> RenderProgress(const ledger::JobStatus& job, const RateMeter& rates,
                                        const ProgressStyle& style, const ProgressMemory& memory = {});
// The same in plain lines, for logs: the job, and below it a line for each account that is at work or has
// ended since; `told` = whose end was told before. At most 8 of them, then one for the rest.
std::vector<std::string> RenderProgressLines(const ledger::JobStatus& job, const RateMeter& rates,
                                             const ProgressMemory& memory = {},
                                             const std::set<std::string>& told = {});

}  // namespace weir::cli
