#!/usr/bin/env bash
# One Apache Kafka node on loopback, for tests: kafka.sh start [--port P] [--dir D] [--sasl] | stop [--dir D] |
# status [--dir D] | jars
#
# start  prints the bootstrap address as its last line; a node that runs already is told and left alone. Every start
#        begins with empty topics. --sasl: with logins and ACLs (sasl.properties.in says whose).
# stop   ends that node and no other.
# status prints the address; exit 3 when none runs.
# jars   makes sure of the jars and prints their folder, for who starts nodes of his own (tests/support/kafka).
#
# The jars come from Maven's registry once, into ${XDG_CACHE_HOME:-~/.cache}/weir/kafka-VERSION; the node lives in
# `node` there, or in D. Exit 75: the registry cannot be reached; 69: it does not start; 64: usage.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pom_version() { sed -n "s|.*<$1.version>\(.*\)</$1.version>.*|\1|p" "$here/pom.xml"; }
version=$(pom_version kafka)
cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/weir/kafka-$version
start_seconds=90

say() { printf '%s\n' "$*" >&2; }
usage() {
  say "usage: kafka.sh start [--port P] [--dir D] [--sasl] | stop [--dir D] | status [--dir D] | jars"
  exit 64
}

# The pid of our node, if it runs: the number in the file may be another program's by now.
running_pid() {
  local pid
  pid=$(cat "$dir/pid" 2>/dev/null) || return 1
  [[ $pid =~ ^[0-9]+$ && -r /proc/$pid/cmdline ]] || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF "kafka.Kafka $dir/server.properties" || return 1
  echo "$pid"
}

need_programs() {
  local missing=()
  if ! command -v java >/dev/null; then missing+=(default-jre-headless); fi
  if ! command -v mvn >/dev/null && ! have_jars; then missing+=(maven); fi
  if ((${#missing[@]} == 0)); then return; fi
  if [[ $(id -u) != 0 ]]; then
    say "missing: ${missing[*]}; install with: apt-get install ${missing[*]}"
    exit 69
  fi
  say "installing ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >&2
}

# The pom lies beside the jars it named: another one means other jars.
have_jars() { cmp -s "$here/pom.xml" "$cache/libs/pom.xml"; }

fetch_jars() {
  local temporary
  # Nodes in other directories share the jars.
  mkdir -p "$cache"
  exec 8>"$cache/lock"
  flock 8
  if have_jars; then return; fi
  temporary=$(mktemp -d "$cache/fetch.XXXXXX")
  say "fetching Apache Kafka $version with Maven (54 MB, once)"
  # By its full name: without the registry, Maven does not say of a plugin's short name why it found none.
  if ! mvn -q -B -f "$here/pom.xml" -DincludeScope=runtime -DoutputDirectory="$temporary" \
    "org.apache.maven.plugins:maven-dependency-plugin:$(pom_version dependency-plugin):copy-dependencies" \
    >"$cache/maven.log" 2>&1; then
    rm -rf -- "$temporary"
    grep -m 1 '^\[ERROR\]' "$cache/maven.log" >&2 || tail -n 5 "$cache/maven.log" >&2
    if grep -qE 'Could not transfer|Unknown host|Connection (refused|reset|timed out)|timed out|No route|offline mode' \
      "$cache/maven.log"; then
      say "Maven's registry cannot be reached"
      exit 75
    fi
    say "Maven failed; its output is in $cache/maven.log"
    exit 69
  fi
  cp "$here/pom.xml" "$temporary/pom.xml"
  rm -rf -- "$cache/libs"
  mv -- "$temporary" "$cache/libs"
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below the range from which outgoing connections get theirs.
free_port() {
  local candidate
  for _ in {1..100}; do
    candidate=$((20000 + RANDOM % 12000))
    if [[ $candidate != "${1:-}" ]] && port_is_free "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  say "no free port found"
  return 1
}

format_storage() {
  rm -rf -- "$dir/data"
  local templates=("$here/server.properties.in")
  # A later line of a properties file replaces an earlier one.
  if [[ -n $sasl ]]; then templates+=("$here/sasl.properties.in"); fi
  sed -e "s|@PORT@|$1|g" -e "s|@CONTROLLER_PORT@|$2|g" -e "s|@DIR@|$dir|g" \
    "${templates[@]}" >"$dir/server.properties"
  # Any 16 bytes in base64 do for a cluster's id: these are "weir dev kafka 1".
  java -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$cache/libs/*" kafka.tools.StorageTool format \
    -t d2VpciBkZXYga2Fma2EgMQ -c "$dir/server.properties" >"$dir/log" 2>&1
}

# Starts it and waits for its word; false when it ended or the time is over.
launch() {
  setsid java -Xmx256m -XX:+UseSerialGC -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$cache/libs/*" \
    kafka.Kafka "$dir/server.properties" >"$dir/log" 2>&1 </dev/null 8>&- 9>&- &
  local pid=$!
  echo "$pid" >"$dir/pid"
  for ((i = 0; i < start_seconds * 10; i++)); do
    if grep -q "Kafka Server started" "$dir/log"; then return 0; fi
    if ! kill -0 "$pid" 2>/dev/null; then return 1; fi
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  return 1
}

start() {
  mkdir -p "$dir"
  # Two starts at a time: the second waits, and then finds the first one's node.
  exec 9>"$dir/lock"
  flock 9
  if running_pid >/dev/null; then
    say "Apache Kafka runs already in $dir"
    cat "$dir/address"
    return
  fi
  rm -f -- "$dir/pid" "$dir/address"
  need_programs
  fetch_jars
  local tries=3 broker_port controller_port
  if [[ -n $port ]]; then tries=1; fi
  for ((try = 0; try < tries; try++)); do
    broker_port=${port:-$(free_port)}
    controller_port=$(free_port "$broker_port")
    if format_storage "$broker_port" "$controller_port" && launch; then
      printf '127.0.0.1:%s\n' "$broker_port" >"$dir/address.new"
      mv -- "$dir/address.new" "$dir/address"
      say "Apache Kafka $version runs in $dir (log: $dir/log)"
      cat "$dir/address"
      return
    fi
  done
  rm -f -- "$dir/pid"
  tail -n 20 "$dir/log" >&2
  say "Apache Kafka did not start; its log is $dir/log"
  exit 69
}

stop() {
  local pid
  if ! pid=$(running_pid); then
    say "no Apache Kafka runs in $dir"
    return
  fi
  kill -TERM "$pid"
  for ((i = 0; i < 200; i++)); do
    if ! running_pid >/dev/null; then break; fi
    sleep 0.1
  done
  if running_pid >/dev/null; then kill -KILL "$pid"; fi
  rm -f -- "$dir/pid" "$dir/address"
  say "Apache Kafka in $dir stopped"
}

status() {
  # Without an address it is only starting.
  if ! running_pid >/dev/null || ! cat "$dir/address" 2>/dev/null; then
    say "no Apache Kafka runs in $dir"
    exit 3
  fi
}

jars() {
  need_programs
  fetch_jars
  echo "$cache/libs"
}

command=${1:-}
shift || true
port=
sasl=
dir=$cache/node
while (($#)); do
  case $1 in
    --port) port=${2:-} && shift ;;
    --dir) dir=${2:-} && shift ;;
    --sasl) sasl=1 ;;
    *) usage ;;
  esac
  shift || usage
done
[[ -n $dir && $port =~ ^[0-9]*$ ]] || usage
dir=$(realpath -m -- "$dir")
case $command in
  start | stop | status | jars) "$command" ;;
  *) usage ;;
esac
