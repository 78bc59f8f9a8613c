"""What noting known ids for a sweep costs, against one COPY of the ids and one of their records: weir-seen-bench, in a
database of its own."""

import json
import os
import subprocess

from cluster import BenchError

DATABASE = "weir_seen_bench"


def run(services, options, result):
    result.heading(f"seen: noting {options.ids} known ids for a sweep, over one COPY of them and of their 600-byte records")
    services.psql(f"create database {DATABASE}")
    try:
        done = subprocess.run(
            [os.path.join(services.bin, "weir-seen-bench"), "--ids", str(options.ids),
             "--database", services.url.replace("/postgres?", f"/{DATABASE}?")],
            env=services.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    finally:
        services.psql(f"drop database {DATABASE}")
    if done.returncode != 0:
        raise BenchError(f"weir-seen-bench failed: {done.stderr.decode(errors='replace')[-2000:]}")
    numbers = json.loads(done.stdout)
    result.at_most("of a COPY of the ids alone, with the same key", [numbers["ratio_to_ids"]], 0.5)
    result.add("of the COPY of the records", f"{numbers['ratio']:.2f}")
