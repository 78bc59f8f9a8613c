"""An API with a quota: Chess.com's archives and months in a few lines, at most so many requests in each window of
fixed length, 429 beyond it. In this process, since it serves a hundred requests a second at most."""

import collections
import http.server
import json
import threading
import time

MONTHS = 200


class LimitedApi:
    """Context manager. `limit` requests in each `window` seconds; plans (archives) are not counted."""

    def __init__(self, limit, window):
        self.limit, self.window = limit, window
        self.mutex = threading.Lock()
        self.counts = collections.Counter()
        self.current, self.used = 0, 0
        self.first = self.last = None
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                status, body = api.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def settings(self):
        return [f"sources.chesscom.base_url={self.url}", "sources.chesscom.user_agent=weir-bench (bench@example.org)"]

    def allow(self):
        """Counts a request; whether it is within the window's limit."""
        with self.mutex:
            now = time.monotonic()
            if int(now / self.window) != self.current:
                self.current, self.used = int(now / self.window), 0
            allowed = self.used < self.limit
            self.used += allowed
            self.counts["good" if allowed else "refused"] += 1
            if allowed:
                self.first, self.last = self.first or now, now
            return allowed

    def answer(self, path):
        parts = path.split("?")[0].strip("/").split("/")  # pub/player/NAME/games/archives or …/YYYY/MM
        if parts[-1] == "archives":
            months = [f"{2008 + i // 12}/{i % 12 + 1:02}" for i in range(MONTHS)]
            urls = [f"{self.url}/pub/player/{parts[2]}/games/{month}" for month in months]
            return 200, json.dumps({"archives": urls}).encode()
        if not self.allow():
            return 429, b"{}"
        game = {"uuid": "-".join(parts[2:]), "end_time": 1_500_000_000, "url": self.url + path, "rules": "chess"}
        return 200, json.dumps({"games": [game]}).encode()

    def goodput(self):
        """Of the limit, from the first good answer to the last."""
        return (self.counts["good"] - 1) / (self.last - self.first) / (self.limit / self.window)

    def refused(self):
        """429s of all requests, in percent."""
        return 100 * self.counts["refused"] / max(1, sum(self.counts.values()))
