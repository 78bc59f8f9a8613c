"""A whole location of HighLevel: time, memory and requests, beside the arithmetic of a sync that reads every page
twice, once to compare and once to write."""

import json
import os
import subprocess
import threading
import time

from cluster import BenchError
from memory_part import MIB, Peak, status_kib
from sync_part import Copy, rewritten
from table import say

TABLE = "highlevel.opportunities"
LOCATION = "LocBench"
PAGE = 100
QUOTA = 10  # requests a second: 100 in 10 s, as documented


class PeakToTheEnd(Peak):
    """Of a program that ends by itself: nothing can be read of it afterwards."""

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _sample(self):
        while not self.over.wait(0.02):
            self.rss = max(self.rss, status_kib(self.pid, "VmHWM")[0] / MIB)


def configure(services):
    path = os.path.join(services.dir, "weir.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"accounts:\n  - {{name: {LOCATION}, source: highlevel, secrets: {{token: env:HL_TOKEN}}}}\n")
    services.env["WEIR_CONFIG"] = path
    services.env["HL_TOKEN"] = "pit-bench"


def sync(services, upstream, settings):
    """(seconds, the job's object, the producer's peak in MiB)."""
    arguments = [os.path.join(services.bin, "weir"), "sync", "highlevel/opportunities", "--account", LOCATION,
                 "--mode", "full", "--workers", "0", "--output", "json"]
    for setting in upstream.settings() + settings:
        arguments += ["--set", setting]
    began = time.monotonic()
    with open(os.path.join(services.dir, "sync.log"), "wb") as log:
        process = subprocess.Popen(arguments, env=services.env, stdout=subprocess.PIPE, stderr=log)
        with PeakToTheEnd(process.pid) as peak:
            out, _ = process.communicate()
    took = time.monotonic() - began
    job = json.loads(out or b"{}")
    if job.get("state") != "succeeded":
        with open(log.name, encoding="utf-8", errors="replace") as file:
            raise BenchError(f"the sync ended {job.get('state')}: {file.read()[-2000:]}")
    return took, job, peak.rss


def minutes(requests):
    return f"{requests / QUOTA / 60:.1f} min"


def run(services, options, result):
    records = options.opportunities
    result.heading(f"highlevel: {records} opportunities, 1 worker, 4 lanes")
    configure(services)
    services.forget()
    settings = ["sources.highlevel.lanes=4", "sources.highlevel.quota=1000000/1s"]
    with services.upstream(flags=[]) as upstream:
        upstream.control("highlevel", {"location": LOCATION, "add": records})
        worker, = services.start_workers(1, upstream, settings)
        try:
            with Peak(worker.pid) as worker_peak:
                first, job, producer = sync(services, upstream, settings)
                requests = job["totals"]["requests"]
                if job["totals"]["inserted"] != records:
                    raise BenchError(f"{records} records were to be inserted, and these were: {job['totals']}")
                before = rewritten(services, TABLE)
                second, again, _ = sync(services, upstream, settings)
                if rewritten(services, TABLE) != before:
                    raise BenchError("an unchanged sync rewrote rows")
        finally:
            services.stop(worker)
    copy, _ = Copy(services, TABLE).seconds()
    pages = -(-records // PAGE)
    say(f"first sync {first:.1f} s, second {second:.1f} s, COPY {copy:.1f} s, totals {job['totals']}")
    result.at_most("a worker's peak RSS over both syncs, MiB", [worker_peak.rss], 28)
    result.at_most("the producer's peak RSS, MiB", [producer], 32)
    result.add("first sync", f"{first:.1f} s, {records / first:.0f} records/s, {copy / first:.2f} of a COPY's speed")
    result.add("second, unchanged, with its sweep", f"{second:.1f} s, {records / second:.0f} records/s")
    result.at_most("requests over pages there are", [requests / pages], 1.1)
    result.add("requests; of two passes", f"{requests}; {2 * pages}")
    result.add("at the documented quota; of two passes", f"{minutes(requests)}; {minutes(2 * pages)}")
    result.add("requests of the second", str(again["totals"]["requests"]))
    services.forget()
