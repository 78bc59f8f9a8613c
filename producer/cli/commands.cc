#include "producer/cli/commands.h"

namespace weir::cli {

std::vector<CommandEntry> Commands(const Actions& actions) {
  std::vector<CommandEntry> all;
  const auto add = [&all](const char* path, const char* summary, const char* example,
                          std::function<std::unique_ptr<Command>()> make) {
    all.push_back({path, summary, example, std::move(make), false});
  };
  if (actions.sync) {
    add("sync", "Sync a stream of accounts and wait for the end",
        "weir sync lichess/games --account DrNykterstein --account thibault\n"
        "  weir sync chesscom/games --account hikaru --mode incremental --output json",
        MakeSyncCommand);
  }
  if (actions.enqueue) {
    add("enqueue", "Leave a sync to `weir serve` and its workers",
        "weir enqueue lichess/games --accounts-file players.txt --priority interactive", MakeEnqueueCommand);
  }
  if (actions.plan) {
    add("plan", "What a sync would take: tasks, requests, time; nothing is written",
        "weir plan lichess/games --account DrNykterstein --since 2026-01-01", MakePlanCommand);
  }
  if (actions.serve)
    add("serve", "Plan, dispatch and watch over jobs until stopped; answer the control API",
        "weir serve --port 8080", MakeServeCommand);
  add("status", "A job's state and numbers", "weir status 12 --watch", MakeStatusCommand);
  add("jobs list", "Jobs, the newest first", "weir jobs list --open", MakeJobsListCommand);
  add("cancel", "End a job; what is committed stays", "weir cancel 12", MakeCancelCommand);
  add("pause", "Let a job stand still; what is committed stays", "weir pause 12", MakePauseCommand);
  add("resume", "Let a paused job go on where it was", "weir resume 12", MakeResumeCommand);
  add("lanes", "Each lane: owner, delay, success rate, what it waits for",
      "weir lanes --account DrNykterstein", MakeLanesCommand);
  add("failures list", "Tasks that were given up, by class and one by one",
      "weir failures list --job 12 --class auth\n  weir failures list --group --since 2026-11-25T22:00:00Z",
      MakeFailuresListCommand);
  add("failures show", "What was asked and answered when a task was given up", "weir failures show 345",
      MakeFailuresShowCommand);
  add("replay", "Try tasks that were given up again",
      "weir replay 12 --class auth --dry-run\n  weir replay 12 --all\n"
      "  weir replay --source lichess --since 2026-11-25T22:00:00Z",
      MakeReplayCommand);
  add("garbage list", "Messages on the task topics that could not be read", "weir garbage list --limit 5",
      MakeGarbageListCommand);
  add("garbage purge", "Forget such messages", "weir garbage purge --before 2026-11-01",
      MakeGarbagePurgeCommand);
  add("sweep plan", "Which rows the last full sync did not meet; nothing is marked",
      "weir sweep plan highlevel/opportunities --account LOC", MakeSweepPlanCommand);
  add("sweep apply", "Mark a plan's rows stale, if they are the same still", "weir sweep apply 3",
      MakeSweepApplyCommand);
  add("drift", "Fields of records that their tables do not expect", "weir drift highlevel/opportunities",
      MakeDriftCommand);
  add("sources list", "The upstream APIs and their streams", "weir sources list", MakeSourcesListCommand);
  if (actions.check) {
    add("sources check", "Whether an upstream answers and takes the account",
        "weir sources check lichess --account DrNykterstein", MakeSourcesCheckCommand);
  }
  if (actions.preview) {
    add("sources preview", "A few records of a stream, written nowhere",
        "weir sources preview lichess/games --account DrNykterstein --records 2", MakeSourcesPreviewCommand);
  }
  add("migrate up", "Bring the database's schema to this program's", "weir migrate up", MakeMigrateUpCommand);
  add("migrate down", "Take the newest migrations back", "weir migrate down --steps 1 --yes",
      MakeMigrateDownCommand);
  add("migrate status", "Which migrations are applied", "weir migrate status", MakeMigrateStatusCommand);
  if (actions.up) add("up", "Start the private PostgreSQL and the broker, to stay", "weir up", MakeUpCommand);
  if (actions.down) add("down", "Stop what `weir up` started; data stays", "weir down", MakeDownCommand);
  add("doctor", "What works here and what does not", "weir doctor --online", MakeDoctorCommand);
  add("init", "Write a commented weir.yaml", "weir init", MakeInitCommand);
  add("config show", "Every setting's value, and where it came from", "weir config show --origin",
      MakeConfigShowCommand);
  add("config schema", "The JSON Schema of weir.yaml, for editors", "weir config schema > weir.schema.json",
      MakeConfigSchemaCommand);
  add("completion bash", "For bash", "weir completion bash > /etc/bash_completion.d/weir",
      [] { return MakeCompletionCommand("bash"); });
  add("completion zsh", "For zsh", "weir completion zsh > ~/.zsh/completions/_weir",
      [] { return MakeCompletionCommand("zsh"); });
  add("completion fish", "For fish", "weir completion fish > ~/.config/fish/completions/weir.fish",
      [] { return MakeCompletionCommand("fish"); });
  return all;
}

}  // namespace weir::cli
