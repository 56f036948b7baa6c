"""What the page shows, as plain values: rows of the ladder, SAs with their generations, a message's inside.

`Model` folds records in one at a time, the same for a live router and for a file; the page's script only draws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ikescope.events import Event, Record, UnsetType
from ikescope.events.life import DeleteSent, LivenessSent, RekeyStarted
from ikescope.events.message import MessageBuilding, MessageSealing, RequestRefused
from ikescope.events.negotiation import (
    AuthGenerated,
    ConfigSent,
    ExchangeFailed,
    IdentitySent,
    KeyringSearched,
    PolicySearched,
    ProposalSent,
    SelectorsSent,
)
from ikescope.events.router import TrafficMatched
from ikescope.explain import summary, words
from ikescope.explain.scene import Step
from ikescope.explain.walk import Walk
from ikescope.timeline import Message
from ikescope.views import html_links, html_sas, tree
from ikescope.views.ladder import Ladder, Row, payloads
from ikescope.wire.tree import Node

#: Events that lead to the next message of their router; every other one follows from the message before it.
LEADING: tuple[type[Event], ...] = (
    *(TrafficMatched, KeyringSearched, PolicySearched, RekeyStarted, DeleteSent, LivenessSent, AuthGenerated),
    *(ConfigSent, IdentitySent, ProposalSent, SelectorsSent, MessageBuilding, MessageSealing),
)
#: Failures that come after another one and say no more than it did.
FOLLOWING: tuple[type[Event], ...] = (RequestRefused, ExchangeFailed)
#: Octets of one message that the page lists one by one.
OCTETS = 8192
#: More peers than this, and the verdict counts them.
TOLD_APART = 8

_Key = tuple[Any, ...]


class Strings:
    """Texts that come again and again, each stored once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        """The number of a text."""
        return self._places.setdefault(text, len(self._places))

    def __iter__(self) -> Any:
        return iter(self._places)


