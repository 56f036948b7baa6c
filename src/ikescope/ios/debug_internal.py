"""The trace of IOS's state machine, both ways: what stands between an event's lines, and what a trace line tells."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache, lru_cache
from typing import Any

from ikescope.events import UNSET, Event, Stamp, life
from ikescope.events.base import UNKNOWN
from ikescope.events.negotiation import NatChecked
from ikescope.ios.catalogue import Facts, Line
from ikescope.ios.catalogue_internal import OPENING, TRUST, Weave
from ikescope.ios.catalogue_internal_life import ENDING, STATES

WEAVES: tuple[Weave, ...] = (*OPENING, *TRUST, *ENDING)
"""Every weave; of those of one event the first that holds is its own."""

_TRACE = "SM Trace-> SA: I_SPI={spi_i} R_SPI={spi_r} ({role}) MsgID = {message_id} CurState: {state} Event: {event}"
_ZERO = "0" * 16

TRACE = re.compile(
    r"SM Trace-> SA:\s+I_SPI=(?P<spi_i>[0-9A-Fa-f]+) R_SPI=(?P<spi_r>[0-9A-Fa-f]+) \((?P<role>[IR])\) "
    r"MsgID = (?P<message_id>[0-9A-Fa-f]+)\s+CurState: (?P<state>\w+) Event: (?P<event>\w+)"
)
"""A trace line's text, as all generations and ASA print it (MsgID decimal, or eight hexadecimal digits)."""


@lru_cache(maxsize=1 << 14)
def lead_of(lead: str) -> Facts | None:
    """What the first half of a trace line says, SPIs and role; to be looked at only."""
    trace = TRACE.fullmatch(f"{lead}CurState: X Event: X")
    if trace is None:
        return None
    held: Facts = {"spi_i": trace["spi_i"].lower(), "initiator": trace["role"] == "I"}
    if trace["spi_r"].strip("0"):
        held["spi_r"] = trace["spi_r"].lower()
    return held


@cache
def _by_event() -> dict[type[Event], tuple[Weave, ...]]:
    table: dict[type[Event], list[Weave]] = {}
    for weave in WEAVES:
        table.setdefault(weave.event, []).append(weave)
    return {event: tuple(some) for event, some in table.items()}


def weave_of(event: Event, stamp: Stamp) -> Weave | None:
    """The weave of an event; None where IOS's state machine has nothing to say of it."""
    return next((one for one in _by_event().get(type(event), ()) if one.holds(event, stamp)), None)


def internal_lines(weave: Weave, step: str, event: Event, stamp: Stamp) -> Iterator[tuple[Line, str]]:
    """The lines of one step that is no number."""
    if step.startswith("~"):
        yield Line("internal", ""), step[1:]
    elif step.startswith("@"):
        yield from _MADE[step](event, stamp)
    else:
        state, _, name = step.partition(" ")
        yield Line("internal", ""), trace_text(stamp, state, name, weave.message_id)


def trace_text(stamp: Stamp, state: str, event: str, message_id: int) -> str:
    """One SM Trace line's text."""
    return _TRACE.format(
        spi_i=_spi(stamp.spi_i),
        spi_r=_spi(stamp.spi_r),
        role="I" if stamp.initiator else "R",
        message_id=message_id if stamp.message_id is UNSET else stamp.message_id,
        state=state,
        event=event,
    )


def _spi(text: Any) -> str:
    return text.upper() if isinstance(text, str) and text else _ZERO


def _construct(event: Any, _: Stamp) -> Iterator[tuple[Line, str]]:
    for name in getattr(event, "payloads", ()) or ():
        if name == "VID":
            yield Line("internal-bare", ""), "Construct Vendor Specific Payload: (CUSTOM)"
        elif name.startswith("NOTIFY("):
            yield Line("internal-bare", ""), f"Construct Notify Payload: {name[7:-1]}"


def _parse(event: Any, _: Stamp) -> Iterator[tuple[Line, str]]:
    names = event.payloads if event.inner is UNSET else event.inner
    for name in names if names is not UNSET else ():
        if name == "VID":
            yield Line("internal-bare", ""), "Parse Vendor Specific Payload: (CUSTOM)"
        elif name.startswith("NOTIFY("):
            yield Line("internal-bare", ""), f"Parse Notify Payload: {name[7:-1]}"


def _request(_: Event, stamp: Stamp) -> Iterator[tuple[Line, str]]:
    number = stamp.message_id
    if number is not UNSET:
        yield Line("internal", ""), f"Request has mess_id {number}; expected {number} through {number}"


_MADE = {"@construct": _construct, "@parse": _parse, "@request": _request}


@cache
def _changes() -> dict[tuple[str, str], tuple[Any, str]]:
    """The pair of a trace line -> our state before and after; the first line of a change is what tells it.

    Where it tells of several, the state before is not known.
    """
    table: dict[tuple[str, str], tuple[Any, str]] = {}
    for weave in STATES:
        state, _, event = str(weave.steps[0]).partition(" ")
        before = UNKNOWN if (state, event) in table else weave.when["before"]
        table[state, event] = before, weave.when["after"]
    return table


def change_of(state: str, event: str, *, initiator: bool) -> life.StateChanged | None:
    """What a trace line says of our states; None for most. Why it changed the text does not say."""
    found = _changes().get((state, event))
    if found is None:
        return None
    before, after = found
    if (state, event) == ("AUTH_DONE", "EV_OK"):
        before = "IKE_AUTH sent" if initiator else "IKE_SA_INIT answered"
    return life.StateChanged(before=before, after=after, trigger=UNKNOWN)


#: What the remarks of NAT detection say; a responder has no other line of it before IKE_AUTH.
NAT_FOUND = {"No NAT found": "", "Host is located NAT inside": "local", "Host is located NAT outside": "remote"}


def nat_checked(found: Collection[str]) -> NatChecked:
    """The event of such remarks."""
    local, remote = "local" in found, "remote" in found
    return NatChecked(supported=True, local_behind=local, remote_behind=remote, forced=UNKNOWN, floated=False)


_REMARK = re.compile(
    r"Construct (?:Notify|Vendor Specific) Payload: .*|Parse (?:Notify|Vendor Specific) Payload: .*"
    r"|Request has mess_id \d+; expected \d+ through \d+ ?"
    r"|Sent response with message id \d+, Requests can be accepted from range \d+ to \d+ ?"
    r"|Deleting negotiation context for (?:my|peer) message ID: 0x[0-9A-Fa-f]+"
)
_EXTRA = ("Opening a PKI session", "Process delete IPSec API", "ipsec delete", "Cisco DeleteReason Notify is enabled")


@cache
def _remarks() -> frozenset[str]:
    steps = (step for weave in WEAVES for step in weave.steps)
    return frozenset((*(step[1:] for step in steps if isinstance(step, str) and step.startswith("~")), *_EXTRA))


def is_remark(text: str) -> bool:
    """Whether a text is a remark of the internal level, which tells no event."""
    return text in _remarks() or _REMARK.fullmatch(text) is not None
