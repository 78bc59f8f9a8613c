#include "tests/support/upstream/upstream_check.h"

#include <fmt/core.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "tests/support/upstream/http_client.h"
#include "tests/support/upstream/players.h"

namespace weir::sim {
namespace {

constexpr std::size_t kBatchBytes = 2 * 1024 * 1024;
constexpr std::string_view kRaw = "\",\"raw\":";
constexpr std::string_view kStart = "{\"id\":\"";

// An upstream's id of a record that was served to do harm (poison.h).
constexpr std::string_view kIsPoison = "(id ~ '^poison..$' or id like '00000000-dead-4000-8000-%')";

// Fills the temporary table from the expected lines, some megabytes at a time.
class Loader {
 public:
  explicit Loader(pg::Session& session) : session_(session) {}

  Result<void> Prepare() {
    auto made = session_.Script(
        "drop table if exists weir_expected; create temporary table weir_expected (id text primary key, raw "
        "jsonb)");
    if (!made) return Fail(made.error());
    return {};
  }
  // False once there is an error.
  bool Add(std::string_view bytes) {
    text_.append(bytes);
    std::size_t from = 0;
    for (std::size_t end = 0; (end = text_.find('\n', from)) != std::string::npos; from = end + 1) {
      Line(std::string_view(text_).substr(from, end - from));
      if (bytes_ >= kBatchBytes) Store();
    }
    text_.erase(0, from);
    return result_.has_value();
  }
  Result<void> Finish() {
    Store();
    if (result_ && !text_.empty())
      result_ = Fail(ErrorClass::kTransient, "the expected records end within a line");
    return result_;
  }

 private:
  void Line(std::string_view line) {
    const auto raw = line.find(kRaw);
    if (line.substr(0, kStart.size()) != kStart || raw == std::string_view::npos) {
      result_ = Fail(ErrorClass::kInternal, "not an expected record: " + std::string(line.substr(0, 80)));
      return;
    }
    ids_.emplace_back(line.substr(kStart.size(), raw - kStart.size()));
    raws_.emplace_back(line.substr(raw + kRaw.size(), line.size() - raw - kRaw.size() - 1));
    bytes_ += line.size();
  }
  void Store() {
    if (!result_ || ids_.empty()) return;
    const auto stored =
        session_.Exec("insert into weir_expected select * from unnest($1::text[], $2::jsonb[])",
                      {pg::ArrayLiteral(ids_), pg::ArrayLiteral(raws_)});
    if (!stored) result_ = Fail(stored.error());
    ids_.clear();
    raws_.clear();
    bytes_ = 0;
  }

  pg::Session& session_;
  std::string text_;
  std::vector<std::string> ids_, raws_;
  std::size_t bytes_ = 0;
  Result<void> result_;
};

Result<void> Load(const std::string& upstream_url, pg::Session& session, const CheckedPlayer& player) {
  Loader loader(session);
  if (auto prepared = loader.Prepare(); !prepared) return prepared;
  ClientRequest request;
  request.url = fmt::format("{}/_control/expected?source={}&player={}{}{}", upstream_url, player.source,
                            player.player, player.query.empty() ? "" : "&", player.query);
  request.deadline = std::chrono::minutes(10);
  // What is not an answer is kept, to be shown.
  std::string refusal;
  const auto response = Exchange(request, [&](std::string_view bytes) {
    if (refusal.size() < 200) refusal.append(bytes.substr(0, 200));
    return loader.Add(bytes);
  });
  if (!response) return Fail(response.error());
  if (response->status != 200)
    return Fail(ErrorClass::kConfig, fmt::format("{} of {}: {}", player.player, player.source, refusal));
  auto finished = loader.Finish();
  if (finished && !response->whole)
    return Fail(ErrorClass::kTransient, "the expected records were cut short");
  return finished;
}

// One row a difference and one for each count, so that one snapshot is looked at.
std::string CompareSql(const std::string& table) {
  return fmt::format(
      "with copy as (select id, raw from {0} where lower(account) = lower($1) and stale_at is null), "
      "good as (select id, raw from copy where not {1}), "
      "only_up as (select id, raw from weir_expected except select id, raw from good), "
      "only_table as (select id, raw from good except select id, raw from weir_expected), "
      "differ as (select coalesce(u.id, t.id) as id, "
      "  case when u.id is null then 'extra' when t.id is null then 'missing' else 'different' end as kind "
      "  from only_up u full join only_table t on u.id = t.id), "
      "examples as (select kind, id, row_number() over (partition by kind order by id) as n from differ) "
      "select 'poison', count(*)::text from copy where {1} "
      "union all select 'table', count(*)::text from good "
      "union all select 'count ' || kind, count(*)::text from differ group by kind "
      "union all select kind, id from examples where n <= 5",
      table, kIsPoison);
}

}  // namespace

std::string CheckResult::Summary() const {
  std::string text = fmt::format("equal {}", equal);
  if (poison > 0) text += fmt::format(", poison {}", poison);
  if (ok()) return text;
  text += fmt::format(", missing {}, extra {}, different {}", missing, extra, different);
  for (const std::string& example : examples) text += "\n  " + example;
  return text;
}

Result<CheckResult> CheckUpstream(const std::string& upstream_url, pg::Session& session,
                                  const CheckedPlayer& player) {
  const std::string table = player.source + (player.source == "highlevel" ? ".opportunities" : ".games");
  if (!ParseApi(player.source) && player.source != "highlevel")
    return Fail(ErrorClass::kConfig, "no such source: " + player.source);
  if (auto loaded = Load(upstream_url, session, player); !loaded) return Fail(loaded.error());
  // Without statistics PostgreSQL plans for a handful of rows.
  if (auto analyzed = session.Script("analyze weir_expected"); !analyzed) return Fail(analyzed.error());
  auto rows = session.Exec(CompareSql(table), {player.player});
  if (!rows) return Fail(rows.error());
  CheckResult result;
  std::int64_t rows_in_table = 0;
  for (int i = 0; i < rows->Size(); ++i) {
    const std::string kind(rows->Text(i, 0));
    const std::string value(rows->Text(i, 1));
    if (kind == "poison") {
      result.poison = rows->Int(i, 1);
    } else if (kind == "table") {
      rows_in_table = rows->Int(i, 1);
    } else if (kind == "count missing") {
      result.missing = rows->Int(i, 1);
    } else if (kind == "count extra") {
      result.extra = rows->Int(i, 1);
    } else if (kind == "count different") {
      result.different = rows->Int(i, 1);
    } else {
      result.examples.push_back(kind + " " + value);
    }
  }
  result.equal = rows_in_table - result.extra - result.different;
  return result;
}

Result<std::vector<CheckedPlayer>> PlayersOf(const std::string& upstream_url) {
  const auto text = Get(upstream_url + "/_control/players");
  if (!text) return Fail(text.error());
  std::vector<CheckedPlayer> players;
  for (const auto& p : nlohmann::json::parse(*text)) {
    if (p["renamed_to"].get<std::string>().empty() && !p["closed"].get<bool>())
      players.push_back({p["source"].get<std::string>(), p["name"].get<std::string>(), ""});
  }
  return players;
}

}  // namespace weir::sim
