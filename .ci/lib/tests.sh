# shellcheck shell=bash
# shellcheck disable=SC2154  # root, kafka_missing: see common.sh, services.sh
# Runs CTest with the servers the chosen tests need, and counts its result.

ctest_pid=

# Ends what is still running. A test run has a process group of its own, so that its tests end with it.
cleanup_tests() {
  if [[ -n $ctest_pid ]]; then
    kill -TERM -- "-$ctest_pid" 2>/dev/null || true
    wait "$ctest_pid" 2>/dev/null || true
    ctest_pid=
  fi
  stop_services
}

# The names of the tests that our caller's choice and further CTest arguments choose.
list_tests() {
  ctest --test-dir "$build_dir" -N "${chosen[@]}" ${exclude_labels:+-LE "$exclude_labels"} "$@" |
    sed -n 's/^ *Test *#[0-9]*: //p'
}

# ctest_phase NAME JOBS ARGS…: one CTest run; its report goes to build/PRESET/junit-NAME.xml. Failures are read from
# there; what kept CTest itself from running makes an empty report, which counts as a failure.
ctest_phase() {
  local jobs=$2 report=$build_dir/junit-$1.xml
  shift 2
  rm -f -- "$report"
  reports+=("$report")
  set -m
  ctest --test-dir "$build_dir" --output-on-failure --no-tests=ignore --no-label-summary -j "$jobs" --output-junit "$report" "$@" &
  ctest_pid=$!
  set +m
  wait "$ctest_pid" || true
  ctest_pid=
}

# Splits off the exclusions of a CTest command line: CTest takes several -LE as "all of them", and the last -E only, so
# they are joined with ours.
split_arguments() {
  chosen=()
  exclude_labels=
  exclude_names=
  while (($#)); do
    case $1 in
      -LE | --label-exclude) exclude_labels+="|${2:?}" && shift ;;
      -E | --exclude-regex) exclude_names+="|${2:?}" && shift ;;
      *) chosen+=("$1") ;;
    esac
    shift
  done
  exclude_labels=${exclude_labels#|}
  exclude_names=${exclude_names#|}
}

# Tests that need Apache Kafka have ApacheKafka in their name.
announce_missing_kafka() {
  warn "Apache Kafka is missing: $kafka_missing."
  warn "The tests run on the embedded broker. LEFT OUT are ${#left_out[@]} tests:"
  printf '      %s\n' "${left_out[@]}" >&2
}

# run_ctest ARGS…: everything that ARGS choose, with the servers needed. Sets the exit status.
run_ctest() {
  local reports=() chosen=() exclude_labels exclude_names left_out=() summary=() status=0
  split_arguments "$@"
  trap cleanup_tests EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  if in_ci; then export WEIR_REQUIRE_KAFKA=1; fi

  if [[ -n $(list_tests -L '^(pg|kafka|e2e|fault|chaos)$') ]]; then start_postgres; fi
  if [[ -n $(list_tests -L '^(kafka|e2e|fault|chaos)$') ]]; then start_kafka; fi
  if [[ -n $kafka_missing ]]; then
    mapfile -t left_out < <(list_tests -R ApacheKafka)
    exclude_names+="${exclude_names:+|}ApacheKafka"
    announce_missing_kafka
  fi

  local without=()
  if [[ -n $exclude_names ]]; then without=(-E "$exclude_names"); fi
  local labels="e2e|fault|chaos${exclude_labels:+|$exclude_labels}"
  ctest_phase quick "$(jobs_here)" "${chosen[@]}" "${without[@]}" -LE "$labels"
  # These start whole programs, and mostly wait: for a group to be joined, for a paced upstream.
  ctest_phase whole "$(($(jobs_here) + 1))" "${chosen[@]}" "${without[@]}" -L e2e ${exclude_labels:+-LE "$exclude_labels"}
  # These start whole clusters of processes and watch the clock: with more of them at once than half the processors
  # their time-outs would tell of the machine and not of weir.
  ctest_phase faults "$((($(jobs_here) + 1) / 2))" "${chosen[@]}" "${without[@]}" -L 'fault|chaos' \
    ${exclude_labels:+-LE "$exclude_labels"}
  cleanup_tests

  if in_ci; then summary=(--strict --left-out "${#left_out[@]}"); fi
  if [[ -n $kafka_missing ]]; then announce_missing_kafka; fi
  python3 .ci/junit_summary.py "${summary[@]}" "${reports[@]}" || status=$?
  return "$status"
}

run_tests() {
  local preset=$1 build_dir=$root/build/$1
  shift
  setup_packages build test
  build "$preset" all
  # The long fault run is ./dev chaos.
  run_ctest -LE chaos "$@"
}

run_chaos() {
  local preset=$1 build_dir=$root/build/$1
  shift
  setup_packages build test
  build "$preset" all
  run_ctest -L '^(fault|chaos)$' "$@"
}

run_sanitized() {
  local preset=$1 build_dir=$root/build/$1
  shift
  # ThreadSanitizer of gcc 12 cannot start where the kernel spreads addresses widely; its processes get a narrow map.
  local narrow=(setarch "$(uname -m)" -R)
  if [[ $preset == tsan && -z ${WEIR_NARROW_MAP:-} ]] && "${narrow[@]}" true 2>/dev/null; then
    WEIR_NARROW_MAP=1 exec "${narrow[@]}" "$root/dev" tsan "$@"
  fi
  setup_packages build test
  build "$preset" all
  export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
  export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
  export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}
  run_ctest -L '^(unit|pg)$' "$@"
}

# mutants [NAME…]: each makes a test fail, or is named. In a copy of the sources, and unoptimised, since each is one more build.
run_mutants() {
  setup_packages build test run lint
  trap cleanup_tests EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  mkdir -p build
  start_postgres
  "$(python_with_yaml)" .ci/mutants.py "${WEIR_PRESET:-dev}" "$(jobs_here)" "$@"
}
