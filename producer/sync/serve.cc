#include "producer/sync/serve.h"

#include <fmt/core.h>

#include <memory>

#include "common/http/http_server.h"
#include "common/ledger/migrations.h"
#include "common/obs/log.h"
#include "common/pg/migrations.h"
#include "producer/engine/engine.h"
#include "producer/sync/sync_runner.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

// A loop that has not gone round for so long hangs: whoever watches this process should start it anew.
constexpr milliseconds kHangs{120'000};

HttpReply Health(bool healthy, const std::string& text) {
  HttpReply reply;
  reply.status = healthy ? 200 : 503;
  reply.body = text + "\n";
  return reply;
}

HttpReply Live(const Engine& engine, const Clock& clock, milliseconds started) {
  const milliseconds last = std::max(engine.LastPass(), started);
  const bool waits = engine.Trouble().has_value();
  return waits || clock.Boot() - last < kHangs ? Health(true, "ok") : Health(false, "the loop hangs");
}

HttpReply Ready(const Engine& engine) {
  const auto trouble = engine.Trouble();
  if (trouble) return Health(false, trouble->message);
  if (engine.LastPass() == milliseconds(0)) return Health(false, "starting");
  return Health(true, engine.Leading() ? "leading" : "standing by");
}

HttpReply Metrics(const Engine& engine) {
  HttpReply reply;
  reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
  reply.body = fmt::format(
      "# HELP weir_producer_leading 1 while this process dispatches.\n# TYPE weir_producer_leading gauge\n"
      "weir_producer_leading {}\n"
      "# HELP weir_producer_tasks_sent_total Tasks sent to Kafka.\n# TYPE weir_producer_tasks_sent_total "
      "counter\n"
      "weir_producer_tasks_sent_total {}\n"
      "# HELP weir_producer_trouble 1 while the database or Kafka is being waited for.\n"
      "# TYPE weir_producer_trouble gauge\nweir_producer_trouble {}\n",
      engine.Leading() ? 1 : 0, engine.Sent(), engine.Trouble() ? 1 : 0);
  return reply;
}

Result<std::unique_ptr<HttpServer>> StartHealth(const Config& config, const Engine& engine,
                                                const Clock& clock) {
  HttpServerOptions options;
  options.address = config.metrics_address;
  options.port = config.metrics_port;
  const milliseconds started = clock.Boot();
  return HttpServer::Start(
      options, RouteByPath({{"/livez", [&, started](const auto&) { return Live(engine, clock, started); }},
                            {"/readyz", [&](const auto&) { return Ready(engine); }},
                            {"/metrics", [&](const auto&) { return Metrics(engine); }}}));
}

}  // namespace

Result<int> Serve(const Config& config, const ServeCallbacks& callbacks, const Clock& clock) {
  LocalServicesOptions local;
  local.stopped = [&] { return callbacks.wait_stop(milliseconds(0)) != 0; };
  auto services = LocalServices::Acquire(config, callbacks.say, local);
  if (!services) return Fail(services.error());
  if (!(*services)->PrivateDatabase()) {
    pg::SessionOptions options;
    options.url = (*services)->DatabaseUrl();
    pg::Session session(options);
    if (auto known = pg::Check(session, ledger::AllMigrations()); !known) return Fail(known.error());
  }
  Engine engine(EngineFor(config, (*services)->DatabaseUrl(), (*services)->Brokers()), clock);
  auto health = StartHealth(config, engine, clock);
  if (!health) return Fail(health.error());
  engine.Start();
  callbacks.say(
      fmt::format("serving; health and metrics on {}:{}", config.metrics_address, (*health)->Port()));
  int signal = 0;
  while (signal == 0) {
    signal = callbacks.wait_stop(milliseconds(1'000));
    (*services)->Maintain();
  }
  engine.Stop();
  (*health)->Stop();
  return signal;
}

}  // namespace weir
