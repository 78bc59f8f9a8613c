#include "common/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/config/config_loader.h"
#include "common/config/fake_sources.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A folder of its own with inputs that point into it.
class ConfigTest : public testing::Test {
 protected:
  ConfigTest() {
    std::string name = testing::TempDir() + "weir_config_XXXXXX";
    folder_ = mkdtemp(name.data());
    inputs_.working_directory = folder_;
    inputs_.env = {{"HOME", folder_ + "/home"}};
  }
  ~ConfigTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(folder_ + "/" + path).parent_path());
    std::ofstream(folder_ + "/" + path) << text;
  }
  Result<Config> Load() { return LoadConfigFor(inputs_, FakeSources()); }
  // The error of a weir.yaml with this text.
  Error ErrorOf(const std::string& yaml) {
    Write("weir.yaml", yaml);
    auto config = Load();
    EXPECT_FALSE(config) << yaml;
    return config ? Error{} : config.error();
  }

  std::string folder_;
  ConfigInputs inputs_;
};

TEST_F(ConfigTest, WithoutAnythingTheDefaultsHold) {
  const auto config = Load();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->batch_records, 500);
  EXPECT_TRUE(config->database_url.empty());
  EXPECT_EQ(config->home, folder_ + "/home/.local/share/weir");
  EXPECT_EQ(config->file, "");
  EXPECT_EQ(config->settings.at("batch.max_bytes").value, "512KiB");
  EXPECT_EQ(config->settings.at("batch.max_bytes").origin, Origin::kDefault);
  EXPECT_TRUE(config->sources.empty());
}

