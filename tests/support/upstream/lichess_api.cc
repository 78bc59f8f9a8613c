#include "tests/support/upstream/lichess_api.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <iterator>
#include <vector>

#include "tests/support/upstream/poison.h"
#include "tests/support/upstream/static_pages.h"

namespace weir::sim {
namespace {

constexpr std::string_view kUser = "/api/user/";
constexpr std::string_view kGames = "/api/games/user/";
constexpr std::string_view kIds = "/api/games/export/_ids";
constexpr std::string_view kNdjson = "application/x-ndjson";
constexpr std::size_t kMaxIds = 300;

std::int64_t Int(std::string_view text, std::int64_t otherwise) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : otherwise;
}

void SendError(Response& response, int status, std::string_view message) {
  response.Send(status, "application/json", fmt::format("{{\"error\":\"{}\"}}", message));
}

void AnswerUser(const World& world, const PlayerRef& player, Response& response) {
  const std::string id = Fold(player->name);
  if (player->closed) {
    response.Send(200, "application/json",
                  fmt::format(R"({{"id":"{}","username":"{}","disabled":true}})", id, player->name));
    return;
  }
  const Timeline timeline(world.players, player);
  const std::int64_t all = std::max<std::int64_t>(0, timeline.Count() + player->count_off);
  const auto playing = std::count_if(player->ongoing.begin(), player->ongoing.end(),
                                     [](const auto& game) { return game.second == 0; });
  response.Send(
      200, "application/json",
      fmt::format(
          R"({{"id":"{}","username":"{}","perfs":{{"blitz":{{"games":{},"rating":2100,"rd":45,"prog":3}}}},)"
          R"("createdAt":{},"seenAt":{},"playTime":{{"total":{},"tv":0}},"url":"https://lichess.org/@/{}",)"
          R"("count":{{"all":{},"rated":{},"draw":{},"loss":{},"win":{},"bookmark":0,"playing":{},"import":0,"me":0}}}})",
          id, player->name, all, player->created_at, std::max(player->created_at, timeline.Last()), all * 300,
          player->name, all, all * 8 / 10, all / 10, all * 4 / 10, all / 2, playing));
}

bool WantsNdjson(const Request& request) {
  return request.Header("Accept").find(kNdjson) != std::string_view::npos;
}

// One export's stream: as fast as the pace of the asker allows.
class GameStream {
 public:
  GameStream(Response& response, const LichessContent& content, bool ndjson, double pace)
      : response_(response),
        content_(content),
        ndjson_(ndjson),
        pace_(pace),
        writer_(
            Api::kLichess, response.fault(), [this](std::string_view text) { return response_.Write(text); },
            "", "\n") {
    ok_ = response_.Begin(200, ndjson ? kNdjson : "application/x-chess-pgn");
  }

  bool Add(const GameRef& game) {
    buffer_.clear();
    if (ndjson_) {
      AppendLichessGame(buffer_, game, content_);
      ok_ = ok_ && writer_.Add(buffer_);
    } else {
      AppendLichessPgn(buffer_, game, content_);
      ok_ = ok_ && response_.Write(buffer_);
    }
    if (ok_ && pace_ > 0) {
      ok_ = response_.Flush() &&
            response_.connection().Sleep(std::chrono::microseconds(static_cast<std::int64_t>(1e6 / pace_)));
    }
    return ok_;
  }
  void End() {
    if (ok_ && writer_.Finish()) response_.End();
  }

