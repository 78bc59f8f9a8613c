#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <ostream>

#include "common/base/json_text.h"
#include "common/base/time_text.h"
#include "common/kafka/client_options.h"
#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"

namespace weir::cli {
namespace {

// The dead-letter topic's name on the broker that is configured.
std::string DeadLetterTopic(const Config& config) {
  kafka::ClientOptions options;
  options.brokers = config.kafka_brokers.empty() ? "file:" : config.kafka_brokers;
  options.topic_prefix = config.kafka_topic_prefix;
  return kafka::TopicsOf(options).dead_letters;
}

std::string Hex(const std::string& bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

class GarbageListCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("-n,--limit", limit_, "The newest so many")
        ->check(CLI::Range(1, 100'000))
        ->type_name("N")
        ->capture_default_str();
  }

  Result<int> Run(CommandContext& context) override {
    const auto config = context.Load();
    if (!config) return tl::unexpected(config.error());
    auto store = context.services->OpenJobs(*config);
    if (!store) return tl::unexpected(store.error());
    const auto count = (*store)->CountGarbage();
    if (!count) return tl::unexpected(count.error());
    const auto garbage = (*store)->ListGarbage(limit_);
    if (!garbage) return tl::unexpected(garbage.error());
    if (context.output == OutputFormat::kJson) {
      PrintAsJson(context.io, *garbage);
    } else if (garbage->empty()) {
      *context.io.err << "No message was garbage.\n";
    } else {
      PrintAsTable(context.io, *garbage);
      *context.io.err << fmt::format(
          "{} of {} messages; the bytes are on the topic {} too. To forget them: weir garbage purge --all\n",
          garbage->size(), Grouped(*count), DeadLetterTopic(*config));
    }
    return kOk;
  }

 private:
  static void PrintAsJson(const Io& io, const std::vector<ledger::Garbage>& garbage) {
    auto array = nlohmann::ordered_json::array();
    for (const auto& g : garbage) {
      array.push_back({{"topic", g.topic},
                       {"partition", g.partition},
                       {"offset", g.offset},
                       {"time", g.created_at},
                       {"reason", g.reason},
                       {"body_start_hex", Hex(g.body_start)}});
    }
    PrintJson(*io.out, array);
  }

  static void PrintAsTable(const Io& io, const std::vector<ledger::Garbage>& garbage) {
    Table table({{"TIME"}, {"TOPIC"}, {"PARTITION", true}, {"OFFSET", true}, {"REASON"}, {"BEGINS WITH"}});
    for (const auto& g : garbage) {
      table.AddRow({g.created_at, g.topic, std::to_string(g.partition), std::to_string(g.offset),
                    Shorten(g.reason, 60), Shorten(Printable(g.body_start, 40), 40)});
    }
    table.Print(*io.out, io.out_colour);
  }

  int limit_ = 20;
};

class GarbagePurgeCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    auto* what = app.add_option_group("what", "What to forget");
    what->add_option("--before", before_, "What was kept before this time (a date or RFC 3339 time)")
        ->type_name("TIME");
    what->add_flag("--all", all_, "All of it");
    what->require_option(1);
  }

  Result<int> Run(CommandContext& context) override {
    std::optional<std::int64_t> before;
    if (!all_) {
      before = ParseTime(before_);
      if (!before)
        return Fail(ErrorClass::kConfig,
                    fmt::format("--before: \"{}\" is not a time", Printable(before_, 60)),
                    "write 2026-11-22 or 2026-11-22T20:47:39Z");
    }
    const auto config = context.Load();
    if (!config) return tl::unexpected(config.error());
    auto store = context.services->OpenJobs(*config);
    if (!store) return tl::unexpected(store.error());
    const auto purged = (*store)->PurgeGarbage(before);
    if (!purged) return tl::unexpected(purged.error());
    if (context.output == OutputFormat::kJson) {
      PrintJson(*context.io.out, nlohmann::ordered_json{{"purged", *purged}});
    } else {
      *context.io.out << Grouped(*purged) << " messages forgotten\n";
    }
    return kOk;
  }

 private:
  std::string before_;
  bool all_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeGarbageListCommand() { return std::make_unique<GarbageListCommand>(); }
std::unique_ptr<Command> MakeGarbagePurgeCommand() { return std::make_unique<GarbagePurgeCommand>(); }

}  // namespace weir::cli
