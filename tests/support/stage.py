"""A stage for two routers: every IKE message waits in the wings until the test says that it arrives.

`a` (R1) began the first IKE SA, `b` (R2) answered. SPIs are counted over both ends, IKE and ESP each from 1: the first
IKE SA is 1,2 and the first Child SA has inbound 1 at a and 2 at b. What is sent, what stands and what is said becomes
short text, so that a case is a small truth table:

    a> rekey child 1     a request of a's: CREATE_CHILD_SA with REKEY_SA for SPI 1
    b: child 4           b's response: a Child SA with SPI 4
    b: TEMPORARY_FAILURE b's response, one error notify
    a> D esp 1           INFORMATIONAL with a Delete payload
    b: empty             a response without payloads
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pytest
from tests.support.world import Pair, Side, pair

from ikescope.config.model import TransformSet
from ikescope.engine import negotiate
from ikescope.engine.commands import Clear, ClearChild, Intent, Rekey
from ikescope.engine.context import Core
from ikescope.engine.exchange import enqueue
from ikescope.engine.parameters import Parameters
from ikescope.engine.sa import ChildSa, IkeSa
from ikescope.engine.tasks import create_child
from ikescope.engine.tasks.informational import DeleteChild
from ikescope.events import UNSET, Event, Record
from ikescope.events.life import (
    ChildRefused,
    ChildSaClosed,
    ChildSaCreated,
    ChildSaRekeyed,
    CloseReason,
    IkeSaClosed,
    IkeSaRekeyed,
    RetryScheduled,
    SessionDown,
    SessionUp,
)
from ikescope.events.message import MessageSent
from ikescope.policy import proposals
from ikescope.sim.world import Mail
from ikescope.wire.delete import DeletePayload
from ikescope.wire.message import parse_chain
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType, ProtocolId
from ikescope.wire.sa import Proposal, SaPayload

NAMES = {"a": "R1", "b": "R2"}
END_OF = {name: end for end, name in NAMES.items()}
BASE = 0x100
"""ESP SPIs up to 255 are reserved: the counted SPI 1 is 257."""
NONCE_OCTETS = 32
ENDS = ["a", "b"]
OTHER = {"a": "b", "b": "a"}
OLD = {"a": 1, "b": 2}
"""The inbound SPI of the first Child SA at each end."""
FOUR = {"Ni of a": (0, 1, 1, 1), "Nr of b": (1, 0, 1, 1), "Ni of b": (1, 1, 0, 1), "Nr of a": (1, 1, 1, 0)}
"""Which of the four nonces is the lowest: of a's request, of b's response to it, of b's request, of a's response."""
THREE = {name: FOUR[name] for name in ("Ni of a", "Ni of b", "Nr of a")}
"""Where b never makes anything of a's request."""
four = pytest.mark.parametrize("nonces", FOUR.values(), ids=FOUR)
three = pytest.mark.parametrize("nonces", THREE.values(), ids=THREE)
either = pytest.mark.parametrize("end", ENDS)


class Counted:
    """ESP SPIs in the order in which the two ends ask for them."""

    def __init__(self, counter: list[int]) -> None:
        self._counter = counter
        self._used: set[int] = set()

    def allocate(self) -> int:
        """The next number."""
        self._counter[0] += 1
        spi = BASE + self._counter[0]
        self._used.add(spi)
        return spi

    def release(self, spi: int) -> None:
        """No longer used; it is not given out again."""
        self._used.discard(spi)


@dataclass(slots=True)
class Letter:
    """A datagram that waits, with what it says."""

    mail: Mail
    text: str


