"""`/metrics` for Prometheus: the fold of views/metrics.py in its text form, served by a process of its own."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ikescope.daemon import beside
from ikescope.daemon.feed import Asker, Feed
from ikescope.errors import LocalError
from ikescope.planes import privileges
from ikescope.views.metrics import Family, Metrics, Now, answered

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = 10.0
"""What a scrape may take before its connection is closed."""


class _Families(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Each family in the library's own form."""
        return (_metric(family) for family in self._families)


def _metric(family: Family) -> Metric:
    if family.kind == "histogram":
        found = HistogramMetricFamily(family.name, family.help)
        buckets = [(labels[0], value) for labels, value in family.samples if labels[0] != "sum"]
        found.add_metric([], buckets, dict(family.samples)[("sum",)])
        return found
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    made = kind(family.name, family.help, labels=family.labels)
    for labels, value in family.samples:
        made.add_metric(labels, value)
    return made


def exposition(metrics: Metrics, at: Now) -> bytes:
    """The text that Prometheus scrapes, as prometheus-client writes it (text format 0.0.4)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(metrics.families(at)))
    return generate_latest(registry)


class Server:
    """Answers GET /metrics out of what a router tells; `serve` returns when the router is gone or `close` is called."""

    def __init__(self, path: Path, listening: socket.socket) -> None:
        self._metrics, self._lock = Metrics(), threading.Lock()
        self._asker, self._feed = Asker(path), Feed(path)
        self._http = _Http(listening, self._text)

    def _text(self) -> bytes:
        with self._lock:
            return exposition(self._metrics, answered(self._asker.ask({"status": True})))

    def _fold(self) -> None:
        for record in self._feed:
            with self._lock:
                self._metrics.add(record)
        self._http.shutdown()

    def serve(self) -> None:
        """Until the router is gone."""
        threading.Thread(target=self._fold, name="records", daemon=True).start()
        self._http.serve_forever()
        self._http.server_close()
        if self._feed.why:
            beside.say("metrics", self._feed.why)
        self._asker.close()

    def close(self) -> None:
        """Hang up: `serve` ends."""
        self._feed.close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listening: socket.socket, text: Any) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.text = text

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no event."""


class _Handler(BaseHTTPRequestHandler):
    timeout = SECONDS
    server: _Http

    def do_GET(self) -> None:
        """The metrics, or 404."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        try:
            text = self.server.text()
        except LocalError as error:
            self.send_error(503, str(error))
            return
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: object) -> None:
        """Scrapes are not logged."""


def main(arguments: list[str]) -> int:
    """`python -m ikescope.daemon.metrics SOCKET DESCRIPTOR`: serve until the router ends."""
    path, descriptor = arguments
    try:
        server = Server(Path(path), socket.socket(fileno=int(descriptor)))
    except LocalError as error:
        beside.say("metrics", str(error))
        return 2
    privileges.shed()
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
