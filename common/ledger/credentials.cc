#include "common/ledger/credentials.h"

#include <array>
#include <utility>

#include "common/ledger/transaction.h"

namespace weir::ledger {
namespace {

constexpr std::array<std::pair<Credential::State, std::string_view>, 3> kStates{
    {{Credential::State::kReady, "ready"},
     {Credential::State::kSpending, "spending"},
     {Credential::State::kLost, "lost"}}};

std::string NameOf(Credential::State state) {
  for (const auto& [value, name] : kStates) {
    if (value == state) return std::string(name);
  }
  return "lost";
}

Credential::State StateOf(std::string_view name) {
  for (const auto& [value, text] : kStates) {
    if (text == name) return value;
  }
  return Credential::State::kLost;
}

std::string Unhex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  }
  return bytes;
}

std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += kDigits[static_cast<unsigned char>(c) >> 4];
    hex += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

// Batches may be committed without waiting for the disk; a spent token may not.
Result<void> Durably(pg::Session& session, std::string_view sql, const pg::ParamsList& params) {
  Transaction transaction(session);
  if (auto begun = transaction.Begin("set local synchronous_commit = on"); !begun) return begun;
  auto rows = session.Exec(sql, params);
  if (!rows) return Fail(rows.error());
  return transaction.Commit();
}

}  // namespace

Result<std::optional<Credential>> LoadCredential(pg::Session& session, const std::string& source,
                                                 const std::string& account) {
  auto rows = session.Exec(
      "select state, seed, generation, encode(coalesce(sealed, ''), 'hex'), "
      "coalesce(extract(epoch from expires_at - clock_timestamp()) * 1000, 0)::int8, "
      "(extract(epoch from clock_timestamp() - changed_at) * 1000)::int8 "
      "from weir.credentials where source = $1 and account = $2",
      {source, account}, "credential_load");
  if (!rows) return Fail(rows.error());
  if (rows->Empty()) return std::optional<Credential>();
  Credential credential;
  credential.state = StateOf(rows->Text(0, 0));
  credential.seed = rows->Text(0, 1);
  credential.generation = rows->Int(0, 2);
  credential.sealed = Unhex(rows->Text(0, 3));
  credential.expires_in = std::chrono::milliseconds(rows->Int(0, 4));
  credential.age = std::chrono::milliseconds(rows->Int(0, 5));
  return std::optional<Credential>(std::move(credential));
}

Result<bool> LockRenewal(pg::Session& session, const std::string& source, const std::string& account) {
  auto rows =
      session.Exec("select pg_try_advisory_lock(hashtextextended('weir.credentials/' || $1 || '/' || $2, 0))",
                   {source, account});
  if (!rows) return Fail(rows.error());
  return rows->Bool(0, 0);
}

void UnlockRenewal(pg::Session& session, const std::string& source, const std::string& account) {
  auto rows =
      session.Exec("select pg_advisory_unlock(hashtextextended('weir.credentials/' || $1 || '/' || $2, 0))",
                   {source, account});
  // A session that cannot give its lock back is dropped, and the lock with it.
  if (!rows) session.Reset();
}

Result<void> MarkCredential(pg::Session& session, const std::string& source, const std::string& account,
                            const std::string& seed, Credential::State state) {
  // What came from another authorisation is of no more use.
  return Durably(
      session,
      "insert into weir.credentials as c (source, account, seed, state) values ($1, $2, $3, $4) "
      "on conflict (source, account) do update set state = excluded.state, seed = excluded.seed, "
      "sealed = case when c.seed = excluded.seed then c.sealed end, changed_at = clock_timestamp()",
      {source, account, seed, NameOf(state)});
}

Result<std::int64_t> SaveCredential(pg::Session& session, const std::string& source,
                                    const std::string& account, const std::string& seed,
                                    const std::string& sealed, std::chrono::milliseconds lives) {
  auto done =
      Durably(session,
              "update weir.credentials set state = 'ready', generation = generation + 1, "
              "sealed = decode($4, 'hex'), expires_at = clock_timestamp() + $5::int8 * interval '1 ms', "
              "changed_at = clock_timestamp() where source = $1 and account = $2 and seed = $3",
              {source, account, seed, Hex(sealed), std::to_string(lives.count())});
  if (!done) return Fail(done.error());
  auto stored = LoadCredential(session, source, account);
  if (!stored) return Fail(stored.error());
  if (!*stored || (*stored)->seed != seed)
    return Fail(ErrorClass::kConflict, "the account was authorised anew while its access token was renewed");
  return (*stored)->generation;
}

}  // namespace weir::ledger