TEST_F(ConfigTest, EverySettingReachesItsField) {
  Write("weir.yaml", R"(
database: {url: "postgresql://u@h/d"}
kafka:
  brokers: [a:1, b:2]
  replication_factor: 3
  session_timeout: 6s
  topic_prefix: team-a.
  properties: {compression.type: lz4, sasl: {mechanism: PLAIN}}
home: data
batch: {records: 7, max_bytes: 8KiB}
dedupe: {id_set_page: 9}
worker: {executors: 3, sessions: 2, drain_timeout: 4s}
metrics: {port: 9100, address: 0.0.0.0}
retry: {max_attempts: 5, base_delay: 10ms, max_delay: 2m}
limits: {max_record_bytes: 2MiB, max_response_bytes: 3GiB, max_document_bytes: 5MiB, idle_timeout: 9s, connect_timeout: 800ms}
lanes: {lease: 3s, initial_delay: 50ms, min_delay: 5ms, max_delay: 30s, increase: 3, decrease: 0.975}
log: {level: debug, format: json}
http: {ca_file: ca.pem}
sources:
  chess: {base_url: "http://127.0.0.1:8/api/", user_agent: me, lanes: 4, quota: 5/s, retry_after_floor: 2s, window_games: 10}
)");
  const auto config = Load();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->database_url.Reveal(), "postgresql://u@h/d");
  EXPECT_EQ(config->kafka_brokers, "a:1,b:2");
  EXPECT_EQ(config->kafka_replication_factor, 3);
  EXPECT_EQ(config->session_timeout, milliseconds(6000));
  EXPECT_EQ(config->kafka_topic_prefix, "team-a.");
  EXPECT_EQ(config->kafka_properties.at("compression.type"), "lz4");
  EXPECT_EQ(config->kafka_properties.at("sasl.mechanism"), "PLAIN");
  EXPECT_EQ(config->home, folder_ + "/data");
  EXPECT_EQ(config->batch_records, 7);
  EXPECT_EQ(config->batch_max_bytes, 8192);
  EXPECT_EQ(config->id_set_page, 9);
  EXPECT_EQ(config->executors, 3);
  EXPECT_EQ(config->sessions, 2);
  EXPECT_EQ(config->drain_timeout, milliseconds(4000));
  EXPECT_EQ(config->metrics_port, 9100);
  EXPECT_EQ(config->metrics_address, "0.0.0.0");
  EXPECT_EQ(config->max_attempts, 5);
  EXPECT_EQ(config->base_delay, milliseconds(10));
  EXPECT_EQ(config->max_delay, milliseconds(120'000));
  EXPECT_EQ(config->max_record_bytes, 2 << 20);
  EXPECT_EQ(config->max_response_bytes, 3LL << 30);
  EXPECT_EQ(config->max_document_bytes, 5 << 20);
  EXPECT_EQ(config->idle_timeout, milliseconds(9000));
  EXPECT_EQ(config->connect_timeout, milliseconds(800));
  EXPECT_EQ(config->ca_file, folder_ + "/ca.pem");
  EXPECT_EQ(config->lease, milliseconds(3000));
  EXPECT_EQ(config->initial_delay, milliseconds(50));
  EXPECT_EQ(config->min_delay, milliseconds(5));
  EXPECT_EQ(config->max_lane_delay, milliseconds(30'000));
  EXPECT_EQ(config->delay_increase, 3);
  EXPECT_EQ(config->delay_decrease, 0.975);
  EXPECT_EQ(config->log_level, "debug");
  EXPECT_EQ(config->log_format, "json");
  const SourceConfig& chess = config->sources.at("chess");
  EXPECT_EQ(chess.base_url, "http://127.0.0.1:8/api");
  EXPECT_EQ(chess.user_agent, "me");
  EXPECT_EQ(chess.lanes, 4);
  EXPECT_EQ(chess.quota, "5/s");
  EXPECT_EQ(chess.retry_after_floor, milliseconds(2000));
  EXPECT_EQ(chess.params.at("window_games"), "10");
}

// Other programs read it too, so it is the weakest.
TEST_F(ConfigTest, OpenSslsVariableNamesAuthoritiesUnlessASettingDoes) {
  inputs_.env["SSL_CERT_FILE"] = "/etc/own.pem";
  auto config = Load();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->ca_file, "/etc/own.pem");
  EXPECT_EQ(config->settings.at("http.ca_file").where, "SSL_CERT_FILE");
  inputs_.env["WEIR_HTTP_CA_FILE"] = "/etc/weir.pem";
  EXPECT_EQ(Load()->ca_file, "/etc/weir.pem");
  inputs_.env.erase("WEIR_HTTP_CA_FILE");
  Write("weir.yaml", "http: {ca_file: /etc/file.pem}\n");
  EXPECT_EQ(Load()->ca_file, "/etc/file.pem");
  inputs_.sets = {"http.ca_file=/etc/flag.pem"};
  EXPECT_EQ(Load()->ca_file, "/etc/flag.pem");
}

TEST_F(ConfigTest, FlagsBeatEnvironmentBeatsFileBeatsDefault) {
  Write("weir.yaml", "batch: {records: 11}\nlog: {level: warn}\nmetrics: {port: 1}\n");
  inputs_.env["WEIR_BATCH_RECORDS"] = "12";
  inputs_.env["IMPORT_BATCH_SIZE"] = "99";  // weir's own name wins over the origin's
  inputs_.env["WEIR_METRICS_PORT"] = "2";
  inputs_.env["WEIR_LOG_LEVEL"] = "";  // empty = not set
  inputs_.sets = {"batch.records=13", "batch.records=14"};
  const auto config = Load();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->batch_records, 14);
  EXPECT_EQ(config->metrics_port, 2);
  EXPECT_EQ(config->log_level, "warn");
  const auto& settings = config->settings;
  EXPECT_EQ(settings.at("batch.records").origin, Origin::kFlag);
  EXPECT_EQ(settings.at("batch.records").where, "--set batch.records");
  EXPECT_EQ(settings.at("metrics.port").where, "WEIR_METRICS_PORT");
  EXPECT_EQ(settings.at("log.level").where, folder_ + "/weir.yaml:2");
  EXPECT_EQ(settings.at("log.format").origin, Origin::kDefault);
}

TEST_F(ConfigTest, TheOriginProjectsNamesWork) {
  inputs_.env["MAX_CONCURRENT_IMPORTS"] = "3";
  inputs_.env["IMPORT_BATCH_SIZE"] = "250";
  inputs_.env["EXISTING_GAMES_PAGE_SIZE"] = "1000";
  inputs_.env["ID_SET_PAGE"] = "2";
  inputs_.env["MAX_FUNCTION_RUNTIME"] = "540";
  inputs_.env["WEIR_SOURCES_CHESS_LANES"] = "2";
  inputs_.env["WEIR_KAFKA_PROPERTIES_SASL_PASSWORD"] = "hunter2";
  inputs_.env["WEIR_UNKNOWN_THING"] = "x";  // others may use the prefix
  const auto config = Load();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->executors, 3);
  EXPECT_EQ(config->batch_records, 250);
  EXPECT_EQ(config->id_set_page, 1000);
  EXPECT_EQ(config->sync_deadline, std::chrono::minutes(9));
  EXPECT_EQ(config->sources.at("chess").lanes, 2);
  EXPECT_EQ(config->kafka_properties.at("sasl.password"), "hunter2");
  EXPECT_EQ(config->settings.at("kafka.properties.sasl.password").value, "***");
}

