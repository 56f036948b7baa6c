"""Sources to records, records to whichever view is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

from ikescope.capture import source
from ikescope.capture.conversation import Reading
from ikescope.capture.octets import Readable
from ikescope.events import Record
from ikescope.explain.findings import encode, findings
from ikescope.explain.summary import verdict
from ikescope.ios.debug import Renderer
from ikescope.timeline import Timeline, merged
from ikescope.views import events_text, jsonl, traces, trees, walkthrough
from ikescope.views.ladder import ladder

View = Literal["verdict", "ladder", "explain", "debug", "events", "json", "html", "otel", "trees"]


def read(data: bytes | Readable, name: str, reading: Reading | None = None) -> list[Record]:
    """The records of one source, told by its content: recording (gzip too), debug text, pcap, pcapng.

    `reading` holds the keys for a capture. Raises LocalError, one line, that says what was found and what is wanted.
    """
    return source.read(data, name, reading)


def join(sources: Sequence[Iterable[Record]]) -> list[Record]:
    """The records of several sources as one stream, set against each other by SPIs and message IDs."""
    return list(sources[0]) if len(sources) == 1 else merged(sources)


def is_wrong(records: Iterable[Record]) -> bool:
    """Whether an error finding stands in what these records tell."""
    return any(one.severity == "error" for one in findings(Timeline().extend(records)))


def render(records: Iterable[Record], as_: View = "verdict", *, router: str | None = None) -> Iterator[str]:
    """The lines of a view, without line feeds; `router` names the side to look from."""
    return VIEWS[as_](list(records), router)


def _verdict(records: list[Record], router: str | None) -> Iterator[str]:
    return iter(verdict(Timeline().extend(records), router))


def _ladder(records: list[Record], router: str | None) -> Iterator[str]:
    return ladder(records)


def _explain(records: list[Record], router: str | None) -> Iterator[str]:
    told = walkthrough.Explained(router)
    for record in records:
        yield from told.lines(record)
    yield from told.end()


def _debug(records: list[Record], router: str | None) -> Iterator[str]:
    side = router or _first(records)
    renderer = Renderer()
    # Line by line as a console prints it: what comes next changes nothing of what was printed.
    return (line for one in records if side in (None, one.stamp.router) for line in renderer.lines(one))


def _events(records: list[Record], router: str | None) -> Iterator[str]:
    return events_text.lines(records)


def _json(records: list[Record], router: str | None) -> Iterator[str]:
    yield from jsonl.lines(records)
    yield from (encode(one) for one in findings(Timeline().extend(records), router))


def _otel(records: list[Record], router: str | None) -> Iterator[str]:
    return traces.lines(records)


def _trees(records: list[Record], router: str | None) -> Iterator[str]:
    return trees.lines(records)


def _html(records: list[Record], router: str | None) -> Iterator[str]:
    found = walkthrough.document(records, Renderer().lines, router=router, title="An IKEv2 session, step by step")
    return iter(walkthrough.html(found).removesuffix("\n").split("\n"))


def _first(records: list[Record]) -> str | None:
    return next((one.stamp.router for one in records if isinstance(one.stamp.spi_i, str)), None)


VIEWS: dict[View, Callable[[list[Record], str | None], Iterator[str]]] = {
    "verdict": _verdict,
    "ladder": _ladder,
    "explain": _explain,
    "debug": _debug,
    "events": _events,
    "json": _json,
    "html": _html,
    "otel": _otel,
    "trees": _trees,
}
