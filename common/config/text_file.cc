#include "common/config/text_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/base/json_text.h"

namespace weir {
namespace {

constexpr std::string_view kUtf8Mark = "\xEF\xBB\xBF";

std::string SizeText(std::size_t bytes) {
  return bytes >= 1 << 20 ? fmt::format("{} MiB", bytes >> 20) : fmt::format("{} KiB", bytes >> 10);
}

class Reader {
 public:
  explicit Reader(const TextFile& file) : file_(file), standard_(file.path == "-") {
    fd_ = standard_ ? STDIN_FILENO : open(file.path.c_str(), O_RDONLY | O_CLOEXEC);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() {
    if (fd_ >= 0 && !standard_) close(fd_);
  }

  Result<std::string> Read() {
    if (fd_ < 0) return CannotRead();
    struct stat st {};
    if (fstat(fd_, &st) == 0 && S_ISDIR(st.st_mode)) return Refuse("is a folder, not a file");
    std::string text;
    for (;;) {
      const std::size_t had = text.size();
      text.resize(std::min(had + kChunk, file_.max_bytes + 1));
      const ssize_t size = read(fd_, text.data() + had, text.size() - had);
      if (size < 0 && errno != EINTR) return CannotRead();
      text.resize(had + static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
      if (text.size() > file_.max_bytes) return Refuse("is over " + SizeText(file_.max_bytes));
      if (size == 0) return text;
    }
  }

  tl::unexpected<Error> Refuse(const std::string& why) const {
    const std::string path = standard_ ? "on standard input" : Printable(file_.path);
    return Fail(ErrorClass::kConfig, fmt::format("{} {} {}", file_.what, path, why), file_.hint);
  }

 private:
  static constexpr std::size_t kChunk = 64 << 10;

  tl::unexpected<Error> CannotRead() const {
    return Refuse(fmt::format("cannot be read: {}", std::strerror(errno)));
  }

  const TextFile& file_;
  const bool standard_;
  int fd_ = -1;
};

}  // namespace

Result<std::string> ReadTextFile(const TextFile& file) {
  Reader reader(file);
  auto text = reader.Read();
  if (!text) return text;
  if (text->starts_with("\xFF\xFE") || text->starts_with("\xFE\xFF"))
    return reader.Refuse("is UTF-16: save it as UTF-8");
  if (text->starts_with(kUtf8Mark)) text->erase(0, kUtf8Mark.size());
  if (const auto nul = text->find('\0'); nul != std::string::npos) {
    const auto line = 1 + std::count(text->begin(), text->begin() + static_cast<std::ptrdiff_t>(nul), '\n');
    return reader.Refuse(fmt::format("is no text: line {} holds a NUL byte", line));
  }
  return text;
}

}  // namespace weir
