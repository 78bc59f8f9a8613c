"""Pages a second on an API that answers after 100 ms, by lanes and by workers. Linear is what that latency allows:
ten pages a second for each request in flight."""

LATENCY_MS = 100
LANES = (1, 4, 16, 64)
WORKERS = (1, 2, 4, 8)
EXECUTORS = 4  # of each worker, where workers are compared: fewer than lanes, so that workers are what is short


def pages_per_second(services, lanes, workers, executors, seconds):
    """By the pages' ends, as the ledger has them."""
    in_flight = min(lanes, workers * executors)
    pages = max(2 * lanes, int(in_flight * 1000 / LATENCY_MS * seconds))
    players = -(-pages // 200)
    names = [f"player{i}" for i in range(players)]
    specs = [f"chesscom/{name}={5 * -(-pages // players)};page=5" for name in names]
    settings = [f"sources.chesscom.lanes={lanes}", f"worker.executors={executors}",
                f"worker.sessions={max(4, executors // 4)}"]
    services.forget()
    flags = ["--static", "--parallel", "0,0", "--latency-ms", str(LATENCY_MS)]
    with services.upstream(*specs, flags=flags) as upstream:
        started = services.start_workers(workers, upstream, settings)
        try:
            services.sync("chesscom", names, upstream, settings)
        finally:
            for worker in started:
                services.stop(worker)
    # The middle half: what filling and emptying the lanes takes is no part of the rate.
    return services.number(
        "with ends as (select finished_at, ntile(4) over (order by finished_at) as quarter from weir.tasks "
        "where kind <> 0) select (count(*) - 1) / extract(epoch from max(finished_at) - min(finished_at)) "
        "from ends where quarter in (2, 3)")


def run(services, options, result):
    result.heading(f"scale: pages a second at {LATENCY_MS} ms latency, over one lane's and one worker's, of linear")
    one = pages_per_second(services, 1, 1, 8, options.seconds)
    result.add("1 lane, 1 worker", f"{one:.1f}/s, {one * LATENCY_MS / 1000:.2f} of what the latency allows")
    for lanes in LANES[1:]:
        rate = pages_per_second(services, lanes, 1, lanes, options.seconds)
        result.at_least(f"{lanes} lanes, 1 worker: {rate:.0f}/s", [rate / one / lanes], 0.95, "")
    alone = pages_per_second(services, 64, 1, EXECUTORS, options.seconds)
    result.add(f"64 lanes, 1 worker of {EXECUTORS} executors", f"{alone:.1f}/s")
    for workers in WORKERS[1:]:
        rate = pages_per_second(services, 64, workers, EXECUTORS, options.seconds)
        result.at_least(f"64 lanes, {workers} workers of {EXECUTORS} executors: {rate:.0f}/s",
                        [rate / alone / workers], 0.95, "")
