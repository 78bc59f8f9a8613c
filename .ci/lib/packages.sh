# shellcheck shell=bash
# Debian packages that weir needs, the same names on Debian 12 and 13. One line a package: group, name, what for.
# shellcheck disable=SC2016
readonly package_table='
build ccache                 compiles again only what changed
build cmake                  the build system
build g++                    the compiler (C++20)
build libboost-dev           Boost.Beast: the HTTP server for health and metrics
build libcli11-dev           the command line
build libcurl4-openssl-dev   the HTTP client
build libexpected-dev        Result<T> (std::expected for the compilers of Debian 12)
build libfmt-dev             text formatting
build libgmock-dev           tests
build libgtest-dev           tests
build libpq-dev              PostgreSQL client library
build libprotobuf-dev        the wire format of tasks
build librdkafka-dev         Kafka client library
build libsimdjson-dev        the JSON parser
build libspdlog-dev          logging
build libssl-dev             hashes
build libxxhash-dev          content hashes
build libyaml-cpp-dev        weir.yaml
build mold                   links quickly
build ninja-build            the build tool
build nlohmann-json3-dev     JSON output
build pkgconf                finds librdkafka, libpq, xxHash and zlib
build prometheus-cpp-dev     metrics
build protobuf-compiler      the wire format of tasks
build zlib1g-dev             compressed bodies
run   ca-certificates        HTTPS
run   postgresql             the private database of `weir sync`, and the one of the tests
kafka default-jre-headless   Apache Kafka, for the tests
kafka maven                  fetches the jars of Apache Kafka
test  pgbouncer              a pooler, to be refused
test  prometheus             promtool, which checks the metrics
test  python3                reads the test report; the benchmarks
lint  clang-format           formatting
lint  clang-tidy             static analysis
lint  git                    lists the sources
lint  python3                the checks in .ci/
lint  python3-yaml           reads YAML files
lint  shellcheck             checks the scripts
fuzz  clang                  the compiler that has libFuzzer
fuzz  libclang-rt-dev        libFuzzer and the sanitizers of clang
chroot debootstrap           makes the Debian 13 chroot
'

package_installed() {
  [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# Runs a command as root: as it is, or by sudo.
as_root() {
  if is_root; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    warn "this needs root, and there is no sudo here. As root, run:"
    printf '    %s\n' "$*" >&2
    exit 1
  fi
}

# Debian makes and starts a database cluster when its server package is installed. weir starts servers of its own, and
# the user may not want one more daemon. Said before the package is there; an installed one is left as it is.
no_default_cluster() {
  if package_installed postgresql-common; then return; fi
  as_root install -d /etc/postgresql-common
  printf 'create_main_cluster = false\n' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
}

# The same of Prometheus, of which only promtool is wanted.
no_prometheus_server() {
  if package_installed prometheus || [[ -e /etc/systemd/system/prometheus.service ]]; then return; fi
  as_root install -d /etc/systemd/system
  as_root ln -s /dev/null /etc/systemd/system/prometheus.service
}

# setup_packages GROUP…: installs what is missing of these groups, and says what and why.
setup_packages() {
  if [[ -n ${WEIR_SKIP_SETUP:-} ]]; then return; fi
  [[ -n $(command -v apt-get) && -n $(command -v dpkg-query) ]] ||
    die "this is not a Debian system: install the packages of .ci/lib/packages.sh yourself and set WEIR_SKIP_SETUP=1"
  local group name reason missing=() wanted=" $* "
  for group in "$@"; do
    [[ " build run test kafka lint fuzz chroot " == *" $group "* ]] || die_usage "setup: unknown group $group"
  done
  while read -r group name reason; do
    if [[ -z $group || $wanted != *" $group "* ]] || package_installed "$name"; then continue; fi
    if [[ " ${missing[*]:-} " == *" $name "* ]]; then continue; fi
    if ((${#missing[@]} == 0)); then say "installing Debian packages:"; fi
    printf '      %-22s %s\n' "$name" "$reason" >&2
    missing+=("$name")
  done <<<"$package_table"
  if ((${#missing[@]} == 0)); then return; fi
  # Named before the first of them runs, so that a user without root and sudo is told the whole command.
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 -o Dpkg::Use-Pty=0)
  local install=("${apt[@]}" install --no-install-recommends -o Dpkg::Options::=--force-confold "${missing[@]}")
  if ! is_root && ! command -v sudo >/dev/null; then
    warn "there is neither root nor sudo here. As root, run:"
    printf '    apt-get update && apt-get install --no-install-recommends %s\n' "${missing[*]}" >&2
    exit 1
  fi
  if [[ " ${missing[*]} " == *" postgresql "* ]]; then no_default_cluster; fi
  if [[ " ${missing[*]} " == *" prometheus "* ]]; then no_prometheus_server; fi
  local log
  log=$(mktemp)
  { as_root "${apt[@]}" update && as_root "${install[@]}"; } >"$log" 2>&1 ||
    { tail -n 40 "$log" >&2; rm -f "$log"; die "apt-get could not install them"; }
  rm -f "$log"
}
