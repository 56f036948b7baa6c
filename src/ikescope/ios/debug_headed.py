"""Packets of an old text: a header's line, `Payload contents:`, and what stands around it says which way they went.

IOS 15.1 prints no `Sending Packet` and no `Received Packet`: a packet from the dispatcher's queue came in, another one
went out; where the role in the IKE SA is known, the header's flags say it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ikescope.events import UNSET, Event, message
from ikescope.ios import words
from ikescope.ios.catalogue import Facts
from ikescope.ios.debug_packet import DETAIL, payload_at
from ikescope.ios.debug_signs import Place
from ikescope.wire.registry import ExchangeType

_HEAD = re.compile(
    r"Next payload: (?P<first>\S+), version: \d\.\d\s+Exchange type: (?P<exchange>\S+), flags: (?P<flags>[\w -]+?)\s+"
    r"Message id: (?P<id>\d{1,10}), length: (?P<length>\d{1,9})"
)
_NAMES = re.compile(r"[A-Z][\w-]*+(?:\([^()\s]{0,60}+\))?+")
_LIST = re.compile(rf"{_NAMES.pattern}(?: ++{_NAMES.pattern})*+")
_MOST = 128
ARRIVALS = frozenset(("Got a packet from dispatcher", "Processing an item off the pak queue"))
"""Remarks after which the next packet is one that came in."""


@dataclass(slots=True)
class Headed:
    """One packet as it is read: where its header stands, what that says, and the payloads' names under it."""

    place: Place
    sent: bool
    exchange: int
    response: bool
    message_id: int
    size: int
    first: str
    names: list[str] = field(default_factory=list)

    def detail(self, body: str) -> bool:
        """Whether a line without prefix is part of the packet."""
        if not body or body.startswith("Payload contents"):
            return True
        name = payload_at(body)
        if name is None and DETAIL.match(body) is not None:
            return True
        found = [name] if name is not None else _NAMES.findall(body) if _LIST.fullmatch(body) else []
        self.names = [*self.names, *found][:_MOST]
        return bool(found)

    def event(self) -> Event:
        """The message; what its text does not hold is UNSET."""
        names = tuple(self.names)
        facts: Facts = {"exchange": self.exchange, "response": self.response, "size": self.size, "repeat": 0}
        if self.first in ("ENCR", "SK"):
            inside = tuple(one for one in names if one not in ("ENCR", "SK"))
            facts |= {"payloads": ("ENCR",), "inner": inside} if inside else {"payloads": ("ENCR",)}
        elif names:
            facts["payloads"] = names
        kind: Any = message.MessageSent if self.sent else message.MessageReceived
        made: Event = kind(**{name: facts.get(name, UNSET) for name in kind.__struct_fields__})
        return made

    def stamp(self) -> Facts:
        """What it says of its SA: who asks in IKE_SA_INIT is the initiator."""
        held: Facts = {"message_id": self.message_id}
        if self.exchange == ExchangeType.IKE_SA_INIT:
            held["initiator"] = self.sent is not self.response
        return held


def headed(place: Place, body: str, *, arrived: bool, initiator: Any) -> Headed | None:
    """The packet that a header's line begins; `initiator`: the role in the IKE SA, where it is known."""
    found = _HEAD.fullmatch(body)
    exchange = words.exchange_number(found["exchange"]) if found is not None else None
    if found is None or exchange is None:
        return None
    response = "RESPONSE" in found["flags"]
    sent = not arrived
    if not arrived and isinstance(initiator, bool) and (exchange != ExchangeType.IKE_SA_INIT or response):
        sent = ("INITIATOR" in found["flags"]) is initiator
    return Headed(place, sent, exchange, response, int(found["id"]), int(found["length"]), found["first"])