class Stage:
    """Two routers with their tunnel up, and the post office between them in the test's hand."""

    def __init__(self, one: Pair) -> None:
        self.pair = one
        self.held: list[Letter] = []
        self.letters: list[str] = []
        self.low = {"a": 0xFF, "b": 0xFF}
        self._esp, self._ike = [0], [0]
        self._seen = {"a": 0, "b": 0}
        for end in NAMES:
            self._prepare(end)

    def _prepare(self, end: str) -> None:
        core = self.core(end)
        core.spis = Counted(self._esp)
        core.random = self._nonces(end, core.random)

        def new_spi() -> bytes:
            self._ike[0] += 1
            return self._ike[0].to_bytes(8, "big")

        core.new_spi = new_spi  # type: ignore[method-assign]

    def _nonces(self, end: str, plain: Callable[[int], bytes]) -> Callable[[int], bytes]:
        def random(octets: int) -> bytes:
            drawn = plain(octets)
            return drawn if octets != NONCE_OCTETS else bytes([self.low[end]]) + drawn[1:]

        return random

    def raised(self) -> Stage:
        """The tunnel comes up, then the post office closes: from here on every message waits."""
        self.pair.up("R1")
        self.pair.world.impairments.append(self._hold)
        for end in NAMES:
            self._seen[end] = len(self.records(end))
        return self

    def _hold(self, mail: Mail) -> Sequence[float] | None:
        if mail.kind != "ike":
            return None
        letter = Letter(mail, self._text(mail))
        self.held.append(letter)
        self.letters.append(letter.text)
        return ()

    def _text(self, mail: Mail) -> str:
        name = self.pair.world.sender(mail)
        event = next(r.event for r in reversed(self.pair.station(name).records) if isinstance(r.event, MessageSent))
        mark = ":" if event.response else ">"
        again = " again" if event.repeat else ""
        return f"{END_OF[name]}{mark} {content(event)}{again}"

    def core(self, end: str) -> Core:
        """An end's engine."""
        return self.pair.core(NAMES[end])

    def records(self, end: str) -> list[Event]:
        """All events of an end."""
        return [record.event for record in self.pair.station(NAMES[end]).records]

    def ask(self, end: str, intent: Intent) -> None:
        """An operator asks something of an end."""
        self.pair.ask(NAMES[end], intent)

    def rekey(self, end: str, what: str, *, nonce: int = 0xFF) -> None:
        """An end rekeys its IKE SA (`ike`) or its Child SA (`child`); its next nonces begin with `nonce`."""
        self.low[end] = nonce
        self.ask(end, Rekey(spi=None if what == "ike" else self.current(end).inbound))

    def delete(self, end: str, what: str) -> None:
        """An end deletes its IKE SA, the Child SA that stands, or the one of a counted SPI (`child 3`)."""
        if what == "ike":
            self.ask(end, Clear())
        else:
            spi = BASE + int(what.split()[1]) if " " in what else self.current(end).inbound
            self.ask(end, ClearChild(spi=spi))

    def ask_delete_of_old(self, end: str, spi: int) -> None:
        """An end deletes a Child SA that is not its own to delete: the peer's rekey replaced it."""
        core, sa = self.core(end), self.pair.one_ike(NAMES[end])
        enqueue(core, sa, DeleteChild(BASE + spi, CloseReason.CLEARED, "deleted early"))
        self.pair.world.settle(self.pair.station(NAMES[end]))

    def current(self, end: str) -> ChildSa:
        """The Child SA of an end that was not replaced; the latest one made."""
        standing = [child for child in self.pair.children(NAMES[end]) if child.state in ("installed", "rekeying")]
        return (standing or self.pair.children(NAMES[end]))[0]

    def child(self, end: str, spi: int) -> ChildSa:
        """The Child SA of an end with this counted inbound SPI."""
        return next(child for child in self.pair.children(NAMES[end]) if child.inbound == BASE + spi)

    def take(self, start: str) -> Letter:
        """The oldest waiting message whose text begins so, out of the wings."""
        letter = next((letter for letter in self.held if letter.text.startswith(start)), None)
        assert letter is not None, f"{start!r} not among {[one.text for one in self.held]}\n{self.pair.story()}"
        self.held.remove(letter)
        return letter

    def go(self, *starts: str, nonce: int = 0xFF) -> Stage:
        """These messages arrive, in this order; nonces drawn in answering them begin with `nonce`."""
        for start in starts:
            letter = self.take(start)
            self.low["b" if letter.text[0] == "a" else "a"] = nonce
            self.pair.world.arrive(letter.mail)
        return self

    def drop(self, start: str) -> None:
        """A message is lost."""
        self.take(start)

    def flow(self) -> Stage:
        """All that waits arrives, and all that follows from it, in the order of sending."""
        while self.held:
            self.go(self.held[0].text)
        return self

    def wait(self, seconds: float) -> Stage:
        """Time passes; what is repeated meanwhile waits in the wings too."""
        self.pair.world.run(seconds)
        return self

    def sent(self) -> list[str]:
        """The messages sent since last asked, oldest first."""
        letters, self.letters = self.letters, []
        return letters

    def said(self, end: str) -> list[str]:
        """What an end's events told of SAs, sessions and retries since last asked, oldest first."""
        records = self.pair.station(NAMES[end]).records
        first, self._seen[end] = self._seen[end], len(records)
        return [text for text in map(told, records[first:]) if text]

    def sees(self, end: str) -> tuple[str, str, list[str]]:
        """What stands at an end, what its data plane holds, and what it said since last asked."""
        return self.stands(end), self.plane(end), self.said(end)

    def stands(self, end: str) -> str:
        """The IKE SAs of an end, each as `initiator's SPI,responder's SPI state`, its Child SAs in parentheses."""
        return "; ".join(map(one_ike, self.pair.ike(NAMES[end])))

    def plane(self, end: str) -> str:
        """The ESP SAs in an end's data plane: inbound SPIs < outbound SPIs, the one that traffic leaves by starred."""
        forwarder = self.pair.station(NAMES[end]).plane._forwarder
        inbound = sorted(sa.spi - BASE for sa in forwarder._all() if sa.direction == "in")
        outbound = sorted(sa.spi - BASE for sa in forwarder._all() if sa.direction == "out")
        used = {state.carriers[0].spi - BASE for state in forwarder._tunnels.values() if state.carriers}
        shown = " ".join(f"{spi}*" if spi in used else str(spi) for spi in outbound)
        return f"{' '.join(map(str, inbound))} < {shown}"

    def jobs(self, end: str) -> int:
        """How many retries of an end are still to come."""
        armed = [entry[2].callback for entry in self.core(end).timers._heap]
        return sum("retry" in getattr(callback, "__qualname__", "") for callback in armed if callback is not None)

    def rest(self, *, ike: int = 1, children: int = 1, orphans: int = 0) -> None:
        """All arrives, old things end: both ends agree, traffic flows, and no timer is left but the SAs' own lifetimes.

        An IKE SA and a Child SA have two each: when to rekey, when to end. One more for each IKE SA that still repeats
        its last response. `orphans`: SAs whose Delete never came, because its sender never knew of them.
        """
        self.flow()
        self.pair.world.impairments.remove(self._hold)
        self.wait(120)
        if ike:
            self.pair.agree(ike=ike, children=children)
            for sa in self.pair.ike("R1") + self.pair.ike("R2"):
                assert sa.crossing is None
                assert not sa.child_crossings
        else:
            self.pair.quiet()
        for end in NAMES:
            core = self.core(end)
            assert core.timers.armed() == 2 * (ike + children) + len(core.buried), self.pair.story()
            assert self.jobs(end) == 0
        closed = [e.reason for end in NAMES for e in self.records(end) if isinstance(e, ChildSaClosed | IkeSaClosed)]
        assert sum("never deleted" in reason for reason in closed) == orphans, closed
        if children:
            self.pair.up("R1")
            self.pair.up("R2")
            assert self.pair.lost() == []


