#include "producer/cli/app.h"

int main(int argc, char** argv) { return weir::cli::RunCli(argc, argv); }
