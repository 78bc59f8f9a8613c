// weir: the command line, and what runs behind it: dispatch, local services and workers (producer/sync), and
// what it asks an upstream itself (producer/probe).
#include <utility>

#include "common/base/process_start.h"
#include "producer/cli/app.h"
#include "producer/probe/actions.h"
#include "producer/sync/actions.h"

int main(int argc, char** argv) {
  weir::PrepareProcess();
  weir::cli::Actions actions;
  weir::AddSyncActions(actions);
  weir::probe::AddProbeActions(actions, weir::LeaseSupervisedDatabase);
  return weir::cli::RunCli(argc, argv, std::move(actions), weir::BackgroundCommands(),
                           weir::LeaseSupervisedDatabase);
}
