// Preloaded (LD_PRELOAD) into a program: its wall clock is off by what the file WEIR_WRONG_CLOCK_FILE says at
// that moment, eight bytes of nanoseconds. CLOCK_REALTIME, gettimeofday, time and timespec_get tell it, and
// who waits until a time of that clock waits as if the machine's had been set: for days, if it went back.
// Monotonic and boot clocks go on as they are.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kSlice = 50'000'000;
// A time of the wall clock; monotonic ones are far below.
constexpr std::int64_t kLeastWall = 500'000'000 * kSecond;

std::atomic<std::int64_t>* Open() {
  const char* path = std::getenv("WEIR_WRONG_CLOCK_FILE");
  const int fd = path == nullptr ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) std::abort();
  void* at = mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (at == MAP_FAILED) std::abort();
  return static_cast<std::atomic<std::int64_t>*>(at);
}

std::int64_t Off() {
  static std::atomic<std::int64_t>* const off = Open();
  return off->load();
}

template <typename Function>
Function* Next(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

std::int64_t Nanos(const timespec& t) { return t.tv_sec * kSecond + t.tv_nsec; }
timespec Spec(std::int64_t ns) { return {ns / kSecond, ns % kSecond}; }

std::int64_t TrueNow() {
  static auto* const real = Next(&clock_gettime, "clock_gettime");
  timespec now{};
  real(CLOCK_REALTIME, &now);
  return Nanos(now);
}
std::int64_t WrongNow() { return TrueNow() + Off(); }

// Waits in slices, since the clock may be set meanwhile; a slice that ends early is a spurious wake-up.
template <typename Wait>
int WaitUntil(const timespec* until, int timed_out, const Wait& wait) {
  if (WrongNow() >= Nanos(*until)) return timed_out;
  const timespec slice = Spec(std::min(TrueNow() + kSlice, Nanos(*until) - Off()));
  const int woken = wait(&slice);
  return woken == timed_out && WrongNow() < Nanos(*until) ? 0 : woken;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  static auto* const real = Next(&clock_gettime, "clock_gettime");
  const int result = real(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    *time = Spec(Nanos(*time) + Off());
  }
  return result;
}

int gettimeofday(timeval* time, void*) noexcept {
  const std::int64_t now = WrongNow();
  *time = {now / kSecond, now % kSecond / 1'000};
  return 0;
}

time_t time(time_t* time) noexcept {
  const time_t now = WrongNow() / kSecond;
  if (time != nullptr) *time = now;
  return now;
}

int timespec_get(timespec* time, int base) noexcept {
  if (base != TIME_UTC) return 0;
  *time = Spec(WrongNow());
  return base;
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* until) {
  static auto* const real = Next(&pthread_cond_timedwait, "pthread_cond_timedwait");
  if (Nanos(*until) < kLeastWall) return real(condition, mutex, until);
  return WaitUntil(until, ETIMEDOUT, [&](const timespec* slice) { return real(condition, mutex, slice); });
}

int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                           const timespec* until) {
  static auto* const real = Next(&pthread_cond_clockwait, "pthread_cond_clockwait");
  if (clock != CLOCK_REALTIME) return real(condition, mutex, clock, until);
  return WaitUntil(until, ETIMEDOUT,
                   [&](const timespec* slice) { return real(condition, mutex, clock, slice); });
}

int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* until) {
  static auto* const real = Next(&cnd_timedwait, "cnd_timedwait");
  return WaitUntil(until, thrd_timedout,
                   [&](const timespec* slice) { return real(condition, mutex, slice); });
}

}  // extern "C"
