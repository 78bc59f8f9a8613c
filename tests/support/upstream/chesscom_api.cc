#include "tests/support/upstream/chesscom_api.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <vector>

#include "common/base/json_text.h"
#include "tests/support/upstream/chesscom_record.h"
#include "tests/support/upstream/hash.h"
#include "tests/support/upstream/poison.h"
#include "tests/support/upstream/static_pages.h"

namespace weir::sim {
namespace {

using Month = StaticPages::Month;
constexpr std::string_view kRoot = "/pub/player/";
constexpr std::string_view kJson = "application/json; charset=utf-8";

// Months of more games than this are streamed without a Content-Length.
constexpr std::int64_t kWholeBody = 20'000;

struct Path {
  std::string player, rest;  // rest: "", "games/archives", "games/2023/03"
};
Path Split(const std::string& path) {
  const std::string tail = path.substr(kRoot.size());
  const auto slash = std::min(tail.find('/'), tail.size());
  return {tail.substr(0, slash), slash < tail.size() ? tail.substr(slash + 1) : ""};
}

std::optional<Month> ParseMonth(std::string_view rest) {
  // games/YYYY/MM
  if (rest.size() != 13 || rest.substr(0, 6) != "games/" || rest[10] != '/') return std::nullopt;
  Month m{0, 0};
  std::from_chars(rest.data() + 6, rest.data() + 10, m.year);
  std::from_chars(rest.data() + 11, rest.data() + 13, m.month);
  if (m.year < 1900 || m.month < 1 || m.month > 12) return std::nullopt;
  return m;
}

std::int64_t StartOf(Month m) {
  using namespace std::chrono;
  const sys_days day =
      year_month_day{year(m.year), month(static_cast<unsigned>(m.month)), std::chrono::day(1)};
  return duration_cast<milliseconds>(day.time_since_epoch()).count();
}

Month Following(Month m) { return m.month == 12 ? Month{m.year + 1, 1} : Month{m.year, m.month + 1}; }

Month MonthAt(std::int64_t ms) {
  using namespace std::chrono;
  const year_month_day date(floor<days>(sys_time<milliseconds>(milliseconds(ms))));
  return {static_cast<int>(date.year()), static_cast<int>(static_cast<unsigned>(date.month()))};
}

void SendError(Response& response, int status, std::string_view message) {
  std::string body = "{\"code\":0,\"message\":";
  AppendJsonString(body, message);
  response.Send(status, kJson, body + "}");
}

std::string BaseUrl(const Request& request) {
  return fmt::format("http://{}{}", request.Header("Host"), kRoot);
}

std::vector<Month> MonthsOf(const World& world, const PlayerRef& player) {
  std::vector<Month> months;
  if (player->fixed) {
    for (std::int64_t i = 0; i < StaticPages::Months(*player); ++i)
      months.push_back(StaticPages::MonthOf(*player, i));
    return months;
  }
  const Timeline timeline(world.players, player);
  const auto first = Timeline::Walk(timeline, INT64_MIN, INT64_MAX, false).Next();
  if (!first) return months;
  for (Month m = MonthAt(first->at_ms); StartOf(m) <= timeline.Last(); m = Following(m)) {
    if (timeline.Any(StartOf(m), StartOf(Following(m)))) months.push_back(m);
  }
  return months;
}

void AnswerArchives(const World& world, const PlayerRef& player, const Request& request, Response& response) {
  std::string body = "{\"archives\":[";
  for (const Month m : MonthsOf(world, player)) {
    body += fmt::format("{}\"{}{}/games/{}/{:02}\"", body.back() == '[' ? "" : ",", BaseUrl(request),
                        Fold(player->name), m.year, m.month);
  }
  if (response.fault() && response.fault()->kind == Fault::Kind::kForeignArchive)
    body += fmt::format("{}\"{}\"", body.back() == '[' ? "" : ",", response.fault()->location);
  response.Send(200, kJson, body + "]}");
}

// Changes whenever the month's games do.
std::string ETag(const World& world, const Player& player, Month m) {
  const std::int64_t lo = StartOf(m);
  const std::int64_t hi = StartOf(Following(m));
  std::uint64_t h = Mix(player.seed, player.altered.size() * 1000 + player.deleted.size());
  const auto count = [&](const Player& p) {
    h = Mix(h, static_cast<std::uint64_t>(p.FirstAtOrAfter(hi) - p.FirstAtOrAfter(lo)));
  };
  if (!player.fixed) count(player);
  if (const PlayerRef other = world.players.Find(player.api, player.mirror_of); other && !player.fixed) {
    count(*other);
    h = Mix(h, other->altered.size() * 1000 + other->deleted.size());
  }
  return fmt::format("W/\"{:016x}-{}\"", h, m.year * 12 + m.month);
}

bool IsUnchanged(const Request& request, std::string_view etag, std::string_view last_modified) {
  const std::string_view match = request.Header("If-None-Match");
  if (!match.empty()) return match == "*" || match.find(etag) != std::string_view::npos;
  return request.Header("If-Modified-Since") == last_modified;
}

void SendStaticMonth(const Player& player, Month m, Response& response) {
  constexpr std::string_view kOpen = "{\"games\":[";
  const std::int64_t page = StaticPages::PageOf(player, m);
  const std::int64_t lo = page < 0 ? 0 : page * player.page;
  const std::int64_t hi = page < 0 ? 0 : std::min(lo + player.page, player.Games());
  const std::uint64_t size = hi > lo ? StaticPages::Size(player, lo, hi) - 1 : 0;
  if (response.Begin(200, kJson, kOpen.size() + size + 2) && response.Write(kOpen) &&
      StaticPages::Write(player, lo, hi, false, true,
                         [&](std::string_view b) { return response.Write(b); }) &&
      response.Write("]}"))
    response.End();
}

void SendMonth(const World& world, const PlayerRef& player, Month m, Response& response) {
  const Timeline timeline(world.players, player);
  Timeline::Walk walk(timeline, StartOf(m), StartOf(Following(m)), false);
  const bool whole =
      player->FirstAtOrAfter(StartOf(Following(m))) - player->FirstAtOrAfter(StartOf(m)) <= kWholeBody;
  std::string body;
  const auto sink = [&](std::string_view text) {
    if (!whole) return response.Write(text);
    body += text;
    return true;
  };
  if (!whole && !response.Begin(200, kJson)) return;
  RecordWriter writer(Api::kChessCom, response.fault(), sink, ",", "");
  std::string record;
  sink("{\"games\":[");
  while (const auto game = walk.Next()) {
    record.clear();
    AppendChessComGame(record, *game);
    if (!writer.Add(record)) return;
  }
  if (!writer.Finish() || !sink("]}")) return;
  if (whole) {
    response.Send(200, kJson, body);
  } else {
    response.End();
  }
}

void AnswerMonth(const World& world, const PlayerRef& player, Month m, const Request& request,
                 Response& response) {
  const std::string etag = ETag(world, *player, m);
  const std::string last_modified = HttpDate(StartOf(Following(m)));
  response.Header("ETag", etag);
  response.Header("Last-Modified", last_modified);
  response.Header("Cache-Control", "public, max-age=60");
  if (IsUnchanged(request, etag, last_modified)) {
    response.Send(304, "", "");
  } else if (player->fixed) {
    SendStaticMonth(*player, m, response);
  } else {
    SendMonth(world, player, m, response);
  }
}

}  // namespace

Route RouteChessCom(const Request& request) {
  if (request.path.rfind(kRoot, 0) != 0) return {};
  const Path path = Split(request.path);
  if (path.rest == "games/archives") return {"chesscom.archives", Fold(path.player)};
  if (ParseMonth(path.rest)) return {"chesscom.month", Fold(path.player)};
  return {path.rest.empty() ? "chesscom.player" : "chesscom.other", Fold(path.player)};
}

void AnswerChessCom(World& world, const Route& route, const Request& request, Response& response) {
  if (IsScriptAgent(request.Header("User-Agent"))) {
    response.Send(403, "text/html; charset=UTF-8",
                  "<!DOCTYPE html><html><body><h1>403 Forbidden</h1></body></html>");
    return;
  }
  const Path path = Split(request.path);
  const PlayerRef player = world.players.Find(Api::kChessCom, route.player);
  if (!player) return SendError(response, 404, fmt::format("User \"{}\" not found.", route.player));
  if (!player->renamed_to.empty()) {
    response.Header("Location",
                    BaseUrl(request) + Fold(player->renamed_to) + (path.rest.empty() ? "" : "/") + path.rest);
    response.Send(301, "text/html", "");
    return;
  }
  if (player->closed)
    return SendError(response, 410, fmt::format("The account of \"{}\" is gone.", route.player));
  if (route.path_class == "chesscom.archives") return AnswerArchives(world, player, request, response);
  if (const auto month = ParseMonth(path.rest)) return AnswerMonth(world, player, *month, request, response);
  if (route.path_class != "chesscom.player") return SendError(response, 404, "Data provider not found");
  response.Send(200, kJson,
                fmt::format(R"({{"player_id":{},"@id":"{}{}","username":"{}","status":"basic"}})",
                            player->number, BaseUrl(request), Fold(player->name), Fold(player->name)));
}

}  // namespace weir::sim
