// weir: the command line, and what runs behind it: dispatch, local services and workers (producer/sync), and
// what it asks an upstream itself (producer/probe).
#include <pthread.h>

#include <utility>

#include "common/base/process_start.h"
#include "producer/cli/app.h"
#include "producer/probe/actions.h"
#include "producer/sync/actions.h"

namespace {

// The leader's services, the engine and Kafka's client are two dozen threads: with stacks of the usual eight
// megabytes they do not fit into a container's or a user's limit. The worker's are half a megabyte.
void KeepStacksSmall() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 1 << 20);
  pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
}

}  // namespace

int main(int argc, char** argv) {
  weir::PrepareProcess();
  KeepStacksSmall();
  weir::cli::Actions actions;
  weir::AddSyncActions(actions);
  weir::probe::AddProbeActions(actions, weir::LeaseSupervisedDatabase);
  return weir::cli::RunCli(argc, argv, std::move(actions), weir::BackgroundCommands(),
                           weir::LeaseSupervisedDatabase);
}
