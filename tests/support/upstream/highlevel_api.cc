#include "tests/support/upstream/highlevel_api.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <vector>

#include "common/base/time_text.h"
#include "tests/support/upstream/poison.h"

namespace weir::sim {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kSearch = "/opportunities/search";
constexpr std::string_view kPipelines = "/opportunities/pipelines";
constexpr std::string_view kToken = "/oauth/token";
constexpr std::int64_t kDayMs = 86'400'000;
constexpr std::size_t kPostReach = 10'000;

std::optional<std::int64_t> Int(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void SendError(Response& response, int status, Json message, const char* error) {
  response.Send(status, "application/json; charset=utf-8",
                Json{{"statusCode", status}, {"message", std::move(message)}, {"error", error}}.dump());
}

// "mm-dd-yyyy" as days since 1970.
std::optional<std::int64_t> Day(std::string_view text) {
  if (text.size() != 10) return std::nullopt;
  const auto at = ParseTime(fmt::format("{}-{}", text.substr(6), text.substr(0, 5)));
  if (!at) return std::nullopt;
  return *at / kDayMs;
}

std::int64_t LocalDay(const Location& location, std::int64_t ms) {
  return (ms + location.zone_minutes * 60'000) / kDayMs;
}

// One page of a search, made under the lock: its records, and what stands around them.
struct Page {
  std::vector<std::string> records;
  std::optional<std::int64_t> total;
  const Opportunity* last = nullptr;  // while it is made
  bool posted = false;
  std::string tail;
};

// Range of the opportunities created on the days asked for.
using Range = std::pair<std::size_t, std::size_t>;
Range DaysOf(const Location& location, const Request& request) {
  const auto& all = location.opportunities;
  Range range{0, all.size()};
  const auto first_from = [&](std::int64_t day) {
    return static_cast<std::size_t>(
        std::partition_point(all.begin(), all.end(),
                             [&](const Opportunity& o) { return LocalDay(location, o.created_ms) < day; }) -
        all.begin());
  };
  if (const auto from = Day(request.Query("date"))) range.first = first_from(*from);
  if (const auto to = Day(request.Query("endDate")))
    range.second = first_from(*to + (location.end_counts ? 1 : 0));
  range.second = std::max(range.first, range.second);
  return range;
}

std::optional<std::int64_t> TotalOf(Location& location, std::size_t truth) {
  if (!location.total_told) return std::nullopt;
  if (location.total_is >= 0) return location.total_is;
  location.total_off += location.total_drift;
  return std::max<std::int64_t>(0, static_cast<std::int64_t>(truth) + location.total_off);
}

void AddTail(Page& page, const Location& location, std::int64_t limit, std::int64_t number) {
  const std::string total = page.total ? fmt::format(R"("total":{},)", *page.total) : std::string();
  if (page.posted) {
    page.tail = fmt::format(R"(],{}"aggregations":{{}}}})", total);
    return;
  }
  const Json after_ms = page.last != nullptr ? Json(page.last->created_ms) : Json();
  const Json last_id = page.last != nullptr ? Json(page.last->id) : Json();
  const std::string trap = fmt::format(
      "http://localhost:5066/opportunities/"
      "search?location_id={}&startAfter=1&startAfterId=trap&limit={}&page={}",
      location.id, limit, number + 1);
  page.tail = fmt::format(
      R"(],"meta":{{{}"nextPageUrl":"{}","startAfterId":{},"startAfter":{},"currentPage":{},"nextPage":{},"prevPage":null}},"aggregations":{{}}}})",
      total, trap, last_id.dump(), after_ms.dump(), number, number + 1);
}

// What the location was told to answer in place of a page.
void Slipped(Location& location, Page& page) {
  Slip& slip = location.slip;
  if (slip.kind.empty()) return;
  const std::int64_t nth = ++slip.pages;
  std::vector<std::string> own = page.records;
  if (nth >= slip.at && nth - slip.at < slip.times) {
    if (slip.kind == "repeat" && !slip.previous.empty()) page.records = slip.previous;
    if (slip.kind == "short") page.records.resize(page.records.size() / 2);
    if (slip.kind == "no_cursor") page.last = nullptr;
    if (slip.kind == "empty" || slip.kind == "empty_total") {
      page.records.clear();
      page.last = nullptr;
      if (slip.kind == "empty_total") page.total = 0;
    }
  }
  slip.previous = std::move(own);
}

Page GetPage(Location& location, const Request& request, std::int64_t limit, std::int64_t number) {
  const auto& all = location.opportunities;
  const Range days = DaysOf(location, request);
  const bool newest_first = request.Query("order", "added_desc") != "added_asc";
  const auto after = Int(request.Query("startAfter"));
  const std::string_view after_id = request.Query("startAfterId");
  std::size_t from = days.first, to = days.second;
  const std::size_t skip = static_cast<std::size_t>((number - 1) * limit);
  const std::size_t count =
      static_cast<std::size_t>(location.most > 0 ? std::min(limit, location.most) : limit);
  if (after && !after_id.empty()) {
    // By value: the record itself may be gone.
    const auto place = static_cast<std::size_t>(
        std::partition_point(all.begin(), all.end(),
                             [&](const Opportunity& o) {
                               const auto key = std::make_tuple(o.created_ms, std::string_view(o.id));
                               const auto mine = std::make_tuple(*after, after_id);
                               return newest_first ? key < mine : key <= mine;
                             }) -
        all.begin());
    if (newest_first) {
      to = std::clamp(place, days.first, days.second);
    } else {
      from = std::clamp(place, days.first, days.second);
    }
  } else if (newest_first) {
    to -= std::min(to - from, skip);
  } else {
    from += std::min(to - from, skip);
  }
  if (newest_first) {
    from = to - std::min(to - from, count);
  } else {
    to = from + std::min(to - from, count);
  }
  Page page;
  for (std::size_t i = from; i < to; ++i) {
    const Opportunity& one = all[newest_first ? to - 1 - (i - from) : i];
    if (location.hide_every > 0 && limit > 1 && one.number % location.hide_every == 0) continue;
    page.last = &one;
    AppendOpportunity(page.records.emplace_back(), location, *page.last);
  }
  const bool at_end = newest_first ? from == days.first : to == days.second;
  if (at_end && !location.cursor_at_end) page.last = nullptr;
  page.total = TotalOf(location, days.second - days.first);
  if (limit > 1) Slipped(location, page);
  AddTail(page, location, limit, number);
  return page;
}

struct Changes {
  std::int64_t gte = INT64_MIN, lte = INT64_MAX;
  std::size_t limit = 20, page = 1;
  std::optional<std::pair<std::int64_t, std::string>> after;
};

// Problems are sent as 422; an empty list = the body is good.
Json ReadChanges(const Location& location, const Json& body, Changes& changes) {
  Json problems = Json::array();
  if (!body.contains("locationId")) problems.push_back("locationId can't be undefined");
  changes.limit = body.value("limit", std::size_t{0});
  const std::int64_t page = body.value("page", location.first_page) - location.first_page + 1;
  changes.page = static_cast<std::size_t>(std::max<std::int64_t>(page, 0));
  const Json after = body.value("searchAfter", Json::array());
  if (!after.empty() && body.contains("page")) problems.push_back("page cannot be used with searchAfter");
  if (after.size() == 2 && location.search_after) {
    const auto ms = after[0].is_string() ? Int(after[0].get<std::string>()) : after[0].get<std::int64_t>();
    changes.after.emplace(ms.value_or(0), after[1].get<std::string>());
  }
  if (changes.limit < 1 || changes.limit > 500) problems.push_back("limit must be between 1 and 500");
  if (changes.page < 1) problems.push_back("page must not be less than 1");
  if (changes.page * changes.limit > kPostReach) {
    problems.push_back("page * limit must not be over 10000, use searchAfter");
  }
  for (const Json& filter : body.value("filters", Json::array())) {
    if (filter.value("field", "") != "date_updated" || filter.value("operator", "") != "range") {
      problems.push_back("unknown filter");
      continue;
    }
    if (filter["value"].contains("gte"))
      changes.gte = ParseTime(filter["value"]["gte"].get<std::string>()).value_or(0);
    if (filter["value"].contains("lte"))
      changes.lte = ParseTime(filter["value"]["lte"].get<std::string>()).value_or(0);
  }
  return problems;
}

Page PostPage(Location& location, const Changes& changes) {
  std::vector<const Opportunity*> found;
  for (const Opportunity& o : location.opportunities) {
    if (o.updated_ms >= changes.gte && o.updated_ms <= changes.lte) found.push_back(&o);
  }
  std::sort(found.begin(), found.end(), [](const Opportunity* a, const Opportunity* b) {
    return std::tie(a->updated_ms, a->id) < std::tie(b->updated_ms, b->id);
  });
  Page page;
  page.posted = true;
  const auto limit =
      location.most > 0 ? std::min(changes.limit, static_cast<std::size_t>(location.most)) : changes.limit;
  std::size_t from = std::min(found.size(), (changes.page - 1) * limit);
  if (changes.after) {
    from = static_cast<std::size_t>(std::partition_point(found.begin(), found.end(),
                                                         [&](const Opportunity* o) {
                                                           return std::tie(o->updated_ms, o->id) <=
                                                                  std::tie(changes.after->first,
                                                                           changes.after->second);
                                                         }) -
                                    found.begin());
  }
  const std::size_t to = std::min(found.size(), from + limit);
  for (std::size_t i = from; i < to; ++i) AppendOpportunity(page.records.emplace_back(), location, *found[i]);
  page.total = TotalOf(location, found.size());
  Slipped(location, page);
  AddTail(page, location, 0, 0);
  return page;
}

void SendPage(const Page& page, Response& response) {
  if (!response.Begin(200, "application/json; charset=utf-8")) return;
  if (!response.Write(R"({"opportunities":[)")) return;
  RecordWriter writer(
      Api::kHighLevel, response.fault(), [&](std::string_view text) { return response.Write(text); }, ",",
      "");
  for (const std::string& record : page.records) {
    if (!writer.Add(record)) return;
  }
  if (writer.Finish() && response.Write(page.tail)) response.End();
}

// The location is named as the version wants it, or as the location was told to.
Json CasingProblems(const Location& location, const Request& request) {
  const bool camel = location.casing.empty() ? request.Header("Version") == "v3" : location.casing == "camel";
  const char* good = camel ? "locationId" : "location_id";
  const char* bad = camel ? "location_id" : "locationId";
  Json problems = Json::array();
  if (request.Has(bad)) problems.push_back(fmt::format("property {} should not exist", bad));
  if (!request.Has(good)) problems.push_back(fmt::format("{} can't be undefined", good));
  return problems;
}

// False: the limit is spent.
bool Count(Location& location, std::int64_t now_ms, Response& response) {
  if (location.burst == 0 && location.daily == 0) return true;
  auto& recent = location.recent_ms;
  recent.erase(std::remove_if(recent.begin(), recent.end(),
                              [&](std::int64_t at) { return at <= now_ms - location.interval_ms; }),
               recent.end());
  if (location.day != now_ms / kDayMs) location.today = 0;
  location.day = now_ms / kDayMs;
  const auto used = static_cast<std::int64_t>(recent.size());
  const bool fits = (location.burst == 0 || used < location.burst) &&
                    (location.daily == 0 || location.today < location.daily);
  if (fits) {
    recent.push_back(now_ms);
    ++location.today;
  }
  if (location.tell_limits) {
    response.Header("X-RateLimit-Max", std::to_string(location.burst));
    response.Header("X-RateLimit-Remaining",
                    std::to_string(std::max<std::int64_t>(0, location.burst - used - 1)));
    response.Header("X-RateLimit-Interval-Milliseconds", std::to_string(location.interval_ms));
    response.Header("X-RateLimit-Limit-Daily", std::to_string(location.daily));
    response.Header("X-RateLimit-Daily-Remaining",
                    std::to_string(std::max<std::int64_t>(0, location.daily - location.today)));
  }
  return fits;
}

bool TokenIsGood(const Location& location, const Request& request) {
  constexpr std::string_view kBearer = "Bearer ";
  const std::string_view authorization = request.Header("Authorization");
  if (authorization.substr(0, kBearer.size()) != kBearer) return false;
  const std::string token(authorization.substr(kBearer.size()));
  if (location.tokens.count(token) > 0) return true;
  return location.static_token && token.rfind("bad", 0) != 0;
}

// Answers in place of the page. False: all is well, go on.
bool Refuse(Location& location, const Request& request, std::int64_t now_ms, Response& response) {
  if (request.Header("Version").empty()) {
    SendError(response, 401, "version header is required", "Unauthorized");
  } else if (!TokenIsGood(location, request)) {
    SendError(response, 401, "Invalid token: access token is invalid", "Unauthorized");
  } else if (location.gone) {
    SendError(response, 403, "The token does not have access to this location.", "Forbidden");
  } else if (!Count(location, now_ms, response)) {
    response.Send(429, "application/json", R"({"statusCode":429,"message":"Too Many Requests"})");
  } else {
    if (request.path != kSearch || request.method != "GET") return false;
    const Json problems = CasingProblems(location, request);
    if (problems.empty()) return false;
    SendError(response, 422, problems, "Unprocessable Entity");
  }
  return true;
}

void AnswerGet(World& world, Location& location, const Request& request, std::optional<Page>& page,
               Response& response) {
  const auto limit = Int(request.Query("limit", "20"));
  const auto number = Int(request.Query("page", "1"));
  if (!limit || *limit < 1 || *limit > 100 || !number || *number < 1) {
    SendError(response, 422, Json::array({"limit must not be greater than 100"}), "Unprocessable Entity");
    return;
  }
  if (*limit > 1) world.highlevel.Stir(location, world.NowMs());
  page = GetPage(location, request, *limit, *number);
}

void AnswerPost(World& world, Location& location, const Json& body, std::optional<Page>& page,
                Response& response) {
  Changes changes;
  if (const Json problems = ReadChanges(location, body, changes); !problems.empty()) {
    SendError(response, 422, problems, "Unprocessable Entity");
    return;
  }
  world.highlevel.Stir(location, world.NowMs());
  page = PostPage(location, changes);
}

Page PipelinesPage(const Location& location) {
  Page page;
  for (std::int64_t i = 0; i < location.pipelines; ++i)
    AppendPipeline(page.records.emplace_back(), location, i);
  return page;
}

// A form's field.
std::string Field(std::string_view form, std::string_view name) {
  while (!form.empty()) {
    const auto end = std::min(form.find('&'), form.size());
    const std::string_view part = form.substr(0, end);
    const auto equals = std::min(part.find('='), part.size());
    if (part.substr(0, equals) == name)
      return PercentDecode(std::string(part.substr(std::min(equals + 1, part.size()))));
    form.remove_prefix(std::min(end + 1, form.size()));
  }
  return {};
}

// A refresh token is good once. It is spent when the request comes in, whether its answer arrives or not.
void AnswerToken(World& world, const Request& request, Response& response) {
  const std::string used = Field(request.body, "refresh_token");
  std::string answer;
  int status = 400;
  world.highlevel.ForEach([&](Location& l) {
    if (l.spent.count(used) > 0) ++world.highlevel_reused;
    const bool known = !used.empty() && l.refresh_token == used &&
                       l.client_id == Field(request.body, "client_id") &&
                       l.client_secret == Field(request.body, "client_secret") &&
                       Field(request.body, "grant_type") == "refresh_token";
    if (!known) return;
    l.spent.insert(used);
    const auto n = l.spent.size();
    const std::string access = fmt::format("at-{}-{}", l.id, n);
    l.refresh_token = fmt::format("rt-{}-{}", l.id, n);
    l.tokens = {access};
    status = 200;
    answer = Json{
        {"access_token", access},
        {"token_type", "Bearer"},
        {"expires_in", l.expires_s},
        {"refresh_token", l.refresh_token},
        {"scope", "opportunities.readonly"},
        {"userType", "Location"},
        {"locationId",
         l.id}}.dump();
  });
  if (status == 400) {
    answer = R"({"error":"invalid_grant","error_description":"This refresh token is invalid"})";
  }
  response.Send(status, "application/json; charset=utf-8", answer);
}

}  // namespace

Route RouteHighLevel(const Request& request) {
  if (request.path == kToken) return {"highlevel.token", ""};
  const bool search = request.path == kSearch;
  if (!search && request.path != kPipelines) return {};
  std::string location(request.Query("locationId", request.Query("location_id")));
  if (search && request.method == "POST") {
    const Json body = Json::parse(request.body, nullptr, false);
    if (body.is_object()) location = body.value("locationId", "");
    return {"highlevel.changes", location};
  }
  if (!search) return {"highlevel.pipelines", location};
  return {request.Query("limit") == "1" ? "highlevel.total" : "highlevel.search", location};
}

void AnswerHighLevel(World& world, const Route& route, const Request& request, Response& response) {
  if (IsScriptAgent(request.Header("User-Agent"))) {
    response.Send(403, "text/html; charset=utf-8", "<!DOCTYPE html><html><body><h1>403</h1></body></html>");
    return;
  }
  if (route.path_class == "highlevel.token") return AnswerToken(world, request, response);
  std::optional<Page> page;
  const bool known = world.highlevel.With(route.player, false, [&](Location& location) {
    if (Refuse(location, request, world.NowMs(), response)) return;
    if (request.path == kPipelines) {
      page = PipelinesPage(location);
    } else if (request.method == "POST") {
      AnswerPost(world, location, Json::parse(request.body, nullptr, false), page, response);
    } else {
      AnswerGet(world, location, request, page, response);
    }
  });
  if (!known)
    return SendError(response, 403, "The token does not have access to this location.", "Forbidden");
  if (!page) return;
  if (request.path != kPipelines) return SendPage(*page, response);
  std::string body = R"({"pipelines":[)";
  for (const std::string& record : page->records) body += (body.back() == '[' ? "" : ",") + record;
  response.Send(200, "application/json; charset=utf-8", body + R"(],"traceId":"t"})");
}

void SetHighLevel(World& world, const Json& json) {
  const HighLevelData& data = world.highlevel;
  const std::int64_t now = world.NowMs();
  const auto time = [&](const char* key, std::int64_t otherwise) {
    if (!json.contains(key)) return otherwise;
    if (json[key].is_number()) return json[key].get<std::int64_t>();
    return ParseTime(json[key].get<std::string>()).value_or(otherwise);
  };
  world.highlevel.With(json.at("location").get<std::string>(), true, [&](Location& l) {
    l.pipelines = json.value("pipelines", l.pipelines);
    l.zone_minutes = json.value("zone_minutes", l.zone_minutes);
    l.end_counts = json.value("end_counts", l.end_counts);
    l.casing = json.value("casing", l.casing);
    l.gone = json.value("gone", l.gone);
    l.total_off = json.value("total_off", l.total_off);
    l.total_is = json.value("total_is", l.total_is);
    l.total_drift = json.value("total_drift", l.total_drift);
    l.total_told = json.value("total_told", l.total_told);
    l.hide_every = json.value("hide_every", l.hide_every);
    l.most = json.value("most", l.most);
    l.first_page = json.value("first_page", l.first_page);
    l.search_after = json.value("search_after", l.search_after);
    l.cursor_at_end = json.value("cursor_at_end", l.cursor_at_end);
    if (json.contains("slip")) {
      const Json& slip = json["slip"];
      l.slip = {slip.value("kind", ""),
                slip.value("at", std::int64_t{1}),
                slip.value("times", std::int64_t{1}),
                0,
                {}};
    }
    l.burst = json.value("burst", l.burst);
    l.interval_ms = json.value("interval_ms", l.interval_ms);
    l.daily = json.value("daily", l.daily);
    l.tell_limits = json.value("tell_limits", l.tell_limits);
    l.static_token = json.value("static_token", l.static_token);
    l.expires_s = json.value("expires_s", l.expires_s);
    l.client_id = json.value("client_id", l.client_id);
    l.client_secret = json.value("client_secret", l.client_secret);
    l.refresh_token = json.value("refresh_token", l.refresh_token);
    if (json.value("revoke", false)) l.tokens.clear();
    if (json.contains("add")) {
      data.Add(l, json["add"].get<std::int64_t>(), time("from", kDefaultFrom), time("to", kDefaultTo));
    }
    if (json.value("restore", false)) data.Restore(l);
    if (json.contains("remove")) data.Remove(l, json["remove"].get<std::int64_t>());
    if (json.contains("update")) data.Update(l, json["update"].get<std::int64_t>(), time("at", now));
    if (json.contains("churn")) {
      const Json& churn = json["churn"];
      l.churn = {churn.value("every", std::int64_t{1}), churn.value("remove", std::int64_t{0}),
                 churn.value("insert", std::int64_t{0}), churn.value("update", std::int64_t{0}),
                 churn.value("times", INT64_MAX)};
      l.pages = l.churns = 0;
    }
    if (json.value("forget_touched", false)) l.touched.clear();
  });
}

Json ReadHighLevel(World& world, std::string_view location) {
  Json answer;
  world.highlevel.With(location, false, [&](Location& l) {
    answer = {{"live", l.opportunities.size()},
              {"made", l.made},
              {"churns", l.churns},
              {"removed", l.removed},
              {"updated", l.updated},
              {"inserted", l.inserted},
              {"refreshes", l.spent.size()},
              {"refresh_token", l.refresh_token}};
  });
  answer["reused"] = world.highlevel_reused.load();
  return answer;
}

bool WriteExpectedOpportunities(World& world, std::string_view location, bool untouched,
                                const std::function<bool(std::string_view)>& sink) {
  std::vector<std::string> lines;
  const bool known = world.highlevel.With(location, false, [&](Location& l) {
    for (const Opportunity& o : l.opportunities) {
      if (untouched && l.touched.count(o.number) > 0) continue;
      std::string& line = lines.emplace_back(fmt::format("{{\"id\":\"{}\",\"raw\":", o.id));
      AppendOpportunity(line, l, o);
      line += "}\n";
    }
  });
  if (!known) return false;
  return std::all_of(lines.begin(), lines.end(), sink);
}

}  // namespace weir::sim
