#include "common/sources/lichess/game_mapper.h"

#include <algorithm>
#include <array>
#include <string>

#include "common/base/json_text.h"
#include "common/sources/field_columns.h"
#include "common/sources/record_check.h"
#include "common/sources/upstream_sentence.h"

namespace weir::lichess {
namespace {

// Fields of a game; the order of kPaths.
enum FieldIndex : std::size_t {
  kCreatedAt,
  kLastMoveAt,
  kRated,
  kVariant,
  kSpeed,
  kPerf,
  kStatus,
  kSource,
  kWinner,
  kWhite,
  kBlack = kWhite + 6,
  kEco = kBlack + 6,
  kOpening,
  kOpeningPly,
  kMoves,
  kPgn,
  kInitialFen,
  kLastFen,
  kClockInitial,
  kClockIncrement,
  kDaysPerTurn,
  kArena,
  kSwiss,
};

// Fields of a player, from kWhite or kBlack on.
enum PlayerField : std::size_t { kUserName, kOtherName, kTitle, kRating, kRatingDiff, kAiLevel };

const FieldTree& GameTree() {
  static const FieldTree tree(
      {
          AlwaysField(NumberField("createdAt")),
          NumberField("lastMoveAt"),
          BoolField("rated"),
          AlwaysField(TextField("variant")),
          AlwaysField(TextField("speed")),
          TextField("perf"),
          AlwaysField(TextField("status")),
          TextField("source"),
          TextField("winner"),
          TextField("players.white.user.name"),
          TextField("players.white.name"),
          TextField("players.white.user.title"),
          NumberField("players.white.rating"),
          NumberField("players.white.ratingDiff"),
          NumberField("players.white.aiLevel"),
          TextField("players.black.user.name"),
          TextField("players.black.name"),
          TextField("players.black.user.title"),
          NumberField("players.black.rating"),
          NumberField("players.black.ratingDiff"),
          NumberField("players.black.aiLevel"),
          TextField("opening.eco"),
          TextField("opening.name"),
          NumberField("opening.ply"),
          TextField("moves"),
          TextField("pgn"),
          TextField("initialFen"),
          TextField("lastFen"),
          NumberField("clock.initial"),
          NumberField("clock.increment"),
          NumberField("daysPerTurn"),
          TextField("arenaTour.id"),
          TextField("swissTour.id"),
      },
      {"id",
       "fullId",
       "analysis",
       "clocks",
       "division",
       "import",
       "rules",
       "tournament",
       "swiss",
       "clock.totalTime",
       "arenaTour.name",
       "swissTour.name",
       "players.white.user.id",
       "players.white.user.flair",
       "players.white.user.patron",
       "players.white.user.patronColor",
       "players.white.provisional",
       "players.white.analysis",
       "players.white.team",
       "players.white.berserk",
       "players.black.user.id",
       "players.black.user.flair",
       "players.black.user.patron",
       "players.black.user.patronColor",
       "players.black.provisional",
       "players.black.analysis",
       "players.black.team",
       "players.black.berserk"});
  return tree;
}

const FieldTree& HeadTree() {
  static const FieldTree tree({"id", "createdAt"});
  return tree;
}

bool IsOngoing(std::string_view status) { return status == "created" || status == "started"; }

// A game without a winner that was played to an end is a draw; one that was aborted is nothing.
bool IsDraw(std::string_view status) {
  static constexpr std::array<std::string_view, 6> kDrawn{
      "draw", "stalemate", "insufficientMaterialClaim", "outoftime", "timeout", "variantEnd"};
  return std::find(kDrawn.begin(), kDrawn.end(), status) != kDrawn.end();
}

std::string_view ResultOf(std::string_view status, std::string_view winner) {
  if (IsOngoing(status)) return {};
  if (winner == "white") return "1-0";
  if (winner == "black") return "0-1";
  return IsDraw(status) ? "1/2-1/2" : std::string_view();
}

class GameMapper final : public RecordMapper {
 public:
  GameMapper() : head_(HeadTree()), game_(GameTree()) { game_.Watch(&drift_); }

