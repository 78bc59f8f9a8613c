"""First and second sync against one psql COPY of the rows that came out, in pairs."""

import os
import time

from cluster import BenchError, cpu_of, own_children
from table import say, spread


def columns_of(services, table):
    schema, name = table.split(".")
    return services.psql("select string_agg(quote_ident(column_name), ', ' order by ordinal_position) "
                         f"from information_schema.columns where table_schema = '{schema}' and table_name = '{name}'")


class Copy:
    """The rows of a table in a file, and the time that psql needs to bring them into one like it."""

    def __init__(self, services, table):
        self.services, self.table = services, table
        self.file = os.path.join(services.dir, "rows.copy")
        self.columns = columns_of(services, table)
        services.psql(f"\\copy (select {self.columns} from {table}) to '{self.file}'")

    def seconds(self):
        """(wall, processor) seconds."""
        self.services.psql("drop table if exists bench_copy", f"create table bench_copy (like {self.table} including all)",
                           "checkpoint")
        cpu, began = self.services.postgres_cpu() + own_children(), time.monotonic()
        self.services.psql(f"\\copy bench_copy ({self.columns}) from '{self.file}'")
        took = time.monotonic() - began
        cpu = self.services.postgres_cpu() + own_children() - cpu
        self.services.psql("drop table bench_copy")
        return took, cpu


class Case:
    """One shape of a sync: which upstream, how many lanes."""

    def __init__(self, name, source, players, accounts, settings, first, second):
        self.name, self.source, self.players, self.accounts = name, source, players, accounts
        self.settings, self.first, self.second = settings, first, second
        self.table = f"{source}.games"


def cases(records):
    # A Chess.com player has no more months than there have been: 100,000 records are 200 of them.
    players = max(1, -(-records // 100_000))
    share = [records // players + (i < records % players) for i in range(players)]
    months = [f"chesscom/player{i}={count};page=500" for i, count in enumerate(share)]
    names = [f"player{i}" for i in range(players)]
    one = [f"lichess/player0={records}"]
    yield Case("chesscom, pages of 500, 4 lanes", "chesscom", months, names, ["sources.chesscom.lanes=4"], 1.2, 3.5)
    yield Case("chesscom, pages of 500, 1 lane", "chesscom", months, names, ["sources.chesscom.lanes=1"], 0.75, None)
    yield Case("lichess, windows of 1000, 4 lanes", "lichess", one, ["player0"], ["sources.lichess.lanes=4"], 1.2, 3.5)
    yield Case("lichess, one NDJSON stream, 1 lane", "lichess", one, ["player0"],
               ["sources.lichess.lanes=1", "sources.lichess.window_games=100000000"], 0.75, None)


def timed(services, upstream, workers, case):
    """(wall, processor seconds of everything but the upstream, job) of one sync."""
    def cpu():
        with_weir = services.postgres_cpu() + own_children()
        return with_weir + sum(cpu_of(worker.pid) for worker in workers)

    before = cpu()
    took, job = services.sync(case.source, case.accounts, upstream, case.settings)
    return took, cpu() - before, job


def rewritten(services, table):
    schema, name = table.split(".")
    return services.number(f"select n_tup_upd + n_tup_del from pg_stat_user_tables where schemaname = '{schema}' "
                           f"and relname = '{name}'")


def check(job, records, counter):
    if job["totals"][counter] != records or job["totals"]["fetched"] != records:
        raise BenchError(f"{records} records were to be {counter}, and these were: {job['totals']}")


def warm_up(services, upstream, case):
    """The first load into a new server makes its log's files and touches its buffers for the first time: neither side
    of a pair is to pay for that."""
    services.forget()
    services.sync(case.source, case.accounts, upstream, case.settings)
    Copy(services, case.table).seconds()


def run_case(services, options, result, case):
    walls = {"first": [], "second": []}
    cpus = {"first": [], "second": []}
    with services.upstream(*case.players, flags=["--static", "--parallel", "0,0"]) as upstream:
        workers = services.start_workers(options.workers, upstream, case.settings)
        try:
            warm_up(services, upstream, case)
            for pair in range(options.pairs):
                services.forget()
                first, first_cpu, job = timed(services, upstream, workers, case)
                check(job, options.records, "inserted")
                before = rewritten(services, case.table)
                second, second_cpu, job = timed(services, upstream, workers, case)
                check(job, options.records, "unchanged")
                changed = rewritten(services, case.table) - before
                if changed != 0:
                    raise BenchError(f"an unchanged sync rewrote {changed} rows")
                copy, copy_cpu = Copy(services, case.table).seconds()
                say(f"{case.name}, pair {pair + 1}: COPY {copy:.2f} s ({copy_cpu:.2f} CPU), first sync {first:.2f} s "
                    f"({first_cpu:.2f} CPU), second {second:.2f} s ({second_cpu:.2f} CPU)")
                walls["first"].append(copy / first)
                walls["second"].append(copy / second)
                cpus["first"].append(copy_cpu / first_cpu)
                cpus["second"].append(copy_cpu / second_cpu)
        finally:
            for worker in workers:
                services.stop(worker)
    result.at_least(f"{case.name}: first sync", walls["first"], case.first)
    if case.second:
        result.at_least(f"{case.name}: second, unchanged", walls["second"], case.second)
        result.add(f"{case.name}: rows rewritten", "0", "0", True)
    else:
        result.add(f"{case.name}: second, unchanged", spread(walls["second"]) + "×")
    result.add(f"{case.name}: processor time, first, second", f"{spread(cpus['first'])}×, {spread(cpus['second'])}×")


def run(services, options, result):
    result.heading(f"sync: psql COPY's time over weir's, {options.records} records, {options.pairs} pairs, "
                   f"{options.workers} worker{'s' if options.workers > 1 else ''}")
    for case in cases(options.records):
        if options.case in case.name:
            run_case(services, options, result, case)
