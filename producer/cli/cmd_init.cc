#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>

#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"

namespace weir::cli {
namespace {

// Writes a file that is not there yet; never over one that is.
Result<void> WriteNew(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0 && errno == EEXIST) {
    return Fail(ErrorClass::kConflict, fmt::format("{} is there already and was left alone", path),
                "name another file: weir init FILE");
  }
  if (fd < 0)
    return Fail(ErrorClass::kConfig, fmt::format("{} cannot be written: {}", path, std::strerror(errno)));
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  const bool closed = close(fd) == 0;
  if (done == text.size() && closed) return {};
  unlink(path.c_str());
  return Fail(ErrorClass::kInternal, fmt::format("writing {} failed", path), "is the disk full?");
}

class InitCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("file", file_, "Where to write it")->type_name("FILE")->capture_default_str();
  }

  Result<int> Run(CommandContext& context) override {
    const std::string path = (std::filesystem::path(context.inputs.working_directory) / file_).string();
    if (auto done = WriteNew(path, ConfigExample()); !done) return tl::unexpected(done.error());
    if (context.output == OutputFormat::kJson) PrintJson(*context.io.out, {{"file", path}});
    *context.io.err << "Wrote " << path
                    << ". Everything in it is optional; `weir config show --origin` tells what "
                    << "holds.\n";
    return kOk;
  }

 private:
  std::string file_ = "weir.yaml";
};

}  // namespace

std::unique_ptr<Command> MakeInitCommand() { return std::make_unique<InitCommand>(); }

}  // namespace weir::cli
