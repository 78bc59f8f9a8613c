"""What a user waits for on one machine, by the command's own wall clock: the private PostgreSQL, the embedded broker and
local workers, as `weir sync` starts them."""

import json
import os
import signal
import subprocess
import time

from cluster import BenchError
from sync_part import Copy
from table import say

RUNS = 7
KILLS = 5


class Laptop:
    """A home of its own with nothing set up but weir. Has what sync_part.Copy asks of a cluster."""

    def __init__(self, services, upstream):
        self.services, self.upstream = services, upstream
        self.dir = os.path.join(services.dir, "laptop")
        os.mkdir(self.dir, 0o755)
        self.env = {name: value for name, value in services.env.items()
                    if name not in ("WEIR_DATABASE_URL", "WEIR_KAFKA_BROKERS")}
        self.env["WEIR_HOME"] = os.path.join(self.dir, "home")
        for setting in upstream.settings():
            name, value = setting.split("=", 1)
            self.env["WEIR_" + name.replace(".", "_").upper()] = value

    def weir(self, *arguments):
        done = subprocess.run([os.path.join(self.services.bin, "weir"), *arguments], env=self.env, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise BenchError(f"weir {' '.join(arguments)} ended with {done.returncode}: "
                             f"{done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout.decode()

    def sync(self, account, *arguments):
        """(seconds, the job's object)"""
        began = time.monotonic()
        job = json.loads(self.weir("sync", "chesscom/games", "--account", account, "--output", "json", *arguments))
        return time.monotonic() - began, job

    def up(self):
        self.url = json.loads(self.weir("up", "--output", "json"))["database_url"]

    def down(self):
        self.weir("down")

    def psql(self, *statements):
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.url]
        for statement in statements:
            command += ["-c", statement]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise BenchError(f"psql failed: {done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout.decode().strip()

    def postgres_cpu(self):
        return 0.0


def warm(laptop, result):
    laptop.up()
    laptop.sync("small")
    seconds = [laptop.sync("small")[0] for _ in range(RUNS)]
    result.at_most("nothing new, `weir up` has run: command to prompt", seconds, 0.5, " s")


def cold(laptop, result):
    seconds = []
    for _ in range(RUNS):
        laptop.down()
        seconds.append(laptop.sync("small")[0])
    result.at_most("nothing new, an existing home with nothing running", seconds, 1.5, " s")


def killed(laptop, result):
    """From the kill of a local worker that reads a page to the next claim of that page's task."""
    laptop.up()
    gaps = []
    for _ in range(KILLS):
        laptop.psql("truncate weir.read_ranges, weir.archives")
        sync = subprocess.Popen([os.path.join(laptop.services.bin, "weir"), "sync", "lichess/games", "--account", "slow",
                                 "--mode", "full"], env=laptop.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            gaps.append(kill_one(laptop, sync))
        finally:
            sync.send_signal(signal.SIGKILL)
            sync.wait()
        for job in json.loads(laptop.weir("jobs", "list", "--open", "--output", "json")):
            laptop.weir("cancel", str(job["job"]))
    result.at_most("a local worker is killed: its page goes on after", gaps, 1.0, " s")


def kill_one(laptop, sync):
    running = "select id || ' ' || epoch || ' ' || owner from weir.tasks where state = 'running' and kind <> 0 limit 1"
    end = time.monotonic() + 30
    found = ""
    while not found and time.monotonic() < end:
        found = laptop.psql(running)
        time.sleep(0.02)
    if not found:
        raise BenchError("no page was read")
    task, epoch, owner = found.split(" ", 2)
    pid = int(laptop.psql(f"select pid from weir.workers where id = '{owner}'") or 0)
    if pid not in children_of_all(sync.pid):
        raise BenchError(f"the page's worker {owner} is not the sync's")
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    again = f"select count(*) from weir.tasks where id = {task} and epoch > {epoch} and state = 'running'"
    while laptop.psql(again) == "0":
        if time.monotonic() - began > 30:
            raise BenchError("the killed worker's page did not go on")
        time.sleep(0.01)
    return time.monotonic() - began


def children_of_all(pid):
    """The children of every thread: workers are those of the thread that starts them."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children", encoding="utf-8") as file:
            found += [int(child) for child in file.read().split()]
    return found


def first(laptop, options, result):
    """The first sync against one COPY of its rows into the same server."""
    laptop.up()
    ratios = []
    for pair in range(options.pairs):
        laptop.psql("truncate chesscom.games, weir.jobs, weir.read_ranges, weir.archives, weir.watched, weir.seen, "
                    "weir.full_syncs cascade", "checkpoint")
        arguments = []
        for account in accounts(options)[1:]:
            arguments += ["--account", account]
        took, job = laptop.sync(accounts(options)[0], "--set", "sources.chesscom.lanes=4", *arguments)
        if job["totals"]["inserted"] != options.records:
            raise BenchError(f"{options.records} records were to be inserted: {job['totals']}")
        copy, _ = Copy(laptop, "chesscom.games").seconds()
        say(f"first sync, pair {pair + 1}: COPY {copy:.2f} s, `weir sync` {took:.2f} s")
        ratios.append(copy / took)
    result.at_least(f"first sync of {options.records} rows: COPY's time over the command's", ratios, 1.2)


def accounts(options):
    return [f"player{i}" for i in range(max(1, -(-options.records // 100_000)))]


def run(services, options, result):
    result.heading("start: a sync on one machine, seconds by the command's wall clock")
    names = accounts(options)
    share = [options.records // len(names) + (i < options.records % len(names)) for i in range(len(names))]
    players = [f"chesscom/{name}={count};page=500" for name, count in zip(names, share)]
    with services.upstream("chesscom/small=500", *players, flags=["--static", "--parallel", "0,0"]) as upstream:
        laptop = Laptop(services, upstream)
        try:
            warm(laptop, result)
            cold(laptop, result)
            first(laptop, options, result)
        finally:
            laptop.down()
    with services.upstream("lichess/slow=20000", flags=["--pace", "100", "--parallel", "4"]) as upstream:
        for setting in upstream.settings():
            name, value = setting.split("=", 1)
            laptop.env["WEIR_" + name.replace(".", "_").upper()] = value
        try:
            killed(laptop, result)
        finally:
            laptop.down()
