#include "tests/support/hostile/hostile_upstream.h"

#include <fmt/core.h>
#include <strings.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "tests/support/upstream/chesscom_api.h"
#include "tests/support/upstream/hash.h"
#include "tests/support/upstream/highlevel_api.h"
#include "tests/support/upstream/http_client.h"
#include "tests/support/upstream/lichess_api.h"

namespace weir::sim {
namespace {

std::int64_t NowUs() {
  using namespace std::chrono;
  return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

bool IsOneOf(std::string_view name, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* n) { return EqualsIgnoreCase(name, n); });
}

void ReplaceAll(std::string& text, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
}

// The seconds that a Retry-After of digits asks for.
std::int64_t AskedWait(const WireAnswer& answer) {
  if (answer.Status() != 429) return 0;
  for (const HttpHeader& h : answer.headers) {
    if (h.name == "Retry-After" && !h.value.empty() &&
        std::isdigit(static_cast<unsigned char>(h.value[0])) != 0 &&
        h.value.find_first_not_of("0123456789") == std::string::npos) {
      return std::atoll(h.value.c_str()) * 1000;
    }
  }
  return 0;
}

const Kind* Choose(const std::set<std::string>& without, const std::set<std::string>& only,
                   std::mt19937_64& random) {
  std::vector<const Kind*> open;
  for (const Kind& kind : AllKinds()) {
    const std::string name(kind.name);
    if (without.count(name) > 0 || (!only.empty() && only.count(name) == 0)) continue;
    open.insert(open.end(), static_cast<std::size_t>(kind.weight), &kind);
  }
  return open.empty() ? nullptr : open[random() % open.size()];
}

}  // namespace

std::string Answered::Text() const {
  return fmt::format("{} {} [{}] {}{}", status, kind.empty() ? "true" : kind, path_class,
                     must_wait_ms > 0 ? fmt::format("(Retry-After {} s) ", must_wait_ms / 1000) : "", target);
}

Route RouteOf(const Request& request) {
  Route route = RouteLichess(request);
  if (route.path_class.empty()) route = RouteChessCom(request);
  if (route.path_class.empty()) route = RouteHighLevel(request);
  if (route.path_class.empty()) route.path_class = "other";
  if (route.player.empty()) route.player = route.path_class;
  return route;
}

HostileUpstream::HostileUpstream(const SampleUpstream& truth)
    : truth_(truth), server_([this](Connection& c, const Request& r) { return Handle(c, r); }) {}

std::string HostileUpstream::url() const { return fmt::format("http://127.0.0.1:{}", server_.port()); }

void HostileUpstream::Treat(const std::string& account, Hostility hostility) {
  const std::lock_guard lock(mutex_);
  accounts_[account] = {hostility, {}};
}

void HostileUpstream::BecomeGood(const std::string& account) {
  const std::lock_guard lock(mutex_);
  accounts_[account].hostility.answers = 0;
}

void HostileUpstream::Leave(std::set<std::string> without, std::set<std::string> only) {
  const std::lock_guard lock(mutex_);
  without_ = std::move(without);
  only_ = std::move(only);
}

std::vector<Answered> HostileUpstream::Log(const std::string& account) const {
  const std::lock_guard lock(mutex_);
  const auto at = log_.find(account);
  return at == log_.end() ? std::vector<Answered>() : at->second;
}

void HostileUpstream::ForgetLog() {
  const std::lock_guard lock(mutex_);
  log_.clear();
}

void HostileUpstream::Note(const std::string& account, Answered answered) {
  const std::lock_guard lock(mutex_);
  log_[account].push_back(std::move(answered));
}

WireAnswer HostileUpstream::TrueAnswer(const Request& request) const {
  ClientRequest forwarded;
  forwarded.method = request.method;
  forwarded.url = truth_.url() + request.target;
  forwarded.body = request.body;
  forwarded.headers.clear();
  for (const HttpHeader& h : request.headers) {
    if (!IsOneOf(h.name, {"Host", "Connection", "Accept-Encoding", "Content-Length"}))
      forwarded.headers.push_back(h);
  }
  WireAnswer answer;
  auto truth = Exchange(forwarded);
  if (!truth) {
    answer.SetStatus(599, "No truth");
    return answer;
  }
  answer.SetStatus(truth->status, "OK");
  answer.body = std::move(truth->body);
  ReplaceAll(answer.body, truth_.url(), url());
  for (HttpHeader& h : truth->headers) {
    if (IsOneOf(h.name, {"Content-Length", "Transfer-Encoding", "Connection"})) continue;
    ReplaceAll(h.value, truth_.url(), url());
    answer.headers.push_back(std::move(h));
  }
  if (truth->status == 304 || truth->status == 204) answer.framing = WireAnswer::Framing::kNoBody;
  return answer;
}

std::string HostileUpstream::Meddle(WireAnswer& answer, const Request& request, const Route& route) {
  const std::lock_guard lock(mutex_);
  const auto at = accounts_.find(route.player);
  if (at == accounts_.end()) return {};
  const Hostility& hostility = at->second.hostility;
  Targets& targets = at->second.targets[route.path_class];
  const std::string key = request.method + request.target + request.body;
  auto& [place, asked] = targets.known.try_emplace(key, targets.known.size(), 0).first->second;
  targets.bodies.resize(targets.known.size());
  targets.bodies[place] = answer.body;
  std::mt19937_64 random(Mix(Mix(Mix(route.player, hostility.seed), Mix(route.path_class, place)),
                             static_cast<std::uint64_t>(asked)));
  if (asked++ >= hostility.answers || static_cast<int>(random() % 100) >= hostility.chance) return {};
  const std::string earlier = place == 0 ? "" : targets.bodies[place - 1];
  Meddling meddling{request, route.path_class, earlier, random, url()};
  // A kind that has no use here gives way to another.
  for (int tries = 0; tries < 20; ++tries) {
    const Kind* kind = Choose(without_, only_, random);
    WireAnswer changed = answer;
    if (kind == nullptr || !kind->apply(changed, meddling)) continue;
    answer = std::move(changed);
    return std::string(kind->name);
  }
  return {};
}

bool HostileUpstream::Handle(Connection& connection, const Request& request) {
  Answered answered;
  answered.began_us = NowUs();
  const Route route = RouteOf(request);
  answered.target = request.method + " " + request.target + (request.body.empty() ? "" : " " + request.body);
  answered.path_class = route.path_class;
  WireAnswer answer = TrueAnswer(request);
  answered.kind = Meddle(answer, request, route);
  answered.status = answer.Status();
  answered.must_wait_ms = AskedWait(answer);
  // Taken down before it is sent: who has read an answer may look at once.
  answered.ended_us = NowUs();
  Note(route.player, answered);
  return SendAnswer(connection, answer);
}

}  // namespace weir::sim
