#include "common/config/settings_table.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "common/base/json_text.h"
#include "common/base/time_text.h"
#include "common/config/value_text.h"
#include "common/config/version.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kKiB = 1 << 10;
constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kGiB = 1 << 30;
constexpr std::int64_t kSecond = 1'000;
constexpr std::int64_t kMinute = 60 * kSecond;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr int kMaxLanes = 64;
constexpr std::int64_t kThousand = 1'000;
constexpr std::size_t kMaxTopicPrefix = 200;  // Kafka's names have 249 characters at most
constexpr std::string_view kTopicCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
constexpr int kMaxStaleRows = 1'000'000'000;
constexpr std::string_view kCaFile = "http.ca_file";  // the one path that may be empty

// Fills the table; a setting's type and default follow from the field of Config it is stored in.
class TableBuilder {
 public:
  void Text(std::string key, SettingType type, std::string Config::*field, std::string help) {
    SettingSpec& spec = Add(std::move(key), type, defaults_.*field, std::move(help));
    spec.store = [field](Config& c, const SettingValue& v) { c.*field = v.text; };
  }
  void Choice(std::string key, std::string Config::*field, std::vector<std::string> choices,
              std::string help) {
    Text(std::move(key), SettingType::kChoice, field, std::move(help));
    table_.back().choices = std::move(choices);
  }
  void Integer(std::string key, int Config::*field, int min, int max, std::string help,
               std::vector<std::string> more_env = {}) {
    SettingSpec& spec = Add(std::move(key), SettingType::kInteger, std::to_string(defaults_.*field),
                            std::move(help), std::move(more_env));
    spec.min = min;
    spec.max = max;
    spec.store = [field](Config& c, const SettingValue& v) { c.*field = static_cast<int>(v.number); };
  }
  // `min` and `max` in thousandths.
  void Decimal(std::string key, double Config::*field, std::int64_t min, std::int64_t max, std::string help) {
    SettingSpec& spec =
        Add(std::move(key), SettingType::kDecimal, fmt::format("{}", defaults_.*field), std::move(help));
    spec.min = min;
    spec.max = max;
    spec.store = [field](Config& c, const SettingValue& v) {
      c.*field = static_cast<double>(v.number) / kThousand;
    };
  }
  void Size(std::string key, std::int64_t Config::*field, std::int64_t min, std::int64_t max,
            std::string help) {
    SettingSpec& spec =
        Add(std::move(key), SettingType::kSize, FormatSize(defaults_.*field), std::move(help));
    spec.min = min;
    spec.max = max;
    spec.store = [field](Config& c, const SettingValue& v) { c.*field = v.number; };
  }
  void Duration(std::string key, milliseconds Config::*field, std::int64_t min, std::int64_t max,
                std::string help, std::vector<std::string> more_env = {}) {
    SettingSpec& spec = Add(std::move(key), SettingType::kDuration, FormatExactDuration(defaults_.*field),
                            std::move(help), std::move(more_env));
    spec.min = min;
    spec.max = max;
    spec.store = [field](Config& c, const SettingValue& v) { c.*field = milliseconds(v.number); };
  }
  SettingSpec& Add(std::string key, SettingType type, std::string default_text, std::string help,
                   std::vector<std::string> more_env = {}) {
    SettingSpec spec;
    spec.env.push_back(EnvironmentName(key));
    spec.env.insert(spec.env.end(), more_env.begin(), more_env.end());
    spec.key = std::move(key);
    spec.type = type;
    spec.default_text = std::move(default_text);
    spec.help = std::move(help);
    table_.push_back(std::move(spec));
    return table_.back();
  }
  std::vector<SettingSpec> Take() { return std::move(table_); }

 private:
  const Config defaults_;
  std::vector<SettingSpec> table_;
};

