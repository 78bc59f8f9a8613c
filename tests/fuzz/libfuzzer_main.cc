// libFuzzer's entry: WEIR_FUZZ_TARGET says which target it drives. One program for all, since linking costs
// more than running.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/fuzz/targets.h"

namespace {

const weir::fuzz::Target& Chosen() {
  const char* name = std::getenv("WEIR_FUZZ_TARGET");
  const weir::fuzz::Target* target = name == nullptr ? nullptr : weir::fuzz::FindTarget(name);
  if (target != nullptr) return *target;
  std::fprintf(stderr, "WEIR_FUZZ_TARGET must be one of:\n");
  for (const auto& known : weir::fuzz::Targets()) {
    std::fprintf(stderr, "%s\n", std::string(known.name).c_str());
  }
  std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  (void)Chosen();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const weir::fuzz::Target& target = Chosen();
  const std::string broken = target.run({reinterpret_cast<const char*>(data), size});
  if (broken.empty()) return 0;
  std::fprintf(stderr, "%s: %s\n", std::string(target.name).c_str(), broken.c_str());
  std::abort();
}
