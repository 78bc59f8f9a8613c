#include "common/obs/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <optional>

#include "common/base/clock.h"
#include "common/obs/log_limiter.h"
#include "common/obs/log_line.h"

namespace weir {
namespace {

struct Output {
  LogLevel level = LogLevel::kInfo;
  bool json = false;
  std::string program = "weir";
  std::unique_ptr<spdlog::logger> logger;
  LogLimiter limiter;
};

// Each line is one call of the sink, which holds its mutex for it: lines of several threads do not mix.
std::unique_ptr<spdlog::logger> NewLogger(const std::string& program, bool json) {
  const bool colour = isatty(STDERR_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr && !json;
  auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>(colour ? spdlog::color_mode::always
                                                                               : spdlog::color_mode::never);
  auto logger = std::make_unique<spdlog::logger>(program, std::move(sink));
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      json ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %^%-5l%$ %n: %v", spdlog::pattern_time_type::utc));
  logger->set_level(spdlog::level::trace);
  return logger;
}

// Never freed: threads may log while the program ends.
Output& TheOutput() {
  static Output* const output = [] {
    auto* made = new Output;
    made->logger = NewLogger(made->program, made->json);
    return made;
  }();
  return *output;
}

std::vector<LogField>& ScopeFields() {
  thread_local std::vector<LogField> fields;
  return fields;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

std::optional<LogLevel> ParseLevel(std::string_view text) {
  for (const LogLevel level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError, LogLevel::kOff}) {
    if (ToString(level) == text) return level;
  }
  return std::nullopt;
}

void WriteLine(LogLevel level, std::string_view message, const std::vector<LogField>& own) {
  const Output& output = TheOutput();
  const std::vector<const LogField*> fields = MergeFields(ScopeFields(), own);
  const std::string line = output.json
                               ? JsonLine(SystemClock().UnixMillis(), level, output.program, message, fields)
                               : TextLine(message, fields);
  output.logger->log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

// Whoever asks for debug lines wants them all.
void Write(LogLevel level, std::string_view message, const std::vector<LogField>& own) {
  if (level == LogLevel::kDebug) return WriteLine(level, message, own);
  LogLimiter& limiter = TheOutput().limiter;
  const auto now = SystemClock().Boot();
  for (const auto& [repeated, times] : limiter.TakeRepeated(now)) {
    WriteLine(LogLevel::kWarn, "a line was repeated, and not written",
              {{"line", repeated}, {"times", times}});
  }
  if (limiter.Admit(message, now)) WriteLine(level, message, own);
}

}  // namespace

LogField::LogField(std::string_view key, double value) : key_(key) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  value_ = text;
  quoted_ = !std::isfinite(value);  // JSON has no number for these
}

Result<void> SetupLogging(std::string_view level, std::string_view format, std::string_view program) {
  const std::optional<LogLevel> parsed = ParseLevel(level);
  if (!parsed) {
    return Fail(ErrorClass::kConfig, "log.level " + std::string(level) + " is not known",
                "Use debug, info, warn, error or off.");
  }
  if (format != "auto" && format != "text" && format != "json") {
    return Fail(ErrorClass::kConfig, "log.format " + std::string(format) + " is not known",
                "Use auto, text or json.");
  }
  Output& output = TheOutput();
  output.level = *parsed;
  output.json = format == "json" || (format == "auto" && isatty(STDERR_FILENO) != 1);
  output.program = program;
  output.logger = NewLogger(output.program, output.json);
  return {};
}

bool LogEnabled(LogLevel level) { return level >= TheOutput().level && level != LogLevel::kOff; }

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (LogEnabled(level)) Write(level, message, fields);
}

void LogError(LogLevel level, std::string_view message, const Error& error,
              std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  std::vector<LogField> own(fields);
  own.emplace_back("class", ToString(error.error_class));
  own.emplace_back("error", error.message);
  if (!error.hint.empty()) own.emplace_back("hint", error.hint);
  if (error.http_status != 0) own.emplace_back("http_status", error.http_status);
  if (!error.sqlstate.empty()) own.emplace_back("sqlstate", error.sqlstate);
  Write(level, message, own);
}

LogScope::LogScope(std::initializer_list<LogField> fields) : before_(ScopeFields().size()) {
  ScopeFields().insert(ScopeFields().end(), fields);
}

LogScope::~LogScope() {
  std::vector<LogField>& fields = ScopeFields();
  fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(before_), fields.end());
}

}  // namespace weir
