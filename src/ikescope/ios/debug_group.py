"""Groups of lines that are open, of each SA its own, and what is known of each SA: their records as they close."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from msgspec.structs import replace

from ikescope.events import UNSET, Event, Record, Stamp, life, message, negotiation
from ikescope.ios import words
from ikescope.ios.catalogue import Facts, Row
from ikescope.ios.catalogue_ipsec import IPSEC
from ikescope.ios.catalogue_table import ROWS, field_of
from ikescope.ios.debug_automaton import ALL, AUTOMATON, Node, Plan, Symbol
from ikescope.ios.text_lines import Calendar

Key = tuple[str, int | None, int | None]
"""Host, session, SA."""
Ends = tuple[Any, Any, Any, Any, Any, Any, Any, Any]
"""Local, peer, both SPIs, session, SA, message ID, role, as a stamp has them."""
INIT = 34
_PARKED = 8
"""How many groups stay open while lines of others come between."""
_PATIENCE = 60
"""Lines after which such a group is closed."""
_PAST = 256
"""Sessions whose SA's number another one has of which something is still known."""
_SAS = 1 << 14
"""SAs of which something is known; a text that names more of them begins anew."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A line that nobody knows: its number in the text, from 1, and the line."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Foreign(Unknown):
    """A line that is no part of the debug: another feature's log, or a console's echo, answer or banner."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """How a line begins: the kind of its prefix, session and SA, and the texts of this kind that are known."""

    symbols: dict[str, Symbol]
    kind: str
    session: int | None = None
    sa: int | None = None
    whose: dict[str, Known] = field(default_factory=dict, compare=False)
    """What is known of its SA, by host; not where the session is to be looked up."""


class Known:
    """What the text has told of one SA: its facts (None: nothing), the row that spoke last, the ends of its stamps."""

    __slots__ = ("ends", "facts", "gone", "key", "spoke")

    def __init__(self, key: Key) -> None:
        self.key, self.gone = key, False
        self.facts: Facts | None = None
        self.spoke: Row | None = None
        self.ends: Ends | None = None

    def learn(self, facts: Facts | None) -> None:
        """These are the facts from now on."""
        self.facts, self.ends = facts, None

    def stamped(self) -> Ends:
        """What stands in each stamp of this SA, from its local address to its role."""
        if self.ends is None:
            self.ends = _ends(self.facts or {}, self.key)
        return self.ends


def _ends(facts: Facts, key: Key) -> Ends:
    _, session, sa = key
    fact = facts.get
    return (
        fact("local", UNSET),
        fact("peer", UNSET),
        fact("spi_i", UNSET),
        fact("spi_r", UNSET),
        UNSET if session is None else session,
        UNSET if sa is None else sa,
        fact("message_id", UNSET),
        fact("initiator", UNSET),
    )


_NONE: Key = ("", None, None)
_NOBODY = _ends({}, _NONE)


class Group(msgspec.Struct):
    """The lines taken for one event, and every row that they still fit."""

    node: Node
    bodies: list[str]
    wall: float | None
    line: int
    host: str
    session: int | None
    sa: int | None
    text: str
    wild: bool = False
    whose: Known | None = None
    payloads: list[str] = []
    size: int | None = None
    done: bool = False
    made: list[Record | Unknown] = []

    def may_be(self, host: str, session: int | None, sa: int | None) -> bool:
        """Whether a line may be of its SA: a line or a group that names none may be anybody's."""
        if host != self.host or (session is not None and self.session is not None and session != self.session):
            return False
        return sa is None or self.sa is None or sa == self.sa


def step(group: Group, symbol: Symbol, body: str, session: int | None, sa: int | None) -> bool:
    """Whether a message is the next one of a group, which takes it."""
    after = AUTOMATON.further(group.node, symbol)
    if after is None:
        return False
    group.node = after
    group.bodies.append(body)
    if group.session is None or group.sa is None:
        group.session = session if group.session is None else group.session
        group.sa = sa if group.sa is None else group.sa
        group.whose = None
    return True


