#include "common/base/process_start.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>

namespace weir {
namespace {

// open() takes the lowest free number, which is `fd`, since those below it are open by now. In the wrong
// mode, so that each read or write fails.
void KeepTaken(int fd) {
  if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) return;
  (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

}  // namespace

void PrepareProcess() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) KeepTaken(fd);
  signal(SIGCHLD, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace weir
