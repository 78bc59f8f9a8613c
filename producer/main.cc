// weir: the command line, and what runs behind it: dispatch, local services and workers (producer/sync).
#include <utility>

#include "producer/cli/app.h"
#include "producer/sync/actions.h"

int main(int argc, char** argv) {
  weir::cli::Actions actions;
  weir::AddSyncActions(actions);
  return weir::cli::RunCli(argc, argv, std::move(actions), weir::BackgroundCommands(),
                           weir::LeaseSupervisedDatabase);
}
