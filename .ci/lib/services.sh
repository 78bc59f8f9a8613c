# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # root: see common.sh; kafka_missing is for tests.sh
# The servers that tests talk to, with the packages they need: a throwaway PostgreSQL for the run, and Apache Kafka. stop_services ends what was
# started here, and only that.

pg_dir=
pg_as=()
pg_bin=
kafka_dir=
# Why Apache Kafka is not there; empty = it is.
kafka_missing=

postgres_bin_dir() {
  local newest
  newest=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  [[ -x $newest/initdb ]] || die "PostgreSQL's server programs are not there; run ./dev setup run"
  echo "$newest"
}

# Exports WEIR_TEST_DATABASE_URL: a superuser over a socket that only this user (and root) can reach. Nothing of it need
# survive a power cut, so it never syncs.
start_postgres() {
  if [[ -n ${WEIR_TEST_DATABASE_URL:-} ]]; then
    say "using the PostgreSQL of WEIR_TEST_DATABASE_URL"
    return
  fi
  setup_packages run
  pg_bin=$(postgres_bin_dir)
  pg_dir=$(short_temp_dir pg)
  # PostgreSQL refuses to run as root.
  if is_root; then
    chown postgres "$pg_dir"
    pg_as=(runuser -u postgres --)
  fi
  say "starting a throwaway PostgreSQL in $pg_dir"
  (
    cd /
    "${pg_as[@]}" "$pg_bin/initdb" -D "$pg_dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync
    "${pg_as[@]}" tee -a "$pg_dir/data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$pg_dir'
unix_socket_permissions = 0700
max_connections = 300
shared_buffers = 128MB
max_wal_size = 2GB
fsync = off
full_page_writes = off
END
    "${pg_as[@]}" "$pg_bin/pg_ctl" -D "$pg_dir/data" -l "$pg_dir/log" -w -t 60 start
  ) >"$root/build/postgres.log" 2>&1 || {
    cat "$root/build/postgres.log" >&2
    "${pg_as[@]}" cat "$pg_dir/log" >&2 || true
    die "the throwaway PostgreSQL did not start"
  }
  export WEIR_TEST_DATABASE_URL="postgresql://postgres@/postgres?host=$pg_dir"
}

# Exports WEIR_TEST_KAFKA_BROKERS, or sets kafka_missing to the reason why there is none.
start_kafka() {
  if [[ -n ${WEIR_TEST_KAFKA_BROKERS:-} ]]; then
    say "using the Kafka of WEIR_TEST_KAFKA_BROKERS"
    return
  fi
  if [[ -n ${WEIR_WITHOUT_KAFKA:-} ]]; then
    kafka_missing="WEIR_WITHOUT_KAFKA is set"
    return
  fi
  setup_packages kafka
  local out code=0
  # A node of this run's own: another run at the same time has the same topics.
  kafka_dir=$(short_temp_dir kafka)
  say "starting Apache Kafka"
  out=$(tools/kafka/kafka.sh start --dir "$kafka_dir") || code=$?
  if ((code == 75)); then
    kafka_missing="Maven's registry, where its jars come from, cannot be reached"
    return
  elif ((code != 0)); then
    die "tools/kafka/kafka.sh start failed (exit $code)"
  fi
  WEIR_TEST_KAFKA_BROKERS=$(tail -n 1 <<<"$out")
  export WEIR_TEST_KAFKA_BROKERS
  say "Apache Kafka answers at $WEIR_TEST_KAFKA_BROKERS"
}

stop_services() {
  if [[ -n $kafka_dir ]]; then
    tools/kafka/kafka.sh stop --dir "$kafka_dir" >/dev/null 2>&1 || true
    rm -rf -- "$kafka_dir"
    kafka_dir=
  fi
  if [[ -n $pg_dir ]]; then
    (cd / && "${pg_as[@]}" "$pg_bin/pg_ctl" -D "$pg_dir/data" -m immediate -w stop) >/dev/null 2>&1 || true
    rm -rf -- "$pg_dir"
    pg_dir=
  fi
}
