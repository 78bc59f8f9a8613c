"""A small Chess.com API with a rate limit. It allows a given number of requests in each window, fixed or sliding, and
answers the rest with 429. It runs in this process, because it serves at most a hundred requests a second."""

import collections
import http.server
import json
import threading
import time

MONTHS = 200


class LimitedApi:
    """Context manager. `limit` requests in each `window` seconds; plans (archives) are not counted. `sliding`: in any
    such time, not only from one full window to the next. `headers`: X-RateLimit-Max, -Interval-Milliseconds and
    -Remaining, as HighLevel has them."""

    def __init__(self, limit, window, sliding=False, headers=False):
        self.limit, self.window, self.sliding, self.headers = limit, window, sliding, headers
        self.granted = collections.deque()  # when, in the window that slides
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
                status, body, remaining = api.answer(self.path)
                self.send_response(status)
                if api.headers and remaining is not None:
                    self.send_header("X-RateLimit-Max", str(api.limit))
                    self.send_header("X-RateLimit-Interval-Milliseconds", str(int(api.window * 1000)))
                    self.send_header("X-RateLimit-Remaining", str(remaining))
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
        """Counts a request: whether it is within the window's limit, and how many remain."""
        with self.mutex:
            now = time.monotonic()
            if self.sliding:
                while self.granted and self.granted[0] <= now - self.window:
                    self.granted.popleft()
                self.used = len(self.granted)
            elif int(now / self.window) != self.current:
                self.current, self.used = int(now / self.window), 0
            allowed = self.used < self.limit
            self.used += allowed
            self.counts["good" if allowed else "refused"] += 1
            if allowed:
                if self.sliding:
                    self.granted.append(now)
                self.first, self.last = self.first or now, now
            return allowed, self.limit - self.used

    def answer(self, path):
        parts = path.split("?")[0].strip("/").split("/")  # pub/player/NAME/games/archives or …/YYYY/MM
        if parts[-1] == "archives":
            months = [f"{2008 + i // 12}/{i % 12 + 1:02}" for i in range(MONTHS)]
            urls = [f"{self.url}/pub/player/{parts[2]}/games/{month}" for month in months]
            return 200, json.dumps({"archives": urls}).encode(), None
        allowed, remaining = self.allow()
        if not allowed:
            return 429, b"{}", remaining
        game = {"uuid": "-".join(parts[2:]), "end_time": 1_500_000_000, "url": self.url + path, "rules": "chess"}
        return 200, json.dumps({"games": [game]}).encode(), remaining

    def goodput(self):
        """Of the limit, from the first good answer to the last."""
        return (self.counts["good"] - 1) / (self.last - self.first) / (self.limit / self.window)

    def refused(self):
        """429s of all requests, in percent."""
        return 100 * self.counts["refused"] / max(1, sum(self.counts.values()))
