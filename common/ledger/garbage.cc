#include "common/ledger/garbage.h"

#include <algorithm>

#include "common/base/json_text.h"
#include "common/ledger/hex.h"

namespace weir::ledger {
namespace {

constexpr std::size_t kKeptBytes = 4096;
constexpr std::size_t kLetterBytes = 64 << 10;
constexpr std::size_t kMostHeaders = 64;

// "name,value,name,value", each in hex.
std::vector<std::pair<std::string, std::string>> ReadHeaders(std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; !text.empty() && at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    parts.push_back(FromHex(text.substr(at, end - at)));
    at = end + 1;
  }
  std::vector<std::pair<std::string, std::string>> headers;
  for (std::size_t i = 0; i + 1 < parts.size(); i += 2) headers.emplace_back(parts[i], parts[i + 1]);
  return headers;
}

}  // namespace

std::size_t RawMessage::Bytes() const {
  std::size_t bytes = key.size() + value.size();
  for (const auto& [name, text] : headers) bytes += name.size() + text.size();
  return bytes;
}

void CutForLetter(RawMessage& message) {
  const auto cut = [](std::string& text, std::size_t most) {
    if (text.size() > most) text.resize(most);
  };
  cut(message.value, kLetterBytes);
  cut(message.key, kKeptBytes);
  if (message.headers.size() > kMostHeaders) message.headers.resize(kMostHeaders);
  for (auto& [name, text] : message.headers) {
    cut(name, kKeptBytes);
    cut(text, kKeptBytes);
  }
}

Result<void> SaveGarbage(pg::Session& session, const RawMessage& message, const std::string& reason) {
  std::vector<std::string> headers;
  for (const auto& [name, text] : message.headers) {
    headers.push_back("\\x" + ToHex(name));
    headers.push_back("\\x" + ToHex(text));
  }
  auto rows = session.Exec(
      "insert into weir.garbage (topic, partition, kafka_offset, reason, body_start, letter_due, letter_key, "
      "letter_message, letter_headers) values ($1, $2::int, $3::int8, $4, decode($5, 'hex'), true, "
      "decode($6, 'hex'), decode($7, 'hex'), $8::bytea[]) on conflict do nothing",
      {message.topic, std::to_string(message.partition), std::to_string(message.offset), Printable(reason),
       ToHex(std::string_view(message.value).substr(0, kKeptBytes)), ToHex(message.key), ToHex(message.value),
       pg::ArrayLiteral(headers)});
  if (!rows) return Fail(rows.error());
  return {};
}

Result<std::vector<GarbageLetter>> GarbageLettersDue(pg::Session& session, int limit) {
  auto rows = session.Exec(
      "select id, topic, partition, kafka_offset, reason, coalesce(encode(letter_key, 'hex'), ''), "
      "coalesce(encode(letter_message, 'hex'), ''), "
      "array_to_string(array(select encode(h, 'hex') from unnest(letter_headers) with ordinality u (h, "
      "place) "
      "order by place), ',') "
      "from weir.garbage where letter_due order by id limit $1::int",
      {std::to_string(limit)}, "garbage_letters_due");
  if (!rows) return Fail(rows.error());
  std::vector<GarbageLetter> letters;
  for (int i = 0; i < rows->Size(); ++i) {
    GarbageLetter letter;
    letter.id = rows->Int(i, 0);
    letter.message.topic = rows->Text(i, 1);
    letter.message.partition = static_cast<int>(rows->Int(i, 2));
    letter.message.offset = rows->Int(i, 3);
    letter.reason = rows->Text(i, 4);
    letter.message.key = FromHex(rows->Text(i, 5));
    letter.message.value = FromHex(rows->Text(i, 6));
    letter.message.headers = ReadHeaders(rows->Text(i, 7));
    letters.push_back(std::move(letter));
  }
  return letters;
}

Result<void> MarkGarbageLettersSent(pg::Session& session, const std::vector<std::int64_t>& ids) {
  if (ids.empty()) return {};
  auto rows = session.Exec(
      "update weir.garbage set letter_due = false, letter_key = null, letter_message = null, "
      "letter_headers = null where id = any($1::int8[])",
      {pg::ArrayLiteral(ids)}, "garbage_letters_sent");
  if (!rows) return Fail(rows.error());
  return {};
}

Result<std::vector<Garbage>> ListGarbage(pg::Session& session, int limit) {
  auto rows = session.Exec(
      "select topic, partition, kafka_offset, reason, "
      "to_char(created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), encode(body_start, "
      "'hex') "
      "from weir.garbage order by created_at desc, topic, partition, kafka_offset desc limit $1::int",
      {std::to_string(limit)});
  if (!rows) return Fail(rows.error());
  std::vector<Garbage> all;
  for (int i = 0; i < rows->Size(); ++i) {
    Garbage g;
    g.topic = rows->Text(i, 0);
    g.partition = static_cast<int>(rows->Int(i, 1));
    g.offset = rows->Int(i, 2);
    g.reason = rows->Text(i, 3);
    g.created_at = rows->Text(i, 4);
    g.body_start = FromHex(rows->Text(i, 5));
    all.push_back(std::move(g));
  }
  return all;
}

Result<std::int64_t> CountGarbage(pg::Session& session) {
  auto rows = session.Exec("select count(*) from weir.garbage");
  if (!rows) return Fail(rows.error());
  return rows->Int(0, 0);
}

Result<std::int64_t> PurgeGarbage(pg::Session& session, std::optional<std::int64_t> before_ms) {
  auto rows = session.Exec(
      "delete from weir.garbage where $1::int8 is null or created_at < to_timestamp($1::int8 / 1000.0)",
      {before_ms ? pg::Param(std::to_string(*before_ms)) : pg::Param()});
  if (!rows) return Fail(rows.error());
  return rows->Affected();
}

}  // namespace weir::ledger
