#include "producer/cli/standard_output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace weir::cli {

int StandardOutput::Buffer::sync() {
  const char* from = pbase();
  while (from < pptr() && error == 0) {
    const ssize_t size = ::write(fd_, from, static_cast<std::size_t>(pptr() - from));
    if (size >= 0) {
      from += size;
    } else if (errno == EAGAIN) {
      // Another program that shares the terminal or the pipe has made it non-blocking.
      pollfd writable{fd_, POLLOUT, 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  Empty();
  return error == 0 ? 0 : -1;
}

StandardOutput::Buffer::int_type StandardOutput::Buffer::overflow(int_type c) {
  if (sync() != 0) return traits_type::eof();
  if (!traits_type::eq_int_type(c, traits_type::eof())) {
    *pptr() = traits_type::to_char_type(c);
    pbump(1);
  }
  return traits_type::not_eof(c);
}

}  // namespace weir::cli
