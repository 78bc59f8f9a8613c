#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::fuzz {

// One parser of hostile bytes and what it promises. `run` takes any bytes and returns the promise that they
// broke, or "". It keeps no state between calls. Sanitizers find what it does not ask.
struct Target {
  std::string_view name;  // also the folder of its seeds, tests/fuzz/seeds/NAME
  std::string (*run)(std::string_view input);
};

const std::vector<Target>& Targets();
const Target* FindTarget(std::string_view name);

std::string RunJsonWalker(std::string_view input);
std::string RunNdjsonReader(std::string_view input);
std::string RunArrayReader(std::string_view input);
std::string RunBracketScanner(std::string_view input);
std::string RunHead(std::string_view input);
std::string RunHttpDate(std::string_view input);
std::string RunTaskMessage(std::string_view input);
std::string RunNumeric(std::string_view input);
std::string RunValueText(std::string_view text);

}  // namespace weir::fuzz
