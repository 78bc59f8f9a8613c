#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/hostile/kinds.h"
#include "tests/support/upstream/sample_upstream.h"

namespace weir::sim {

// How an account is treated.
struct Hostility {
  std::uint64_t seed = 1;
  int chance = 50;  // of 100, that an answer is hostile
  int answers = 2;  // so many of the first requests for one target; then the upstream is good
};

// What an account asked and was answered.
struct Answered {
  std::string target, path_class, kind;  // "" = the true answer
  int status = 0;
  std::int64_t began_us = 0, ended_us = 0;  // on one steady clock
  std::int64_t must_wait_ms = 0;            // a 429's Retry-After in whole seconds

  std::string Text() const;
};

// Stands before a sample upstream, whose answers are the truth, and answers at random from all that HTTP and
// the API allow. The same seed gives the same answers to the same requests of an account, in their order,
// whatever other accounts ask meanwhile. Thread-safe.
class HostileUpstream {
 public:
  // `truth` must outlive it.
  explicit HostileUpstream(const SampleUpstream& truth);
  ~HostileUpstream() { Stop(); }
  HostileUpstream(const HostileUpstream&) = delete;
  HostileUpstream& operator=(const HostileUpstream&) = delete;

  Result<void> Start() { return server_.Start(); }
  void Stop() { server_.Stop(); }
  std::string url() const;

  // Accounts are named as in the paths; one that was not named is treated well. Requests are counted from
  // now.
  void Treat(const std::string& account, Hostility hostility);
  void BecomeGood(const std::string& account);
  // Kinds that are left out, or all that are used ("" = every one).
  void Leave(std::set<std::string> without, std::set<std::string> only);
  std::vector<Answered> Log(const std::string& account) const;
  void ForgetLog();

 private:
  struct Targets {
    std::vector<std::string> bodies;  // the true ones, in the order in which they were first asked for
    std::map<std::string, std::pair<std::size_t, int>>
        known;  // target → its place, how often it was asked for
  };
  struct Account {
    Hostility hostility;
    std::map<std::string, Targets> targets;  // by path class
  };

  bool Handle(Connection& connection, const Request& request);
  WireAnswer TrueAnswer(const Request& request) const;
  // Returns the kind that was applied, "" = none.
  std::string Meddle(WireAnswer& answer, const Request& request, const Route& route);
  void Note(const std::string& account, Answered answered);

  const SampleUpstream& truth_;
  mutable std::mutex mutex_;
  std::map<std::string, Account> accounts_;  // guarded by mutex_, as what follows
  std::map<std::string, std::vector<Answered>> log_;
  std::set<std::string> without_, only_;
  HttpServer server_;
};

// The path class and account of a request, over all APIs.
Route RouteOf(const Request& request);

}  // namespace weir::sim