void AddServices(TableBuilder& t) {
  t.Add("database.url", SettingType::kDatabaseUrl, "",
        "PostgreSQL to write to; empty = a private server under home")
      .store = [](Config& c, const SettingValue& v) { c.database_url = Secret(v.text); };
  t.Text("kafka.brokers", SettingType::kBrokers, &Config::kafka_brokers,
         "host:port,…; empty = the embedded broker of this machine");
  t.Text("kafka.topic_prefix", SettingType::kTopicPrefix, &Config::kafka_topic_prefix,
         "before the names of weir's topics and group, where several weirs share a Kafka");
  t.Integer("kafka.replication_factor", &Config::kafka_replication_factor, -1, 32,
            "of topics that weir creates; -1 = the broker's default");
  t.Choice("kafka.assignment", &Config::kafka_assignment, {"auto", "eager", "cooperative"},
           "how workers share partitions out; the same for all of them");
  t.Duration("kafka.session_timeout", &Config::session_timeout, 3'500, 30 * kMinute,
             "a worker silent for this long loses its partitions");
  t.Text("home", SettingType::kPath, &Config::home,
         "data of the embedded parts; default $XDG_DATA_HOME/weir, for root /var/lib/weir");
}

void AddWork(TableBuilder& t) {
  t.Integer("batch.records", &Config::batch_records, 1, 10'000, "records in one commit, at most",
            {"IMPORT_BATCH_SIZE"});
  t.Size("batch.max_bytes", &Config::batch_max_bytes, 4 * kKiB, 16 * kMiB, "bytes in one commit, at most");
  t.Integer("dedupe.id_set_page", &Config::id_set_page, 1, 100'000, "stored ids looked up at a time",
            {"EXISTING_GAMES_PAGE_SIZE", "ID_SET_PAGE"});
  t.Integer("worker.executors", &Config::executors, 1, 256, "lanes that run at once in one worker",
            {"MAX_CONCURRENT_IMPORTS"});
  t.Integer("worker.sessions", &Config::sessions, 1, 64, "database sessions that a worker's executors share");
  t.Duration("worker.drain_timeout", &Config::drain_timeout, 0, 10 * kMinute,
             "how long a stopping worker finishes what it began");
  t.Integer("metrics.port", &Config::metrics_port, 0, 65'535,
            "of /metrics, /livez and /readyz; 0 = any free port");
  t.Text("metrics.address", SettingType::kAddress, &Config::metrics_address, "address that port listens on");
  t.Integer("api.port", &Config::api_port, 0, 65'535,
            "of the control API of `weir serve`; 0 = any free port");
  t.Text("api.address", SettingType::kAddress, &Config::api_address,
         "address that port listens on; one that others reach wants WEIR_API_TOKEN");
  t.Duration("sync.deadline", &Config::sync_deadline, 0, 365 * 24 * kHour,
             "a job without a deadline of its own gives up what is unfinished after this long; 0 = never",
             {"MAX_FUNCTION_RUNTIME"});
  t.Duration("dispatch.lost_after", &Config::lost_after, 1'000, kHour,
             "a task sent to the workers that nobody advances for so long is sent again");
  t.Duration("lanes.lease", &Config::lease, 3000, kMinute, "how long a lane's lease holds without renewal");
  t.Duration("lanes.initial_delay", &Config::initial_delay, 1, kHour,
             "a lane's wait after its first 429 that says no time");
  t.Duration("lanes.min_delay", &Config::min_delay, 0, kHour,
             "the least time between two requests of a lane, also without any 429");
  t.Duration("lanes.max_delay", &Config::max_lane_delay, 1, kHour,
             "the longest wait after a 429 that says no time");
  t.Decimal("lanes.increase", &Config::delay_increase, 1 * kThousand, 100 * kThousand,
            "multiplies that wait while 429s go on");
  t.Decimal("lanes.decrease", &Config::delay_decrease, 1, kThousand,
            "1 minus this is how much more than the rate learnt from 429s is tried, as a part of it");
}

