// The plan of a full sync against a model of the upstream: whatever its records' times, its zone and what its
// `endDate` means, the slices together list every record, in few requests.
#include "common/sources/highlevel/border_plan.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <set>

#include "common/sources/highlevel/slice_end.h"

namespace weir::highlevel {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000;

struct Model {
  std::vector<std::int64_t> times;  // of the records, ascending; record i has id "r<i>"
  std::int64_t zone_ms = 0;
  bool end_counts = true;
  int questions = 0, pages = 0, cuts = 0;
  enum class Pages { kAnswered, kIgnored, kRefused } deep = Pages::kAnswered;  // a page behind the first

  std::int64_t LocalDay(std::int64_t ms) const { return DayOf(ms + zone_ms); }
  std::size_t FirstFrom(std::int64_t day) const {
    return static_cast<std::size_t>(
        std::partition_point(times.begin(), times.end(), [&](std::int64_t t) { return LocalDay(t) < day; }) -
        times.begin());
  }
  static std::string Id(std::size_t i) { return fmt::format("r{:07}", i); }

  // The records [from, to) that a request answers, and the cursor behind them.
  SearchMeta Answer(const SlicePage& page, std::size_t limit, std::size_t& from, std::size_t& to) const {
    const std::size_t first = page.from_day ? FirstFrom(*page.from_day) : 0;
    const std::size_t last = page.to_day ? FirstFrom(*page.to_day + (end_counts ? 1 : 0)) : times.size();
    from = first;
    while (!page.cursor.IsStart() && from < last &&
           std::make_pair(times[from], Id(from)) <=
               std::make_pair(page.cursor.after_ms, page.cursor.after_id)) {
      ++from;
    }
    to = std::min(std::max(from, last), from + limit);
    SearchMeta meta;
    meta.total = static_cast<std::int64_t>(std::max(first, last) - first);
    if (to > from) meta.next = Cursor{times[to - 1], Id(to - 1)};
    return meta;
  }

