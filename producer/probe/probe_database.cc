#include "producer/probe/probe_database.h"

#include <utility>

#include "common/ledger/migrations.h"
#include "common/pg/embedded_postgres.h"
#include "common/pg/migrations.h"
#include "producer/cli/checks.h"

namespace weir::probe {

Result<ProbeDatabase> OpenProbeDatabase(const Config& config, const cli::LeaseDatabase& lease) {
  ProbeDatabase database;
  pg::SessionOptions options;
  options.url = config.database_url.Reveal();
  options.application_name = "weir probe";
  options.statement_deadline = std::chrono::milliseconds(10'000);
  if (options.url.empty()) {
    if (!cli::HasPrivateDatabase(config)) return database;
    if (lease) {
      auto leased = lease(config);
      if (!leased) return Fail(leased.error());
      options.url = leased->url;
      database.hold = std::move(leased->hold);
    } else {
      const pg::EmbeddedPostgres server({.home = config.home, .settings = {}});
      if (server.RunningPid() == 0) return database;
      options.url = server.Url();
    }
  }
  auto session = std::make_unique<pg::Session>(std::move(options));
  auto lanes = session->Connect().and_then(
      [&] { return session->Exec("select to_regclass('weir.lanes') is not null"); });
  if (!lanes) {
    Error error = lanes.error();
    error.message = "the lanes' leases cannot be asked for: " + error.message;
    return Fail(std::move(error));
  }
  if (!lanes->Bool(0, 0)) return database;
  if (auto known = pg::Check(*session, ledger::AllMigrations()); !known) return Fail(known.error());
  database.session = std::move(session);
  return database;
}

}  // namespace weir::probe
