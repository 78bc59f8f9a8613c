#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/secret.h"

namespace weir {

// Everything that can be configured, parsed and checked once at start (DESIGN §2, common/config). Plain
// values; what is not set in any place has its default here.

enum class Origin { kDefault, kFile, kEnv, kFlag };

struct SourceConfig {
  std::optional<std::string> base_url;
  std::optional<std::string> user_agent;
  std::optional<int> lanes;
  std::optional<std::string> quota;
  std::optional<std::chrono::milliseconds> retry_after_floor;
  int sweep_max_stale_percent = -1;  // -1 = as Config::sweep_max_stale_percent
  int sweep_max_stale_rows = -1;     // -1 = as Config::sweep_max_stale_rows
  std::map<std::string, std::string, std::less<>>
      params;  // the source's own settings, checked against SourceInfo::params
};

struct AccountConfig {
  std::string name;
  std::string source;
  std::optional<std::string> meter;  // overrides the source's choice
  std::optional<int> lanes;          // of its meter
  std::optional<std::string> quota;  // of its meter
  std::map<std::string, std::string, std::less<>> params;
  std::map<std::string, std::string>
      secret_refs;  // name → "env:NAME" or "file:PATH"; resolved by ResolveSecrets
};

struct Config {
  // database.url; "" = the private PostgreSQL under home. May hold a password.
  Secret database_url;
  // kafka.brokers; "" = the embedded broker.
  std::string kafka_brokers;
  std::string kafka_topic_prefix;
  std::map<std::string, std::string> kafka_properties;
  std::string kafka_assignment = "auto";  // kafka.assignment: auto, eager or cooperative
  int kafka_replication_factor = -1;      // kafka.replication_factor; -1 = the broker's default

  Secret
      encryption_key;  // WEIR_ENCRYPTION_KEY, from the environment alone: for refresh tokens in the database

  std::string home;  // WEIR_HOME; default $XDG_DATA_HOME/weir, for root /var/lib/weir

  int batch_records = 500;                   // batch.records, IMPORT_BATCH_SIZE
  std::int64_t batch_max_bytes = 512 << 10;  // batch.max_bytes
  int id_set_page = 2000;                    // dedupe.id_set_page, EXISTING_GAMES_PAGE_SIZE, ID_SET_PAGE
  int executors = 8;  // worker.executors, MAX_CONCURRENT_IMPORTS: lanes running at once
  int sessions = 4;   // worker.sessions: database sessions they share
  std::chrono::milliseconds drain_timeout{25'000};  // worker.drain_timeout
  int metrics_port = 0;                             // metrics.port, WEIR_METRICS_PORT; 0 = any free port
  std::string metrics_address = "127.0.0.1";        // metrics.address
  int api_port = 8080;                              // api.port, WEIR_API_PORT; 0 = any free port
  std::string api_address = "127.0.0.1";            // api.address
  Secret api_token;  // WEIR_API_TOKEN, from the environment alone; empty = none, and loopback only

  int max_attempts = 8;                               // retry.max_attempts
  std::chrono::milliseconds base_delay{1'000};        // retry.base_delay
  std::chrono::milliseconds max_delay{60'000};        // retry.max_delay
  int max_replays = 5;                                // replay.max
  std::int64_t max_record_bytes = 1 << 20;            // limits.max_record_bytes
  std::int64_t max_response_bytes = 1LL << 30;        // limits.max_response_bytes, decompressed
  std::int64_t max_document_bytes = 4 << 20;          // limits.max_document_bytes
  std::chrono::milliseconds idle_timeout{60'000};     // limits.idle_timeout
  std::chrono::milliseconds connect_timeout{10'000};  // limits.connect_timeout
  std::string
      ca_file;  // http.ca_file, SSL_CERT_FILE: trusted besides the system's authorities; "" = those alone
  std::chrono::milliseconds lease{5'000};  // lanes.lease: how long a lane's lease holds without renewal
  // What a lane makes of 429s that say no time: how long it waits, × increase while they go on. 1 - decrease
  // is the part by which the rate that was learnt from them is exceeded to try it.
  std::chrono::milliseconds initial_delay{200};      // lanes.initial_delay
  std::chrono::milliseconds min_delay{0};            // lanes.min_delay
  std::chrono::milliseconds max_lane_delay{10'000};  // lanes.max_delay
  double delay_increase = 2.5;                       // lanes.increase
  double delay_decrease = 0.98;                      // lanes.decrease
  // dispatch.lost_after: what was sent and nobody advances for so long is sent again (embedded broker: 15 s
  // at most)
  std::chrono::milliseconds lost_after{60'000};
  std::chrono::milliseconds session_timeout{10'000};  // kafka.session_timeout (embedded broker: 4 s)

  std::chrono::milliseconds sync_deadline{0};  // sync.deadline, MAX_FUNCTION_RUNTIME; 0 = none

  // A sweep that follows a full job by itself marks so many rows at most: either bound will do.
  int sweep_max_stale_percent = 10;  // sweep.max_stale_percent: of the account's rows that are not stale
  int sweep_max_stale_rows = 10;     // sweep.max_stale_rows

  // How long what has ended is kept (docs/operating.md, "What is kept"); 0 = for ever.
  std::chrono::milliseconds keep_tasks{7 * 24 * std::chrono::hours(1)};      // retention.tasks
  std::chrono::milliseconds keep_failures{90 * 24 * std::chrono::hours(1)};  // retention.failures
  std::chrono::milliseconds keep_jobs{90 * 24 * std::chrono::hours(1)};      // retention.jobs

  std::string log_level = "info";   // log.level
  std::string log_format = "auto";  // log.format: auto (text on a terminal) | text | json

  std::map<std::string, SourceConfig, std::less<>> sources;
  std::vector<AccountConfig> accounts;

  // For `weir config show --origin`: dotted key → where its value came from (file name, variable, flag).
  struct Setting {
    std::string value;  // secrets redacted
    Origin origin = Origin::kDefault;
    std::string where;
  };
  std::map<std::string, Setting> settings;
  std::string file;  // the configuration file used, "" = none
};

struct ConfigInputs {
  std::optional<std::string> file;         // --config
  std::vector<std::string> sets;           // --set dotted.key=value, in order
  std::map<std::string, std::string> env;  // the environment (injected for tests)
  std::string working_directory = ".";
  bool is_root = false;
};

// Reads the environment of this process into ConfigInputs::env.
std::map<std::string, std::string> CurrentEnvironment();

// Flags > env > file > default. Errors: kConfig naming the key, its place (file:line) and the nearest known
// name.
Result<Config> LoadConfig(const ConfigInputs& inputs);

// Reads the secrets of an account (empty map when it has none). Errors: kConfig, never with a value.
Result<std::map<std::string, Secret>> ResolveSecrets(const AccountConfig& account);

// The account's AccountConfig by name, ASCII case ignored; nullptr when the file does not name it.
const AccountConfig* FindAccount(const Config& config, std::string_view source, std::string_view name);

// The JSON Schema of weir.yaml and a commented example of it.
std::string ConfigJsonSchema();
std::string ConfigExample();

}  // namespace weir
