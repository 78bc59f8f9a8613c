#include "common/pg/errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <utility>

#include "common/base/json_text.h"
#include "common/pg/session.h"

namespace weir::pg {
namespace {

constexpr std::size_t kMaxMessage = 300;

std::string_view HintFor(std::string_view state) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kHints{{
      {"53100", "free disk space on the database server"},
      {"53200", "the database server is out of memory"},
      {"53300", "raise max_connections of the server or run fewer workers"},
      {"25006", "the server is read-only: point database.url at the primary"},
      {"0A000",
       "weir writes by COPY: it needs a plain table, and with row-level security a user with bypassrls"},
      {"42501", "grant the user of database.url the rights on weir's schemas and on all tables in them"},
      {"42P01", "is the schema up to date? `weir migrate status`; was a table dropped or renamed by hand?"},
      {"42703", "is the schema up to date? `weir migrate status`; was a column dropped or renamed by hand?"},
      {"3F000", "is the schema up to date? `weir migrate status`"},
      {"57P01", "the server is restarting or an administrator ended the connection"},
      {"57P03", "the server is starting up or shutting down"},
  }};
  for (const auto& [code, hint] : kHints) {
    if (state == code) return hint;
  }
  if (IsRefusal(state))
    return "weir's tables, their rights, triggers and policies must let it work as migrated";
  return {};
}

// In PQERRORS_VERBOSE a server's refusal reads "FATAL:  28P01: password authentication failed …". libpq has
// no other way to tell the SQLSTATE of a failed connect, and the words around it depend on the server's
// language. With several addresses tried, the last refusal counts. Returns the code and what follows it.
std::pair<std::string_view, std::string_view> FindState(std::string_view text) {
  constexpr std::string_view kBefore = ":  ";
  const auto is_code = [](std::string_view s) {
    return std::all_of(s.begin(), s.end(),
                       [](unsigned char c) { return std::isdigit(c) || std::isupper(c); });
  };
  for (auto at = text.rfind(kBefore); at != std::string_view::npos; at = text.rfind(kBefore, at - 1)) {
    const std::string_view rest = text.substr(at + kBefore.size());
    if (rest.size() > 7 && is_code(rest.substr(0, 5)) && rest.substr(5, 2) == ": ") {
      return {rest.substr(0, 5), rest.substr(7)};
    }
    if (at == 0) break;
  }
  return {};
}

Error Make(ErrorClass c, std::string message, std::string hint, std::string_view state) {
  Error e = MakeError(c, std::move(message), std::move(hint));
  e.sqlstate = state;
  return e;
}

}  // namespace

std::string FirstLine(std::string_view text) {
  return Printable(text.substr(0, text.find('\n')), kMaxMessage);
}

bool IsDataError(std::string_view sqlstate) {
  // 22: values; 23: constraints; 44: a view's check; P0: what a trigger raises, of one record or of all,
  // which splitting tells; 54000 and 54001: over a limit of the server (an index row, a jsonb's depth).
  return sqlstate.starts_with("22") || sqlstate.starts_with("23") || sqlstate.starts_with("44") ||
         sqlstate.starts_with("P0") || sqlstate == "54000" || sqlstate == "54001";
}

bool IsOutage(std::string_view sqlstate) {
  // None: the connection broke. 08: likewise; 25: read-only, or a transaction that broke; 40: serialization,
  // deadlock; 53: resources; 57: shutdown, cancelled; 58: the server's system.
  if (sqlstate.empty() || IsLostStatement(sqlstate)) return true;
  if (sqlstate == "55P03" || sqlstate == "55006") return true;  // locked; in use
  for (const char* outage : {"08", "25", "40", "53", "57", "58"}) {
    if (sqlstate.starts_with(outage)) return true;
  }
  return false;
}

bool IsContention(std::string_view sqlstate) {
  // 40003 does not say that nothing was written.
  return (sqlstate.starts_with("40") && sqlstate != "40003") || sqlstate == "55P03";
}

bool IsRefusal(std::string_view sqlstate) {
  if (IsLostStatement(sqlstate)) return false;
  // 0A: not possible with this relation; 3D, 3F: no such database, schema; 42: names, types, rights; the
  // rest: what functions and triggers do wrong.
  for (const char* refusal : {"09", "0A", "0L", "0P", "27", "2F", "38", "39", "3D", "3F", "42"}) {
    if (sqlstate.starts_with(refusal)) return true;
  }
  return false;
}

bool IsLostStatement(std::string_view sqlstate) { return sqlstate == "26000" || sqlstate == "42P05"; }

Error FromResult(const PGresult* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const std::string_view code = state ? state : "";
  // Without a SQLSTATE it is libpq that speaks, of a connection that broke.
  const std::string text = Printable(primary ? primary : PQresultErrorMessage(result), kMaxMessage);
  if (code.empty()) {
    return MakeError(ErrorClass::kDatabase, fmt::format("the connection to PostgreSQL broke: {}",
                                                        FirstLine(PQresultErrorMessage(result))));
  }
  if (IsDataError(code)) {
    return Make(ErrorClass::kBadRecord, fmt::format("PostgreSQL refused the data: {} ({})", text, code), {},
                code);
  }
  return Make(IsRefusal(code) ? ErrorClass::kSchema : ErrorClass::kDatabase,
              fmt::format("PostgreSQL: {} ({})", text, code), std::string(HintFor(code)), code);
}

Error FromConnectFailure(const PGconn* conn, const std::string& where) {
  const std::string_view text = PQerrorMessage(conn);
  const auto [code, message] = FindState(text);
  if (code.empty() && PQconnectionNeedsPassword(conn)) {
    return Make(ErrorClass::kConfig, fmt::format("PostgreSQL at {} asks for a password", where),
                "put it into database.url or a .pgpass file", "28P01");
  }
  if (code.empty()) {
    return MakeError(ErrorClass::kDatabase,
                     fmt::format("cannot reach PostgreSQL at {}: {}", where, FirstLine(text)),
                     "is the server running there, and reachable from here?");
  }
  std::string what =
      fmt::format("PostgreSQL at {} refused the connection: {} ({})", where, FirstLine(message), code);
  if (code.starts_with("28")) {
    return Make(ErrorClass::kConfig, std::move(what),
                "check user and password of database.url, and pg_hba.conf", code);
  }
  if (code == "3D000") {
    return Make(ErrorClass::kConfig, std::move(what), "create the database (`createdb`) or name another one",
                code);
  }
  return Make(ErrorClass::kDatabase, std::move(what), std::string(HintFor(code)), code);
}

std::string DescribeUrl(const std::string& url) {
  char* error = nullptr;
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options(
      PQconninfoParse(url.c_str(), &error), &PQconninfoFree);
  if (error) PQfreemem(error);  // may quote the password
  if (!options) return {};
  std::string host, address, port, database, user;
  for (const PQconninfoOption* o = options.get(); o->keyword; ++o) {
    if (!o->val) continue;
    const std::string_view key = o->keyword;
    if (key == "host") host = o->val;
    if (key == "hostaddr") address = o->val;
    if (key == "port") port = o->val;
    if (key == "dbname") database = o->val;
    if (key == "user") user = o->val;
  }
  std::string out = !host.empty() ? host : !address.empty() ? address : "the default host";
  if (!port.empty()) out += ":" + port;
  // A socket's folder is a path: a slash before the database would read as part of it.
  if (!database.empty()) out += (out.front() == '/' ? " " : "/") + database;
  if (!user.empty()) out += " as " + user;
  return Printable(out, kMaxMessage);
}

}  // namespace weir::pg
