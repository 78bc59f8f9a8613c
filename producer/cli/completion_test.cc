#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "producer/cli/fake_services.h"

namespace weir::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class CompletionTest : public testing::Test {
 protected:
  CompletionTest() {
    std::string name = testing::TempDir() + "weir_completion_XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~CompletionTest() override { std::filesystem::remove_all(folder_); }

  std::string Script(const std::string& shell) {
    EXPECT_EQ(cli_.Run({"completion", shell}), 0) << cli_.err;
    const std::string path = folder_ + "/script." + shell;
    std::ofstream(path) << cli_.out;
    return path;
  }
  static bool Installed(const std::string& shell) {
    return std::system(("command -v " + shell + " > /dev/null 2>&1").c_str()) == 0;
  }
  static std::string Output(const std::string& command) {
    FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) return {};
    std::string text;
    for (int c = 0; (c = std::fgetc(pipe)) != EOF;) text.push_back(static_cast<char>(c));
    pclose(pipe);
    return text;
  }
  // What bash offers after these words, the last of them being typed.
  std::string Offered(const std::string& words) {
    std::ofstream(folder_ + "/ask.sh")
        << "source " << Script("bash") << "\nCOMP_WORDS=(weir " << words
        << ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_weir\necho \" ${COMPREPLY[*]} \"\n";
    return Output("bash " + folder_ + "/ask.sh 2>&1");
  }

  CliHarness cli_;
  std::string folder_;
};

TEST_F(CompletionTest, TheScriptsParse) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string path = Script(shell);
    EXPECT_THAT(cli_.out, AllOf(HasSubstr("failures"), HasSubstr("priority"))) << shell;
    if (!Installed(shell)) continue;  // bash always is
    EXPECT_EQ(std::system((std::string(shell) + " -n " + path).c_str()), 0) << shell;
  }
  EXPECT_TRUE(Installed("bash"));
}

TEST_F(CompletionTest, BashOffersWhatFits) {
  EXPECT_THAT(Offered("''"), AllOf(HasSubstr(" sync "), HasSubstr(" jobs "), Not(HasSubstr(" list "))));
  EXPECT_THAT(Offered("jobs ''"), AllOf(HasSubstr(" list "), Not(HasSubstr(" sync "))));
  EXPECT_THAT(Offered("failures l"), HasSubstr(" list "));
  EXPECT_THAT(Offered("sync ''"), HasSubstr(" lichess/games "));
  EXPECT_THAT(Offered("sync lichess/games --pri"), HasSubstr(" --priority "));
  EXPECT_EQ(Offered("sync lichess/games --priority ''"), " bulk interactive \n");
  EXPECT_EQ(Offered("jobs list --output j"), " json \n");
  EXPECT_EQ(Offered("sync --deadline ''"), "  \n");  // nothing to offer is better than something wrong
}

TEST_F(CompletionTest, HiddenCommandsAreNotOffered) {
  cli_.environment.more_commands.push_back(Commands(cli_.environment.actions).front());
  cli_.environment.more_commands.back().path = "internal-broker";
  cli_.environment.more_commands.back().hidden = true;
  EXPECT_THAT(Offered("''"), Not(HasSubstr("internal-broker")));
  EXPECT_EQ(cli_.Run({"--help"}), 0);
  EXPECT_THAT(cli_.out, Not(HasSubstr("internal-broker")));
  EXPECT_EQ(cli_.Run({"internal-broker", "lichess/games", "-a", "bob"}), 0) << cli_.err;
}

}  // namespace
}  // namespace weir::cli
