#include "producer/cli/completion.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>

#include "common/sources/source.h"

namespace weir::cli {
namespace {

using Option = CompletionNode::Option;

// CLI11 keeps the choices of an option only in its type's text: "TEXT:{table,json}".
std::vector<std::string> ChoicesOf(const std::string& type) {
  std::vector<std::string> choices;
  const auto open = type.find('{'), close = type.find('}');
  if (open == std::string::npos || close == std::string::npos) return choices;
  std::string_view rest = std::string_view(type).substr(open + 1, close - open - 1);
  for (;;) {
    const auto comma = rest.find(',');
    choices.emplace_back(rest.substr(0, comma));
    if (comma == std::string_view::npos) return choices;
    rest.remove_prefix(comma + 1);
  }
}

std::vector<std::string> StreamWords() {
  std::vector<std::string> words;
  for (const Source* source : AllSources()) {
    for (const StreamInfo& stream : source->Info().streams)
      words.push_back(source->Info().name + "/" + stream.name);
  }
  return words;
}

std::vector<std::string> WordsOf(const CLI::Option& positional) {
  if (positional.get_type_name() == "SOURCE/STREAM") return StreamWords();
  return ChoicesOf(positional.get_type_name());
}

CompletionNode Describe(const CLI::App& app, const std::string& path) {
  CompletionNode node;
  node.path = path;
  node.name = app.get_name();
  node.help = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      node.words = WordsOf(*option);
      continue;
    }
    Option described;
    for (const std::string& name : option->get_lnames()) described.names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) described.names.push_back("-" + name);
    described.help = option->get_description();
    described.takes_value = option->get_items_expected_max() > 0;
    described.takes_file = option->get_type_name() == "FILE";
    described.choices = ChoicesOf(option->get_type_name());
    node.options.push_back(std::move(described));
  }
  for (const CLI::App* child :
       app.get_subcommands([](const CLI::App* a) { return !a->get_group().empty(); })) {
    node.children.push_back(
        Describe(*child, path.empty() ? child->get_name() : path + " " + child->get_name()));
  }
  return node;
}

// Every node of the tree, the root first.
template <typename Visit>
void ForEach(const CompletionNode& node, const Visit& visit) {
  visit(node);
  for (const CompletionNode& child : node.children) ForEach(child, visit);
}

std::string Quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::vector<std::string> NamesOf(const std::vector<Option>& options) {
  std::vector<std::string> names;
  for (const Option& option : options) names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

std::vector<std::string> ChildNames(const CompletionNode& node) {
  std::vector<std::string> names;
  for (const CompletionNode& child : node.children) names.push_back(child.name);
  return names;
}

std::string FunctionName(const CompletionNode& node) {
  std::string name = "_weir";
  for (const char c : node.path)
    name += node.path.empty() ? "" : std::string(1, c == ' ' || c == '-' ? '_' : c);
  return node.path.empty() ? name : name.insert(5, "_");
}

// One _arguments specification of zsh; brackets and colons would end its parts.
std::string ZshSpec(const Option& option, const std::string& name) {
  std::string help;
  for (const char c : option.help) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') help += '\\';
    help += c;
  }
  std::string spec = fmt::format("*{}[{}]", name, help);
  if (option.takes_value) spec += ":value:";
  if (option.takes_file) spec += "_files";
  if (!option.choices.empty()) spec += fmt::format("({})", fmt::join(option.choices, " "));
  return Quoted(spec);
}

}  // namespace

CompletionNode DescribeApp(const CLI::App& root) { return Describe(root, ""); }