TEST_F(ConfigTest, TheControlApisTokenIsNowhereShown) {
  inputs_.env["WEIR_API_PORT"] = "9090";
  inputs_.env["WEIR_API_TOKEN"] = "hunter2";
  const auto config = Load();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->api_port, 9090);
  EXPECT_EQ(config->api_address, "127.0.0.1");
  EXPECT_TRUE(IsSecret(config->api_token, "hunter2"));
  EXPECT_FALSE(IsSecret(config->api_token, "hunter3"));
  EXPECT_FALSE(IsSecret(config->api_token, "hunter"));
  EXPECT_FALSE(IsSecret(config->api_token, ""));
  EXPECT_FALSE(IsSecret(Secret(), ""));
  for (const auto& [key, setting] : config->settings) EXPECT_NE(setting.value, "hunter2") << key;
}

TEST_F(ConfigTest, FilesAreLookedForInOrder) {
  Write("home/.config/weir/weir.yaml", "batch: {records: 1}");
  EXPECT_EQ(Load()->batch_records, 1);
  Write("xdg/weir/weir.yaml", "batch: {records: 2}");
  inputs_.env["XDG_CONFIG_HOME"] = folder_ + "/xdg";
  EXPECT_EQ(Load()->batch_records, 2);
  Write("weir.yaml", "batch: {records: 3}");
  EXPECT_EQ(Load()->batch_records, 3);
  Write("other.yaml", "batch: {records: 4}");
  inputs_.env["WEIR_CONFIG"] = "other.yaml";
  EXPECT_EQ(Load()->batch_records, 4);
  Write("flag.yaml", "batch: {records: 5}");
  inputs_.file = "flag.yaml";
  EXPECT_EQ(Load()->batch_records, 5);
  inputs_.file = "missing.yaml";
  ASSERT_FALSE(Load());
  EXPECT_THAT(Load().error().message, HasSubstr("missing.yaml cannot be read"));
  inputs_.file = ".";
  EXPECT_THAT(Load().error().message, HasSubstr("is a folder"));
  Write("big.yaml", std::string((8 << 20) + 1, '#'));
  inputs_.file = "big.yaml";
  EXPECT_THAT(Load().error().message, HasSubstr("over 8 MiB"));
}

TEST_F(ConfigTest, Homes) {
  inputs_.env["XDG_DATA_HOME"] = "/data";
  EXPECT_EQ(Load()->home, "/data/weir");
  inputs_.is_root = true;
  EXPECT_EQ(Load()->home, "/var/lib/weir");
  inputs_.env["WEIR_HOME"] = "~/w";
  EXPECT_EQ(Load()->home, folder_ + "/home/w");
  inputs_ = {};
  inputs_.working_directory = folder_;
  ASSERT_FALSE(Load());
  EXPECT_THAT(Load().error().hint, HasSubstr("WEIR_HOME"));
}

struct Refusal {
  const char* yaml;
  const char* message;  // after the file's name
  const char* hint;
};

