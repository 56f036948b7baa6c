"""Traces for OpenTelemetry: the fold of views/traces.py handed to an exporter, in a process beside the router."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from ikescope import __version__
from ikescope.daemon import beside
from ikescope.daemon.feed import Feed
from ikescope.errors import LocalError
from ikescope.events import Record
from ikescope.planes import privileges
from ikescope.views.traces import SCOPE, Span, Traces, otlp

WAITING = 8192
"""Spans that wait for a slow collector before more of them are dropped, and counted."""
BATCH = 512
TICK = 1.0
_PATH = "/v1/traces"

_KINDS = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT, "server": SpanKind.SERVER}
_STATUSES = {"unset": StatusCode.UNSET, "ok": StatusCode.OK, "error": StatusCode.ERROR}


def _context(trace: str, span: str) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def readable(span: Span) -> ReadableSpan:
    """A span in the form that the SDK's exporters take."""
    why = span.why if span.status == "error" else None
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace, span.span),
        parent=None if span.parent is None else _context(span.trace, span.parent),
        resource=Resource({"service.name": SCOPE, "service.instance.id": span.router}),
        attributes=span.attributes,
        events=[Event(one.name, one.attributes, one.at) for one in span.events],
        links=[Link(_context(*link)) for link in span.links],
        kind=_KINDS[span.kind],
        status=Status(_STATUSES[span.status], why),
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=InstrumentationScope(SCOPE, __version__),
    )


class Exporter(Protocol):
    """Where ended spans go."""

    def export(self, spans: Sequence[Span]) -> None:
        """Hand spans over; what cannot be handed over is lost."""

    def close(self) -> None:
        """Nothing more comes."""


class SdkExporter:
    """An exporter of the SDK."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[Span]) -> None:
        """Hand them over, in its own form."""
        self._exporter.export([readable(span) for span in spans])

    def close(self) -> None:
        """Let it finish."""
        self._exporter.shutdown()


class FileExporter:
    """OTLP JSON lines in a file (mode 0600), one span a line; LocalError where it cannot be written."""

    def __init__(self, path: Path) -> None:
        try:
            path.touch(mode=0o600, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise LocalError(f"--otel {path}: {error.strerror}") from error

    def export(self, spans: Sequence[Span]) -> None:
        """Write them."""
        self._file.write("".join(f"{otlp(span)}\n" for span in spans))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def exporter(target: str) -> Exporter:
    """What `--otel console`, `--otel URL` or `--otel FILE.jsonl` means; a URL without a path gets OTLP's own."""
    if target == "console":
        return SdkExporter(ConsoleSpanExporter())
    if target.startswith(("http://", "https://")):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        _, _, rest = target.partition("://")
        endpoint = target if "/" in rest.rstrip("/") else target.rstrip("/") + _PATH
        return SdkExporter(OTLPSpanExporter(endpoint=endpoint, timeout=5))
    return FileExporter(Path(target))


class Pump:
    """Folds records into spans and hands them to an exporter in a thread of its own: a slow one costs spans alone."""

    def __init__(self, out: Exporter) -> None:
        self.lost = 0
        self._traces, self._out = Traces(), out
        self._queue: queue.Queue[Span | None] = queue.Queue(WAITING)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._export, name="spans", daemon=True)
        self._thread.start()

    def add(self, record: Record) -> None:
        """Fold one record in."""
        with self._lock:
            self._put(self._traces.add(record))

    def flush(self, wall: float) -> None:
        """Hand over the exchanges that are over."""
        with self._lock:
            self._put(self._traces.flush(wall))

    def close(self) -> None:
        """Hand over all there is, and wait for the exporter."""
        with self._lock:
            self._put(self._traces.end())
        self._queue.put(None)
        self._thread.join(beside.PATIENCE)
        self._out.close()

    def _put(self, spans: Sequence[Span]) -> None:
        for span in spans:
            try:
                self._queue.put_nowait(span)
            except queue.Full:
                self.lost += 1

    def _export(self) -> None:
        more = True
        while more:
            batch, span = [], self._queue.get()
            while span is not None:
                batch.append(span)
                if len(batch) == BATCH or self._queue.empty():
                    break
                span = self._queue.get()
            more = span is not None
            self._out.export(batch)


def main(arguments: list[str]) -> int:
    """`python -m ikescope.daemon.otel SOCKET TARGET`: export until the router ends."""
    path, target = arguments
    try:
        pump = Pump(exporter(target))
        feed = Feed(Path(path))
    except LocalError as error:
        beside.say("otel", str(error))
        return 2
    privileges.shed()

    def tick() -> None:
        while True:
            time.sleep(TICK)
            pump.flush(time.time())

    threading.Thread(target=tick, name="clock", daemon=True).start()
    for record in feed:
        pump.add(record)
    pump.close()
    if feed.why:
        beside.say("otel", feed.why)
    if pump.lost:
        beside.say("otel", f"{pump.lost} spans were lost: {target} takes them too slowly")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
