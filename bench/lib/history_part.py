"""Dispatch and claim in a ledger with a history against one without: two databases, in turns."""

import os
import statistics
import subprocess

from cluster import BenchError

EMPTY, FULL = "weir_history_empty", "weir_history_full"


def run(services, options, result):
    result.heading(f"history: dispatch and claim beside {options.history} ended tasks, over the same without")

    def bench(database, *flags):
        done = subprocess.run(
            [os.path.join(services.bin, "weir-history-bench"),
             "--database", services.url.replace("/postgres?", f"/{database}?"), *flags],
            env=services.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise BenchError(f"weir-history-bench failed: {done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout.decode().split()

    def rate(database, *flags):
        _, claimed, seconds, _, deleted = bench(database, "--tasks", "5000", *flags)
        return float(claimed) / float(seconds), int(deleted)

    for database in (EMPTY, FULL):
        services.psql(f"create database {database}")
    try:
        bench(FULL, "--fill", str(options.history))
        rate(EMPTY)
        rate(FULL)  # the first of each fills caches
        pairs = [(rate(EMPTY), rate(FULL)) for _ in range(options.pairs)]
        result.at_least("tasks a second, of those without a history", [full[0] / empty[0] for empty, full in pairs], 0.95)
        result.add("tasks a second without, with",
                   " ".join(f"{statistics.median(one[0] for one in ones):.0f}/s" for ones in zip(*pairs)))
        deleting = [(rate(EMPTY), rate(FULL, "--deleting")) for _ in range(options.pairs)]
        result.add("the same while the history is deleted",
                   f"{statistics.median(full[0] / empty[0] for empty, full in deleting):.2f}×, "
                   f"{sum(full[1] for _, full in deleting)} tasks gone")
    finally:
        for database in (EMPTY, FULL):
            services.psql(f"drop database {database}")