TEST_F(ConfigTest, RefusalsSayWhereWhatAndHow) {
  const Refusal cases[] = {
      {"batch:\n  recrods: 5\n", ":2: unknown key \"batch.recrods\"", "batch.records"},
      {"bach: {records: 5}\n", ":1: unknown key \"bach.records\"", "batch.records"},
      {"qwertyuiop: 1\n", ":1: unknown key \"qwertyuiop\"", "config show"},
      {"bach:\n", ":1: unknown key \"bach\"", "config show"},
      {"batch: 5\n", "\"batch\" is a section", "batch.records, batch.max_bytes"},
      {"batch: {records: [5]}\n", "a list stands where", ""},
      {"batch: {records: many}\n", "batch.records: \"many\" is not a whole number", "1 to 10000"},
      {"batch: {records: 0}\n", "batch.records: 0 is out of range", "1 to 10000"},
      {"batch: {records: 99999999999999999999}\n", "is not a whole number", "1 to 10000"},
      {"batch: {max_bytes: 1KB}\n", "out of range", "4KiB to 16MiB"},
      {"worker: {drain_timeout: fast}\n", "\"fast\" is not a duration", "0s to 600s"},
      {"log: {level: loud}\n", "log.level", "debug, info"},
      {"sources: {ches: {lanes: 1}}\n", "unknown source \"ches\"", "did you mean chess?"},
      {"sources: {chess: {lane: 1}}\n", "unknown key \"sources.chess.lane\"", "sources.chess.lanes"},
      {"sources: {chess: {base_url: ftp://x}}\n", "not an http(s) address", "https://"},
      {"sources: {chess: {base_url: \"https://a:b@x\"}}\n", "a name or password does not belong", ""},
      {"sources: {chess: {user_agent: \"a\\r\\nb\"}}\n", "control character", ""},
      {"sources: {chess: {quota: lots}}\n", "\"lots\" is not a quota", "100/10s"},
      {"kafka: {properties: {bootstrap.servers: x}}\n", "is set by kafka.brokers", ""},
      {"kafka: {topic_prefix: \"our weir\"}\n", "a topic's name has letters", "letters, digits"},
      {"retry: {base_delay: 2m}\n", "longer than retry.max_delay", ""},
      {"- a\n", ":1: expected settings as key: value", "weir init"},
  };
  for (const Refusal& refusal : cases) {
    const Error error = ErrorOf(refusal.yaml);
    EXPECT_EQ(error.error_class, ErrorClass::kConfig);
    EXPECT_THAT(error.message, HasSubstr(refusal.message)) << refusal.yaml;
    EXPECT_THAT(error.hint, HasSubstr(refusal.hint)) << refusal.yaml;
  }
}

TEST_F(ConfigTest, DecimalsAreRead) {
  for (const char* bad : {"2.5x", ".5", "1.", "1e1", "-2", "0.5", "200", "2.5001", "99999999999999999999"}) {
    inputs_.sets = {std::string("lanes.increase=") + bad};
    const auto config = Load();
    EXPECT_FALSE(config) << bad;
  }
  inputs_.sets = {"lanes.increase=2.25"};
  const auto config = Load();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->delay_increase, 2.25);
}

TEST_F(ConfigTest, SetIsCheckedAsTheFileIs) {
  const std::pair<const char*, const char*> cases[] = {
      {"batch.recrods=1", "--set batch.recrods: unknown key"},
      {"batch.records", "--set wants dotted.key=value"},
      {"=1", "--set wants dotted.key=value"},
      {"accounts[0].name=x", "accounts can only be described in the file"},
      {"batch=1", "is a section"},
  };
  for (const auto& [set, message] : cases) {
    inputs_.sets = {set};
    const auto config = Load();
    ASSERT_FALSE(config) << set;
    EXPECT_THAT(config.error().message, HasSubstr(message));
  }
}

TEST_F(ConfigTest, AccountsAreReadAndCheckedAgainstTheirSource) {
  Write("weir.yaml", R"(
accounts:
  - {name: Anna, source: chess, lanes: 2, quota: 5/s, params: {window_games: 3}, secrets: {token: "file:t"}}
  - name: bob
    source: crm
    meter: shared:1
sources: {chess: {lanes: 3}}
)");
  const auto config = Load();
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->accounts.size(), 2u);
  const AccountConfig* anna = FindAccount(*config, "chess", "aNNa");
  ASSERT_NE(anna, nullptr);
  EXPECT_EQ(anna->lanes, 2);
  EXPECT_EQ(anna->quota, "5/s");
  EXPECT_EQ(anna->params.at("window_games"), "3");
  EXPECT_EQ(anna->secret_refs.at("token"), "file:" + folder_ + "/t");
  EXPECT_EQ(FindAccount(*config, "crm", "BOB")->meter, "shared:1");
  EXPECT_EQ(FindAccount(*config, "crm", "anna"), nullptr);
  EXPECT_EQ(config->settings.at("accounts[1].meter").value, "shared:1");
}

