#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "tests/support/hostile/kinds.h"
#include "tests/support/hostile/page_text.h"

namespace weir::sim {
namespace {

using Json = nlohmann::ordered_json;

bool IsHighLevel(const Meddling& m) { return m.path_class.starts_with("highlevel."); }

// Calls `change(page)` on the answer's records, where it has some.
template <typename Change>
bool WithPage(WireAnswer& a, const Meddling& m, Change change) {
  auto page = TakeApart(m.path_class, a.body);
  if (!page || !change(*page)) return false;
  a.body = page->Text();
  return true;
}

bool ByteOrderMark(WireAnswer& a, Meddling&) {
  a.body.insert(0, "\xEF\xBB\xBF");
  return true;
}

bool Blanks(WireAnswer& a, Meddling& m) {
  if (m.path_class != "lichess.games") {
    a.body = " \r\n\t" + a.body + "\n\n  ";
    return true;
  }
  return WithPage(a, m, [](PageText& page) {
    page.separator = " \r\n\r\n  \n";
    page.before = "\n \r\n";
    page.after = "\r\n\n";
    return true;
  });
}

// An error in the middle of a stream whose status has long been sent.
bool ErrorLine(WireAnswer& a, Meddling& m) {
  if (m.path_class != "lichess.games") return false;
  static constexpr std::array<const char*, 6> kLines{R"({"error":"Internal server error"})",
                                                     "Internal Server Error",
                                                     R"({"error":{"code":500}})",
                                                     "<html><body>502 Bad Gateway</body></html>",
                                                     "upstream timed out",
                                                     R"({"message":"Too many requests","error":429})"};
  return WithPage(a, m, [&](PageText& page) {
    page.records.resize(m.Draw(page.records.size()) + (m.Draw(2) == 0 ? 0 : 1));
    page.records.push_back(kLines[m.Draw(kLines.size())]);
    return true;
  });
}

bool ErrorDocument(WireAnswer& a, Meddling& m) {
  static constexpr std::array<const char*, 6> kBodies{
      R"({"error":"Internal server error"})",   "null", "[]", "{}", "\"ok\"",
      "{\"games\":null,\"opportunities\":null}"};
  // An empty stream of lines is what a window without games is.
  if (m.path_class == "lichess.games") return false;
  a.body = kBodies[m.Draw(kBodies.size())];
  return true;
}

bool Tail(WireAnswer& a, Meddling& m) {
  static constexpr std::array<const char*, 4> kTails{"}", "null", "{\"error\":\"late\"}", "\x01\x02"};
  a.body += kTails[m.Draw(kTails.size())];
  return true;
}

bool Duplicates(WireAnswer& a, Meddling& m) {
  return WithPage(a, m, [&](PageText& page) {
    for (std::size_t n = 1 + m.Draw(5); n > 0; --n) {
      const std::string copy = page.records[m.Draw(page.records.size())];
      page.records.insert(page.records.begin() + static_cast<std::ptrdiff_t>(m.Draw(page.records.size() + 1)),
                          copy);
    }
    return true;
  });
}

bool Reorder(WireAnswer& a, Meddling& m) {
  return WithPage(a, m, [&](PageText& page) {
    std::shuffle(page.records.begin(), page.records.end(), m.random);
    return page.records.size() > 1;
  });
}

// The answer to another question of the same kind.
bool RepeatPage(WireAnswer& a, Meddling& m) {
  if (m.earlier.empty() || m.earlier == a.body || !TakeApart(m.path_class, m.earlier)) return false;
  a.body = m.earlier;
  return true;
}

bool Spoil(std::string& record, std::size_t way) {
  static constexpr std::array<const char*, 5> kMembers{R"("hostile":"\u0000",)", R"("hostile":"\ud800",)",
                                                       "\"hostile\":\"\xFF\",", R"("hostile":1e131000,)",
                                                       R"("hostile":tru,)"};
  if (!record.starts_with('{') || record.size() < 3) return false;
  record.insert(1, kMembers[way % kMembers.size()]);
  return true;
}

bool BadRecord(WireAnswer& a, Meddling& m) {
  return WithPage(a, m, [&](PageText& page) {
    if (page.records.size() < 2) return false;
    return Spoil(page.records[m.Draw(page.records.size())], m.Draw(5));
  });
}

bool AllBad(WireAnswer& a, Meddling& m) {
  return WithPage(a, m, [&](PageText& page) {
    for (std::string& record : page.records) Spoil(record, m.Draw(5));
    return true;
  });
}

bool ChangedRecord(WireAnswer& a, Meddling& m) {
  return WithPage(a, m, [&](PageText& page) {
    page.records[m.Draw(page.records.size())].insert(1, "\"hostile\":" + std::to_string(m.Draw(1000)) + ",");
    return true;
  });
}

// Fewer records than there are, while the total tells the truth.
bool ShortPage(WireAnswer& a, Meddling& m) {
  if (!IsHighLevel(m)) return false;
  return WithPage(a, m, [&](PageText& page) {
    page.records.resize(m.Draw(2) == 0 ? 0 : m.Draw(page.records.size()));
    return true;
  });
}

bool OddTotal(WireAnswer& a, Meddling& m) {
  if (!IsHighLevel(m)) return false;
  return WithPage(a, m, [&](PageText& page) {
    Json around = Json::parse(AroundOf(page), nullptr, false);
    Json& holder = around.contains("meta") ? around["meta"] : around;
    const std::array<Json, 6> totals{Json(-5),   Json(nullptr), Json("many"),
                                     Json(1e15), Json(12.5),    Json(99'999)};
    holder["total"] = totals[m.Draw(totals.size())];
    SetAround(page, m.path_class, around.dump());
    return true;
  });
}

bool NoMeta(WireAnswer& a, Meddling& m) {
  if (!IsHighLevel(m)) return false;
  return WithPage(a, m, [&](PageText& page) {
    SetAround(page, m.path_class, m.Draw(2) == 0 ? "{}" : R"({"meta":[],"total":{}})");
    return true;
  });
}

bool InternalError404(WireAnswer& a, Meddling& m) {
  if (!m.path_class.starts_with("chesscom.")) return false;
  a.SetStatus(404);
  a.body =
      R"({"code":0,"message":"An internal error has occurred. Please contact Chess.com Developers Forum"})";
  return true;
}

// count.all is an estimate: it may say how long it takes, never what is there.
bool OddCount(WireAnswer& a, Meddling& m) {
  if (m.path_class != "lichess.user") return false;
  Json user = Json::parse(a.body, nullptr, false);
  if (!user.contains("count")) return false;
  const std::array<Json, 4> counts{Json(1), Json(1'000), Json(nullptr), Json("many")};
  user["count"]["all"] = counts[m.Draw(counts.size())];
  a.body = user.dump();
  return true;
}

bool ForeignArchive(WireAnswer& a, Meddling& m) {
  if (m.path_class != "chesscom.archives") return false;
  Json document = Json::parse(a.body, nullptr, false);
  if (!document.contains("archives")) return false;
  static constexpr std::array<const char*, 4> kForeign{
      "http://127.0.0.2:1/pub/player/x/games/2024/01", "2024/01", "",
      "https://api.chess.com/pub/player/other/games/2024/13"};
  document["archives"].push_back(kForeign[m.Draw(kForeign.size())]);
  a.body = document.dump();
  return true;
}

}  // namespace

const std::vector<Kind>& ApiKinds() {
  static const std::vector<Kind> kKinds{
      {"byte_order_mark", 3, ByteOrderMark},
      {"blanks", 2, Blanks},
      {"error_line", 6, ErrorLine},
      {"error_document", 4, ErrorDocument},
      {"tail", 3, Tail},
      {"duplicates", 4, Duplicates},
      {"reorder", 4, Reorder},
      {"repeat_page", 6, RepeatPage},
      {"bad_record", 4, BadRecord},
      {"all_bad", 3, AllBad},
      {"changed_record", 3, ChangedRecord},
      {"short_page", 8, ShortPage},
      {"odd_total", 4, OddTotal},
      {"no_meta", 3, NoMeta},
      {"internal_error_404", 3, InternalError404},
      {"odd_count", 3, OddCount},
      {"foreign_archive", 2, ForeignArchive},
  };
  return kKinds;
}

}  // namespace weir::sim
