#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/sources/source.h"

namespace weir::lichess {

// `since` and `until` may not be earlier: 2013-01-01. There are older games: a range that begins here or
// earlier is asked for without `since`, and has them too. A range that ends here has nothing but them; it is
// asked for whole, since no `until` reaches into it, and nothing of it is claimed as read.
constexpr std::int64_t kEarliestMs = 1'356'998'400'070;
constexpr std::size_t kIdsPerRequest = 300;

// What GET /api/user/{u} tells that a plan needs.
struct User {
  std::optional<std::int64_t> created_ms;
  std::optional<std::int64_t> games;  // count.all: an estimate
  std::string id = {};                // "" = it does not tell
};

// Errors: kTransient for what is no user document (kInvalid for a web page); kGone for a closed account.
Result<User> ParseUser(std::string_view document);

struct PlanOptions {
  JobMode mode = JobMode::kFull;
  Filter filter;
  std::int64_t now_ms = 0;
  std::int64_t window_games = 1000;  // about so many games a window
};

// The tasks of one account, in the order they should run:
//   full         windows over [created or since, now or until)
//   incremental  windows over what was not read of [oldest read or since, now or until), then the watched
//                ids. Nothing read yet = as full.
//   with limit   one kNewest task that begins a chain over what was not read of [created or since, …), newest
//                first; incremental: then the watched ids.
// Where the filter ends at kEarliestMs or before, the windows are one range that ends there, if the account
// is older; the filter drops what came too much.
Result<void> PlanTasks(const User& user, const AccountState& state, const PlanOptions& options,
                       const TaskSink& sink);

// The chain of holes a kNewest task still has to read after its own: Selector::key = "lo-hi,lo-hi,…", newest
// first. A leading "tie," says that the newest millisecond of the task's own range was read in part, so that
// its first record is likely a known one. A leading "again," says that the range was answered with no game.
struct NewestChain {
  bool tie = false;
  std::vector<TimeRange> rest;
  bool again = false;

  std::string Text() const;
  static std::optional<NewestChain> Parse(std::string_view text);
};

// What a finished window leaves: it is read whole, up to `settled_ms`. An answer that does not tell its end
// is believed up to its last game. An answer without a game, as an outage's may be, is asked for once more
// (key "again") before it counts. Errors: kTransient when games came that lie outside of it: then the
// upstream answered something else.
Result<PageEnd> FinishWindow(const Selector& selector, const PageResult& result, std::int64_t settled_ms);

// What a finished page of kNewest leaves: what is now read whole, and the task that goes on. `settled_ms`:
// nothing later is claimed as read. No game, or an answer that does not tell its end: as FinishWindow;
// the chain ends with the latter. Errors: kInternal for a key that is no chain; kTransient for games
// outside of the range, or for a part of them that is not the newest.
Result<PageEnd> FinishNewest(const Selector& selector, std::int64_t budget, const PageResult& result,
                             std::int64_t settled_ms);

// A kIds task's ids as they are sent, of its key. A leading "again:" says that they did not come when they
// were asked for first; the last of them may be one that did.
std::string_view IdsOf(std::string_view key);

// What a finished kIds page leaves: the ids that did not come are asked for again, with one that did, and
// unwatched when only that one comes: an answer without any game is no proof. Errors: kTransient when games
// came that were not asked for.
Result<PageEnd> FinishIds(const Selector& selector, const PageResult& result);

}  // namespace weir::lichess