void AddLimits(TableBuilder& t) {
  t.Integer("retry.max_attempts", &Config::max_attempts, 1, 1'000, "failed tries before a task is dead");
  t.Duration("retry.base_delay", &Config::base_delay, 1, kHour, "wait after the first failure; doubles");
  t.Duration("retry.max_delay", &Config::max_delay, 1, 24 * kHour, "the longest such wait");
  t.Integer("replay.max", &Config::max_replays, 1, 1'000,
            "a task that was replayed so often and died again is left dead");
  t.Size("limits.max_record_bytes", &Config::max_record_bytes, kKiB, 64 * kMiB,
         "a larger record is rejected");
  t.Size("limits.max_response_bytes", &Config::max_response_bytes, kKiB, 1024 * kGiB,
         "a larger response, decompressed, is invalid");
  t.Size("limits.max_document_bytes", &Config::max_document_bytes, kKiB, 64 * kMiB,
         "a larger plan document is invalid");
  t.Duration("limits.idle_timeout", &Config::idle_timeout, 100, kHour,
             "a transfer without a byte for this long is tried again");
  t.Duration("limits.connect_timeout", &Config::connect_timeout, 100, 5 * kMinute, "of the upstream");
  t.Text(std::string(kCaFile), SettingType::kPath, &Config::ca_file,
         "certificates (PEM) that upstreams may be signed by besides the system's; empty = $SSL_CERT_FILE, "
         "if set");
  t.Integer("sweep.max_stale_percent", &Config::sweep_max_stale_percent, 0, 100,
            "of an account's rows, which a sweep marks unasked; it may mark max_stale_rows in any case");
  t.Integer("sweep.max_stale_rows", &Config::sweep_max_stale_rows, 0, kMaxStaleRows,
            "rows of an account which a sweep marks unasked, whatever percentage they are");
  constexpr std::int64_t kDay = 24 * kHour;
  t.Duration("retention.tasks", &Config::keep_tasks, 0, 36'500 * kDay,
             "done tasks of jobs that ended are kept for so long; 0 = for ever");
  t.Duration("retention.failures", &Config::keep_failures, 0, 36'500 * kDay,
             "dead tasks of such jobs, rejected records and garbage; 0 = for ever");
  t.Duration("retention.jobs", &Config::keep_jobs, 0, 36'500 * kDay,
             "jobs that ended, with all that is left of them; 0 = for ever");
  t.Choice("log.level", &Config::log_level, {"debug", "info", "warn", "error", "off"},
           "least severe line that is logged");
  t.Choice("log.format", &Config::log_format, {"auto", "text", "json"}, "auto = text on a terminal");
}

void AddSource(TableBuilder& t, const SourceInfo& info) {
  const std::string prefix = "sources." + info.name + ".";
  const auto source = [name = info.name](Config& c) -> SourceConfig& { return c.sources[name]; };
  t.Add(prefix + "base_url", SettingType::kUrl, info.base_url, "where its API is").store =
      [source](Config& c, const SettingValue& v) { source(c).base_url = v.text; };
  t.Add(prefix + "user_agent", SettingType::kHeader, DefaultUserAgent(info.name),
        "name yourself and a contact: some upstreams block those who do not")
      .store = [source](Config& c, const SettingValue& v) { source(c).user_agent = v.text; };
  SettingSpec& lanes = t.Add(prefix + "lanes", SettingType::kInteger, std::to_string(info.lanes),
                             "requests at once for one meter, in the whole cluster");
  lanes.min = 1;
  lanes.max = kMaxLanes;
  lanes.store = [source](Config& c, const SettingValue& v) { source(c).lanes = static_cast<int>(v.number); };
  t.Add(prefix + "quota", SettingType::kQuota, info.quota,
        "of one meter, e.g. 100/10s, 200000/day; its lanes are no more than its requests")
      .store = [source](Config& c, const SettingValue& v) { source(c).quota = v.text; };
  SettingSpec& floor = t.Add(prefix + "retry_after_floor", SettingType::kDuration,
                             FormatExactDuration(info.retry_after_floor), "a 429 waits at least this long");
  floor.max = kHour;
  floor.store = [source](Config& c, const SettingValue& v) {
    source(c).retry_after_floor = milliseconds(v.number);
  };
  SettingSpec& percent = t.Add(prefix + "sweep_max_stale_percent", SettingType::kInteger, "-1",
                               "-1 = as sweep.max_stale_percent");
  percent.min = -1;
  percent.max = 100;
  percent.store = [source](Config& c, const SettingValue& v) {
    source(c).sweep_max_stale_percent = static_cast<int>(v.number);
  };
  SettingSpec& rows =
      t.Add(prefix + "sweep_max_stale_rows", SettingType::kInteger, "-1", "-1 = as sweep.max_stale_rows");
  rows.min = -1;
  rows.max = kMaxStaleRows;
  rows.store = [source](Config& c, const SettingValue& v) {
    source(c).sweep_max_stale_rows = static_cast<int>(v.number);
  };
  for (const SourceInfo::Param& param : info.params) {
    t.Add(prefix + param.name, SettingType::kText, param.default_value, param.help).store =
        [source, name = param.name](Config& c, const SettingValue& v) { source(c).params[name] = v.text; };
  }
}

// "2.5" → 2500; nothing for what is no plain number or has more than three decimals.
std::optional<std::int64_t> Thousandths(std::string_view text) {
  const auto point = std::min(text.find('.'), text.size());
  std::string digits(text.substr(0, point));
  const std::string_view fraction = text.substr(std::min(point + 1, text.size()));
  if (digits.empty() || fraction.size() > 3 || (point < text.size() && fraction.empty())) return std::nullopt;
  digits += fraction;
  digits.append(3 - fraction.size(), '0');
  if (digits.size() > 15 || digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return std::stoll(digits);
}

Result<SettingValue> Number(const SettingSpec& spec, std::string_view text) {
  std::optional<std::int64_t> number;
  if (spec.type == SettingType::kSize) {
    number = ParseSize(text);
  } else if (spec.type == SettingType::kDuration) {
    if (const auto duration = ParseDuration(text)) number = duration->count();
  } else if (spec.type == SettingType::kDecimal) {
    number = Thousandths(text);
  } else {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && !text.empty()) number = value;
  }
  const std::string_view what = spec.type == SettingType::kSize       ? "a size"
                                : spec.type == SettingType::kDuration ? "a duration"
                                : spec.type == SettingType::kDecimal  ? "a number with at most three decimals"
                                                                      : "a whole number";
  if (!number) {
    return Fail(ErrorClass::kConfig, fmt::format("{}: \"{}\" is not {}", spec.key, Printable(text, 60), what),
                "allowed: " + AllowedValues(spec));
  }
  if (*number < spec.min || *number > spec.max) {
    return Fail(ErrorClass::kConfig, fmt::format("{}: {} is out of range", spec.key, Printable(text, 60)),
                "allowed: " + AllowedValues(spec));
  }
  return SettingValue{std::string(text), *number};
}

// Why a text cannot be a value of this type; "" = it can.
std::string Objection(SettingType type, std::string_view text) {
  for (const unsigned char c : text) {
    if (c < 0x20 || c == 0x7f) return "it holds a control character";
  }
  switch (type) {
    case SettingType::kUrl: {
      const bool http = text.starts_with("http://") || text.starts_with("https://");
      const std::string_view rest = http ? text.substr(text.find("://") + 3) : std::string_view();
      if (rest.empty() || rest.front() == '/' || rest.front() == ':') return "it is not an http(s) address";
      if (text.find_first_of("?# \\") != std::string_view::npos) return "it has a query, fragment or space";
      if (rest.substr(0, rest.find('/')).find('@') != std::string_view::npos)
        return "a name or password does not belong in it";
      return {};
    }
    case SettingType::kDatabaseUrl:
      if (text.empty() || text.starts_with("postgresql://") || text.starts_with("postgres://")) return {};
      if (text.starts_with("env:") || text.starts_with("file:")) return {};
      if (text.find("://") == std::string_view::npos && text.find('=') != std::string_view::npos) return {};
      return "it is not a PostgreSQL address";
    case SettingType::kBrokers:
      if (text.find_first_of(" /") != std::string_view::npos && !text.starts_with("file:"))
        return "it is not host:port,host:port";
      return {};
    case SettingType::kTopicPrefix:
      if (text.size() > kMaxTopicPrefix)
        return fmt::format("it is longer than {} characters", kMaxTopicPrefix);
      if (text.find_first_not_of(kTopicCharacters) != std::string_view::npos)
        return "a topic's name has letters, digits, \".\", \"_\" and \"-\" alone";
      return {};
    case SettingType::kAddress:
      return text.empty() || text.find_first_of(" /") != std::string_view::npos ? "it is not an address" : "";
    case SettingType::kPath:
      return text.empty() ? "it is empty" : "";
    case SettingType::kHeader:
      return TrimSpace(text).empty() ? "it is empty" : "";
    case SettingType::kQuota: {
      const auto rules = ParseQuota(text);
      return rules ? "" : rules.error().message;
    }
    default:
      return {};
  }
}

}  // namespace

