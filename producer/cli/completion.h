#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace weir::cli {

// A word of the command line and what may follow it, taken from the CLI11 tree, so that completions are
// always true to the program.
struct CompletionNode {
  struct Option {
    std::vector<std::string> names;  // "--output", "-o"
    std::string help;
    bool takes_value = false;
    bool takes_file = false;
    std::vector<std::string> choices;
  };
  std::string path;  // "jobs list"; "" for the root
  std::string name, help;
  std::vector<Option> options;
  std::vector<std::string> words;  // values of a positional, if they are few
  std::vector<CompletionNode> children;
};

CompletionNode DescribeApp(const CLI::App& root);

std::string BashCompletion(const CompletionNode& root);
std::string ZshCompletion(const CompletionNode& root);
std::string FishCompletion(const CompletionNode& root);

}  // namespace weir::cli