def stage(first: Side | None = None, second: Side | None = None, *, parameters: Parameters | None = None) -> Stage:
    """Two routers whose tunnel is up and whose messages wait from now on."""
    return Stage(pair(first, second, parameters=parameters)).raised()


def number(spi: bytes) -> int:
    """A counted IKE SPI."""
    return int.from_bytes(spi, "big")


def one_ike(sa: IkeSa) -> str:
    """An IKE SA's SPIs and state, and its Child SAs."""
    held = ", ".join(map(one_child, sa.children.values()))
    return f"{number(sa.spi_i)},{number(sa.spi_r)} {sa.state.value}" + (f" ({held})" if held else "")


def one_child(child: ChildSa) -> str:
    """`inbound/outbound state` of a Child SA."""
    return f"{child.inbound - BASE}/{child.outbound - BASE} {child.state.value}"


def of(text: str) -> int:
    """A counted ESP SPI out of an event's eight digits."""
    return int(text, 16) - BASE


def content(event: MessageSent) -> str:
    """What a message asks or answers, in a few words."""
    if event.opened is UNSET or event.opened_first is UNSET:
        return ExchangeType.of(event.exchange).name
    payloads = parse_chain(PayloadType.of(event.opened_first), event.opened, inside=True)
    errors = [one for one in payloads if isinstance(one, NotifyPayload) and one.notify_type.is_error]
    if errors:
        return " ".join(error_text(one) for one in errors)
    sas = [one for one in payloads if isinstance(one, SaPayload)]
    if sas:
        return asked(event, sas[0], payloads)
    deletes = [one for one in payloads if isinstance(one, DeletePayload)]
    if deletes:
        return "; ".join(delete_text(one) for one in deletes)
    return "empty" if not payloads else " ".join(event.inner or ())


