// weir-worker: fetches the pages that the producer sends as tasks, and commits them (DESIGN §3).
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include <google/protobuf/stubs/logging.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "common/base/json_text.h"
#include "common/base/process_start.h"
#include "common/config/config.h"
#include "common/config/inherited_settings.h"
#include "common/config/unknown_variables.h"
#include "common/config/version.h"
#include "common/obs/log.h"
#include "worker/start_pages.h"
#include "worker/worker_app.h"

namespace {

std::atomic<int> stop_signals{0};

void OnSignal(int) { stop_signals.fetch_add(1); }

// One arena and small stacks: with glibc's defaults a worker of a dozen threads keeps tens of megabytes
// (DESIGN §9). A second arena made nothing faster, and kept a megabyte more after a million records.
void KeepMemorySmall() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_TRIM_THRESHOLD, 256 << 10);
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 512 << 10);
  pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
}

// Whoever starts several workers on one machine says how many (producer/embedded/local_workers).
int Peers() {
  const char* given = std::getenv("WEIR_WORKER_PEERS");
  return given == nullptr ? 1 : std::clamp(std::atoi(given), 1, 256);
}

std::string Incarnation() {
  // Whoever starts a worker and must know its id says what makes it unique (producer/embedded/local_workers).
  if (const char* given = std::getenv("WEIR_WORKER_INCARNATION")) return given;
  std::random_device random;
  char text[17];
  std::snprintf(text, sizeof text, "%08x%08x", random(), random());
  return text;
}

// A name alone is not an id: a StatefulSet's pod has the same one after a crash, and an environment variable
// of a Deployment gives one name to all its workers. A task that killed its worker is known by its owner
// being another process, and a lane's lease belongs to one process.
weir::worker::WorkerIdentity Identify() {
  char host[256] = "localhost";
  gethostname(host, sizeof host - 1);
  weir::worker::WorkerIdentity identity;
  identity.host = host;
  identity.pid = static_cast<int>(getpid());
  const char* given = std::getenv("WEIR_WORKER_ID");
  const std::string name =
      given != nullptr && *given != '\0' ? given : identity.host + "-" + std::to_string(identity.pid);
  identity.id = name + "-" + Incarnation();
  identity.peers = Peers();
  return identity;
}

int Complain(const weir::Error& error) {
  std::fprintf(stderr, "error: %s\n", weir::Printable(error.message, 2000).c_str());
  if (!error.hint.empty()) std::fprintf(stderr, "hint: %s\n", weir::Printable(error.hint, 2000).c_str());
  return error.error_class == weir::ErrorClass::kConfig ? 2 : 1;
}

// What --help and --version print. One that nobody can read is a failure; a reader that went away knows that.
int Print(const std::string& text) {
  const bool printed =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (printed) return 0;
  if (errno != EPIPE)
    std::fprintf(stderr, "error: cannot write to standard output: %s\n", std::strerror(errno));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  weir::PrepareProcess();
  KeepMemorySmall();
  CLI::App app("Fetches the pages that weir's producer sends as tasks and commits them to PostgreSQL.");
  app.footer(
      "Example:\n  WEIR_DATABASE_URL=postgresql://… WEIR_KAFKA_BROKERS=kafka:9092 weir-worker\n\n"
      "SIGTERM drains: running pages may end (worker.drain_timeout), the rest is given back.");
  std::string file;
  weir::ConfigInputs inputs;
  app.add_option("--config", file, "weir.yaml to use");
  app.add_option("--set", inputs.sets, "a setting, dotted.key=value; may be repeated");
  app.set_version_flag("--version", std::string(weir::Version()));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    std::ostringstream text;
    return app.exit(e, text, std::cerr) == 0 ? Print(text.str()) : 2;
  }
  if (!file.empty()) inputs.file = file;
  inputs.env = weir::CurrentEnvironment();
  // Its own command line has the last word.
  std::vector<std::string> inherited = weir::InheritedSettings(inputs.env);
  inputs.sets.insert(inputs.sets.begin(), inherited.begin(), inherited.end());
  inputs.is_root = geteuid() == 0;
  auto config = weir::LoadConfig(inputs);
  if (!config) return Complain(config.error());
  if (auto ok = weir::SetupLogging(config->log_level, config->log_format, "weir-worker"); !ok)
    return Complain(ok.error());
  for (const std::string& line : weir::UnknownVariables(inputs, *config))
    weir::Log(weir::LogLevel::kWarn, line);
  // Only told of until here; of ten thousand accounts they are megabytes.
  config->settings.clear();
  if (config->database_url.empty() || config->kafka_brokers.empty()) {
    return Complain(
        weir::MakeError(weir::ErrorClass::kConfig, "a worker needs database.url and kafka.brokers",
                        "set WEIR_DATABASE_URL and WEIR_KAFKA_BROKERS; `weir sync` starts its own workers"));
  }
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // It writes to standard error by itself, a line for each message that is none; the ledger keeps those.
  google::protobuf::SetLogHandler(nullptr);
  weir::worker::WorkerApp worker(std::move(*config), Identify());
  if (auto ok = worker.Start(stop_signals); !ok) return Complain(ok.error());
  weir::worker::ForgetStartPages();
  if (auto ok = worker.Run(stop_signals); !ok) return Complain(ok.error());
  return 0;
}
