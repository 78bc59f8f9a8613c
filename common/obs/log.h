#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"
#include "common/base/result.h"
#include "common/base/secret.h"

namespace weir {

enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };

// One key and value of a line. A Secret cannot be one.
class LogField {
 public:
  LogField(std::string_view key, std::string_view text) : key_(key), value_(text), quoted_(true) {}
  LogField(std::string_view key, const std::string& text) : LogField(key, std::string_view(text)) {}
  LogField(std::string_view key, const char* text) : LogField(key, std::string_view(text)) {}
  LogField(std::string_view key, bool value) : key_(key), value_(value ? "true" : "false") {}
  LogField(std::string_view key, double value);
  template <std::integral T>
  LogField(std::string_view key, T value) : key_(key), value_(std::to_string(value)) {}
  LogField(std::string_view key, const Secret&) = delete;

  const std::string& Key() const { return key_; }
  const std::string& Value() const { return value_; }
  bool Quoted() const { return quoted_; }  // text, not a number or bool

 private:
  std::string key_;
  std::string value_;
  bool quoted_ = false;
};

// Sets where lines go and how they look: to stderr, as text (coloured only on a terminal without NO_COLOR) or
// as JSON, one object a line. level: debug | info | warn | error | off. format: auto (text on a terminal,
// else JSON) | text | json. `program` is named in each line. Called once by main before it starts threads;
// until then lines of info and above go out as text. Errors: kConfig.
Result<void> SetupLogging(std::string_view level, std::string_view format, std::string_view program);

bool LogEnabled(LogLevel level);

// Writes one line with the thread's LogScope fields and these; of two with one key the innermost counts. Any
// thread. Bytes that are not UTF-8 and control characters are made harmless; `message` is cut at 4 KiB, and
// so is each value. Above debug a message that comes again and again is written 20 times in ten seconds; how
// often it came besides is written when they are over (LogLimiter).
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});
// The same with what went wrong: error class, message, hint, HTTP status, SQLSTATE.
void LogError(LogLevel level, std::string_view message, const Error& error,
              std::initializer_list<LogField> fields = {});

// Adds fields (job, task, page, lane, trace, …) to every line of this thread while it lives. Lives on the
// stack of one thread; scopes end in reverse order.
class LogScope {
 public:
  explicit LogScope(std::initializer_list<LogField> fields);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

 private:
  std::size_t before_;
};

}  // namespace weir
