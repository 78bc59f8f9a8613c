#include "common/ledger/credentials.h"

#include <array>
#include <utility>

#include "common/ledger/transaction.h"

namespace weir::ledger {
namespace {

constexpr std::array<std::pair<Credential::State, std::string_view>, 4> kStates{
    {{Credential::State::kReady, "ready"},
     {Credential::State::kSpending, "spending"},
     {Credential::State::kUnknown, "unknown"},
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

std::string Ms(std::chrono::milliseconds time) { return std::to_string(time.count()); }

// Batches may be committed without waiting for the disk; what was spent or granted may not.
Result<pg::Rows> Durably(pg::Session& session, std::string_view sql, const pg::ParamsList& params) {
  Transaction transaction(session);
  if (auto begun = transaction.Begin("set local synchronous_commit = on"); !begun) return Fail(begun.error());
  auto rows = session.Exec(sql, params);
  if (!rows) return rows;
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  return rows;
}

// Milliseconds from now, 0 when past or NULL.
constexpr std::string_view kLoadSql = R"sql(
  select state, generation, encode(coalesce(sealed, ''), 'hex'),
         coalesce(extract(epoch from expires_at - clock_timestamp()) * 1000, 0)::int8,
         greatest(coalesce(extract(epoch from renewer_until - clock_timestamp()) * 1000, 0)::int8, 0),
         greatest(coalesce(extract(epoch from not_before - clock_timestamp()) * 1000, 0)::int8, 0), tries
    from weir.credentials where source = $1 and account = $2 and seed = $3)sql";

// An attempt's own claim is known again, so that it goes on when the answer to its COMMIT was lost. What came
// from another authorisation begins again, but for the counters.
constexpr std::string_view kClaimSql = R"sql(
  insert into weir.credentials as c (source, account, seed, state, renewer, renewer_until, attempt)
  select $1, $2, $3, 'spending', $4, clock_timestamp() + $6::int8 * interval '1 ms', 1
  on conflict (source, account) do update
     set seed = excluded.seed, state = excluded.state, renewer = excluded.renewer, renewer_until = excluded.renewer_until,
         attempt = case when c.renewer = excluded.renewer then c.attempt else c.attempt + 1 end,
         sealed = case when c.seed = excluded.seed then c.sealed end,
         tries = case when c.seed = excluded.seed then c.tries else 0 end,
         not_before = case when c.seed = excluded.seed then c.not_before end,
         changed_at = clock_timestamp()
   where c.seed <> excluded.seed
      or (c.generation = $5::int8 and c.state <> 'lost'
          and (c.renewer = excluded.renewer or (coalesce(c.renewer_until <= clock_timestamp(), true)
                                                and coalesce(c.not_before <= clock_timestamp(), true))))
  returning attempt, generation)sql";

constexpr std::string_view kEndSql = R"sql(
  update weir.credentials
     set state = $6, tries = $7::int, not_before = clock_timestamp() + $8::int8 * interval '1 ms',
         renewer = null, renewer_until = null, changed_at = clock_timestamp()
   where source = $1 and account = $2 and seed = $3 and renewer = $4 and generation = $5::int8
  returning 1)sql";

constexpr std::string_view kSaveSql = R"sql(
  update weir.credentials
     set state = 'ready', generation = generation + 1, granted = $5::int8, sealed = decode($6, 'hex'),
         expires_at = clock_timestamp() + $7::int8 * interval '1 ms', tries = 0, not_before = null,
         renewer = nullif(renewer, $4), renewer_until = case when renewer <> $4 then renewer_until end,
         changed_at = clock_timestamp()
   where source = $1 and account = $2 and seed = $3 and granted < $5::int8
  returning generation)sql";

}  // namespace

Result<std::optional<Credential>> LoadCredential(pg::Session& session, const CredentialKey& key) {
  auto rows = session.Exec(kLoadSql, {key.source, key.account, key.seed}, "credential_load");
  if (!rows) return Fail(rows.error());
  if (rows->Empty()) return std::optional<Credential>();
  Credential credential;
  credential.state = StateOf(rows->Text(0, 0));
  credential.generation = rows->Int(0, 1);
  credential.sealed = Unhex(rows->Text(0, 2));
  credential.expires_in = std::chrono::milliseconds(rows->Int(0, 3));
  credential.busy = std::chrono::milliseconds(rows->Int(0, 4));
  credential.resting = std::chrono::milliseconds(rows->Int(0, 5));
  credential.tries = static_cast<int>(rows->Int(0, 6));
  return std::optional<Credential>(std::move(credential));
}

Result<std::optional<RenewalClaim>> ClaimRenewal(pg::Session& session, const CredentialKey& key,
                                                 const std::string& renewer, std::int64_t generation,
                                                 std::chrono::milliseconds hold) {
  auto rows = Durably(session, kClaimSql,
                      {key.source, key.account, key.seed, renewer, std::to_string(generation), Ms(hold)});
  if (!rows) return Fail(rows.error());
  if (rows->Empty()) return std::optional<RenewalClaim>();
  return std::optional(RenewalClaim{renewer, rows->Int(0, 0), rows->Int(0, 1)});
}

Result<bool> EndRenewal(pg::Session& session, const CredentialKey& key, const RenewalClaim& claim,
                        const RenewalEnd& end) {
  auto rows = Durably(session, kEndSql,
                      {key.source, key.account, key.seed, claim.renewer, std::to_string(claim.generation),
                       NameOf(end.state), std::to_string(end.tries), Ms(end.rest)});
  if (!rows) return Fail(rows.error());
  return !rows->Empty();
}

Result<std::int64_t> SaveCredential(pg::Session& session, const CredentialKey& key, const RenewalClaim& claim,
                                    const std::string& sealed, std::chrono::milliseconds lives) {
  const std::string number = std::to_string(claim.number);
  auto saved = Durably(session, kSaveSql,
                       {key.source, key.account, key.seed, claim.renewer, number, Hex(sealed), Ms(lives)});
  if (!saved) return Fail(saved.error());
  if (!saved->Empty()) return saved->Int(0, 0);
  // Perhaps it is there already, and only the answer was lost.
  auto own = session.Exec(
      "select generation from weir.credentials where source = $1 and account = $2 and seed = $3 and granted "
      "= $4::int8",
      {key.source, key.account, key.seed, number});
  if (!own) return Fail(own.error());
  if (!own->Empty()) return own->Int(0, 0);
  return Fail(ErrorClass::kConflict,
              "newer tokens of the account were saved, or it was authorised again, while its access token "
              "was renewed");
}

}  // namespace weir::ledger
