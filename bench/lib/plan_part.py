"""Planning a million page ranges, and dispatching out of them."""

import os
import subprocess

from cluster import BenchError, own_children


def run(services, options, result):
    result.heading(f"plan: {options.tasks} page ranges into the ledger, as a worker writes a plan")
    services.forget()
    before = services.postgres_cpu() + own_children()
    with services.upstream("lichess/player0=10", flags=["--static", "--parallel", "0,0"]) as upstream:
        done = subprocess.run(
            [os.path.join(services.bin, "weir-plan-bench"), "--database", services.url, "--upstream", upstream.url,
             "--tasks", str(options.tasks)],
            env=services.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise BenchError(f"weir-plan-bench failed: {done.stderr.decode(errors='replace')[-2000:]}")
    lines = dict((line.split()[0], line.split()[1:]) for line in done.stdout.decode().splitlines())
    cpu = services.postgres_cpu() + own_children() - before
    tasks, seconds, grown = lines["planned"]
    result.at_least("tasks a second", [float(tasks) / float(seconds)], 50_000, "/s")
    result.at_most("memory that planning adds, MiB", [float(grown)], 2)
    result.add("planned and dispatched, tasks a processor second", f"{float(tasks) / cpu:.0f}/s")
    sent, seconds, most, grown = lines["dispatched"]
    result.add("then dispatched, 100 passes of the largest window",
               f"{float(sent) / float(seconds):.0f}/s, longest pass {most} ms")
    result.at_most("memory that dispatching adds, MiB", [float(grown)], 2)
    services.forget()
