#include "common/sources/chesscom/game_mapper.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "common/sources/chesscom/pgn_text.h"
#include "common/sources/field_columns.h"
#include "common/sources/record_check.h"
#include "common/sources/upstream_sentence.h"

namespace weir::chesscom {
namespace {

// Fields of a game; the order of the tree's paths.
enum FieldIndex : std::size_t {
  kEndTime,
  kStartTime,
  kRated,
  kRules,
  kTimeClass,
  kTimeControl,
  kWhiteName,
  kWhiteRating,
  kWhiteResult,
  kBlackName,
  kBlackRating,
  kBlackResult,
  kEcoUrl,
  kPgn,
  kFen,
  kInitialSetup,
  kAccuracyWhite,
  kAccuracyBlack,
  kTournament,
  kMatch,
  kUrl,
};

const FieldTree& GameTree() {
  static const FieldTree tree(
      {
          AlwaysField(NumberField("end_time")),
          NumberField("start_time"),
          BoolField("rated"),
          AlwaysField(TextField("rules")),
          AlwaysField(TextField("time_class")),
          TextField("time_control"),
          TextField("white.username"),
          NumberField("white.rating"),
          TextField("white.result"),
          TextField("black.username"),
          NumberField("black.rating"),
          TextField("black.result"),
          TextField("eco"),
          TextField("pgn"),
          TextField("fen"),
          TextField("initial_setup"),
          NumberField("accuracies.white"),
          NumberField("accuracies.black"),
          TextField("tournament"),
          TextField("match"),
          AlwaysField(TextField("url")),
      },
      {"uuid", "tcn", "white.@id", "white.uuid", "black.@id", "black.uuid"});
  return tree;
}

const FieldTree& HeadTree() {
  static const FieldTree tree({"uuid", "end_time"});
  return tree;
}

const FieldTree& UrlTree() {
  static const FieldTree tree({"url"});
  return tree;
}

std::optional<std::int64_t> ToInt(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

bool IsDrawn(std::string_view result) {
  static constexpr std::array<std::string_view, 6> kDrawn{"agreed",       "repetition", "stalemate",
                                                          "insufficient", "50move",     "timevsinsufficient"};
  return std::find(kDrawn.begin(), kDrawn.end(), result) != kDrawn.end();
}

class GameMapper final : public RecordMapper {
 public:
  GameMapper() : head_(HeadTree()), url_(UrlTree()), game_(GameTree()) { game_.Watch(&drift_); }

  Result<RecordHead> Head(std::string_view raw) override {
    if (auto ok = head_.UntilFound(raw); !ok) return Fail(std::move(ok.error()));
    auto id = AsId(head_.Field(0));
    if (!id) {
      if (auto ok = url_.UntilFound(raw); !ok) return Fail(std::move(ok.error()));
      id = AsId(url_.Field(0));
    }
    if (!id) return Fail(NoRecord(raw, "the game has neither uuid nor url"));
    return RecordHead{std::move(*id), AsTime(head_.Field(1), 1000).value_or(0)};
  }

  Result<RecordNotes> Map(std::string_view raw, RowSink& row) override {
    if (auto ok = game_.Whole(raw); !ok) return Fail(std::move(ok.error()));
    ColumnWriter out(row, scratch_, GameColumns(), &drift_);
    out.Time(Get(kEndTime), 1000);
    out.Time(Get(kStartTime), 1000);
    out.Bool(Get(kRated));
    for (const auto i : {kRules, kTimeClass, kTimeControl}) out.Text(Get(i));
    Players(out);
    Opening(out);
    for (const auto i : {kFen, kInitialSetup}) out.Text(Get(i));
    const TimeControl control = ParseTimeControl(Word(kTimeControl));
    out.IntOrNull(control.initial_s);
    out.IntOrNull(control.increment_s);
    out.IntOrNull(control.days_per_turn);
    out.Double(Get(kAccuracyWhite));
    out.Double(Get(kAccuracyBlack));
    for (const auto i : {kTournament, kMatch, kUrl}) out.Text(Get(i));
    return RecordNotes{};
  }

  DriftLog* Drift() override { return &drift_; }

 private:
  const JsonField& Get(std::size_t i) const { return game_.Field(i); }

  // A plain word such as a result; "" for anything else.
  std::string_view Word(std::size_t i) const {
    const JsonField& field = Get(i);
    return field.kind == JsonField::Kind::kString && !field.escaped ? field.text : std::string_view();
  }

  void Players(ColumnWriter& out) {
    for (const std::size_t side : {kWhiteName, kBlackName}) {
      out.Text(Get(side));
      out.Int(Get(side + 1));
      out.Text(Get(side + 2));
    }
    const std::string_view white = Word(kWhiteResult), black = Word(kBlackResult);
    std::string_view winner, result;
    if (white == "win" && black != "win") {
      winner = "white";
      result = "1-0";
    } else if (black == "win" && white != "win") {
      winner = "black";
      result = "0-1";
    } else if (IsDrawn(white) && IsDrawn(black)) {
      result = "1/2-1/2";
    }
    out.TextOrNull(winner);
    out.TextOrNull(result);
  }

  // eco, opening, eco_url, moves, pgn.
  void Opening(ColumnWriter& out) {
    const std::string_view pgn = AsText(Get(kPgn), pgn_).value_or("");
    out.TextOrNull(PgnHeader(pgn, "ECO"));
    const std::string_view url = AsText(Get(kEcoUrl), scratch_).value_or("");
    out.TextOrNull(OpeningName(url));
    out.TextOrNull(url);
    moves_.clear();
    AppendMoves(moves_, pgn);
    out.TextOrNull(moves_);
    out.TextOrNull(pgn);
  }

  RecordCheck head_;
  RecordCheck url_;
  RecordCheck game_;
  DriftLog drift_;
  std::string scratch_, pgn_, moves_;
};

}  // namespace

const std::vector<Column>& GameColumns() {
  static const std::vector<Column> columns{
      {"end_time", "timestamptz"},
      {"start_time", "timestamptz"},
      {"rated", "boolean"},
      {"rules", "text"},
      {"time_class", "text"},
      {"time_control", "text"},
      {"white_name", "text"},
      {"white_rating", "integer"},
      {"white_result", "text"},
      {"black_name", "text"},
      {"black_rating", "integer"},
      {"black_result", "text"},
      {"winner", "text"},
      {"result", "text"},
      {"eco", "text"},
      {"opening", "text"},
      {"eco_url", "text"},
      {"moves", "text"},
      {"pgn", "text"},
      {"fen", "text"},
      {"initial_setup", "text"},
      {"clock_initial", "integer"},
      {"clock_increment", "integer"},
      {"days_per_turn", "integer"},
      {"accuracy_white", "double precision"},
      {"accuracy_black", "double precision"},
      {"tournament", "text"},
      {"match", "text"},
      {"url", "text"},
  };
  return columns;
}

TimeControl ParseTimeControl(std::string_view text) {
  TimeControl control;
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    const auto seconds = ToInt(text.substr(slash + 1));
    if (seconds && *seconds >= 86'400) control.days_per_turn = *seconds / 86'400;
    return control;
  }
  const auto plus = text.find('+');
  control.initial_s = ToInt(text.substr(0, plus));
  if (!control.initial_s) return control;
  control.increment_s = plus == std::string_view::npos ? 0 : ToInt(text.substr(plus + 1));
  return control;
}

std::unique_ptr<RecordMapper> NewGameMapper() { return std::make_unique<GameMapper>(); }

}  // namespace weir::chesscom
