"""What a text without packets tells all the same: steps of the state machine and lone remarks, each an event.

Where `Sending Packet` and `Received Packet` are not in a text (lines picked out by a search, level internal alone),
a trace line stands for what IOS prints beside it. A sign waits for the SA's next trace line: a line that tells the
event itself comes between the two, and then the sign is not told.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ikescope.events import UNSET, Event, life, message, negotiation
from ikescope.events.base import UNKNOWN
from ikescope.ios.catalogue import Facts
from ikescope.ios.debug_cut import Before
from ikescope.ios.debug_group import Group, Key
from ikescope.ios.debug_internal import NAT_FOUND
from ikescope.wire.registry import AuthMethod, ExchangeType, NotifyType

INIT, AUTH = int(ExchangeType.IKE_SA_INIT), int(ExchangeType.IKE_AUTH)
CREATE, INFO = int(ExchangeType.CREATE_CHILD_SA), int(ExchangeType.INFORMATIONAL)
_PSK, _REFUSED = int(AuthMethod.SHARED_KEY_MIC), int(NotifyType.NO_PROPOSAL_CHOSEN)
_LATE = "the IKE_AUTH request did not come in time"
_MOST = 256
_PACKET = re.compile(r"(?:Sending|Received) Packet \[")


def packets_in(lines: Iterable[str]) -> bool:
    """Whether lines tell of packets themselves."""
    return any("Packet [" in line and _PACKET.search(line) is not None for line in lines)


def _made(kind: type[Event], **facts: Any) -> Event:
    """An event of these facts; what no line tells is UNSET."""
    return kind(**{name: facts.get(name, UNSET) for name in kind.__struct_fields__})


def _sent(exchange: int, *, response: bool) -> Event:
    return _made(message.MessageSent, exchange=exchange, response=response, repeat=0)


def _received(exchange: int, *, response: bool) -> Event:
    return _made(message.MessageReceived, exchange=exchange, response=response, repeat=0)


_WAITS = {"I_WAIT_INIT": INIT, "I_WAIT_AUTH": AUTH, "INFO_I_WAIT": INFO, "CHILD_I_WAIT": CREATE}
STEPS: dict[tuple[str, str], Event] = {
    **{(state, "EV_RE_XMT"): _made(message.Retransmitting, exchange=one) for state, one in _WAITS.items()},
    **{
        (state, "EV_RE_XMT_EXCEED"): _made(message.RetransmissionsExhausted, exchange=one)
        for state, one in _WAITS.items()
    },
    ("INIT_DONE", "EV_FAIL"): _made(negotiation.ExchangeFailed, exchange=INIT),
    ("AUTH_DONE", "EV_FAIL"): _made(negotiation.ExchangeFailed, exchange=AUTH),
    ("R_WAIT_AUTH", "EV_WAIT4_AUTH_TMO"): _made(negotiation.ExchangeFailed, exchange=AUTH, why=_LATE),
    ("R_VERIFY_AUTH", "EV_AUTH_FAIL"): _made(negotiation.AuthRefused),
    ("I_PROC_AUTH", "EV_AUTH_FAIL"): _made(negotiation.AuthRefused),
    ("R_INIT", "EV_NO_PROP_CHOSEN"): _made(negotiation.ProposalRefused, protocol=1),
    ("R_VERIFY_AUTH", "EV_NO_PROP_CHOSEN"): _made(life.ChildRefused, by="local", notify=_REFUSED, exchange=AUTH),
    ("AUTH_DONE", "EV_INSERT_IKE"): _made(life.IkeSaCreated),
    ("I_BLD_INIT", "EV_BLD_MSG"): _sent(INIT, response=False),
    ("R_BLD_INIT", "EV_BLD_MSG"): _sent(INIT, response=True),
    ("R_INIT", "EV_TRYSEND"): _sent(INIT, response=True),
    ("IDLE", "EV_RECV_INIT"): _received(INIT, response=False),
    ("I_WAIT_INIT", "EV_RECV_INIT"): _received(INIT, response=True),
    ("I_BLD_AUTH", "EV_TRYSEND"): _sent(AUTH, response=False),
    ("R_BLD_AUTH", "EV_TRYSEND"): _sent(AUTH, response=True),
    ("R_VERIFY_AUTH", "EV_TRYSEND"): _sent(AUTH, response=True),
    ("R_WAIT_AUTH", "EV_RECV_AUTH"): _received(AUTH, response=False),
    ("I_WAIT_AUTH", "EV_RECV_AUTH"): _received(AUTH, response=True),
    ("INFO_I_BLD_INFO", "EV_TRYSEND"): _sent(INFO, response=False),
    ("INFO_R", "EV_TRYSEND"): _sent(INFO, response=True),
    ("INFO_R", "EV_RECV_INFO_REQ"): _received(INFO, response=False),
    ("INFO_I_WAIT", "EV_RECV_INFO_ACK"): _received(INFO, response=True),
}
"""State and event of a trace line, and what they are the sign of."""

#: The same told in other words.
_TWINS: dict[type[Event], frozenset[type[Event]]] = {
    negotiation.ProposalRefused: frozenset({message.RequestRefused}),
    life.ChildRefused: frozenset({negotiation.ProposalRefused, negotiation.SelectorsRefused, message.RequestRefused}),
}
_DIFFERS = "Computed authentication value for peer differs from what peer sent"
REMARKS = frozenset((_DIFFERS, *NAT_FOUND))
"""Lines of level internal that tell something where no other line does."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sign stands: its line, and what the line's head and prefix say."""

    number: int
    text: str
    before: Before
    session: int | None
    sa: int | None


Sign = tuple[Place, Event, Facts]


