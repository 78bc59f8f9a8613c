#include "tests/support/upstream/highlevel_data.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "common/base/time_text.h"
#include "tests/support/upstream/hash.h"

namespace weir::sim {
namespace {

bool Earlier(const Opportunity& a, const Opportunity& b) {
  return std::tie(a.created_ms, a.id) < std::tie(b.created_ms, b.id);
}

}  // namespace

bool HighLevelData::With(std::string_view id, bool make, const std::function<void(Location&)>& work) {
  const std::lock_guard lock(mutex_);
  auto it = locations_.find(id);
  if (it == locations_.end()) {
    if (!make) return false;
    it = locations_.emplace(std::string(id), Location{}).first;
    it->second.id = id;
  }
  work(it->second);
  return true;
}

void HighLevelData::ForEach(const std::function<void(Location&)>& work) {
  const std::lock_guard lock(mutex_);
  for (auto& [id, location] : locations_) work(location);
}

std::string HighLevelData::IdOf(const Location& location, std::int64_t number) const {
  static constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  Draw draw(Mix(Mix(location.id, seed_), static_cast<std::uint64_t>(number)));
  std::string id;
  while (id.size() < 20) id += kLetters[draw.Below(kLetters.size())];
  return id;
}

void HighLevelData::Add(Location& location, std::int64_t count, std::int64_t from_ms,
                        std::int64_t to_ms) const {
  const std::int64_t span = std::max<std::int64_t>(to_ms - from_ms, 1);
  const auto before = location.opportunities.size();
  for (std::int64_t i = 0; i < count; ++i) {
    Opportunity o;
    o.number = location.made++;
    // A few share their millisecond: pages end within such a group now and then.
    const std::int64_t place = i % 50 == 49 ? i - 1 : i;
    o.created_ms =
        from_ms + static_cast<std::int64_t>(static_cast<double>(place) * static_cast<double>(span) /
                                            static_cast<double>(std::max<std::int64_t>(count, 1)));
    o.updated_ms = o.created_ms;
    o.id = IdOf(location, o.number);
    location.opportunities.push_back(std::move(o));
  }
  const auto middle = location.opportunities.begin() + static_cast<std::ptrdiff_t>(before);
  std::sort(middle, location.opportunities.end(), Earlier);
  std::inplace_merge(location.opportunities.begin(), middle, location.opportunities.end(), Earlier);
}

void HighLevelData::Update(Location& location, std::int64_t count, std::int64_t now_ms) const {
  for (std::int64_t i = 0; i < count && !location.opportunities.empty(); ++i) {
    const auto at =
        Mix(seed_ + 1, static_cast<std::uint64_t>(location.updated++)) % location.opportunities.size();
    Opportunity& o = location.opportunities[at];
    ++o.revision;
    o.updated_ms = now_ms;
    location.touched.insert(o.number);
  }
}

void HighLevelData::Remove(Location& location, std::int64_t count) const {
  for (std::int64_t i = 0; i < count && !location.opportunities.empty(); ++i) {
    const auto at =
        Mix(seed_ + 2, static_cast<std::uint64_t>(location.removed++)) % location.opportunities.size();
    location.bin.push_back(location.opportunities[at]);
    location.opportunities.erase(location.opportunities.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

void HighLevelData::Restore(Location& location) const {
  auto& all = location.opportunities;
  all.insert(all.end(), location.bin.begin(), location.bin.end());
  std::sort(all.begin(), all.end(), Earlier);
  location.bin.clear();
}

void HighLevelData::Stir(Location& location, std::int64_t now_ms) const {
  const Churn& churn = location.churn;
  if (churn.every == 0 || ++location.pages % churn.every != 0 || location.churns >= churn.times) return;
  ++location.churns;
  Remove(location, churn.remove);
  Update(location, churn.update, now_ms);
  const std::int64_t first = location.made;
  Add(location, churn.insert, now_ms, now_ms + 1);
  for (std::int64_t n = first; n < location.made; ++n) location.touched.insert(n);
  location.inserted += churn.insert;
}

std::string PipelineId(std::int64_t number) { return fmt::format("pipe{:016}", number); }

void AppendOpportunity(std::string& out, const Location& location, const Opportunity& o) {
  static constexpr std::array<std::string_view, 4> kStatus{"open", "won", "lost", "abandoned"};
  Draw draw(Mix(Mix(o.id, 7), static_cast<std::uint64_t>(o.revision)));
  const std::int64_t pipeline = static_cast<std::int64_t>(
      draw.Below(static_cast<std::uint64_t>(std::max<std::int64_t>(location.pipelines, 1))));
  const std::string created = FormatTime(o.created_ms);
  const std::string updated = FormatTime(o.updated_ms);
  fmt::format_to(
      std::back_inserter(out),
      R"({{"id":"{}","name":"Deal {} r{}","monetaryValue":{}.{:02},"pipelineId":"{}","pipelineStageId":"stage-{}-{}",)"
      R"("assignedTo":"user{:016}","status":"{}","source":"form","lastStatusChangeAt":"{}","lastStageChangeAt":"{}",)"
      R"("lastActionDate":"{}","indexVersion":"{}","createdAt":"{}","updatedAt":"{}","contactId":"contact{:013}",)"
      R"("locationId":"{}","contact":{{"id":"contact{:013}","name":"Person {}","companyName":"Firm {}",)"
      R"("email":"p{}@example.org","phone":"+1202555{:04}","tags":["lead"]}},"notes":[],"tasks":[],)"
      R"("calendarEvents":[],"lostReasonId":null,"customFields":[{{"id":"cf{}","fieldValue":"v{}"}}],"followers":[]}})",
      o.id, o.number, o.revision, draw.Below(100'000), draw.Below(100), PipelineId(pipeline), pipeline,
      draw.Below(5), draw.Below(20), kStatus[draw.Below(4)], updated, updated, updated, o.revision + 1,
      created, updated, o.number, location.id, o.number, o.number, o.number % 1000, o.number,
      o.number % 10'000, o.number % 7, draw.Below(1000));
}

void AppendPipeline(std::string& out, const Location& location, std::int64_t number) {
  fmt::format_to(
      std::back_inserter(out),
      R"({{"id":"{}","name":"Pipeline {}","stages":[{{"id":"stage-{}-0","name":"New","position":0}},)"
      R"({{"id":"stage-{}-1","name":"Won","position":1}}],"showInFunnel":true,"showInPieChart":true,)"
      R"("locationId":"{}","colorRenderMode":"dot"}})",
      PipelineId(number), number, number, number, location.id);
}

}  // namespace weir::sim