std::string EnvironmentName(std::string_view key) {
  std::string name = "WEIR_";
  for (const char c : key) {
    const bool lower = c >= 'a' && c <= 'z';
    const bool keep = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name.push_back(lower ? static_cast<char>(c - 'a' + 'A') : keep ? c : '_');
  }
  return name;
}

std::string DefaultUserAgent(std::string_view source) {
  return fmt::format("weir/{} (no contact given; set sources.{}.user_agent)", Version(), source);
}

std::string_view Version() { return WEIR_VERSION; }

std::vector<SettingSpec> SettingsTable(const SourceList& sources) {
  TableBuilder table;
  AddServices(table);
  AddWork(table);
  AddLimits(table);
  for (const Source* source : sources) AddSource(table, source->Info());
  return table.Take();
}

std::vector<SettingSpec> AccountSettingSpecs() {
  SettingSpec meter, lanes, quota;
  meter.key = "meter";
  meter.help = "whoever the upstream counts its requests against; overrides the source's choice";
  lanes.key = "lanes";
  lanes.type = SettingType::kInteger;
  lanes.min = 1;
  lanes.max = kMaxLanes;
  lanes.help = "of its meter";
  quota.key = "quota";
  quota.type = SettingType::kQuota;
  quota.help = "of its meter";
  return {meter, lanes, quota};
}

