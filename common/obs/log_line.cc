#include "common/obs/log_line.h"

#include <algorithm>

#include "common/base/json_text.h"
#include "common/base/time_text.h"

namespace weir {
namespace {

constexpr std::size_t kMaxText = 4096;

bool IsPlain(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte != 0x7F && byte < 0x80 && c != '"' && c != '=' && c != '\\';
  });
}

std::string JsonKey(const std::string& key) {
  for (const std::string_view own : {"time", "level", "program", "message"}) {
    if (key == own) return key + "_";
  }
  return key;
}

// Cut at `kMaxText` bytes; what it cuts through, AppendJsonString replaces.
std::string_view Short(std::string_view text) { return text.substr(0, kMaxText); }

}  // namespace

std::string_view ToString(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      return "off";
  }
  return "off";
}

std::vector<const LogField*> MergeFields(const std::vector<LogField>& scope,
                                         const std::vector<LogField>& own) {
  std::vector<const LogField*> merged;
  for (const std::vector<LogField>* part : {&scope, &own}) {
    for (const LogField& field : *part) {
      const auto same = std::find_if(merged.begin(), merged.end(),
                                     [&](const LogField* other) { return other->Key() == field.Key(); });
      if (same == merged.end()) {
        merged.push_back(&field);
      } else {
        *same = &field;
      }
    }
  }
  return merged;
}

std::string JsonLine(std::int64_t unix_ms, LogLevel level, std::string_view program, std::string_view message,
                     const std::vector<const LogField*>& fields) {
  std::string line = "{\"time\":";
  AppendJsonString(line, FormatTime(unix_ms));
  line += ",\"level\":";
  AppendJsonString(line, ToString(level));
  line += ",\"program\":";
  AppendJsonString(line, program);
  line += ",\"message\":";
  AppendJsonString(line, Short(message));
  for (const LogField* field : fields) {
    line += ',';
    AppendJsonString(line, JsonKey(field->Key()));
    line += ':';
    if (field->Quoted()) {
      AppendJsonString(line, Short(field->Value()));
    } else {
      line += field->Value();
    }
  }
  line += '}';
  return line;
}

std::string TextLine(std::string_view message, const std::vector<const LogField*>& fields) {
  std::string line = Printable(message, kMaxText);
  for (const LogField* field : fields) {
    line += ' ';
    line += Printable(field->Key());
    line += '=';
    if (!field->Quoted() || IsPlain(field->Value())) {
      line += Short(field->Value());
    } else {
      AppendJsonString(line, Short(field->Value()));
    }
  }
  return line;
}

}  // namespace weir
