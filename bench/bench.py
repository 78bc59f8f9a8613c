#!/usr/bin/env python3
"""weir's benchmarks: the programs as processes on the sample upstream, with servers of this run's own.

Prints one table of ratios, each beside its target. Nothing outside a temporary folder is touched, and everything
that was started is ended. Needs python3 and PostgreSQL's server programs; ./dev bench sees to both.
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import cluster  # noqa: E402
import group_part  # noqa: E402
import highlevel_part  # noqa: E402
import history_part  # noqa: E402
import limit_part  # noqa: E402
import memory_part  # noqa: E402
import plan_part  # noqa: E402
import scale_part  # noqa: E402
import seen_part  # noqa: E402
import start_part  # noqa: E402
import sync_part  # noqa: E402
import table  # noqa: E402

PARTS = {
    "sync": (sync_part.run, "first and unchanged second sync against one psql COPY of the same rows"),
    "memory": (memory_part.run, "a worker's peak RSS, and how much of it is anonymous"),
    "plan": (plan_part.run, "page ranges a second into the ledger, and what planning and dispatching them holds"),
    "seen": (seen_part.run, "noting known ids for a sweep against one COPY of them"),
    "highlevel": (highlevel_part.run, "a location of HighLevel: time, memory, and requests beside two passes over it"),
    "start": (start_part.run, "what a user of one machine waits for: a sync with nothing new, a killed worker, the first sync"),
    "scale": (scale_part.run, "pages a second by lanes and by workers, on an API that answers after 100 ms"),
    "group": (group_part.run, "pages a second while one of three workers is killed again and again (needs --kafka)"),
    "history": (history_part.run, "dispatch and claim beside millions of ended tasks, against a ledger without"),
    "limit": (limit_part.run, "goodput under limits, simulated and of 4 real workers; the origin's limiter beside it"),
}
DEFAULT = ["sync", "memory", "plan", "seen"]


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="./dev bench", description=__doc__.split("\n\n")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="parts:\n" + "\n".join(f"  {name:8} {about}" for name, (_, about) in PARTS.items())
        + f"\n  all      all of them (default: {' '.join(DEFAULT)})\n\n"
        "Example:\n  ./dev bench sync --records 200000 --pairs 5\n  ./dev bench --full all")
    parser.add_argument("parts", nargs="*", metavar="PART", help="which to run")
    parser.add_argument("--full", action="store_true", help="the sizes of the targets: slow")
    parser.add_argument("--records", type=int, help="records of a sync (default 60000, full 200000)")
    parser.add_argument("--pairs", type=int, help="pairs of sync and COPY, of which the median counts (3, full 5)")
    parser.add_argument("--big-records", type=int, help="records of the large sync of `memory` (200000, full 1000000)")
    parser.add_argument("--response-records", type=int, default=350_000,
                        help="records of the one large response of `memory` (350000 = 200 MB)")
    parser.add_argument("--tasks", type=int, help="page ranges of `plan` (default and full 1000000)", default=1_000_000)
    parser.add_argument("--ids", type=int, help="of `seen` (200000, full 1000000)")
    parser.add_argument("--opportunities", type=int, help="of `highlevel` (20000, full 500000)")
    parser.add_argument("--history", type=int, help="ended tasks of `history` (2000000, full 50000000: some 25 GB, an hour)")
    parser.add_argument("--seconds", type=float, help="of each point of `scale` and `limit` (8, full 20)")
    parser.add_argument("--workers", type=int, default=1, help="workers of `sync`")
    parser.add_argument("--case", default="", metavar="TEXT", help="only cases of `sync` whose name contains it")
    parser.add_argument("--kafka", metavar="HOST:PORT", help="this Kafka in place of the embedded broker")
    parser.add_argument("--keep", action="store_true", help="leave the temporary folder with its logs")
    options = parser.parse_args(arguments)
    for name in options.parts:
        if name not in PARTS and name != "all":
            parser.error(f"unknown part: {name}")
    names = ("records", "pairs", "big_records", "ids", "opportunities", "seconds", "history")
    defaults = ((200_000, 5, 1_000_000, 1_000_000, 500_000, 20.0, 50_000_000) if options.full
                else (60_000, 3, 200_000, 200_000, 20_000, 8.0, 2_000_000))
    for name, value in zip(names, defaults):
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.parts = list(PARTS) if "all" in options.parts else options.parts or DEFAULT
    return options


def main():
    options = parse(sys.argv[1:])
    result = table.Table()
    with cluster.Cluster(options.kafka, keep=options.keep) as services:
        for name in options.parts:
            PARTS[name][0](services, options, result)
    print(result.text())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except cluster.BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
