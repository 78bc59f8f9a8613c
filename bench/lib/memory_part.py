"""A worker's peak memory over whole syncs: all of it (VmHWM), and the anonymous part (sampled: the kernel keeps no peak
of that)."""

import threading

from cluster import BenchError
from table import say

MIB = 1024.0
SAMPLE_SECONDS = 0.02


def status_kib(pid, *names):
    """Values of /proc/PID/status; zeros when the process is gone."""
    values = dict.fromkeys(names, 0)
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            for line in file:
                name, _, rest = line.partition(":")
                if name in values:
                    values[name] = int(rest.split()[0])
    except OSError:
        pass
    return [values[name] for name in names]


class Peak:
    """Samples a process from __enter__ to __exit__."""

    def __init__(self, pid):
        self.pid, self.rss, self.anonymous = pid, 0.0, 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.rss = status_kib(self.pid, "VmHWM")[0] / MIB

    def _sample(self):
        while not self.over.wait(SAMPLE_SECONDS):
            self.anonymous = max(self.anonymous, status_kib(self.pid, "RssAnon")[0] / MIB)


def measure(services, source, players, accounts, settings):
    """(peak RSS, peak anonymous) in MiB of one new worker that does the whole of a first sync."""
    services.forget()
    with services.upstream(*players, flags=["--static", "--parallel", "0,0"]) as upstream:
        worker, = services.start_workers(1, upstream, settings)
        try:
            with Peak(worker.pid) as peak:
                _, job = services.sync(source, accounts, upstream, settings)
        finally:
            services.stop(worker)
    records = job["totals"]["inserted"]
    if records != job["totals"]["fetched"] or records == 0:
        raise BenchError(f"not a first sync: {job['totals']}")
    say(f"{records} records of {source} in {job['totals']['requests']} requests: "
        f"{peak.rss:.1f} MiB, {peak.anonymous:.1f} anonymous")
    return peak.rss, peak.anonymous


def run(services, options, result):
    result.heading("memory: a worker's peak over a first sync, 4 lanes, all partitions, MiB")
    settings = ["sources.lichess.lanes=4", "sources.chesscom.lanes=4"]
    small, big = 10_000, options.big_records
    sizes = {}
    for records in (small, big):
        sizes[records] = measure(services, "lichess", [f"lichess/player0={records}"], ["player0"], settings)
        rss, anonymous = sizes[records]
        result.at_most(f"{records} records: RSS", [rss], 28)
        result.at_most(f"{records} records: anonymous", [anonymous], 14)
    change = 100 * (sizes[big][0] / sizes[small][0] - 1)
    result.add(f"{big} against {small} records", f"{change:+.1f} %", "± 5 %", abs(change) <= 5)
    count = options.response_records
    rss, _ = measure(services, "chesscom", [f"chesscom/player0={count};page={count}"], ["player0"], settings)
    result.at_most(f"one response of {count} records ({count * 0.0006:.0f} MB): RSS over that", [rss - sizes[small][0]], 4)
