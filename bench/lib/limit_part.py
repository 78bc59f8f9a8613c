"""Goodput on an API with a quota: simulated, for kinds of limits and headers, 1 to 64 lanes and 1 to 8 workers
(weir-limit-bench), and by the real programs on a fixed and a sliding window. Beside them what the origin project's
limiter reaches on the same API: four workers that know nothing of each other, each with a delay that grows ×2.5 on
429 and shrinks ×0.98 on success."""

import http.client
import os
import subprocess
import threading
import time

from cluster import BenchError
from limited_api import MONTHS, LimitedApi

WORKERS = 4
LIMIT, WINDOW = 50, 1.0
ORIGIN_FIRST, ORIGIN_LEAST, ORIGIN_MOST = 0.2, 0.01, 10.0


def simulated(services, result):
    program = os.path.join(services.bin, "weir-limit-bench")
    lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    result.heading("limit, simulated: least and mean goodput, mean and largest share of 429s, of 63 cases a line\n"
                   + lines)


def weirs(services, seconds, quota, sliding=False, headers=False):
    accounts = max(1, round(seconds * LIMIT / WINDOW / MONTHS))
    with LimitedApi(LIMIT, WINDOW, sliding, headers) as api:
        settings = [f"sources.chesscom.lanes={WORKERS}", "sources.chesscom.retry_after_floor=100ms"]
        settings += [f"sources.chesscom.quota={LIMIT}/{WINDOW:.0f}s"] if quota else []
        workers = services.start_workers(WORKERS, api, settings)
        try:
            services.forget()
            _, job = services.sync("chesscom", [f"player{i}" for i in range(accounts)], api, settings)
        finally:
            for worker in workers:
                services.stop(worker)
        if job["totals"]["inserted"] != accounts * MONTHS:
            raise BenchError(f"not all months were read: {job['totals']}")
        return api.goodput(), api.refused()


def origins(seconds):
    end = time.monotonic() + seconds
    with LimitedApi(LIMIT, WINDOW) as api:
        def work():
            connection = http.client.HTTPConnection(api.url.removeprefix("http://"))
            delay = ORIGIN_FIRST
            while time.monotonic() < end:
                connection.request("GET", "/pub/player/origin/games/2020/01")
                answer = connection.getresponse()
                answer.read()
                delay = delay * 2.5 if answer.status == 429 else delay * 0.98
                delay = min(max(delay, ORIGIN_LEAST), ORIGIN_MOST)
                time.sleep(delay)
            connection.close()

        threads = [threading.Thread(target=work) for _ in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return api.goodput(), api.refused()


def run(services, options, result):
    simulated(services, result)
    seconds = max(options.seconds, 15)  # the origin's delay takes a while to come down
    result.heading(f"limit: {LIMIT} requests a second for all, {WORKERS} workers, about {seconds:.0f} s")
    goodput, refused = weirs(services, seconds, quota=True)
    result.at_least("weir with that quota: goodput of the limit", [goodput], 0.97)
    result.at_most("weir: 429s of all requests", [refused], 0.1, " %")
    goodput, refused = weirs(services, seconds, quota=True, sliding=True, headers=True)
    result.at_least("weir with that quota, a sliding window and headers: goodput of the limit", [goodput], 0.97)
    result.at_most("the same: 429s of all requests", [refused], 0.1, " %")
    goodput, refused = weirs(services, seconds, quota=False, sliding=True, headers=True)
    result.add("weir that only headers tell: goodput", f"{goodput:.2f}×")
    result.add("the same: 429s of all requests", f"{refused:.2f} %")
    goodput, refused = weirs(services, seconds, quota=False)
    result.add("weir that is told nothing, its defaults: goodput", f"{goodput:.2f}×")
    result.add("the same: 429s of all requests", f"{refused:.2f} %")
    goodput, refused = origins(seconds)
    result.add("the origin's limiter: goodput of the limit", f"{goodput:.2f}×")
    result.add("the origin's limiter: 429s of all requests", f"{refused:.2f} %")