class Model:
    """The page of a session, in the making. `router` names the side that the explanation is told from."""

    def __init__(self, router: str | None = None) -> None:
        self.ladder = Ladder()
        self._walk = Walk(router)
        self._side = router
        self._count = 0
        self._notes: dict[int, list[Step]] = {}
        self._waiting: dict[str, list[Step]] = {}
        self._latest: dict[str, int] = {}
        self._tellings: dict[tuple[str, bool, _Key], list[int]] = {}
        self._failed: dict[int, Record] = {}
        self._found: set[tuple[Any, ...]] = set()
        self._last: Record | None = None
        self._families: list[dict[str, Any]] | None = None

    def add(self, record: Record) -> None:
        """Fold one record in."""
        place, router = self._count, record.stamp.router
        self._count += 1
        self._last, self._families = record, None
        messages = self.ladder.timeline.messages
        before = len(messages)
        self.ladder.add(record)
        if type(record.event) in summary.CAUSES and not self._explained(record):
            self._failed[place] = record
        for message in messages[before:]:
            self._latest[router] = place
            self._tellings.setdefault((router, message.sent, _key(message)), []).append(place)
            if message.sent and router in self._waiting:
                self._notes.setdefault(place, []).extend(self._waiting.pop(router))
        for step in self._walk.add(record):
            latest = self._latest.get(router)
            if latest is None or isinstance(record.event, LEADING):
                self._waiting.setdefault(router, []).append(step)
            else:
                self._notes.setdefault(latest, []).append(step)

    def _explained(self, record: Record) -> bool:
        """Whether the router's failure before this one, in the same IKE SA, told more of the same."""
        stamp = record.stamp
        where = (stamp.router, stamp.spi_i if isinstance(stamp.spi_i, str) else stamp.sa)
        if isinstance(record.event, FOLLOWING) and where in self._found:
            return True
        self._found.add(where)
        return False

    def extend(self, records: Iterable[Record]) -> Model:
        """Fold many records in; the model itself."""
        for record in records:
            self.add(record)
        return self

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every row of the ladder, oldest first; `n` names it."""
        return [self.row(row) for row in self.ladder.rows]

    def row(self, row: Row) -> dict[str, Any]:
        """One row of the ladder as the page takes it."""
        told: dict[str, Any] = {
            "n": row.index,
            "kind": row.kind,
            "severity": row.severity,
            "seconds": round(row.seconds, 6) if row.wall else None,
            "left": row.left,
            "right": row.right,
            "at": row.at,
            "text": row.text,
            "exchange": row.exchange,
            "sa": row.spi_i,
        }
        if row.rung is not None:
            told |= _message(row.rung.message) | {
                "source": row.rung.source,
                "destination": row.rung.destination,
                "lost": row.rung.lost,
            }
        failed = self._failed.get(row.index)
        if failed is not None:
            told["what"], told["change"] = self._finding(failed)
        return told

    def _finding(self, record: Record) -> tuple[str, str]:
        timeline, stamp = self.ladder.timeline, record.stamp
        key = (stamp.router, stamp.spi_i.lower()) if isinstance(stamp.spi_i, str) else None
        return summary.cause(timeline, record, timeline.ike.get(key) if key else None)

    @property
    def families(self) -> list[dict[str, Any]]:
        """The IKE SAs that replaced each other, with their Child SAs; times in seconds of the records' clock."""
        if self._families is None:
            self._families = html_sas.families(self.ladder.timeline)
        return self._families

    @property
    def verdict(self) -> list[str]:
        """How the session stands, the answer first; of many peers only the numbers."""
        timeline = self.ladder.timeline
        if len(timeline.families) > TOLD_APART * max(len(timeline.routers), 1):
            return html_sas.counted(timeline)
        return summary.verdict(timeline, self._side)

    @property
    def now(self) -> float:
        """The monotonic time of the last record."""
        return self._last.stamp.mono if self._last is not None else 0.0

    def snapshot(self, most: int | None = None) -> dict[str, Any]:
        """All of it but the insides of messages; of the rows the latest `most`."""
        rows = [self.row(row) for row in self.ladder.rows[-most if most else 0 :]]
        return {
            "verdict": self.verdict,
            "now": self.now,
            "addresses": self.ladder.addresses,
            "rows": rows,
            "families": self.families,
        }

    def details(self) -> dict[str, Any]:
        """The inside of every message, by its row's number; `strings` are what their trees are made of."""
        strings = Strings()
        found = {str(row.index): self._detail(row, turn, strings) for row, turn in self._turns()}
        return {"strings": list(strings), "messages": found}

    def detail(self, number: int) -> dict[str, Any] | None:
        """The inside of the message in the row of that number, with its own `strings`; None where there is none."""
        found = next(((row, turn) for row, turn in self._turns() if row.index == number), None)
        if found is None:
            return None
        strings = Strings()
        told = self._detail(*found, strings)
        return told | {"strings": list(strings)}

    def _turns(self) -> Iterator[tuple[Row, int]]:
        """The rows that are messages, each with how many alike (a COOKIE round, say) went before it."""
        seen: Counter[tuple[str, _Key]] = Counter()
        for row in self.ladder.rows:
            if row.rung is not None:
                alike = (row.rung.source, _key(row.rung.message))
                yield row, seen[alike]
                seen[alike] += 1

    def _detail(self, row: Row, turn: int, strings: Strings) -> dict[str, Any]:
        assert row.rung is not None
        message = row.rung.message
        found: list[Step] = []
        for router in row.rung.seen:
            sent = message.sent if router == message.router else not message.sent
            places = self._tellings.get((router, sent, _key(message)), [])
            if turn < len(places):
                found += self._notes.get(places[turn], [])
        nodes = tree.nodes(message)
        every = list(html_links.flat(nodes))
        notes = [[step.title, *_linked(step, every)] for step in found]
        return {
            "notes": notes,
            "tree": [_packed(node, strings) for node in nodes],
            "octets": _hex(message.octets),
            "opened": _hex(message.opened),
        }


def _linked(step: Step, nodes: list[Node]) -> Iterator[list[Any]]:
    """Each sentence with the places of what it speaks of."""
    spans = step.links or ((),) * len(step.lines)
    for line, known in zip(step.lines, spans, strict=True):
        yield [line, html_links.exact(known, nodes) if known else html_links.links(line, nodes)]


def _key(message: Message) -> _Key:
    return (message.spi_i, message.exchange, message.message_id, message.response, message.repeat)


def _message(message: Message) -> dict[str, Any]:
    """What a row says of its datagram."""
    return {
        "name": words.exchange(message.exchange),
        "response": message.response is True,
        "id": message.message_id if isinstance(message.message_id, int) else None,
        "payloads": payloads(message),
        "size": message.size if isinstance(message.size, int) else None,
        "repeat": message.repeat,
        "fragments": list(message.fragments),
        "from": message.source,
        "to": message.destination,
    }


def _packed(node: Node, strings: Strings) -> list[Any]:
    """Name, value, offset, length, RFC section, whether inside the Encrypted payload, children."""
    return [
        strings.place(node.name),
        strings.place(node.value),
        node.offset,
        node.length,
        strings.place(node.section),
        int(node.inside),
        [_packed(child, strings) for child in node.children],
    ]


def _hex(octets: bytes | UnsetType) -> str | None:
    return octets[:OCTETS].hex() if isinstance(octets, bytes) else None
