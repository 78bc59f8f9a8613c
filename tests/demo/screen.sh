# shellcheck shell=bash
# Several syncs on one screen. On a terminal each sync gets one of its own (script(1)), and the drawings of all are shown
# one below the other; elsewhere their lines are passed on as they come. What else they say stands above.
# Sourced by demo.sh, with the folder `work`.
# shellcheck disable=SC2034  # the colours are for demo.sh too
: "${work:?}"

on_terminal=
if [[ -t 1 && ${TERM:-dumb} != dumb ]] && command -v script >/dev/null; then on_terminal=1; fi

bold='' dim='' red='' green='' plain=''
if [[ -t 1 && ${TERM:-dumb} != dumb && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi

declare -A screen_fd=() screen_rest=() screen_next=() screen_frame=()
screen_names=()
screen_drawn=0
screen_width=$(stty size <&1 2>/dev/null | cut -d ' ' -f 2 || true)
if [[ ! $screen_width =~ ^[1-9] ]]; then screen_width=100; fi

# show_program NAME COMMAND…: starts a program whose progress is to be shown. Its result goes to $work/NAME.out, its exit
# code to $work/NAME.code, its pid to $work/NAME.pid.
show_program() {
  local name=$1 command fd
  shift
  : >"$work/$name.screen"
  rm -f -- "$work/$name.code" "$work/$name.pid"
  printf -v command '%q ' "$@"
  # The pid is that of the program itself: what stands between would not pass a signal on.
  command="echo \$\$ >$work/$name.pid; exec $command >$work/$name.out"
  if [[ $on_terminal ]]; then command="stty cols $screen_width rows 50; $command"; fi
  (
    code=0
    if [[ $on_terminal ]]; then
      SHELL=/bin/sh script -qefc "$command" /dev/null </dev/null >"$work/$name.screen" 2>&1 || code=$?
    else
      sh -c "$command" </dev/null 2>"$work/$name.screen" || code=$?
    fi
    echo "$code" >"$work/$name.code"
  ) &
  screen_names+=("$name")
  exec {fd}<"$work/$name.screen"
  screen_fd[$name]=$fd
  screen_rest[$name]='' screen_next[$name]='' screen_frame[$name]=''
}

# One line of a program's screen: a piece of a drawing, which begins by erasing its line, or a message.
take_line() {
  local name=$1 line=${2//$'\r'/} anew=
  while [[ $line =~ ^$'\e'\[([0-9]+A|J) ]]; do
    line=${line#"${BASH_REMATCH[0]}"}
    anew=1
  done
  if [[ $line == $'\e[2K'* ]]; then
    if [[ $anew ]]; then screen_next[$name]=; fi
    screen_next[$name]+=$line$'\n'
  elif [[ -n $line ]]; then
    say_above "$line"
  fi
}

# What the program has written since the last look.
take_news() {
  local name=$1 line
  while IFS= read -r -u "${screen_fd[$name]}" line; do
    take_line "$name" "${screen_rest[$name]}$line"
    screen_rest[$name]=
  done
  screen_rest[$name]+=$line
  # A drawing is whole when what stands below it is erased.
  if [[ ${screen_rest[$name]} == $'\e[J'* && -n ${screen_next[$name]} ]]; then
    screen_frame[$name]=${screen_next[$name]}
  fi
}

erase_frames() {
  if ((screen_drawn)); then printf '\e[%dA\r\e[J' "$screen_drawn"; fi
  screen_drawn=0
}

say_above() {
  erase_frames
  printf '%s\n' "$*"
}

draw_frames() {
  local name frames='' newlines
  for name in "${screen_names[@]}"; do frames+=${screen_frame[$name]}; done
  erase_frames
  printf '%s' "$frames"
  newlines=${frames//[!$'\n']/}
  screen_drawn=${#newlines}
}

# look: takes and draws what is new; false when all programs have ended.
look() {
  local name running=
  for name in "${screen_names[@]}"; do
    if [[ ! -s $work/$name.code ]]; then running=1; fi
    take_news "$name"
  done
  if [[ $on_terminal ]]; then draw_frames; fi
  [[ $running ]]
}

# The exit codes that are not 0, each with its program's name; leaves the last drawings where they stand.
failed_programs() {
  local name
  for name in "${screen_names[@]}"; do
    if [[ $(<"$work/$name.code") != 0 ]]; then echo "$name: exit code $(<"$work/$name.code")"; fi
  done
}

forget_programs() {
  local name fd
  for name in "${screen_names[@]}"; do
    fd=${screen_fd[$name]}
    exec {fd}<&-
  done
  screen_names=() screen_drawn=0
}

stop_programs() {
  local name pid
  for name in "${screen_names[@]}"; do
    if [[ -s $work/$name.pid && ! -s $work/$name.code ]]; then
      pid=$(<"$work/$name.pid")
      kill -TERM "$pid" 2>/dev/null || true
    fi
  done
}