  // The answer to one of the plan's questions; `skip` records of one page each stand before it.
  SearchMeta AnswerQuestion(const SlicePage& page, std::int64_t skip) const {
    std::size_t from = 0, to = 0;
    SearchMeta meta = Answer(page, 1, from, to);
    if (skip == 0 || deep == Pages::kIgnored) return meta;
    if (deep == Pages::kRefused) return {};
    meta.next.reset();
    const auto end = from + static_cast<std::size_t>(*meta.total);
    const auto place = from + static_cast<std::size_t>(skip);
    if (place < end) meta.next = Cursor{times[place], Id(place)};
    return meta;
  }
};

// One step of a plan: asks the model what `key` asks, and goes on from its answer. `total_is` in place of the
// truth.
Result<void> Step(Model& model, const std::string& key, const BorderOptions& options, const TaskSink& sink,
                  std::optional<std::int64_t> total_is = std::nullopt) {
  const auto search = BorderSearch::Parse(key);
  const auto cut = RunCut::Parse(key);
  EXPECT_EQ(search || cut, !key.empty());
  SlicePage asked{FirstDay(options.filter), LastDay(options.filter), {}};
  if (search) asked.from_day = search->asked_day;
  if (cut) asked.from_day = cut->search.from_day;
  SearchMeta answer = model.AnswerQuestion(asked, cut ? cut->asked - 1 : 0);
  if (total_is) answer.total = total_is;
  ++model.questions;
  model.cuts += cut ? 1 : 0;
  if (cut) return NextCut(*cut, answer, options, sink);
  return search ? NextBorder(*search, answer, options, sink) : BeginBorders(answer, options, sink);
}

// Plans by the model until no question is left; returns the slices.
std::vector<Selector> PlanAll(Model& model, const BorderOptions& options) {
  std::vector<Selector> slices;
  std::deque<Selector> questions{Selector{}};
  const TaskSink sink = [&](NewTask task) -> Result<void> {
    if (task.selector.kind == SelectorKind::kDiscover) {
      questions.push_back(task.selector);
    } else {
      slices.push_back(task.selector);
    }
    return {};
  };
  while (!questions.empty()) {
    EXPECT_EQ(questions.size(), 1u) << "one question at a time";
    const std::string key = questions.front().key;
    questions.pop_front();
    const auto sent = Step(model, key, options, sink);
    EXPECT_TRUE(sent);
  }
  return slices;
}

// Reads one slice as the worker does; notes what came.
void ReadSlice(Model& model, Selector selector, std::set<std::size_t>& seen) {
  while (true) {
    const auto page = SlicePage::Parse(selector.key);
    ASSERT_TRUE(page) << selector.key;
    std::size_t from = 0, to = 0;
    const SearchMeta meta = model.Answer(*page, 100, from, to);
    ++model.pages;
    for (std::size_t i = from; i < to; ++i) seen.insert(i);
    TaskContext task;
    task.selector = selector;
    PageResult result;
    result.records = static_cast<std::int64_t>(to - from);
    result.envelope =
        meta.next
            ? fmt::format(
                  R"({{"opportunities":[],"meta":{{"total":{},"startAfter":{},"startAfterId":"{}"}}}})",
                  *meta.total, meta.next->after_ms, meta.next->after_id)
            : fmt::format(R"({{"opportunities":[],"meta":{{"total":{},"startAfter":null}}}})", *meta.total);
    const auto end = FinishSearch(task, result, {.task_pages = 1});
    ASSERT_TRUE(end) << end.error().message;
    EXPECT_EQ(end->doubt, "") << "nothing moved, and nothing lies";
    if (end->successors.empty()) return;
    ASSERT_EQ(end->successors.size(), 1u);
    if (end->successors.front().selector.kind == SelectorKind::kDiscover) return;  // how many there are now
    selector = end->successors.front().selector;
  }
}

std::vector<std::int64_t> RandomTimes(std::mt19937_64& random) {
  std::vector<std::int64_t> times;
  const int groups = 1 + static_cast<int>(random() % 5);
  for (int g = 0; g < groups; ++g) {
    const auto span = static_cast<std::int64_t>(kDayMs) * (1 + static_cast<std::int64_t>(random() % 900));
    const std::int64_t begin = kNow - span - static_cast<std::int64_t>(random() % (kDayMs * 900));
    for (auto n = random() % 3000; n > 0; --n) {
      times.push_back(begin + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(span)));
      if (random() % 20 == 0) times.push_back(times.back());  // the same millisecond
    }
  }
  std::sort(times.begin(), times.end());
  return times;
}

TEST(HighLevelBorders, SlicesListEveryRecordWhateverTheDaysMean) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 150; ++round) {
    Model model;
    model.times = RandomTimes(random);
    model.zone_ms = (static_cast<std::int64_t>(random() % 27) - 12) * 3'600'000;
    model.end_counts = random() % 2 == 0;
    BorderOptions options;
    options.slice_records = 300;
    options.now_ms = kNow;
    const auto slices = PlanAll(model, options);
    std::set<std::size_t> seen;
    for (const Selector& slice : slices) ReadSlice(model, slice, seen);
    const auto all = model.times.size();
    EXPECT_EQ(seen.size(), all) << "round " << round;
    // A page and a half at most are read twice at each slice's edges, and a slice costs some questions.
    EXPECT_LE(model.pages, static_cast<int>(all / 100 + 3 * slices.size())) << round;
    EXPECT_LE(model.questions, static_cast<int>(8 * (all / 300) + 40)) << round;
  }
}

