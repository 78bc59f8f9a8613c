#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace weir::sim {

// One opportunity; its texts are a function of its number and revision.
struct Opportunity {
  std::int64_t number = 0;
  std::int64_t created_ms = 0, updated_ms = 0;
  std::int64_t revision = 0;
  std::string id;
};

// What is done to a location while it is read: before every `every`-th page of more than one record.
struct Churn {
  std::int64_t every = 0;  // 0 = nothing
  std::int64_t remove = 0, insert = 0, update = 0;
  std::int64_t times = INT64_MAX;
};

// Answers that are not what was asked for: `times` pages of more than one record, from the `at`-th on.
struct Slip {
  // repeat (the records of the page before, around which its own place stands), empty, short (half of it),
  // no_cursor, empty_total (empty, and its total agrees)
  std::string kind;
  std::int64_t at = 1, times = 1;
  std::int64_t pages = 0;             // so far
  std::vector<std::string> previous;  // records of the page before
};

// A location: its opportunities in the order of their creation, and how its upstream behaves.
struct Location {
  std::string id;
  std::vector<Opportunity> opportunities;  // sorted by (created_ms, id)
  std::int64_t made = 0;                   // numbers given so far
  std::int64_t pipelines = 3;
  std::int64_t zone_minutes = -300;  // of its days
  bool end_counts = true;            // `endDate` counts that day
  std::string casing;                // "" = as the version wants it; snake | camel
  bool gone = false;                 // 403
  bool static_token = true;      // any token is good that does not begin with "bad"; else issued ones only
  std::set<std::string> tokens;  // issued access tokens that are good
  std::string refresh_token;     // the one that is good
  std::set<std::string> spent;   // refresh tokens that were used
  std::string client_id, client_secret;
  std::int64_t expires_s = 86'399;
  // What a search's total says besides the truth.
  std::int64_t total_off = 0, total_is = -1;
  std::int64_t total_drift = 0;  // added to it with each answer
  bool total_told = true;
  std::int64_t hide_every = 0;  // GET leaves out every so manyth record, and counts it
  std::int64_t most = 0;        // records a page, whatever is asked for; 0 = no cap
  std::int64_t first_page = 1;  // POST: how its pages count
  bool search_after = true;     // POST looks at it
  bool cursor_at_end = true;    // GET: a page behind which nothing stands has a cursor
  Slip slip;
  Churn churn;
  std::int64_t pages = 0, churns = 0;
  std::vector<Opportunity> bin;  // what was removed
  std::int64_t removed = 0, inserted = 0, updated = 0;
  std::set<std::int64_t> touched;  // numbers that were inserted or updated while it was read
  // Requests as the limit counts them.
  std::int64_t burst = 0, interval_ms = 10'000, daily = 0;  // 0 = no limit
  bool tell_limits = true;                                  // X-RateLimit headers
  std::vector<std::int64_t> recent_ms;
  std::int64_t today = 0, day = 0;
};

// All locations and what OAuth did. Thread-safe: everything goes through With.
class HighLevelData {
 public:
  explicit HighLevelData(std::uint64_t seed) : seed_(seed) {}

  // Calls `work` with the location, made first if `make`. False: there is none.
  bool With(std::string_view id, bool make, const std::function<void(Location&)>& work);
  void ForEach(const std::function<void(Location&)>& work);

  // `count` opportunities more, created over [from_ms, to_ms).
  void Add(Location& location, std::int64_t count, std::int64_t from_ms, std::int64_t to_ms) const;
  // Changes or removes `count`, chosen by the seed, at `now_ms`.
  void Update(Location& location, std::int64_t count, std::int64_t now_ms) const;
  void Remove(Location& location, std::int64_t count) const;
  // Puts back all that was removed.
  void Restore(Location& location) const;
  // What Churn orders, if it is time.
  void Stir(Location& location, std::int64_t now_ms) const;

  std::uint64_t seed() const { return seed_; }

 private:
  std::string IdOf(const Location& location, std::int64_t number) const;

  const std::uint64_t seed_;
  std::mutex mutex_;
  std::map<std::string, Location, std::less<>> locations_;
};

void AppendOpportunity(std::string& out, const Location& location, const Opportunity& opportunity);
void AppendPipeline(std::string& out, const Location& location, std::int64_t number);
std::string PipelineId(std::int64_t number);

}  // namespace weir::sim