class Told:
    """What the text has told of each SA so far, and the records made of it, in the order of their first lines."""

    def __init__(self, router: str, source: str | None = None) -> None:
        self.router = router
        self._source: Any = UNSET if source is None else source
        self._seq = 0
        self._first: float | None = None
        self._calendar = Calendar()
        self._known: dict[Key, Known] = {}
        self._sessions: dict[tuple[str, int], int] = {}
        self._past: deque[Key] = deque()
        self._at: Known | None = None
        self._repeat: dict[Key, int] = {}
        self._last: type[Event] | None = None
        self._up: set[tuple[str, str]] = set()
        self.methods: dict[Key, int] = {}
        self.untrusted: set[Key] = set()
        self.heard: Callable[[Key, Event, Group], None] | None = None
        self.beside: Record | None = None

    def key(self, host: str, session: int | None, sa: int | None) -> Key:
        """Host, session and SA of a line; one of the crypto engine names the SA alone."""
        if sa is None:
            return host, None, None
        before = self._sessions.get((host, sa))
        if session is None:
            session = before
        elif session != before:
            self._sessions[host, sa] = session
            self._at = None
            if before is not None:
                self._leave((host, before, sa))
        return host, session, sa

    def _leave(self, key: Key) -> None:
        """A number is another session's now; what was told of the sessions before it is forgotten after a while."""
        self._past.append(key)
        if len(self._past) > _PAST:
            old = self._past.popleft()
            if self._sessions.get((old[0], old[2] or 0)) != old[1]:
                self._drop(old)
        if len(self._known) > _SAS:
            for one in list(self._known):
                self._drop(one)

    def known(self, key: Key) -> Known:
        """What is known of an SA."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Known(key)
        return found

    def speaks(self, prefix: Prefix, host: str) -> Known:
        """What is known of the SA that a line's prefix names; its session has the SA's number from here on."""
        found = prefix.whose.get(host)
        if found is None or found.gone:
            found = self._at = self.known(self.key(host, prefix.session, prefix.sa))
            if prefix.session is not None or prefix.sa is None:
                prefix.whose[host] = found
        elif found is not self._at:
            self._at = found
            self.key(host, prefix.session, prefix.sa)
        return found

    def facts(self, key: Key) -> Facts:
        """What is known of an SA; to be looked at only."""
        found = self._known.get(key)
        return {} if found is None else found.facts or {}

    def learn(self, key: Key, held: Facts) -> None:
        """More is known of an SA."""
        before = self.facts(key)
        if any(before.get(name) != value for name, value in held.items()):
            if before.get("spi_i", held.get("spi_i")) != held.get("spi_i"):
                # The number of an SA that is gone, for another one.
                before = {name: value for name, value in before.items() if name != "spi_r"}
            self.known(key).learn(before | held)

    def close(self, group: Group) -> Record | Unknown | None:
        """The record of a group that ended; none where its principal line is not in the text."""
        node = group.node
        if not node.whole:
            self._heard(group)
            return Unknown(group.line, group.text) if group.wild else None
        whose = group.whose
        if whose is None:
            whose = self.known(self.key(group.host, group.session, group.sa))
        elif whose.gone:
            whose = self.known(whose.key)
        # Two rows may have the same line: then the one that did not speak just now.
        best = node.whole[0]
        if len(node.whole) > 1:
            spoke = whose.spoke
            best = min(node.whole, key=lambda one: (len(ALL[one].lines), ALL[one] is spoke))
        plan = node.plans.get(best) or AUTOMATON.plan(node, best)
        row = whose.spoke = plan.row
        kind, before = row.event, self._last
        if kind is before and row.lines[0].prefix == "ipsec" and kind in _twofold():
            return None
        self._last = kind
        if kind in _NOTED:
            return self._record(plan, group, whose)
        made = None if plan.stamps else plan.made.get(plan.pick(group.bodies))
        event, stamp = made or plan.event(group.bodies, None)
        return self._stamped(event, stamp, group, whose)

    def _heard(self, group: Group) -> None:
        """The peer's method, out of companions whose principal line is not there."""
        for body in group.bodies:
            found = _METHOD.match(body)
            number = words.method_number(found[1]) if found is not None else None
            if number is not None:
                self.methods[self.key(group.host, group.session, group.sa)] = number

    def is_up(self, host: str, peer: str) -> bool:
        """Whether the debug itself told that the session with a peer is up."""
        return (host, peer.rpartition(":")[0] or peer) in self._up

    def _record(self, plan: Plan, group: Group, whose: Known) -> Record:
        more: Facts | None = None
        row, key = plan.row, whose.key
        if row.event is message.MessageSent or row.event is message.MessageReceived:
            more = {"repeat": self._repeat.get(key, 0) if row.event is message.MessageSent else 0}
            if group.size is not None:
                more |= _spelled_facts(row, group)
        event, stamp = plan.event(group.bodies, more)
        if isinstance(event, negotiation.AuthRefused) and not isinstance(event.method, int) and key in self.methods:
            event = replace(event, method=self.methods[key])
        return self.record(event, dict(stamp) if more is not None else stamp, group, whose)

    def record(self, event: Event, stamp: Facts, group: Group, whose: Known) -> Record:
        """One record, with what is known of its SA in its stamp."""
        kind, key = type(event), whose.key
        if kind in _COUNTS:
            self._count(kind, key)
        before = whose.facts
        if "local" in stamp:
            self._packet(event, stamp, whose)
        made = self._stamped(event, stamp, group, whose)
        if kind is message.MessageReceived and before is not None and (moved := _moved(before, made.stamp)) is not None:
            self.beside = self._stamped(moved, dict(stamp), group, whose)
        if kind is life.IkeSaClosed:
            self._forget(key)
        elif kind is life.SessionUp and isinstance(made.stamp.peer, str):
            self._up.add((group.host, made.stamp.peer.rpartition(":")[0]))
        return made

    def _stamped(self, event: Event, stamp: Facts, group: Group, whose: Known) -> Record:
        self._seq += 1
        if self.heard is not None:
            self.heard(whose.key, event, group)
        wall = group.wall
        if wall is None:
            wall = mono = 0.0
        else:
            wall = self._calendar.of(wall)
            if self._first is None:
                self._first = wall
            mono = wall - self._first
        if group.sa is None:
            ends = _ends(stamp, _NONE) if stamp else _NOBODY
        elif stamp:
            ends = _ends(whose.facts | stamp if whose.facts else stamp, whose.key)
        else:
            ends = whose.ends or whose.stamped()
        return Record(Stamp(self._seq, mono, wall, group.host or self.router, *ends, self._source, group.line), event)

    def _forget(self, key: Key) -> None:
        self._up.discard((key[0], self.facts(key).get("peer", "").rpartition(":")[0]))
        self._drop(key)

    def _drop(self, key: Key) -> None:
        held = self._known.pop(key, None)
        if held is not None:
            held.gone = True
        self.methods.pop(key, None)
        self.untrusted.discard(key)

    def _count(self, kind: type[Event], key: Key) -> None:
        """The packet that follows `Retransmitting packet` is the same one again."""
        if kind is message.Retransmitting:
            self._repeat[key] = self._repeat.get(key, 0) + 1
        else:
            self._repeat.pop(key, None)

    def _packet(self, event: Any, stamp: Facts, whose: Known) -> None:
        """What a packet's header says of its SA; who asks in IKE_SA_INIT is the initiator."""
        held: Facts = {name: stamp[name] for name in _ENDS if name in stamp}
        before = whose.facts
        if event.exchange == INIT and event.response is not UNSET:
            stamp["initiator"] = held["initiator"] = isinstance(event, message.MessageSent) is not event.response
        elif before is not None and "initiator" in before and before.get("spi_i") == held.get("spi_i"):
            held["initiator"] = before["initiator"]
        whose.learn(held)