def error_text(one: NotifyPayload) -> str:
    """An error notify with the group or the SPI that it names."""
    text = one.notify_type.name
    if one.notify_type == NotifyType.INVALID_KE_PAYLOAD:
        return f"{text} {int.from_bytes(one.data, 'big')}"
    return f"{text} {int.from_bytes(one.spi, 'big') - BASE}" if one.spi else text


def delete_text(one: DeletePayload) -> str:
    """A Delete payload."""
    if one.protocol == ProtocolId.IKE:
        return "D ike"
    return "D esp " + " ".join(str(int.from_bytes(spi, "big") - BASE) for spi in one.spis)


def asked(event: MessageSent, sa: SaPayload, payloads: Sequence[Payload]) -> str:
    """What a CREATE_CHILD_SA message with a proposal asks or makes."""
    first = sa.proposals[0]
    if first.protocol == ProtocolId.IKE:
        spi = number(first.spi)
        return f"ike {spi}" if event.response else f"rekey ike as {spi}"
    spi = int.from_bytes(first.spi, "big") - BASE
    if event.response:
        return f"child {spi}"
    olds = [one for one in payloads if isinstance(one, NotifyPayload) and one.notify_type == NotifyType.REKEY_SA]
    return f"rekey child {int.from_bytes(olds[0].spi, 'big') - BASE} as {spi}" if olds else f"new child {spi}"


def told(record: Record) -> str:
    """An event of an SA's life in a few words; empty for any other."""
    event = record.event
    match event:
        case ChildSaCreated():
            return "" if event.rekeys is not UNSET else f"child {of(event.inbound)}/{of(event.outbound)} up"
        case ChildSaRekeyed():
            return f"child {of(event.old_inbound)} rekeyed by {of(event.new_inbound)}"
        case ChildSaClosed():
            return f"child {of(event.inbound)} closed: {event.reason}"
        case IkeSaRekeyed():
            old = f"{int(event.old_spi_i, 16)},{int(event.old_spi_r, 16)}"
            return f"ike {old} rekeyed by {int(event.new_spi_i, 16)},{int(event.new_spi_r, 16)}"
        case IkeSaClosed():
            return f"ike {int(str(record.stamp.spi_i), 16)},{int(str(record.stamp.spi_r), 16)} closed: {event.reason}"
        case SessionUp():
            return "session up"
        case SessionDown():
            return "session down"
        case RetryScheduled():
            return f"retry {event.what}"
        case ChildRefused():
            return f"child refused by {event.by}: {NotifyType.of(event.notify).name}"
        case _:
            return ""


def b_wins(nonces: tuple[int, ...]) -> bool:
    """Whether the SA that b asked for survives: the lowest of the four is one of a's exchange."""
    return min(nonces[:2]) < min(nonces[2:])


def offer_two_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for PFS offers group 19 and group 14, its own first; as responder it takes its own alone."""

    def offer(sets: Iterable[TransformSet], spi: bytes, group: int | None = None) -> tuple[Proposal, ...]:
        first = proposals.offer_esp(tuple(sets), spi, group)
        second = proposals.offer_esp(tuple(sets), spi, {19: 14, 14: 19}.get(group or 0))
        return (
            first
            if group is None
            else tuple(
                type(mine)(
                    mine.number, mine.protocol, mine.spi, tuple(dict.fromkeys(mine.transforms + also.transforms))
                )
                for mine, also in zip(first, second, strict=True)
            )
        )

    for module in (negotiate, create_child):
        monkeypatch.setattr(module, "offer_esp", offer)


def two(end: str = "a") -> Stage:
    """An end whose own group is 19 and one whose own is 14."""
    sides = {"a": Side(pfs=19), "b": Side(pfs=14)} if end == "a" else {"a": Side(pfs=14), "b": Side(pfs=19)}
    return stage(sides["a"], sides["b"])
