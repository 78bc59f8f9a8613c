#include "producer/probe/preview.h"

#include <fmt/core.h>

#include <algorithm>
#include <ostream>
#include <utility>

#include "common/base/json_text.h"
#include "producer/probe/preview_row.h"

namespace weir::probe {
namespace {

// Months without games, pages without records: no more requests than this for a look.
constexpr int kMaxPages = 5;
constexpr int kCellWidth = 30;

// Keeps the first records of a page, up to a number, and stops the transfer then.
class PreviewAnswer final : public PageAnswer {
 public:
  PreviewAnswer(const Config& config, const Source& source, TaskContext context, const PageRequest& page,
                RecordMapper* mapper, std::size_t wanted, std::vector<PreviewRecord>* out)
      : PageAnswer(config, source, std::move(context), page), mapper_(mapper), wanted_(wanted), out_(out) {
    result_.order_times.asked = page.times;
  }

  // What the source says comes after this page. Errors: kTransient for a truncated one.
  Result<PageEnd> Finish(const Source& source) {
    // Enough was seen, and nothing comes after it: what the page's end would prove is a sync's to know.
    if (stopped_) return PageEnd{};
    if (auto ended = EndRecords(); !ended) return Fail(ended.error());
    result_.head = &Head();
    result_.not_modified = IsNotModified();
    result_.inserted = result_.records;
    result_.envelope = Envelope();
    return source.FinishPage(Context(), result_);
  }

 private:
  Result<bool> OnRecord(std::string_view raw, bool oversize) override {
    out_->push_back(Describe(raw, oversize));
    if (broken_) return Fail(*broken_);
    ++result_.records;
    stopped_ = out_->size() >= wanted_;
    return !stopped_;
  }

  PreviewRecord Describe(std::string_view raw, bool oversize) {
    PreviewRecord record;
    record.raw = raw;
    if (oversize) {
      record.bad = "it is larger than limits.max_record_bytes";
      Note({});
      return record;
    }
    auto head = mapper_->Head(raw);
    if (!head) {
      if (head.error().error_class != ErrorClass::kBadRecord) broken_ = head.error();
      record.bad = head.error().message;
      Note({});
      return record;
    }
    record.id = head->id;
    Note(*head);
    PreviewRow row;
    if (auto mapped = mapper_->Map(raw, row); !mapped) {
      record.bad = mapped.error().message;
    } else {
      record.columns = row.Take();
    }
    return record;
  }

  // What the source is told of a page's records, as by a worker.
  void Note(const RecordHead& head) {
    if (result_.records == 0) result_.first_id = head.id;
    result_.last_id = head.id;
    result_.order_times.Add(head.order_ms);
    result_.change_times.Add(head.changed_ms);
    if (head.order_ms == 0) return;
    if (result_.first_order_ms == 0) result_.first_order_ms = head.order_ms;
    result_.last_order_ms = head.order_ms;
  }

  RecordMapper* mapper_;
  const std::size_t wanted_;
  std::vector<PreviewRecord>* out_;
  PageResult result_;
  std::optional<Error> broken_;  // an error in the place of a record
  bool stopped_ = false;
};

// Sets the time that the account is planned by.
Result<std::optional<NewTask>> FirstTask(Prober& prober, const Source& source, const AccountSettings& account,
                                         TaskContext& context) {
  auto document = prober.Discover(source, account, context);
  if (!document) return Fail(document.error());
  context.now_ms = document->now_ms;
  std::optional<NewTask> first;
  auto planned = source.Plan(context, {}, document->document, [&](NewTask task) -> Result<void> {
    if (!first) first = std::move(task);
    return {};
  });
  if (!planned) return Fail(planned.error());
  return first;
}

}  // namespace

Result<std::vector<PreviewRecord>> Preview(Prober& prober, const Config& config, const Source& source,
                                           const std::string& stream, const AccountSettings& account,
                                           int wanted) {
  TaskContext context = DiscoverContext(account, stream);
  context.filter.limit = wanted;
  auto task = FirstTask(prober, source, account, context);
  if (!task) return Fail(task.error());
  const auto mapper = source.NewMapper(stream);
  std::vector<PreviewRecord> records;
  for (int pages = 0; *task && pages < kMaxPages && records.size() < static_cast<std::size_t>(wanted);
       ++pages) {
    context.selector = (*task)->selector;
    context.budget = (*task)->budget;
    auto page = source.Request(context);
    if (!page) return Fail(page.error());
    PreviewAnswer answer(config, source, context, *page, mapper.get(), static_cast<std::size_t>(wanted),
                         &records);
    if (auto asked = prober.Ask(source, account, *page, answer); !asked) return Fail(asked.error());
    auto end = answer.Finish(source);
    if (!end) return Fail(end.error());
    task->reset();
    if (!end->successors.empty()) *task = std::move(end->successors.front());
  }
  return records;
}

void PrintPreview(const cli::Io& io, const TableSpec& table, const std::vector<PreviewRecord>& records,
                  int width) {
  std::vector<const PreviewRecord*> good;
  for (const PreviewRecord& record : records) {
    if (record.bad.empty()) good.push_back(&record);
  }
  std::size_t names = 6;
  for (const Column& column : table.columns) names = std::max(names, column.name.size());
  const int room = (width - static_cast<int>(names)) / (kCellWidth + 2);
  const auto beside = static_cast<std::size_t>(std::max(room, 1));
  for (std::size_t from = 0; from < good.size(); from += beside) {
    const std::size_t to = std::min(good.size(), from + beside);
    std::vector<cli::Table::Column> heads{{"COLUMN"}};
    std::vector<cli::Table::Cell> ids{"id"};
    for (std::size_t i = from; i < to; ++i) {
      heads.push_back({fmt::format("RECORD {}", i + 1)});
      ids.emplace_back(cli::Shorten(Printable(good[i]->id), kCellWidth), cli::Colour::kBold);
    }
    cli::Table shown(heads);
    shown.AddRow(std::move(ids));
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      std::vector<cli::Table::Cell> row{std::string(table.columns[c].name)};
      for (std::size_t i = from; i < to; ++i) {
        const auto& columns = good[i]->columns;
        row.emplace_back(c < columns.size() && !columns[c].empty()
                             ? cli::Shorten(Printable(columns[c]), kCellWidth)
                             : "-");
      }
      shown.AddRow(std::move(row));
    }
    if (from > 0) *io.out << '\n';
    shown.Print(*io.out, io.out_colour);
  }
}

void PrintPreviewJson(std::ostream& out, const std::vector<PreviewRecord>& records) {
  // By hand: read and written again, a record would lose its exact numbers and duplicate keys.
  std::string_view before = "";
  out << '[';
  for (const PreviewRecord& record : records) {
    if (!record.bad.empty()) continue;
    out << before << "\n  " << ShowableJson(record.raw);
    before = ",";
  }
  out << (before.empty() ? "]" : "\n]") << '\n';
}

}  // namespace weir::probe
