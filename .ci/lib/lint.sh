# shellcheck shell=bash
# shellcheck disable=SC2154  # root, caller_dir: see common.sh
# Formatting and the checks that need no build.

# The version whose formatting is the project's. Others differ in details.
readonly clang_format_version=14

# Files of the work tree by pattern: tracked, and new ones that are not ignored.
source_files() {
  git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
    if [[ -f $file ]]; then printf '%s\n' "$file"; fi
  done | sort -u
}

clang_format() {
  local name
  for name in "clang-format-$clang_format_version" clang-format; do
    if command -v "$name" >/dev/null && "$name" --version | grep -q "version $clang_format_version\."; then
      echo "$name"
      return
    fi
  done
}

format_sources() {
  local format
  format=$(clang_format)
  [[ -n $format ]] || die "the sources are formatted with clang-format $clang_format_version, which is not here"
  source_files '*.h' '*.cc' | xargs -r "$format" -i
}

check_format() {
  local format
  format=$(clang_format)
  if [[ -z $format ]]; then
    warn "formatting is NOT CHECKED: that needs clang-format $clang_format_version (Debian 12)"
    return
  fi
  local unformatted
  unformatted=$(source_files '*.h' '*.cc' | xargs -r "$format" --dry-run 2>&1 |
    sed -n 's/^\([^ :]*\):.*-Wclang-format-violations.*/\1/p' | sort -u) || return
  if [[ -n $unformatted ]]; then
    # shellcheck disable=SC2086  # a word a file
    printf 'not formatted (./dev fmt mends it): %s\n' $unformatted
    return 1
  fi
}

check_scripts() {
  local files
  mapfile -t files < <(source_files dev .ci/run '*.sh')
  shellcheck -x "${files[@]}"
}

# Runs every check, and tells at the end which failed.
lint() {
  local python failed=() check
  python=$(python_with_yaml)
  local checks=(
    check_format
    check_scripts
    "$python .ci/checks_selftest.py"
    "$python .ci/check_layers.py"
    "$python .ci/check_tests.py"
    "$python .ci/check_data.py"
    "$python .ci/check_docs.py"
    "$python .ci/check_container.py"
    "$python .ci/mutants.py --check"
  )
  for check in "${checks[@]}"; do
    say "lint: ${check#"$python "}"
    $check || failed+=("${check#"$python "}")
  done
  if ((${#failed[@]})); then die "lint failed: ${failed[*]}"; fi
}

# tidy [FILE…]: clang-tidy, on what changed since main when no file is named.
tidy() {
  local files=() file base
  if (($#)); then
    for file in "$@"; do files+=("$(realpath --relative-to="$root" -- "$caller_dir/$file")"); done
  else
    base=$(git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD)
    mapfile -t files < <({ git diff --name-only --diff-filter=d "$base" -- '*.cc' &&
      git ls-files --others --exclude-standard -- '*.cc'; } | sort -u)
  fi
  if ((${#files[@]} == 0)); then
    say "tidy: no changed .cc file"
    return
  fi
  build dev weir_proto
  printf '%s\n' "${files[@]}" | xargs -r -P "$(jobs_here)" -n 1 clang-tidy -p build/dev --quiet
}