def _moved(before: Facts, stamp: Stamp) -> life.PathChanged | None:
    """A message of the same IKE SA from another address or port than before; the move to port 4500 is none."""
    peer, local, at = stamp.peer, stamp.local, before.get("peer")
    if not isinstance(peer, str) or not isinstance(local, str) or not isinstance(at, str) or at == peer:
        return None
    spis = stamp.spi_i, stamp.spi_r
    if not stamp.spi_r or UNSET in spis or spis != (before.get("spi_i"), before.get("spi_r")):
        return None
    (host, _, port), (was, _, left) = peer.rpartition(":"), at.rpartition(":")
    if host == was and (left, port) == ("500", "4500"):
        return None
    followed: Any = UNSET
    return life.PathChanged(
        local_before=before.get("local", local), remote_before=at, local=local, remote=peer, followed=followed
    )


_METHOD = re.compile(r"Peer's authentication method is '([^']{1,40})'")
_ENDS = ("local", "peer", "spi_i", "spi_r")
_COUNTS = frozenset(
    {
        message.Retransmitting,
        message.MessageReceived,
        message.MessageBuilding,
        life.IkeSaClosed,
    }
)
_NOTED = _COUNTS | {message.MessageSent, life.SessionUp, negotiation.AuthRefused}
"""Events that change what is known of their SA, or ask for it."""


