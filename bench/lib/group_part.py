"""Pages a second while one of three workers is killed and started again, eager and cooperative. Only on a Kafka."""

import signal
import time

from table import say

import cluster

LATENCY_MS = 100
LANES = 24
KILLS = 9
EVERY = 15 / KILLS  # seconds
WINDOW = 20  # seconds from the first kill on


def pages_done(services):
    return services.number("select count(*) from weir.tasks where kind <> 0 and finished_at is not null")


def rate(services, assignment, kills):
    """Pages that end in a second of the window, by all workers; the one that is killed lives for moments only."""
    settings = [f"kafka.topic_prefix=group{time.monotonic_ns()}.",
                f"sources.chesscom.lanes={LANES}", "worker.executors=8", "worker.sessions=4"]
    of_workers = settings + [f"kafka.assignment={assignment}"]
    pages = int(2 * LANES * 1000 / LATENCY_MS * WINDOW)
    names = [f"player{i}" for i in range(-(-pages // 200))]
    services.forget()
    flags = ["--static", "--parallel", "0,0", "--latency-ms", str(LATENCY_MS)]
    with services.upstream(*[f"chesscom/{name}=1000;page=5" for name in names], flags=flags) as upstream:
        arguments = ["sync", "chesscom/games", "--mode", "full", "--workers", "0", "--output", "json"]
        for name in names:
            arguments += ["--account", name]
        for setting in upstream.settings() + settings:
            arguments += ["--set", setting]
        sync = services.start("group-sync", "weir", *arguments)
        workers = services.start_workers(3, upstream, of_workers)
        try:
            cluster.await_(lambda: pages_done(services) > 100, "pages end")
            began, before = time.monotonic(), pages_done(services)
            for i in range(kills):
                services.stop(workers[2], signal.SIGKILL)
                workers[2] = services.start(f"worker-{time.monotonic_ns()}", "weir-worker", "--set", "metrics.port=0",
                                            *[word for setting in upstream.settings() + of_workers
                                              for word in ("--set", setting)],
                                            env={"WEIR_KAFKA_BROKERS": services.brokers, "WEIR_LOG_FORMAT": "text"})
                time.sleep(max(0.0, began + (i + 1) * EVERY - time.monotonic()))
            time.sleep(max(0.0, began + WINDOW - time.monotonic()))
            done, took = pages_done(services) - before, time.monotonic() - began
        finally:
            services.stop(sync, signal.SIGKILL)
            for worker in workers:
                services.stop(worker, signal.SIGKILL)
    return done / took


def run(services, options, result):
    result.heading(f"group: pages a second of three workers at {LATENCY_MS} ms latency, {LANES} lanes, while one of them is "
                   f"killed and started again {KILLS} times in 15 s")
    if not services.kafka:
        say("group: needs --kafka HOST:PORT; the embedded broker's workers form no group")
        return
    for assignment in ("eager", "cooperative"):
        calm = rate(services, assignment, 0)
        killed = rate(services, assignment, KILLS)
        result.add(f"{assignment}: without kills {calm:.0f}/s, with them", f"{killed:.1f}/s, {killed / calm:.2f} of that")
