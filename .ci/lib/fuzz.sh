# shellcheck shell=bash
# shellcheck disable=SC2154  # root: see common.sh
# Runs the fuzz targets of tests/fuzz under libFuzzer.

readonly fuzz_program=build/fuzz/bin/weir-fuzz

# Runs one fuzz target for the given number of seconds, starting from its seeds and the inputs of earlier runs. If it
# finds a fault, it prints how to reproduce it.
fuzz_one() {
  local target=$1 seconds=$2 out=build/fuzz/run code=0
  mkdir -p "$out/corpus/$target" "$out/found"
  # In CI always the same draws: a red run is then of the change, not of luck.
  local seed=0
  if in_ci; then seed=1; fi
  WEIR_FUZZ_TARGET=$target "$fuzz_program" -max_total_time="$seconds" -seed="$seed" -max_len=4096 -timeout=10 \
    -rss_limit_mb=1024 -artifact_prefix="$out/found/$target-" "$out/corpus/$target" "tests/fuzz/seeds/$target" \
    >"$out/$target.log" 2>&1 || code=$?
  if ((code == 0)); then
    say "fuzz: $target: $(sed -n 's/^#\([0-9]*\)[[:space:]]*DONE.*/\1 inputs/p' "$out/$target.log" | tail -n 1)"
    return
  fi
  local input
  input=$(sed -n 's/.*Test unit written to \(.*\)$/\1/p' "$out/$target.log" | tail -n 1)
  grep -E "^$target: |ERROR: |runtime error: |SUMMARY: " "$out/$target.log" >&2 || tail -n 20 "$out/$target.log" >&2
  warn "fuzz: $target failed. Again: WEIR_FUZZ_TARGET=$target $fuzz_program ${input:-tests/fuzz/seeds/$target/*}"
  warn "fuzz: after you fix it, add the input to tests/fuzz/seeds/$target. Full output: $out/$target.log"
  return 1
}

# fuzz [SECONDS [TARGET…]]: so long in all, shared out among the targets.
fuzz() {
  local seconds=${1:-60} target targets jobs failed=()
  shift || true
  [[ $seconds =~ ^[1-9][0-9]*$ ]] || die_usage "fuzz [SECONDS [TARGET…]]"
  setup_packages build fuzz
  command -v clang++ >/dev/null || die "fuzzing needs clang++; run ./dev setup fuzz"
  targets=("$@")
  if (($# == 0)); then mapfile -t targets < <(find tests/fuzz/seeds -mindepth 1 -maxdepth 1 -printf '%f\n' | sort); fi
  for target in "${targets[@]}"; do
    [[ -d tests/fuzz/seeds/$target ]] || die_usage "fuzz: no target $target; there are: $(ls tests/fuzz/seeds)"
  done
  build fuzz weir-fuzz
  jobs=$(jobs_here)
  if ((jobs > ${#targets[@]})); then jobs=${#targets[@]}; fi
  local each=$((seconds * jobs / ${#targets[@]})) running=()
  if ((each < 1)); then each=1; fi
  say "fuzzing ${#targets[@]} targets, $each s each, $jobs at once"
  # One process for each target, a few at a time. Each prints its result.
  local at=0
  while ((at < ${#targets[@]})); do
    running=()
    for target in "${targets[@]:at:jobs}"; do
      fuzz_one "$target" "$each" &
      running+=("$!:$target")
    done
    for target in "${running[@]}"; do wait "${target%%:*}" || failed+=("${target#*:}"); done
    at=$((at + jobs))
  done
  if ((${#failed[@]})); then die "fuzz failed: ${failed[*]}"; fi
}
