# shellcheck shell=bash
# What every part of ./dev uses. Sourced by it with `root` (the project's root, also the working directory) and
# `caller_dir` (where the user stands).
: "${root:?}" "${caller_dir:?}"

# Progress goes to standard error: standard output is for results.
say() { printf '==> %s\n' "$*" >&2; }
warn() { printf '!!! %s\n' "$*" >&2; }
die() {
  printf './dev: %s\n' "$*" >&2
  exit 1
}
die_usage() {
  printf './dev: %s (see ./dev help)\n' "$*" >&2
  exit 2
}

in_ci() { [[ ${CI:-} == true || ${CI:-} == 1 ]]; }
is_root() { [[ $(id -u) == 0 ]]; }

# Compilers and tests at once: one a processor, and no more than one for each 1.5 GiB, which a C++ compiler may take.
jobs_here() {
  if [[ -n ${WEIR_JOBS:-} ]]; then
    echo "$WEIR_JOBS"
    return
  fi
  local processors memory_kib by_memory
  processors=$(nproc)
  memory_kib=$(awk '/^MemTotal:/ {print $2}' /proc/meminfo)
  by_memory=$((memory_kib / 1572864))
  if ((by_memory < 1)); then by_memory=1; fi
  echo $((processors < by_memory ? processors : by_memory))
}

# A directory of our own for sockets, whose paths may have 107 bytes at most.
short_temp_dir() {
  local base=${TMPDIR:-/tmp}
  if ((${#base} > 60)); then base=/tmp; fi
  mktemp -d "$base/weir-$1.XXXXXX"
}

# A python3 that can read YAML: the system's has Debian's module even where another one comes first in PATH.
python_with_yaml() {
  local python
  for python in python3 /usr/bin/python3; do
    if command -v "$python" >/dev/null && "$python" -c 'import yaml' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  die "no python3 with the yaml module; run ./dev setup lint"
}