// A border in the middle of weeks without a record: its slice ends where the next one begins, weeks later.
TEST(HighLevelBorders, GapsAreNoDoubt) {
  Model model;
  for (int week = 0; week < 100; week += 4) {
    for (int i = 0; i < 60; ++i) model.times.push_back(kNow - (700 - 7 * week) * kDayMs + i);
  }
  BorderOptions options;
  options.slice_records = 100;
  options.now_ms = kNow;
  const auto slices = PlanAll(model, options);
  EXPECT_GE(slices.size(), 5u);
  std::set<std::size_t> seen;
  for (const Selector& slice : slices) ReadSlice(model, slice, seen);
  EXPECT_EQ(seen.size(), model.times.size());
}

TEST(HighLevelBorders, AFewRecordsAreOneSliceAndOneQuestion) {
  Model model;
  for (int i = 0; i < 400; ++i) model.times.push_back(kNow - i * kDayMs / 4);
  std::sort(model.times.begin(), model.times.end());
  BorderOptions options;
  options.now_ms = kNow;
  const auto slices = PlanAll(model, options);
  ASSERT_EQ(slices.size(), 1u);
  EXPECT_EQ(model.questions, 1);
  EXPECT_EQ(slices.front().key, "slice;;;0;");
}

// Records before, on and after a day that holds most of them.
Model WithAnImport() {
  Model model;
  for (int i = 0; i < 900; ++i) model.times.push_back(kNow - 300 * kDayMs + i * kDayMs / 9);
  for (int i = 0; i < 20'000; ++i) model.times.push_back(kNow - 150 * kDayMs + i / 7);
  std::sort(model.times.begin(), model.times.end());
  return model;
}

TEST(HighLevelBorders, AnImportOnOneDayIsCutEvenlyByPlacesInItsOrder) {
  Model model = WithAnImport();
  BorderOptions options;
  options.slice_records = 500;
  options.now_ms = kNow;
  const auto slices = PlanAll(model, options);
  EXPECT_GE(slices.size(), 38u);
  std::set<std::size_t> seen;
  int longest = 0;
  for (const Selector& slice : slices) {
    const int before = model.pages;
    ReadSlice(model, slice, seen);
    longest = std::max(longest, model.pages - before);
  }
  EXPECT_EQ(seen.size(), model.times.size());
  EXPECT_LE(longest, 12);  // 500 records, one and a half times that for the last, and the edges
  EXPECT_LE(model.questions, 80);
}

TEST(HighLevelBorders, WithoutPagesAnImportIsOneSlice) {
  for (const auto deep : {Model::Pages::kIgnored, Model::Pages::kRefused}) {
    Model model = WithAnImport();
    model.deep = deep;
    BorderOptions options;
    options.slice_records = 500;
    options.now_ms = kNow;
    const auto slices = PlanAll(model, options);
    std::set<std::size_t> seen;
    for (const Selector& slice : slices) ReadSlice(model, slice, seen);
    EXPECT_EQ(seen.size(), model.times.size());
    EXPECT_LE(slices.size(), 9u);
    EXPECT_GE(model.cuts, 1);
    EXPECT_LE(model.questions, 45);
  }
}

// What was found where to cut may be gone, and others have come, before a slice is read.
TEST(HighLevelBorders, PlacesThatMoveAwayLoseNothing) {
  std::mt19937_64 random(3);
  Model model = WithAnImport();
  BorderOptions options;
  options.slice_records = 500;
  options.now_ms = kNow;
  std::vector<Selector> slices;
  std::deque<std::string> questions{""};
  const TaskSink sink = [&](NewTask task) -> Result<void> {
    if (task.selector.kind == SelectorKind::kDiscover)
      questions.push_back(task.selector.key);
    else
      slices.push_back(task.selector);
    return {};
  };
  // Record i keeps its id by its time here: one a millisecond.
  for (std::size_t i = 0; i < model.times.size(); ++i)
    model.times[i] = kNow - 200 * kDayMs + static_cast<std::int64_t>(i);
  while (!questions.empty()) {
    const std::string key = questions.front();
    questions.pop_front();
    ASSERT_TRUE(Step(model, key, options, sink));
    for (int n = 0; n < 40; ++n)
      model.times.erase(model.times.begin() + static_cast<std::ptrdiff_t>(random() % model.times.size()));
  }
  // Ids of the model follow places, so a cursor's id may name another one now: its time is what counts here.
  std::set<std::int64_t> seen;
  for (const Selector& slice : slices) {
    const auto page = SlicePage::Parse(slice.key);
    ASSERT_TRUE(page);
    for (const std::int64_t t : model.times) {
      if (t > (page->cursor.IsStart() ? -1 : page->cursor.after_ms) && t < slice.hi) seen.insert(t);
    }
  }
  EXPECT_EQ(seen.size(), model.times.size());
}

// Totals are only hints: none of these lies may lose a record or keep the plan from ending.
TEST(HighLevelBorders, TotalsThatLieCostNoRecord) {
  std::mt19937_64 random(11);
  for (const std::int64_t lie : {std::int64_t{0}, std::int64_t{1}, std::int64_t{1} << 60, std::int64_t{-5}}) {
    Model model;
    model.times = RandomTimes(random);
    BorderOptions options;
    options.slice_records = 300;
    options.now_ms = kNow;
    std::vector<Selector> slices;
    std::deque<Selector> questions{Selector{}};
    int asked_total = 0;
    const TaskSink sink = [&](NewTask task) -> Result<void> {
      (task.selector.kind == SelectorKind::kDiscover ? questions.push_back(task.selector)
                                                     : slices.push_back(task.selector));
      return {};
    };
    while (!questions.empty() && asked_total < 10'000) {
      const std::string key = questions.front().key;
      questions.pop_front();
      const bool lies = ++asked_total % 3 == 0 || lie > 1;
      const auto sent = Step(model, key, options, sink, lies ? std::optional(lie) : std::nullopt);
      ASSERT_TRUE(sent);
    }
    EXPECT_LT(asked_total, 300) << lie;
    std::set<std::size_t> seen;
    for (const Selector& slice : slices) ReadSlice(model, slice, seen);
    EXPECT_EQ(seen.size(), model.times.size()) << lie;
  }
}

TEST(HighLevelBorders, KeysSurviveTheLedger) {
  BorderSearch search;
  search.left_day = 17'000;
  search.left_ms = 1'500'000'000'000;
  search.left_total = 42;
  search.near_day = 17'001;
  search.far_day = 17'100;
  search.asked_day = 17'050;
  search.steps = 7;
  const auto parsed = BorderSearch::Parse(search.Text());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->Text(), search.Text());
  RunCut cut;
  cut.search = search;
  cut.search.near_day = cut.search.asked_day = 0;
  cut.search.far_day.reset();
  cut.border = 17'200;
  cut.hi = 1'500'000'100'000;
  cut.count = 900;
  cut.asked = 300;
  cut.from = {1'500'000'000'500, "abc"};
  const auto parsed_cut = RunCut::Parse(cut.Text());
  ASSERT_TRUE(parsed_cut);
  EXPECT_EQ(parsed_cut->Text(), cut.Text());
  EXPECT_FALSE(RunCut::Parse("cut;;1;2;3;4;;5;6;7;8"));
  EXPECT_FALSE(BorderSearch::Parse(cut.Text()));
  for (const char* bad : {"", "border", "border;;1;2;3;4;5;6", "border;;x;2;3;4;5;6;7", "slice;;;0;"}) {
    EXPECT_FALSE(BorderSearch::Parse(bad)) << bad;
  }
  EXPECT_FALSE(SlicePage::Parse("slice;x;;0;"));
  EXPECT_FALSE(ChangesPage::Parse("changes;1;0"));
  EXPECT_EQ(DayText(0), "01-01-1970");
  EXPECT_EQ(DayText(19'782), "02-29-2024");
  EXPECT_EQ(DayOf(-1), -1);
}

}  // namespace
}  // namespace weir::highlevel