def _spelled_facts(row: Row, group: Group) -> Facts:
    """What a packet spelled out says: its length, and its payloads as the default level would name them."""
    facts: Facts = {"size": group.size}
    names, inside = group.payloads, tuple[str, ...]()
    if row.event is message.MessageSent and "ENCR" in names:
        at = names.index("ENCR") + 1
        names, inside = names[:at], tuple(names[at:])
    exchange = next((found for body in group.bodies if (found := _EXCHANGE.match(body))), None)
    number = words.exchange_number(exchange[1]) if exchange is not None else None
    if number is not None:
        facts["exchange"] = number
    field_of(row, "payloads").read(" ".join(names), facts, {})
    if inside:
        facts["inner"] = inside
    return facts


_EXCHANGE = re.compile(r"IKEv2 (\S+) Exchange ")


@cache
def _twofold() -> frozenset[type[Event]]:
    """Events that have lines of both debugs, `crypto ikev2` and `crypto ipsec`, where both are on."""
    return frozenset(row.event for row in IPSEC) & frozenset(row.event for row in ROWS if row.lines)


class Open:
    """The groups that are open, the one at hand and those that others' lines came between; what they gave, in order."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.at_hand: Group | None = None
        self._order: deque[Group] = deque()
        self._shift = 0
        self.ready: deque[Record | Unknown] = deque()

    def begin(self, group: Group) -> None:
        """A group more; the one at hand is over where it is of the same SA, or of none."""
        before, order = self.at_hand, self._order
        if before is not None:
            if before.host == group.host and (before.sa is None or group.sa is None or before.sa == group.sa):
                if len(order) == 1:
                    # Nothing is between the two, as mostly.
                    before.done = True
                    found, told = self.told.close(before), self.told
                    if found is not None:
                        self.ready.append(self._numbered(found))
                        if told.beside is not None:
                            self.ready.append(self._numbered(told.beside))
                            told.beside = None
                    if before.made:
                        self.ready.extend(map(self._numbered, before.made))
                    self.at_hand = order[0] = group
                    return
                self._over(before)
            elif len(order) >= _PARKED:
                self._over(order[0])
        if len(order) > 1:
            sa, host, oldest = group.sa, group.host, group.line - _PATIENCE
            for one in order:
                if not one.done and ((one.sa == sa and one.host == host) or one.line < oldest):
                    self._over(one)
        if order and order[0].done:
            self._flush()
        self.at_hand = group
        order.append(group)

    def resumed(self, symbol: Symbol, body: str, host: str, session: int | None, sa: int | None) -> bool:
        """Whether a message is the next one of an open group that is not at hand, the latest first; it is from now."""
        for one in reversed(self._order):
            if one.done or one is self.at_hand or (one.sa != sa and sa is not None and one.sa is not None):
                continue
            if one.may_be(host, session, sa) and step(one, symbol, body, session, sa):
                self.at_hand = one
                return True
        return False

    @property
    def several(self) -> bool:
        """Whether more than one group is open."""
        return len(self._order) > 1

    def close(self) -> None:
        """The group at hand is over."""
        if self.at_hand is not None:
            self._over(self.at_hand)
            self._flush()

    def put(self, item: Record | Unknown) -> None:
        """What stands in the text by itself, after what is open."""
        if self._order:
            self._order[-1].made.append(item)
        else:
            self.ready.append(self._numbered(item))

    def end(self) -> None:
        """The text is over."""
        for one in list(self._order):
            self._over(one)
        self._flush()

    def _over(self, group: Group) -> None:
        if not group.done:
            group.done = True
            found = self.told.close(group)
            if found is not None:
                beside, self.told.beside = self.told.beside, None
                group.made[:0] = [found] if beside is None else [found, beside]
        if group is self.at_hand:
            self.at_hand = None

    def _flush(self) -> None:
        order = self._order
        while order and order[0].done:
            for one in order.popleft().made:
                self.ready.append(self._numbered(one))

    def _numbered(self, item: Record | Unknown) -> Record | Unknown:
        """Sequence numbers in the order in which records leave."""
        if isinstance(item, Unknown):
            return item
        self._shift += 1
        if item.stamp.seq == self._shift:
            return item
        return Record(replace(item.stamp, seq=self._shift), item.event)
