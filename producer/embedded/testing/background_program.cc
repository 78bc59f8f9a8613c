// Stands in for the program `weir` in the tests of the embedded parts: its two background commands and
// nothing else.
#include <cstdlib>
#include <string>

#include "producer/embedded/supervisor.h"

int main(int argc, char** argv) {
  const std::string command = argc > 2 ? argv[1] : "";
  if (command == "supervise" && argc == 6) return weir::RunSupervisor(argv[3], std::atoi(argv[5]));
  if (command == "broker" && argc == 4) return weir::RunBroker(argv[3]);
  return 2;
}
