#include "common/sources/highlevel/mappers.h"

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "common/base/time_text.h"
#include "common/sources/field_columns.h"
#include "common/sources/record_check.h"
#include "common/sources/upstream_sentence.h"

namespace weir::highlevel {
namespace {

using Kind = JsonField::Kind;

// Times are RFC 3339 texts, or milliseconds; what is neither is nothing.
std::optional<std::int64_t> TimeOf(const JsonField& field, std::string& scratch) {
  if (field.kind == Kind::kNumber) return AsTime(field);
  const auto text = AsText(field, scratch);
  const auto ms = text ? ParseTime(*text) : std::nullopt;
  return ms && *ms >= kMinRecordMs && *ms <= kMaxRecordMs ? ms : std::nullopt;
}

Result<RecordHead> HeadOf(const JsonField& id, std::string_view raw, const char* what) {
  auto text = AsId(id);
  if (!text) return Fail(NoRecord(raw, std::string(what) + " has no id"));
  RecordHead head;
  head.id = std::move(*text);
  return head;
}

// Writes columns from a record's fields.
class Columns {
 public:
  Columns(const RecordCheck& record, RowSink& row, std::string& scratch, const std::vector<Column>& columns,
          DriftLog* drift)
      : record_(record), scratch_(scratch), writer_(row, scratch, columns, drift) {}

  void Text(std::size_t i) { writer_.Text(record_.Field(i)); }
  void Bool(std::size_t i) { writer_.Bool(record_.Field(i)); }
  void Time(std::size_t i) { writer_.TimeOrNull(TimeOf(record_.Field(i), scratch_)); }
  void Numeric(std::size_t i) { writer_.Numeric(record_.Field(i)); }
  void Array(std::size_t i) { writer_.Array(record_.Field(i)); }
  void ArrayOf(std::size_t i, std::size_t or_else) {
    Array(record_.Field(i).kind == Kind::kArray ? i : or_else);
  }

 private:
  const RecordCheck& record_;
  std::string& scratch_;
  ColumnWriter writer_;
};

// Fields of an opportunity; the order of its tree.
enum Opportunity : std::size_t {
  kName,
  kValue,
  kStatus,
  kPipeline,
  kStage,
  kAssignedTo,
  kSource,
  kLostReason,
  kContact,
  kContactName,
  kContactCompany,
  kContactEmail,
  kContactPhone,
  kContactTags,
  kCustomFields,
  kCustomFieldsToo,
  kCreatedAt,
  kUpdatedAt,
  kStatusChangedAt,
  kStageChangedAt,
  kLastActionAt,
};

const FieldTree& OpportunityTree() {
  constexpr JsonKinds kTime = KindBit(JsonKind::kString) | KindBit(JsonKind::kNumber);
  constexpr JsonKinds kList = KindBit(JsonKind::kArray);
  static const FieldTree tree(
      {TextField("name"),
       NumberField("monetaryValue"),
       AlwaysField(TextField("status")),
       TextField("pipelineId"),
       TextField("pipelineStageId"),
       TextField("assignedTo"),
       TextField("source"),
       TextField("lostReasonId"),
       TextField("contactId"),
       TextField("contact.name"),
       TextField("contact.companyName"),
       TextField("contact.email"),
       TextField("contact.phone"),
       {"contact.tags", kList, false},
       {"customFields", kList, false},
       {"custom_fields", kList, false},
       {"createdAt", kTime, true},
       {"updatedAt", kTime, true},
       {"lastStatusChangeAt", kTime, false},
       {"lastStageChangeAt", kTime, false},
       {"lastActionDate", kTime, false}},
      {"id", "locationId", "indexVersion", "notes", "tasks", "calendarEvents", "followers", "relations",
       "sort", "attributions", "contact.id", "contact.score", "contact.followers"});
  return tree;
}

const FieldTree& OpportunityHeadTree() {
  static const FieldTree tree({"id", "createdAt", "updatedAt"});
  return tree;
}

class OpportunityMapper final : public RecordMapper {
 public:
  OpportunityMapper() : head_(OpportunityHeadTree()), record_(OpportunityTree()) { record_.Watch(&drift_); }