std::string AllowedValues(const SettingSpec& spec) {
  switch (spec.type) {
    case SettingType::kInteger:
      return fmt::format("{} to {}", spec.min, spec.max);
    case SettingType::kDecimal:
      return fmt::format("{} to {}", static_cast<double>(spec.min) / kThousand,
                         static_cast<double>(spec.max) / kThousand);
    case SettingType::kSize:
      return fmt::format("{} to {}", FormatSize(spec.min), FormatSize(spec.max));
    case SettingType::kDuration:
      return fmt::format("{} to {} (units ms, s, m, h, d)", FormatExactDuration(milliseconds(spec.min)),
                         FormatExactDuration(milliseconds(spec.max)));
    case SettingType::kChoice:
      return fmt::format("one of {}", fmt::join(spec.choices, ", "));
    case SettingType::kUrl:
      return "http://… or https://…";
    case SettingType::kDatabaseUrl:
      return "postgresql://user@host:5432/database, key=value pairs, env:NAME or file:PATH";
    case SettingType::kBrokers:
      return "host:port,host:port";
    case SettingType::kTopicPrefix:
      return fmt::format("letters, digits, \".\", \"_\" and \"-\", {} at most", kMaxTopicPrefix);
    case SettingType::kQuota:
      return "requests per period, e.g. 100/10s, 200000/day";
    default:
      return {};
  }
}

Result<SettingValue> ParseSetting(const SettingSpec& spec, std::string_view text) {
  text = TrimSpace(text);
  if (spec.type == SettingType::kInteger || spec.type == SettingType::kDecimal ||
      spec.type == SettingType::kSize || spec.type == SettingType::kDuration)
    return Number(spec, text);
  const std::string allowed = AllowedValues(spec);
  const std::string hint = allowed.empty() ? "" : "allowed: " + allowed;
  std::string objection = text.empty() && spec.key == kCaFile ? "" : Objection(spec.type, text);
  if (spec.type == SettingType::kChoice &&
      std::find(spec.choices.begin(), spec.choices.end(), text) == spec.choices.end())
    objection = "it is not a known choice";
  if (!objection.empty()) {
    const bool secret = spec.type == SettingType::kDatabaseUrl || spec.type == SettingType::kUrl;
    return Fail(ErrorClass::kConfig,
                secret ? fmt::format("{}: {}", spec.key, objection)
                       : fmt::format("{}: \"{}\": {}", spec.key, Printable(text, 60), objection),
                hint);
  }
  if (spec.type == SettingType::kUrl) {
    while (text.ends_with('/')) text.remove_suffix(1);
  }
  return SettingValue{std::string(text), 0};
}

}  // namespace weir