@dataclass(slots=True)
class _Sa:
    """What the signs of one SA are so far."""

    spi: str = ""
    told: set[type[Event]] = field(default_factory=set)
    waits: list[Sign] = field(default_factory=list)
    nat: set[str] | None = None
    at: Place | None = None
    floated: bool = False
    keyed: bool = False


class Signs:
    """The signs of a text, SA by SA."""

    def __init__(self) -> None:
        self._sas: OrderedDict[Key, _Sa] = OrderedDict()
        self._packets = False

    def told(self, key: Key, event: Event, group: Group) -> None:
        """A line told an event itself; a packet's, that the text has packets after all.

        That no policy matches is said of an SA where its proposals are refused: the lists may be elsewhere.
        """
        if isinstance(event, _MESSAGES) and (isinstance(event.local, str) or isinstance(event.size, int)):
            self._packets = True
        sa = self._of(key)
        if isinstance(event, negotiation.NatChecked) and not isinstance(event.local_behind, bool):
            sa.floated = sa.floated or event.floated is True
        elif isinstance(event, negotiation.PolicySearched) and event.policy is None and group.sa is not None:
            place = Place(group.line, group.text, Before(group.wall, group.host), group.session, group.sa)
            sa.waits.append((place, _made(negotiation.ProposalRefused, protocol=1), {}))
        else:
            sa.told.add(type(event))

    def remark(self, key: Key, place: Place, body: str) -> Iterator[Sign]:
        """A line of level internal that may be the only one to say so."""
        sa = self._of(key)
        if body in NAT_FOUND:
            sa.nat = {*(sa.nat or ()), NAT_FOUND[body]}
            sa.at = sa.at or place
        elif body == _DIFFERS:
            yield from self._over(sa)
            sa.waits.append((place, _made(negotiation.AuthRefused, method=_PSK), {}))

    def begun(self, key: Key, spi_i: str) -> Iterator[Sign]:
        """Whose a trace line is: where another SA took the number, what is left of the one before."""
        sa = self._of(key)
        if sa.spi not in ("", spi_i):
            yield from self._end(sa)

    def taken(self, key: Key, spi_i: str) -> None:
        """The number is this SA's from here on."""
        sa = self._of(key)
        if sa.spi not in ("", spi_i):
            self._sas[key] = sa = _Sa()
        sa.spi = spi_i

    def step(self, key: Key, place: Place, number: int, pair: tuple[str, str]) -> Iterator[Sign]:
        """A trace line: what the ones before it were the signs of. `number` is its message ID."""
        sa = self._of(key)
        event = pair[1]
        if event == "EV_RE_XMT_EXCEED":
            # The step just before it sent nothing again.
            sa.waits = [one for one in sa.waits if not (isinstance(one[1], message.Retransmitting) and _at(one, place))]
            yield from self._over(sa)
        elif event != "EV_NO_EVENT":
            yield from self._over(sa)
        if event == "EV_CHG_NAT_T_PORT":
            sa.floated, sa.at = True, sa.at or place
        elif event == "EV_GET_PRESHR_KEY":
            sa.keyed = True
        elif event != "EV_NO_EVENT" and event not in _NAT_STEPS:
            yield from self._nat(sa)
        found = STEPS.get(pair)
        if found is None:
            return
        if isinstance(found, negotiation.AuthRefused) and sa.keyed:
            found = _made(negotiation.AuthRefused, method=_PSK)
        sa.told.discard(message.Retransmitting)
        stamp: Facts = {"message_id": number} if isinstance(found, _MESSAGES) else {}
        sa.waits.append((place, found, stamp))

    def end(self) -> Iterator[Sign]:
        """The text is over."""
        for sa in self._sas.values():
            yield from self._end(sa)
        self._sas.clear()

    def _of(self, key: Key) -> _Sa:
        found = self._sas.get(key)
        if found is None:
            found = self._sas[key] = _Sa()
            if len(self._sas) > _MOST:
                self._sas.popitem(last=False)
        return found

    def _over(self, sa: _Sa) -> Iterator[Sign]:
        """The signs that no line told meanwhile; each but messages once for an SA."""
        waits, sa.waits = sa.waits, []
        for place, event, stamp in waits:
            kind = type(event)
            if (kind in _MESSAGES and self._packets) or (kind in sa.told and kind not in _MESSAGES):
                continue
            if not sa.told.isdisjoint(_TWINS.get(kind, ())):
                continue
            if not isinstance(event, _OFTEN):
                sa.told.add(kind)
            yield place, event, stamp

    def _nat(self, sa: _Sa) -> Iterator[Sign]:
        found, at, sa.nat, sa.at = sa.nat, sa.at, None, None
        if at is None or negotiation.NatChecked in sa.told:
            return
        sa.told.add(negotiation.NatChecked)
        local: Any = "local" in found if found is not None else UNKNOWN
        remote: Any = "remote" in found if found is not None else UNKNOWN
        event = _made(
            negotiation.NatChecked, supported=True, local_behind=local, remote_behind=remote, floated=sa.floated
        )
        yield at, event, {}

    def _end(self, sa: _Sa) -> Iterator[Sign]:
        yield from self._over(sa)
        yield from self._nat(sa)


def _at(sign: Sign, place: Place) -> bool:
    """Whether a sign stands at a place: in the same second, or in the line before where nobody stamps them."""
    one, two = sign[0].before.wall, place.before.wall
    return place.number - sign[0].number <= 1 if one is None or two is None else two - one < 1.0


_MESSAGES = (message.MessageSent, message.MessageReceived)
_OFTEN = (*_MESSAGES, message.Retransmitting)
_NAT_STEPS = frozenset({"EV_DETECT_NAT", "EV_CHK_NAT_T", "EV_CHG_NAT_T_PORT", "EV_GET_PRESHR_KEY"})