TEST_F(ConfigTest, BadAccountsAreRefused) {
  const Refusal cases[] = {
      {"accounts: {name: a}\n", "expected a list", "- name"},
      {"accounts: [a]\n", "must have a name and a source", ""},
      {"accounts: [{source: chess}]\n", "an account has no name", ""},
      {"accounts: [{name: a}]\n", "an account has no source", ""},
      {"accounts: [{name: a, source: ches}]\n", "unknown source \"ches\"", "chess"},
      {"accounts: [{name: a b, source: chess}]\n", "no such name can exist", "no spaces"},
      {"accounts: [{name: a, source: chess, lane: 1}]\n", "unknown key \"lane\" of an account", "lanes"},
      {"accounts: [{name: a, source: chess, lanes: 0}]\n", "lanes: 0 is out of range", "1 to 64"},
      {"accounts: [{name: a, source: chess, quota: x}]\n", "is not a quota", ""},
      {"accounts: [{name: a, source: chess, meter: \"a b\"}]\n", "is not a meter's name", ""},
      {"accounts: [{name: a, source: chess, params: {window_game: 1}}]\n", "no param \"window_game\"",
       "window_games"},
      {"accounts: [{name: a, source: chess, secrets: {tokn: env:A}}]\n", "no secret \"tokn\"", "token"},
      {"accounts:\n  - {name: a, source: chess}\n  - {name: A, source: chess}\n",
       ":3: account A of chess is given twice", ":2"},
      {"accounts:\n  - {name: a, source: chess, lanes: 1}\n  - {name: b, source: chess, lanes: 2}\n",
       ":3: account b: lanes 2 contradicts 1", ":2"},
      {"accounts:\n  - {name: a, source: crm, meter: m, quota: 1/s}\n  - {name: b, source: crm, meter: m, "
       "quota: 2/s}\n",
       "quota 2/s contradicts 1/s", ":2"},
      {"accounts:\n  - {name: a, source: chess, lanes: 1, secrets: {token: env:T}}\n  - {name: b, source: "
       "chess, lanes: 2, "
       "secrets: {token: env:T}}\n",
       "contradicts", ":2"},
  };
  for (const Refusal& refusal : cases) {
    const Error error = ErrorOf(refusal.yaml);
    EXPECT_EQ(error.error_class, ErrorClass::kConfig);
    EXPECT_THAT(error.message, HasSubstr(refusal.message)) << refusal.yaml;
    EXPECT_THAT(error.hint, HasSubstr(refusal.hint)) << refusal.yaml;
  }
  // Meters that differ may differ in all else.
  Write("weir.yaml",
        "accounts:\n  - {name: a, source: crm, lanes: 1}\n  - {name: b, source: crm, lanes: 2}\n"
        "  - {name: c, source: chess, lanes: 1}\n  - {name: d, source: chess, lanes: 2, secrets: {token: "
        "env:T}}\n");
  EXPECT_TRUE(Load());
}

TEST_F(ConfigTest, SecretsAreNeverEchoed) {
  const char* cases[] = {
      "accounts: [{name: a, source: chess, secrets: {token: hunter2}}]\n",
      "accounts: [{name: a, source: chess, secrets: {token: [hunter2]}}]\n",
      "accounts: [{name: a, source: chess, secrets: {token: \"env:\"}}]\n",
      "database: {url: \"mysql://u:hunter2@h/d\"}\n",
      "database: {url: \"hunter2\"}\n",
  };
  for (const char* yaml : cases) {
    const Error error = ErrorOf(yaml);
    EXPECT_THAT(error.message + error.hint, AllOf(Not(HasSubstr("hunter2")), HasSubstr("env:NAME"))) << yaml;
  }
  inputs_.env["PASS"] = "hunter2";
  Write("weir.yaml",
        "database: {url: \"postgresql://u:hunter2@h/d\"}\nkafka: {properties: {sasl.password: env:PASS, "
        "ssl.key.password: hunter2}}\n");
  const auto config = Load();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->kafka_properties.at("sasl.password"), "hunter2");
  EXPECT_EQ(config->settings.at("kafka.properties.sasl.password").value, "env:PASS");
  EXPECT_EQ(config->settings.at("database.url").value, "postgresql://u:***@h/d");
  for (const auto& [key, setting] : config->settings)
    EXPECT_THAT(setting.value, Not(HasSubstr("hunter2"))) << key;
}

}  // namespace
}  // namespace weir
