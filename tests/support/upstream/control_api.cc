#include "tests/support/upstream/control_api.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "common/base/time_text.h"
#include "tests/support/upstream/chesscom_record.h"
#include "tests/support/upstream/highlevel_api.h"
#include "tests/support/upstream/lichess_api.h"
#include "tests/support/upstream/static_pages.h"

namespace weir::sim {
namespace {

using Json = nlohmann::json;
// What a call could not do, with why; the client gets it as 400.
struct Refused {
  std::string why;
};

Json StatsJson(const World& world) {
  Json stats{{"requests", Json::object()}, {"meters", Json::object()}, {"violations", 0}, {"bytes", 0}};
  std::uint64_t bytes = 0;
  for (const auto& [name, c] : world.traffic.Classes()) {
    Json statuses = Json::object();
    for (const auto& [status, n] : c.statuses) statuses[std::to_string(status)] = n;
    stats["requests"][name] = {
        {"count", c.requests}, {"bytes", c.bytes}, {"status", statuses}, {"players", c.players}};
    bytes += c.bytes;
  }
  std::int64_t violations = 0;
  for (const auto& [name, m] : world.meters.Snapshot()) {
    stats["meters"][name] = {
        {"now", m.now}, {"max", m.max}, {"requests", m.requests}, {"violations", m.violations}};
    violations += m.violations;
  }
  stats["violations"] = violations;
  stats["bytes"] = bytes;
  stats["faults"] = Json::parse(world.faults.Report());
  return stats;
}

Json LogJson(const World& world) {
  Json list = Json::array();
  for (const Exchanged& e : world.traffic.Log()) {
    list.push_back({{"method", e.method},
                    {"target", e.target},
                    {"class", e.path_class},
                    {"player", e.player},
                    {"status", e.status},
                    {"bytes", e.bytes},
                    {"user_agent", e.user_agent},
                    {"authorization", e.authorization},
                    {"if_none_match", e.if_none_match}});
  }
  return list;
}

Json PlayersJson(const World& world) {
  Json list = Json::array();
  for (const PlayerRef& p : world.players.All()) {
    std::int64_t open = 0;
    for (const auto& [index, ended] : p->ongoing) open += ended == 0 ? 1 : 0;
    list.push_back({{"source", ToString(p->api)},
                    {"name", p->name},
                    {"games", Timeline(world.players, p).Count()},
                    {"ongoing", open},
                    {"closed", p->closed},
                    {"renamed_to", p->renamed_to},
                    {"static", p->fixed}});
  }
  return list;
}

std::int64_t Time(const Json& json, const char* key, std::int64_t otherwise) {
  if (!json.contains(key)) return otherwise;
  if (json[key].is_number()) return json[key].get<std::int64_t>();
  const auto at = ParseTime(json[key].get<std::string>());
  if (!at) throw Refused{fmt::format("{} is not a time", key)};
  return *at;
}

struct Named {
  Api api;
  std::string name;
};
Named Who(const World& world, const Json& json, bool must_exist) {
  const std::string source = json.value("source", "lichess");
  const auto api = ParseApi(source);
  if (!api) throw Refused{"no such source: " + source};
  Named who{*api, json.contains("player") ? json.at("player").get<std::string>()
                                          : json.at("name").get<std::string>()};
  if (must_exist && !world.players.Find(who.api, who.name)) throw Refused{"no such player: " + who.name};
  return who;
}

Stride ReadStride(const Json& json) {
  Stride stride;
  stride.every = std::max<std::int64_t>(1, json.value("every", std::int64_t{1}));
  stride.first = json.value("first", std::int64_t{0});
  stride.last = json.value("last", INT64_MAX);
  return stride;
}

void SetPlayer(World& world, const Json& json) {
  const Named who = Who(world, json, false);
  world.players.Alter(who.api, who.name, [&](Player& p) {
    if (json.contains("games")) {
      p.segments.clear();
      p.ongoing.clear();
      p.created_at = Time(json, "from", kDefaultFrom);
      Append(p, json["games"].get<std::int64_t>(), p.created_at, Time(json, "to", kDefaultTo));
    }
    if (json.contains("ongoing")) MakeOngoing(p, json["ongoing"].get<std::int64_t>());
    p.closed = json.value("closed", p.closed);
    p.fixed = json.value("static", p.fixed);
    p.page = std::max<std::int64_t>(1, json.value("page", p.page));
    p.count_off = json.value("count_off", p.count_off);
    p.no_uuid_every = json.value("no_uuid_every", p.no_uuid_every);
    if (json.contains("alter")) p.altered.push_back(ReadStride(json["alter"]));
    if (json.contains("delete")) p.deleted.push_back(ReadStride(json["delete"]));
    if (json.value("undelete", false)) p.deleted.clear();
  });
  if (json.contains("shares_with"))
    world.players.Share(who.api, json["shares_with"].get<std::string>(), who.name,
                        json.value("shares_every", std::int64_t{10}));
  if (json.contains("renamed_to"))
    world.players.Rename(who.api, who.name, json["renamed_to"].get<std::string>());
}

void AddGames(World& world, const Json& json) {
  const Named who = Who(world, json, true);
  const std::int64_t n = json.value("n", std::int64_t{1});
  const std::int64_t now = Time(json, "to", world.NowMs());
  world.players.Alter(who.api, who.name, [&](Player& p) {
    const std::int64_t first = p.Games();
    Append(p, n, Time(json, "from", now - n * 60'000), now);
    MakeOngoing(p, json.value("ongoing", std::int64_t{0}), first);
  });
}

// Ends the oldest `n` ongoing games (default all) at `at` (default now).
std::int64_t FinishGames(World& world, const Json& json) {
  const Named who = Who(world, json, true);
  std::int64_t left = json.value("n", INT64_MAX);
  std::int64_t ended = 0;
  const std::int64_t at = Time(json, "at", world.NowMs());
  world.players.Alter(who.api, who.name, [&](Player& p) {
    for (auto& [index, end] : p.ongoing) {
      if (end != 0 || left-- <= 0) continue;
      end = at;
      ++ended;
    }
  });
  return ended;
}

void SetSettings(World& world, const Json& json) {
  world.Configure([&](Settings& s) {
    s.latency =
        std::chrono::milliseconds(json.value("latency_ms", static_cast<std::int64_t>(s.latency.count())));
    if (json.contains("pace")) s.pace = json["pace"].get<std::array<double, 2>>();
    if (json.contains("parallel")) {
      s.parallel[0] = json["parallel"].value("lichess", s.parallel[0]);
      s.parallel[1] = json["parallel"].value("chesscom", s.parallel[1]);
    }
    if (json.contains("tokens")) s.tokens = json["tokens"].get<std::set<std::string>>();
    if (json.contains("now")) s.now_ms = Time(json, "now", 0);
  });
}

Json Post(World& world, const std::string& call, const Request& request) {
  if (call == "faults") {
    const auto set = world.faults.Set(request.body);
    if (!set) throw Refused{set.error().message};
    return {{"ok", true}};
  }
  const Json json = request.body.empty() ? Json::object() : Json::parse(request.body);
  Json done{{"ok", true}};
  if (call == "reset") {
    world.traffic.Reset();
    world.meters.Reset();
    world.faults.Clear();
  } else if (call == "player") {
    SetPlayer(world, json);
  } else if (call == "highlevel") {
    SetHighLevel(world, json);
  } else if (call == "games/add") {
    AddGames(world, json);
  } else if (call == "games/finish") {
    done["ended"] = FinishGames(world, json);
  } else if (call == "settings") {
    SetSettings(world, json);
  } else if (call == "release") {
    world.faults.Release();
  } else {
    throw Refused{"no such call: " + call};
  }
  return done;
}

Json Read(World& world, const std::string& call, const Request& request) {
  if (call == "stats") return StatsJson(world);
  if (call == "requests") return LogJson(world);
  if (call == "highlevel") return ReadHighLevel(world, request.Query("location"));
  if (call == "players") return PlayersJson(world);
  if (call == "faults") return Json::parse(world.faults.Report());
  if (call == "wait") {
    const auto number = [&](std::string_view key, std::string_view otherwise) {
      return std::strtoll(std::string(request.Query(key, otherwise)).c_str(), nullptr, 10);
    };
    const bool reached =
        world.traffic.WaitForRequests(std::string(request.Query("class")), number("count", "1"),
                                      std::chrono::milliseconds(number("timeout_ms", "30000")));
    return {{"reached", reached}};
  }
  throw Refused{"no such call: " + call};
}

void AnswerExpected(World& world, const Request& request, Response& response) {
  if (request.Query("source") == "highlevel") {
    if (!response.Begin(200, "application/x-ndjson")) return;
    const bool untouched = request.Query("untouched") == "true";
    if (WriteExpectedOpportunities(world, request.Query("player"), untouched,
                                   [&](std::string_view text) { return response.Write(text); }))
      response.End();
    return;
  }
  const auto api = ParseApi(request.Query("source", "lichess"));
  PlayerRef player = api ? world.players.Find(*api, request.Query("player")) : nullptr;
  if (player && !player->renamed_to.empty()) player = world.players.Find(*api, player->renamed_to);
  if (!player) throw Refused{"no such player"};
  if (response.Begin(200, "application/x-ndjson") &&
      WriteExpected(world, player, request, [&](std::string_view text) { return response.Write(text); }))
    response.End();
}

bool WriteStatic(const Player& player, const std::function<bool(std::string_view)>& sink) {
  for (std::int64_t i = 0; i < player.Games(); ++i) {
    if (!sink(fmt::format("{{\"id\":\"{}\",\"raw\":{}}}\n", StaticPages::Id(player, i),
                          StaticPages::Record(player, i))))
      return false;
  }
  return true;
}

}  // namespace

bool WriteExpected(const World& world, const PlayerRef& player, const Request& query,
                   const std::function<bool(std::string_view)>& sink) {
  if (player->fixed) return WriteStatic(*player, sink);
  Export what = Export::FromQuery(query);
  if (!query.Has("ongoing")) what.ongoing = true;
  const LichessContent content = LichessContent::FromQuery(query, world.ContentOf(player->name));
  bool ok = true;
  std::string line;
  ForEachGame(world, player, what, [&](const GameRef& game) {
    const bool lichess = player->api == Api::kLichess;
    const std::string id = lichess ? LichessId(GameCode(game.owner->number, game.index)) : ChessComKey(game);
    line = fmt::format("{{\"id\":\"{}\",\"raw\":", id);
    if (lichess) {
      AppendLichessGame(line, game, content);
    } else {
      AppendChessComGame(line, game);
    }
    line += "}\n";
    return ok = sink(line);
  });
  return ok;
}

void AnswerControl(World& world, const Request& request, Response& response) {
  constexpr std::string_view kRoot = "/_control/";
  const std::string call = request.path.substr(kRoot.size());
  std::string problem;
  try {
    if (call == "expected") return AnswerExpected(world, request, response);
    const Json answer = request.method == "POST" ? Post(world, call, request) : Read(world, call, request);
    response.Send(200, "application/json", answer.dump() + "\n");
    return;
  } catch (const Refused& refused) {
    problem = refused.why;
  } catch (const std::exception& e) {  // the JSON library's
    problem = e.what();
  }
  response.Send(400, "application/json", Json{{"error", problem}}.dump() + "\n");
}

}  // namespace weir::sim
