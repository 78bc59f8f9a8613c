#!/usr/bin/env bash
# ./dev bench [ARGS]: the benchmarks. --help tells what they are; docs/performance.md, what they say.
set -euo pipefail

here=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd -P)
export WEIR_BIN_DIR=${WEIR_BIN_DIR:-$here/../build/release/bin}
exec python3 "$here/bench.py" "$@"
