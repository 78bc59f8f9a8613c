#!/usr/bin/env bash
# A real sync on a sample upstream: six players of two APIs at once, two workers, one of them killed half-way. Then the
# tables are compared with the upstream. Run by `./dev demo`, which builds the programs; ends all that it starts.
set -euo pipefail

usage() {
  cat <<'END'
./dev demo [--quick]   --quick: fewer games; for tests
END
}

fail() {
  printf '%sdemo: %s%s\n' "${red:-}" "$*" "${plain:-}" >&2
  exit 1
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
bin=${WEIR_BIN_DIR:?the folder with weir, weir-worker and weir-sample-upstream; ./dev demo sets it}
quick=
case "${1:-}" in
  '') ;;
  --quick) quick=1 ;;
  -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

# The demo's own services and settings, whatever else is configured here.
while IFS= read -r name; do unset "$name"; done < <(compgen -e | grep -E '^WEIR_|^(MAX_CONCURRENT_IMPORTS|IMPORT_BATCH_SIZE|EXISTING_GAMES_PAGE_SIZE)$' || true)
base=${TMPDIR:-/tmp}
if ((${#base} > 60)); then base=/tmp; fi  # a socket's path may have 107 bytes at most
WEIR_HOME=$(mktemp -d "$base/weir-demo.XXXXXX")
export WEIR_HOME WEIR_CONFIG=$WEIR_HOME/weir.yaml
# For root PostgreSQL runs as another user, who must get in; what is private has modes of its own.
chmod 755 "$WEIR_HOME"
work=$WEIR_HOME/demo
mkdir -m 700 "$work"
: >"$WEIR_CONFIG"
export PATH=$bin:$PATH

# shellcheck source=tests/demo/screen.sh
source "$here/screen.sh"

lichess_players=(DrNykterstein=3500 thibault=3000 penguingim1=2500)
chesscom_players=(hikaru=5000 gothamchess=4000 erik=3000)
pace=600 latency_ms=80
if [[ $quick ]]; then
  lichess_players=(DrNykterstein=700 thibault=500 penguingim1=400)
  chesscom_players=(hikaru=500 gothamchess=300 erik=200)
  pace=200 latency_ms=2
  export IMPORT_BATCH_SIZE=100
fi

upstream_pid='' database=''

cleanup() {
  local code=$?
  trap - EXIT INT TERM
  stop_programs
  wait_for_syncs
  if [[ -e $WEIR_HOME/run/keep ]]; then weir down >/dev/null 2>&1 || true; fi
  if [[ $upstream_pid ]]; then kill "$upstream_pid" 2>/dev/null || true; fi
  wait
  if ((code)); then printf 'what was logged: %s/log, %s\n' "$WEIR_HOME" "$work" >&2; fi
  exit "$code"
}

wait_for_syncs() {
  local name
  for name in "${screen_names[@]}"; do
    while [[ ! -s $work/$name.code ]]; do sleep 0.1; done
  done
}

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
# The command as one would type it, then its output.
run() {
  printf '%s$ %s%s\n' "$dim" "$*" "$plain"
  "$@"
}

start_upstream() {
  local player arguments=()
  for player in "${lichess_players[@]}"; do arguments+=(--players "lichess/$player;ongoing=2"); done
  for player in "${chesscom_players[@]}"; do arguments+=(--players "chesscom/$player"); done
  weir-sample-upstream --port-file "$work/port" --pace "$pace" --latency-ms "$latency_ms" "${arguments[@]}" \
    >"$work/upstream.log" 2>&1 &
  upstream_pid=$!
  until [[ -s $work/port ]]; do
    kill -0 "$upstream_pid" 2>/dev/null || fail "the sample upstream did not start: $(<"$work/upstream.log")"
    sleep 0.05
  done
  upstream_port=$(<"$work/port")
  upstream=http://127.0.0.1:$upstream_port
  export WEIR_SOURCES_LICHESS_BASE_URL=$upstream WEIR_SOURCES_CHESSCOM_BASE_URL=$upstream
}

# tell_upstream CALL JSON: its control interface, over bash's own TCP.
tell_upstream() {
  local answer connection
  exec {connection}<>"/dev/tcp/127.0.0.1/$upstream_port"
  printf 'POST /_control/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' \
    "$1" "${#2}" "$2" >&"$connection"
  IFS= read -r answer <&"$connection"
  exec {connection}>&-
  [[ $answer == *' 200 '* ]] || fail "the sample upstream did not take $1: $answer"
}

start_services() {
  weir up --output json >"$work/up.json" 2>"$work/up.log" || fail "weir up failed: $(<"$work/up.log")"
  [[ $(<"$work/up.json") =~ \"database_url\":\ *\"([^\"]*)\" ]] || fail "weir up named no database"
  database=${BASH_REMATCH[1]}
}

ask() { psql -X -At -d "$database" -c "$1"; }
query() {
  printf '%s$ psql -c "%s"%s\n' "$dim" "$1" "$plain"
  psql -X -P pager=off -d "$database" -c "$1"
}

# start_sync SOURCE NAME=GAMES…: one worker each, and both do the work of both.
start_sync() {
  local source=$1 player command
  shift
  command=(weir sync "$source/games")
  for player in "$@"; do command+=(--account "${player%%=*}"); done
  printf '%s$ %s &%s\n' "$dim" "${command[*]}" "$plain"
  show_program "$source" "${command[@]}" --workers 1 --output json
}

# Half-way, the worker that is reading from Lichess is killed.
kill_half_way() {
  local sum=0 player pid
  for player in "${lichess_players[@]}"; do ((sum += ${player#*=})); done
  (($(ask "select count(*) from lichess.games") >= sum / 2)) || return 0
  pid=$(ask "select w.pid from weir.workers w join weir.lanes l on l.holder = w.id where l.meter like 'lichess%'")
  if [[ ! $pid ]]; then return; fi  # between two tasks
  kill -KILL "$pid" || return 0
  killed=$pid
  say_above "${red}kill -KILL $pid${plain}: that was the worker that reads from Lichess"
}

# sync_both [KILL]: both syncs at once, until both have ended.
killed=
sync_both() {
  local bad
  start_sync lichess "${lichess_players[@]}"
  start_sync chesscom "${chesscom_players[@]}"
  while look; do
    if [[ ${1:-} == kill && ! $killed ]]; then kill_half_way; fi
    sleep 0.2
  done
  bad=$(failed_programs)
  forget_programs
  [[ ! $bad ]] || fail "a sync failed. $bad"
}

# The summary that `weir sync` itself shows without --output json.
summary() {
  local source
  for source in lichess chesscom; do
    [[ $(<"$work/$source.out") =~ \"job\":\ *([0-9]+) ]] || fail "the sync of $source named no job"
    echo
    run weir status "${BASH_REMATCH[1]}"
  done
}

compare() {
  local lines
  lines=$(weir-upstream-check --upstream "$upstream" --database "$database") || {
    printf '%s\n' "$lines"
    fail "the tables differ from the upstream"
  }
  printf '%s\n' "${lines//equal/${green}equal$plain}"
}

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

title "weir: chess games of six players from two APIs into PostgreSQL"
echo "A sample upstream on this machine speaks Lichess and Chess.com as documented, one request at a time for each.
All that the demo keeps is in $WEIR_HOME."
start_upstream
start_services

title "1. The first sync of both, by two workers; half-way one of them is killed"
sync_both kill
[[ $killed ]] || fail "the syncs had ended before a worker could be killed"
first_ended=$(date -u +%FT%TZ)
summary

title "2. Twelve games are played; the second sync asks only for what can have changed"
tell_upstream games/add '{"source":"lichess","player":"DrNykterstein","n":7,"from":"'"$first_ended"'"}'
tell_upstream games/add '{"source":"chesscom","player":"hikaru","n":5,"from":"'"$first_ended"'"}'
sync_both
summary

title "3. Do the tables equal the upstream? Every record, as jsonb:"
compare

title "4. A look at the result"
query "select white_name, black_name, result, eco, opening from lichess.games order by created_at desc limit 5"
query "select opening, count(*) games, count(*) filter (where winner = 'white') white_won
    from chesscom.games group by opening order by games desc limit 5"
echo "Each page range was a task in the ledger, committed with its rows. The five largest:"
query "select id task, job_id job, account, state, pages, fetched, inserted, unchanged
    from weir.tasks order by fetched desc limit 5"

weir down >/dev/null 2>&1 || fail "weir down failed"
title "Nothing runs any more; the data is kept. To look again:"
cat <<END
  export WEIR_HOME=$WEIR_HOME PATH=$bin:\$PATH
  weir up                  # prints the psql command; then e.g.: weir jobs list, weir status 1
  weir down
  rm -r $WEIR_HOME
END
