"""The servers and programs of a run: PostgreSQL, the broker, the sample upstream, workers. Everything lives in one
temporary folder and ends with the run."""

import glob
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

from table import say

# A server of this size as one would run it: durable, with a log large enough for checkpoints to be spread.
POSTGRES_SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{dir}'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 1GB
effective_cache_size = 3GB
work_mem = 16MB
maintenance_work_mem = 128MB
wal_level = replica
wal_compression = on
max_wal_size = 8GB
min_wal_size = 1GB
checkpoint_timeout = 15min
fsync = on
full_page_writes = on
synchronous_commit = on
random_page_cost = 1.1
"""
PATIENCE = 60  # seconds, for anything that should happen soon


class BenchError(Exception):
    pass


def await_(condition, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise BenchError(f"did not come about within {seconds} s: {what}")


def cpu_of(pid):
    """Processor seconds of a process and of the children it has reaped; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def own_children():
    """Processor seconds of all programs that were run to their end."""
    times = os.times()
    return times.children_user + times.children_system


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return [int(child) for child in file.read().split()]


class Cluster:
    """Context manager. `kafka`: brokers to use in place of the embedded broker."""

    def __init__(self, kafka=None, keep=False):
        self.bin = os.path.abspath(os.environ["WEIR_BIN_DIR"])
        for program in ("weir", "weir-worker", "weir-sample-upstream"):
            if not os.access(os.path.join(self.bin, program), os.X_OK):
                raise BenchError(f"{self.bin}/{program} is not there; ./dev bench builds it")
        self.keep = keep
        self.kafka = kafka
        self.dir = tempfile.mkdtemp(prefix="weir-bench.", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.home = os.path.join(self.dir, "home")
        self.processes = []
        self.postmaster = 0
        self.up = False

    def __enter__(self):
        try:
            self._start_postgres()
            self.env = {**{name: value for name, value in os.environ.items() if not name.startswith("WEIR_")},
                        "HOME": self.dir, "XDG_CONFIG_HOME": self.dir, "WEIR_HOME": self.home,
                        "WEIR_DATABASE_URL": self.url, "NO_COLOR": "1"}
            self.weir("migrate", "up")
            if self.kafka:
                self.brokers = self.env["WEIR_KAFKA_BROKERS"] = self.kafka
            else:
                self.weir("up")
                self.up = True
                self.brokers = f"file:{self.home}/run/broker.address"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in list(self.processes):
            self.stop(process)
        if self.up:
            subprocess.run([os.path.join(self.bin, "weir"), "down"], env=self.env, check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if self.postmaster:
            self._as_postgres("pg_ctl", "-D", f"{self.dir}/pg/data", "-m", "immediate", "-w", "stop", check=False)
        if self.keep:
            say(f"logs are in {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    # PostgreSQL

    def _as_postgres(self, program, *arguments, check=True):
        command = [f"{self.pg_bin}/{program}", *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if check and done.returncode != 0:
            raise BenchError(f"{program} failed: {done.stdout.decode(errors='replace')[-2000:]}")

    def _start_postgres(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        if not found:
            raise BenchError("PostgreSQL's server programs are not there; run ./dev setup run")
        self.pg_bin = found[-1]
        folder = f"{self.dir}/pg"
        os.mkdir(folder)
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
        self._as_postgres("initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
                          "--locale=C.UTF-8", "--no-sync")
        with open(f"{folder}/data/postgresql.conf", "a", encoding="utf-8") as file:
            file.write(POSTGRES_SETTINGS.format(dir=folder))
        self._as_postgres("pg_ctl", "-D", f"{folder}/data", "-l", f"{folder}/log", "-w", "start")
        with open(f"{folder}/data/postmaster.pid", encoding="utf-8") as file:
            self.postmaster = int(file.readline())
        self.url = f"postgresql://postgres@/postgres?host={folder}"

    def psql(self, *statements):
        """Each in a transaction of its own; the output of all, unaligned."""
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.url]
        for statement in statements:
            command += ["-c", statement]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise BenchError(f"psql failed: {done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout.decode().strip()

    def number(self, statement):
        return float(self.psql(statement) or 0)

    def postgres_cpu(self):
        """Processor seconds of the whole server. A backend that ends in between would be missed, so look again."""
        while True:
            children = children_of(self.postmaster)
            seconds = sum(cpu_of(pid) for pid in children) + cpu_of(self.postmaster)
            if children_of(self.postmaster) == children:
                return seconds

    def forget(self):
        """Empties the tables and the ledger, and brings every run to the same start."""
        self.psql("truncate lichess.games, chesscom.games, highlevel.opportunities, weir.jobs, weir.read_ranges, "
                  "weir.archives, weir.watched, weir.seen, weir.full_syncs cascade", "update weir.lanes set task_ms = 0, delay_ms = 0, not_before = null",
                  "checkpoint")

    # weir's programs

    def weir(self, *arguments, check=True):
        done = subprocess.run([os.path.join(self.bin, "weir"), *arguments], env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        if check and done.returncode != 0:
            raise BenchError(f"weir {' '.join(arguments)} ended with {done.returncode}: "
                             f"{done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout.decode()

    def start(self, name, program, *arguments, env=None):
        log = open(os.path.join(self.dir, f"{name}.log"), "ab")
        process = subprocess.Popen([os.path.join(self.bin, program), *arguments], env={**self.env, **(env or {})},
                                   stdout=log, stderr=subprocess.STDOUT)
        log.close()
        process.log = os.path.join(self.dir, f"{name}.log")
        self.processes.append(process)
        return process

    def stop(self, process, how=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def start_workers(self, count, upstream, settings=()):
        """Workers that have joined the group and share all of its partitions."""
        workers = []
        for i in range(count):
            arguments = ["--set", "metrics.port=0"]
            for setting in upstream.settings() + list(settings):
                arguments += ["--set", setting]
            if not self.kafka:
                arguments += ["--set", "kafka.session_timeout=4s"]
            workers.append(self.start(f"worker-{time.monotonic_ns()}-{i}", "weir-worker", *arguments,
                                      env={"WEIR_KAFKA_BROKERS": self.brokers, "WEIR_LOG_FORMAT": "text"}))
        for worker in workers:
            await_(lambda w=worker: self._ready(w), "a worker that has partitions")
        if count > 1:
            time.sleep(6)  # who joined first gives some back
        return workers

    def _ready(self, worker):
        if worker.poll() is not None:
            with open(worker.log, encoding="utf-8", errors="replace") as file:
                raise BenchError(f"a worker ended: {file.read()[-2000:]}")
        with open(worker.log, encoding="utf-8", errors="replace") as file:
            return "partitions assigned" in file.read()

    def sync(self, source, accounts, upstream, settings=(), mode="full"):
        """`weir sync` to its end, on the workers that run. Returns (seconds, the job's object)."""
        arguments = ["sync", f"{source}/games", "--mode", mode, "--workers", "0", "--output", "json"]
        for account in accounts:
            arguments += ["--account", account]
        for setting in upstream.settings() + list(settings):
            arguments += ["--set", setting]
        began = time.monotonic()
        job = json.loads(self.weir(*arguments))
        took = time.monotonic() - began
        if job["state"] != "succeeded":
            raise BenchError(f"a sync ended {job['state']}")
        return took, job

    def upstream(self, *players, flags=()):
        return Upstream(self, players, flags)


class Upstream:
    """The sample upstream, static unless told otherwise; a context manager."""

    def __init__(self, cluster, players, flags):
        self.cluster, self.players, self.flags = cluster, players, flags

    def __enter__(self):
        port_file = os.path.join(self.cluster.dir, f"upstream-{time.monotonic_ns()}.port")
        arguments = ["--port-file", port_file, *self.flags]
        for player in self.players:
            arguments += ["--players", player]
        self.process = self.cluster.start("upstream", "weir-sample-upstream", *arguments)

        def port():
            if self.process.poll() is not None:
                raise BenchError("weir-sample-upstream ended")
            try:
                with open(port_file, encoding="utf-8") as file:
                    return int(file.read().strip() or 0)
            except OSError:
                return 0

        self.url = f"http://127.0.0.1:{await_(port, 'the upstream listens')}"
        return self

    def __exit__(self, *_):
        self.cluster.stop(self.process)

    def settings(self):
        return [f"sources.lichess.base_url={self.url}", f"sources.chesscom.base_url={self.url}",
                f"sources.highlevel.base_url={self.url}", "sources.highlevel.user_agent=weir-bench (bench@example.org)",
                "sources.lichess.user_agent=weir-bench (bench@example.org)",
                "sources.chesscom.user_agent=weir-bench (bench@example.org)"]

    def control(self, call, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_control/{call}", data)) as answer:
            return json.loads(answer.read() or b"null")
