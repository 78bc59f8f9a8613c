#pragma once

#include <map>
#include <string>
#include <vector>

namespace weir {

// The settings (dotted.key=value) that a command was started with, handed on to the workers that it starts.
// Others can read a command line, and a setting may be a secret (kafka.properties.sasl.password): an
// environment is its user's alone.
inline constexpr char kInheritedSettings[] = "WEIR_WORKER_SETTINGS";

// The variable's value; any bytes but 0.
std::string PackSettings(const std::vector<std::string>& settings);
// What is not of that form is left out.
std::vector<std::string> InheritedSettings(const std::map<std::string, std::string>& env);

}  // namespace weir
