"""What is told between the groups of lines: by the state machine's trace, NAT's remarks, a certificate's refusal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from ikescope.events import UNSET, Event
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.events.negotiation import AuthRefused
from ikescope.ios.catalogue import Facts
from ikescope.ios.debug_automaton import ALL, Node
from ikescope.ios.debug_group import Group, Key, Open, Told
from ikescope.ios.debug_headed import ARRIVALS, Headed, headed
from ikescope.ios.debug_internal import NAT_FOUND, TRACE, change_of, lead_of, nat_checked
from ikescope.ios.debug_packet import HEAD
from ikescope.ios.debug_signs import REMARKS, Place, Sign, Signs, packets_in

_CERTIFICATE = "Verify cert failed"
_FAILED = "Verification of peer's authentication data FAILED"
_NOWHERE = Node((), None, None)
_SAMPLE = 3000
"""Lines of a text's beginning in which packets are looked for."""


class Between:
    """Puts the events of such lines among those of the groups; `signs` where the text has no packets."""

    def __init__(self, open_: Open, told: Told, *, whole: bool) -> None:
        self._open, self._told, self._whole = open_, told, whole
        self._nat: dict[Key, set[str]] = {}
        self.signs: Signs | None = None
        self.headed: Headed | None = None
        self._arrived = False

    def looked(self, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        """The same lines; their beginning says whether the trace must stand for packets."""
        some = iter(lines)
        sample = list(islice(some, _SAMPLE))
        if not packets_in(text for _, text in sample):
            self.signs = Signs()
            self._told.heard = self.signs.told
        return chain(sample, some)

    def put(self, place: Place, event: Event, stamp: Facts) -> None:
        """An event that stands in the text by itself."""
        before = place.before
        group = Group(_NOWHERE, [], before.wall, place.number, before.host, place.session, place.sa, place.text)
        self._open.put(self._told.record(event, stamp, group, self._told.known(self._key(place))))

    def speaks(self, place: Place, body: str) -> bool:
        """Whether a line is one of these."""
        key = self._key(place)
        lead, mark, rest = body.partition("CurState: ")
        if mark and (held := lead_of(lead)) is not None:
            state, told, event = rest.partition(" Event: ")
            if told:
                if self.signs is not None:
                    self._open.close()
                    self._signed(self.signs.begun(key, held["spi_i"]))
                    self.signs.taken(key, held["spi_i"])
                self._trace(place, key, held, (state.strip(), event.strip()))
                self._step(place, key, body)
            return bool(told)
        if body in NAT_FOUND:
            self._nat.setdefault(key, set()).add(NAT_FOUND[body])
            self.remark(place, body)
            return True
        if head := HEAD.fullmatch(body):
            if self.signs is not None and self._begins(place, key, body):
                return True
            if self._open.at_hand is not None:
                self._open.at_hand.size = int(head["length"])
            return True
        if body == _CERTIFICATE:
            self._untrusted(place, key)
            return True
        return body == _FAILED and key in self._told.untrusted

    def remark(self, place: Place, body: str) -> None:
        """A remark that may be the only line to say so."""
        if body in ARRIVALS:
            self._arrived = True
        if self.signs is not None and body in REMARKS:
            self._open.close()
            self._signed(self.signs.remark(self._key(place), place, body))

    def _begins(self, place: Place, key: Key, body: str) -> bool:
        """Whether a header begins a packet that no line before it tells of."""
        group = self._open.at_hand
        if group is not None and any(ALL[row].event in _MESSAGES for row in group.node.whole):
            return False
        initiator = self._told.facts(key).get("initiator")
        self.headed = headed(place, body, arrived=self._arrived, initiator=initiator)
        self._arrived = False
        return self.headed is not None

    def over(self) -> None:
        """A packet of which nothing more comes."""
        found, self.headed = self.headed, None
        if found is not None:
            self._open.close()
            stamp = found.stamp()
            key = self._key(found.place)
            if "initiator" in stamp:
                self._told.learn(key, {"initiator": stamp["initiator"]})
            self.put(found.place, found.event(), stamp)

    def end(self) -> None:
        """The text is over."""
        self.over()
        if self.signs is not None:
            self._open.close()
            self._signed(self.signs.end())

    def _key(self, place: Place) -> Key:
        return self._told.key(place.before.host, place.session, place.sa)

    def _step(self, place: Place, key: Key, body: str) -> None:
        """A step of the state machine where no packet is told."""
        found = TRACE.fullmatch(body) if self.signs is not None else None
        if found is not None and self.signs is not None:
            self._open.close()
            number = found["message_id"]
            told = int(number, 16) if len(number) == _HEXADECIMAL else int(number) if number.isdigit() else 0
            self._signed(self.signs.step(key, place, told, (found["state"], found["event"])))

    def _signed(self, signs: Iterable[Sign]) -> None:
        for place, event, stamp in list(signs):
            self.put(place, event, stamp)

    def _untrusted(self, place: Place, key: Key) -> None:
        """The peer's certificate does not verify: told once for an SA, by whichever line says it first."""
        if key in self._told.untrusted or self._whole:
            return
        self._open.close()
        self._told.untrusted.add(key)
        unknown: Any = UNSET
        method: Any = self._told.methods.get(key, UNSET)
        self.put(place, AuthRefused(method=method, identity=unknown), {})

    def _trace(self, place: Place, key: Key, held: Facts, pair: tuple[str, str]) -> None:
        """A line of the state machine: whose it is, and perhaps a state of ours that changed."""
        initiator = bool(held["initiator"])
        self._told.learn(key, held)
        state, event = pair
        change: Event | None = change_of(state, event, initiator=initiator)
        found = self._nat.pop(key, None) if event == "EV_CHK_CONFIG_MODE" and not initiator else None
        if found is not None and self.signs is None:
            change = nat_checked(found)
        if event == "EV_CERT_FAIL":
            self._untrusted(place, key)
        if change is not None:
            self._open.close()
            self.put(place, change, {})


_MESSAGES = (MessageSent, MessageReceived)
_HEXADECIMAL = 8
"""Digits of a message ID where it is hexadecimal."""