  Result<RecordHead> Head(std::string_view raw) override {
    if (auto ok = head_.UntilFound(raw); !ok) return Fail(std::move(ok.error()));
    auto id = AsId(head_.Field(0));
    const auto created = AsTime(head_.Field(1));
    if (id && created) return RecordHead{std::move(*id), *created};
    return Fail(
        NoRecord(raw, id ? "game " + Printable(*id, 64) + " has no createdAt" : "the game has no id"));
  }

  Result<RecordNotes> Map(std::string_view raw, RowSink& row) override {
    if (auto ok = game_.Whole(raw); !ok) return Fail(std::move(ok.error()));
    if (!AsTime(Get(kCreatedAt))) return Fail(ErrorClass::kBadRecord, "the game has no createdAt");
    ColumnWriter out(row, scratch_, GameColumns(), &drift_);
    out.Time(Get(kCreatedAt));
    out.Time(Get(kLastMoveAt));
    out.Bool(Get(kRated));
    for (const auto i : {kVariant, kSpeed, kPerf, kStatus, kSource}) out.Text(Get(i));
    const std::string_view status = Word(kStatus);
    const std::string_view winner = Winner();
    out.TextOrNull(winner);
    out.TextOrNull(ResultOf(status, winner));
    Player(out, kWhite);
    Player(out, kBlack);
    out.Text(Get(kEco));
    out.Text(Get(kOpening));
    out.Int(Get(kOpeningPly));
    for (const auto i : {kMoves, kPgn, kInitialFen, kLastFen}) out.Text(Get(i));
    for (const auto i : {kClockInitial, kClockIncrement, kDaysPerTurn}) out.Int(Get(i));
    out.Text(Get(Get(kArena).kind == JsonField::Kind::kString ? kArena : kSwiss));
    RecordNotes notes;
    notes.watch = IsOngoing(status) ? RecordNotes::Watch::kWatch : RecordNotes::Watch::kUnwatch;
    return notes;
  }

  DriftLog* Drift() override { return &drift_; }

 private:
  const JsonField& Get(std::size_t i) const { return game_.Field(i); }

  // A plain word such as a status; "" for anything else.
  std::string_view Word(std::size_t i) const {
    const JsonField& field = Get(i);
    return field.kind == JsonField::Kind::kString && !field.escaped ? field.text : std::string_view();
  }

  std::string_view Winner() const {
    const std::string_view winner = Word(kWinner);
    return winner == "white" || winner == "black" ? winner : std::string_view();
  }

  void Player(ColumnWriter& out, std::size_t side) {
    const bool account = Get(side + kUserName).kind == JsonField::Kind::kString;
    out.Text(Get(side + (account ? kUserName : kOtherName)));  // an imported game names players only so
    out.Text(Get(side + kTitle));
    for (const auto i : {kRating, kRatingDiff, kAiLevel}) out.Int(Get(side + i));
  }

  RecordCheck head_;
  RecordCheck game_;
  DriftLog drift_;
  std::string scratch_;
};

}  // namespace

const std::vector<Column>& GameColumns() {
  static const std::vector<Column> columns{
      {"created_at", "timestamptz"},
      {"last_move_at", "timestamptz"},
      {"rated", "boolean"},
      {"variant", "text"},
      {"speed", "text"},
      {"perf", "text"},
      {"status", "text"},
      {"source", "text"},
      {"winner", "text"},
      {"result", "text"},
      {"white_name", "text"},
      {"white_title", "text"},
      {"white_rating", "integer"},
      {"white_rating_diff", "integer"},
      {"white_ai_level", "integer"},
      {"black_name", "text"},
      {"black_title", "text"},
      {"black_rating", "integer"},
      {"black_rating_diff", "integer"},
      {"black_ai_level", "integer"},
      {"eco", "text"},
      {"opening", "text"},
      {"opening_ply", "integer"},
      {"moves", "text"},
      {"pgn", "text"},
      {"initial_fen", "text"},
      {"last_fen", "text"},
      {"clock_initial", "integer"},
      {"clock_increment", "integer"},
      {"days_per_turn", "integer"},
      {"tournament", "text"},
  };
  return columns;
}

std::unique_ptr<RecordMapper> NewGameMapper() { return std::make_unique<GameMapper>(); }

}  // namespace weir::lichess