std::string BashCompletion(const CompletionNode& root) {
  std::string words, values;
  ForEach(root, [&](const CompletionNode& node) {
    auto offered = NamesOf(node.options);
    const auto children = ChildNames(node);
    offered.insert(offered.end(), children.begin(), children.end());
    offered.insert(offered.end(), node.words.begin(), node.words.end());
    words += fmt::format("    {}) words={} ;;\n", Quoted(node.path),
                         Quoted(fmt::format("{}", fmt::join(offered, " "))));
    for (const Option& option : node.options) {
      if (!option.takes_value) continue;
      for (const std::string& name : option.names) {
        const std::string reply =
            option.takes_file        ? "COMPREPLY=($(compgen -f -- \"$cur\"))"
            : option.choices.empty() ? "COMPREPLY=()"
                                     : fmt::format("COMPREPLY=($(compgen -W {} -- \"$cur\"))",
                                                   Quoted(fmt::format("{}", fmt::join(option.choices, " "))));
        values += fmt::format("    {}) {}; return ;;\n", Quoted(node.path + ":" + name), reply);
      }
    }
  });
  std::string paths;
  ForEach(root, [&](const CompletionNode& node) {
    if (!node.path.empty()) paths += " " + Quoted(node.path);
  });
  return "# bash completion for weir: weir completion bash > /etc/bash_completion.d/weir\n"
         "_weir() {\n"
         "  local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" path='' word known "
         "i words=''\n"
         "  local paths=(" +
         paths +
         " )\n"
         "  COMPREPLY=()\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    word=\"${path:+$path }${COMP_WORDS[i]}\"\n"
         "    for known in \"${paths[@]}\"; do\n"
         "      if [[ $known == \"$word\" ]]; then path=$word; break; fi\n"
         "    done\n"
         "  done\n"
         "  case \"$path:$prev\" in\n" +
         values +
         "  esac\n"
         "  case \"$path\" in\n" +
         words +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "}\n"
         "complete -F _weir weir\n";
}

std::string ZshCompletion(const CompletionNode& root) {
  std::string text =
      "#compdef weir\n# zsh completion for weir: weir completion zsh > \"${fpath[1]}/_weir\"\n";
  ForEach(root, [&](const CompletionNode& node) {
    text += "\n" + FunctionName(node) + "() {\n";
    if (!node.children.empty()) text += "  local line state\n";
    text += "  _arguments -s \\\n";
    for (const Option& option : node.options) {
      for (const std::string& name : option.names) text += "    " + ZshSpec(option, name) + " \\\n";
    }
    if (node.children.empty()) {
      text += node.words.empty() ? "    '*:argument:_default'\n"
                                 : fmt::format("    '*:argument:({})'\n", fmt::join(node.words, " "));
      text += "}\n";
      return;
    }
    text += "    '1: :->command' '*:: :->rest'\n  case $state in\n    command)\n      local -a commands=(\n";
    for (const CompletionNode& child : node.children) {
      std::string help;
      for (const char c : child.help) help += c == ':' ? std::string("\\:") : std::string(1, c);
      text += "        " + Quoted(child.name + ":" + help) + "\n";
    }
    text += "      )\n      _describe command commands ;;\n    rest)\n      case $line[1] in\n";
    for (const CompletionNode& child : node.children)
      text += fmt::format("        {}) {} ;;\n", child.name, FunctionName(child));
    text += "      esac ;;\n  esac\n}\n";
  });
  return text + "\nif [[ $funcstack[1] == _weir ]]; then _weir \"$@\"; else compdef _weir weir; fi\n";
}

std::string FishCompletion(const CompletionNode& root) {
  std::string text =
      "# fish completion for weir: weir completion fish > ~/.config/fish/completions/weir.fish\n"
      "complete -c weir -f\n";
  ForEach(root, [&](const CompletionNode& node) {
    std::string when;
    std::string_view path = node.path;
    while (!path.empty()) {
      const auto space = path.find(' ');
      when += fmt::format("{}__fish_seen_subcommand_from {}", when.empty() ? "" : "; and ",
                          path.substr(0, space));
      path.remove_prefix(space == std::string_view::npos ? path.size() : space + 1);
    }
    const auto children = ChildNames(node);
    std::string here = when;
    if (!children.empty()) {
      here += fmt::format("{}not __fish_seen_subcommand_from {}", when.empty() ? "" : "; and ",
                          fmt::join(children, " "));
    }
    for (const CompletionNode& child : node.children) {
      text +=
          fmt::format("complete -c weir -n {} -a {} -d {}\n", Quoted(here), child.name, Quoted(child.help));
    }
    const std::string condition = here.empty() ? "" : " -n " + Quoted(here);
    if (!node.words.empty())
      text += fmt::format("complete -c weir{} -a {}\n", condition,
                          Quoted(fmt::format("{}", fmt::join(node.words, " "))));
    for (const Option& option : node.options) {
      text += "complete -c weir" + condition;
      for (const std::string& name : option.names)
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (option.takes_value) text += option.takes_file ? " -r -F" : " -x";
      if (!option.choices.empty()) text += " -a " + Quoted(fmt::format("{}", fmt::join(option.choices, " ")));
      text += " -d " + Quoted(option.help) + "\n";
    }
  });
  return text;
}

}  // namespace weir::cli