 private:
  Response& response_;
  const LichessContent content_;
  const bool ndjson_;
  const double pace_;
  RecordWriter writer_;
  std::string buffer_;
  bool ok_ = true;
};

void AnswerStatic(const Player& player, const Export& what, Response& response) {
  std::int64_t lo = StaticPages::FirstAtOrAfter(player, what.since_ms);
  std::int64_t hi = std::max(lo, StaticPages::FirstAtOrAfter(player, what.until_ms));
  if (hi - lo > what.max) (what.newest_first ? lo : hi) = what.newest_first ? hi - what.max : lo + what.max;
  if (!response.Begin(200, kNdjson)) return;
  if (StaticPages::Write(player, lo, hi, what.newest_first, false,
                         [&](std::string_view block) { return response.Write(block); }))
    response.End();
}

void AnswerGames(World& world, const PlayerRef& player, const Request& request, double pace,
                 Response& response) {
  const Export what = Export::FromQuery(request);
  const LichessContent content = LichessContent::FromQuery(request, {});
  world.NoteContent(player->name, content);
  if (player->fixed) return AnswerStatic(*player, what, response);
  GameStream stream(response, content, WantsNdjson(request), pace);
  ForEachGame(world, player, what, [&](const GameRef& game) { return stream.Add(game); });
  stream.End();
}

std::vector<std::string_view> SplitIds(std::string_view body) {
  std::vector<std::string_view> ids;
  while (!body.empty()) {
    const auto end = std::min(body.find(','), body.size());
    std::string_view id = body.substr(0, end);
    while (!id.empty() && (id.back() == '\n' || id.back() == '\r' || id.back() == ' ')) id.remove_suffix(1);
    if (!id.empty()) ids.push_back(id);
    body.remove_prefix(std::min(end + 1, body.size()));
  }
  return ids;
}

// Ids beyond 300 are left out, and so are those that no game has.
void AnswerIds(World& world, const Request& request, double pace, Response& response) {
  std::vector<PlayerRef> owners;  // keeps alive what the games point to
  std::vector<GameRef> games;
  std::vector<std::string_view> ids = SplitIds(request.body);
  ids.resize(std::min(ids.size(), kMaxIds));
  for (const std::string_view id : ids) {
    const auto code = ParseLichessId(id);
    const GameName name = code ? DecodeGame(*code) : GameName{0, -1};
    PlayerRef owner = name.index >= 0 ? world.players.ByNumber(Api::kLichess, name.player_number) : nullptr;
    if (!owner || name.index >= owner->Games() || owner->IsDeleted(name.index)) continue;
    games.push_back({owner.get(), name.index, owner->TimeOf(name.index)});
    owners.push_back(std::move(owner));
  }
  std::stable_sort(games.begin(), games.end(),
                   [](const GameRef& a, const GameRef& b) { return a.at_ms > b.at_ms; });
  GameStream stream(response, LichessContent::FromQuery(request, {}), WantsNdjson(request), pace);
  for (const GameRef& game : games) {
    if (!stream.Add(game)) return;
  }
  stream.End();
}

bool TokenIsGood(const Settings& settings, std::string_view authorization) {
  constexpr std::string_view kBearer = "Bearer ";
  if (authorization.empty()) return true;
  if (authorization.substr(0, kBearer.size()) != kBearer) return false;
  const std::string token(authorization.substr(kBearer.size()));
  return settings.tokens.empty() ? token.rfind("bad", 0) != 0 : settings.tokens.count(token) > 0;
}

}  // namespace

bool IsScriptAgent(std::string_view user_agent) {
  static constexpr std::array<std::string_view, 8> kScripts{"curl/",       "python-requests", "Python-urllib",
                                                            "Wget",        "Go-http-client",  "Java/",
                                                            "libwww-perl", "okhttp"};
  return user_agent.empty() || std::any_of(kScripts.begin(), kScripts.end(), [&](std::string_view start) {
           return user_agent.substr(0, start.size()) == start;
         });
}

Export Export::FromQuery(const Request& request) {
  Export what;
  what.since_ms = Int(request.Query("since"), INT64_MIN);
  what.until_ms = Int(request.Query("until"), INT64_MAX);
  what.max = Int(request.Query("max"), INT64_MAX);
  what.newest_first = request.Query("sort", "dateDesc") != "dateAsc";
  what.ongoing = request.Query("ongoing") == "true";
  what.finished = request.Query("finished", "true") != "false";
  return what;
}

bool Export::Wants(const GameRef& game) const {
  const auto it = game.owner->ongoing.find(game.index);
  const bool is_ongoing = it != game.owner->ongoing.end() && it->second == 0;
  return is_ongoing ? ongoing : finished;
}

void ForEachGame(const World& world, const PlayerRef& player, const Export& what,
                 const std::function<bool(const GameRef&)>& game) {
  const Timeline timeline(world.players, player);
  Timeline::Walk walk(timeline, what.since_ms, what.until_ms, what.newest_first);
  for (std::int64_t n = 0; n < what.max;) {
    const auto next = walk.Next();
    if (!next) return;
    if (!what.Wants(*next)) continue;
    ++n;
    if (!game(*next)) return;
  }
}

Route RouteLichess(const Request& request) {
  const std::string& path = request.path;
  if (path == kIds) return {"lichess.ids", ""};
  if (path.rfind(kGames, 0) == 0) return {"lichess.games", Fold(path.substr(kGames.size()))};
  if (path.rfind(kUser, 0) == 0) return {"lichess.user", Fold(path.substr(kUser.size()))};
  return {};
}

void AnswerLichess(World& world, const Settings& settings, const Route& route, const Request& request,
                   Response& response) {
  if (IsScriptAgent(request.Header("User-Agent"))) {
    response.Send(404, "text/html; charset=utf-8", "<!DOCTYPE html><html><body><h1>404</h1></body></html>");
    return;
  }
  const std::string_view authorization = request.Header("Authorization");
  if (!TokenIsGood(settings, authorization)) return SendError(response, 401, "No such token");
  const double pace = settings.pace[authorization.empty() ? 0 : 1];
  if (route.path_class == "lichess.ids") {
    if (request.method != "POST") return SendError(response, 405, "Method not allowed");
    return AnswerIds(world, request, pace, response);
  }
  if (request.method != "GET") return SendError(response, 405, "Method not allowed");
  const PlayerRef player = world.players.Find(Api::kLichess, route.player);
  if (!player || (player->closed && route.path_class == "lichess.games"))
    return SendError(response, 404, "Not found.");
  if (route.path_class == "lichess.user") return AnswerUser(world, player, response);
  AnswerGames(world, player, request, pace, response);
}

}  // namespace weir::sim