  Result<RecordHead> Head(std::string_view raw) override {
    if (auto ok = head_.UntilFound(raw); !ok) return Fail(std::move(ok.error()));
    auto head = HeadOf(head_.Field(0), raw, "the opportunity");
    if (!head) return head;
    head->order_ms = TimeOf(head_.Field(1), scratch_).value_or(0);
    head->changed_ms = TimeOf(head_.Field(2), scratch_).value_or(0);
    return head;
  }

  Result<RecordNotes> Map(std::string_view raw, RowSink& row) override {
    if (auto ok = record_.Whole(raw); !ok) return Fail(std::move(ok.error()));
    Columns out(record_, row, scratch_, OpportunityColumns(), &drift_);
    out.Text(kName);
    out.Numeric(kValue);
    for (std::size_t i = kStatus; i <= kContactPhone; ++i) out.Text(i);
    out.Array(kContactTags);
    out.ArrayOf(kCustomFields, kCustomFieldsToo);
    for (std::size_t i = kCreatedAt; i <= kLastActionAt; ++i) out.Time(i);
    return RecordNotes{};
  }

  DriftLog* Drift() override { return &drift_; }

 private:
  RecordCheck head_;
  RecordCheck record_;
  DriftLog drift_;
  std::string scratch_;
};

const FieldTree& PipelineTree() {
  static const FieldTree tree({AlwaysField(TextField("id")),
                               AlwaysField(TextField("name")),
                               {"stages", KindBit(JsonKind::kArray), true},
                               BoolField("showInFunnel"),
                               BoolField("showInPieChart"),
                               TextField("colorRenderMode")},
                              {"locationId", "originId", "dateAdded", "dateUpdated"});
  return tree;
}

class PipelineMapper final : public RecordMapper {
 public:
  PipelineMapper() : head_(PipelineTree()), record_(PipelineTree()) { record_.Watch(&drift_); }

  Result<RecordHead> Head(std::string_view raw) override {
    if (auto ok = head_.UntilFound(raw); !ok) return Fail(std::move(ok.error()));
    return HeadOf(head_.Field(0), raw, "the pipeline");
  }

  Result<RecordNotes> Map(std::string_view raw, RowSink& row) override {
    if (auto ok = record_.Whole(raw); !ok) return Fail(std::move(ok.error()));
    Columns out(record_, row, scratch_, PipelineColumns(), &drift_);
    out.Text(1);
    out.Array(2);
    out.Bool(3);
    out.Bool(4);
    out.Text(5);
    return RecordNotes{};
  }

  DriftLog* Drift() override { return &drift_; }

 private:
  RecordCheck head_;
  RecordCheck record_;
  DriftLog drift_;
  std::string scratch_;
};

}  // namespace

const std::vector<Column>& OpportunityColumns() {
  static const std::vector<Column> columns{
      {"name", "text"},
      {"value", "numeric"},
      {"status", "text"},
      {"pipeline_id", "text"},
      {"stage_id", "text"},
      {"assigned_to", "text"},
      {"source", "text"},
      {"lost_reason_id", "text"},
      {"contact_id", "text"},
      {"contact_name", "text"},
      {"contact_company", "text"},
      {"contact_email", "text"},
      {"contact_phone", "text"},
      {"contact_tags", "jsonb"},
      {"custom_fields", "jsonb"},
      {"created_at", "timestamptz"},
      {"changed_at", "timestamptz"},
      {"status_changed_at", "timestamptz"},
      {"stage_changed_at", "timestamptz"},
      {"last_action_at", "timestamptz"},
  };
  return columns;
}

const std::vector<Column>& PipelineColumns() {
  static const std::vector<Column> columns{
      {"name", "text"},
      {"stages", "jsonb"},
      {"show_in_funnel", "boolean"},
      {"show_in_pie_chart", "boolean"},
      {"color_render_mode", "text"},
  };
  return columns;
}

std::unique_ptr<RecordMapper> NewOpportunityMapper() { return std::make_unique<OpportunityMapper>(); }
std::unique_ptr<RecordMapper> NewPipelineMapper() { return std::make_unique<PipelineMapper>(); }

}  // namespace weir::highlevel
