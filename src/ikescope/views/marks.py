"""What happens between the messages, one line an event: SAs made, replaced and ended, failures where they happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from ikescope.events import Event, Record, SelectorFact
from ikescope.events.life import (
    ChildRefused,
    ChildSaClosed,
    ChildSaCreated,
    ChildSaRekeyed,
    DuplicateSettled,
    IkeSaClosed,
    IkeSaCreated,
    IkeSaRekeyed,
    PathChanged,
    Reauthenticated,
    ReauthenticationFailed,
    ReauthenticationStarted,
    RetryScheduled,
    TaskFailed,
)
from ikescope.events.message import (
    CookieAnswered,
    DropTrigger,
    FragmentsForgotten,
    FragmentSizeLowered,
    InvalidKeAnswered,
    MessageDropped,
    RequestRefused,
    ResponseRefused,
    RetransmissionsExhausted,
    UnprotectedSent,
    UnverifiedCounted,
)
from ikescope.events.negotiation import (
    AuthNearMiss,
    AuthRefused,
    ChoiceRefused,
    ExchangeFailed,
    GroupRefused,
    KeyNotFound,
    ModeRefused,
    NatChecked,
    ProfileNotFound,
    ProposalRefused,
    SelectorsExceeded,
    SelectorsRefused,
)
from ikescope.events.router import ClientLetGo, EspDropped, EspSeen, PlaneFailed, RecordingEnded, TrafficMatched
from ikescope.explain import words
from ikescope.explain.near_keys import slip
from ikescope.explain.scene import Unsaid, known, when
from ikescope.wire.registry import NotifyType, ProtocolId, TransformType

Kind = Literal["sa", "message", "ike", "child", "failure", "note"]
Severity = Literal["info", "good", "notice", "error"]

#: Error notifies that are part of a negotiation that goes well (RFC 7296 sections 1.2, 2.6, 2.8.1, 2.25).
SOFT = frozenset(
    {
        NotifyType.INVALID_KE_PAYLOAD,
        NotifyType.COOKIE,
        NotifyType.TEMPORARY_FAILURE,
        NotifyType.CHILD_SA_NOT_FOUND,
        NotifyType.NO_ADDITIONAL_SAS,
    }
)


class Mark(NamedTuple):
    """How an event stands in the ladder: its kind, how bad it is, its words, and facts that follow where known."""

    kind: Kind
    severity: Severity
    head: str
    facts: tuple[Callable[[Any], str], ...] = ()

    def text(self, event: Event) -> str:
        """The words with the facts that the source held, and nothing of those that it did not."""
        told = []
        for fact in self.facts:
            try:
                told.append(fact(event))
            except Unsaid:
                continue
        return f"{self.head}: {', '.join(told)}" if told else self.head


def mark_of(record: Record) -> Mark | None:
    """How a record stands in the ladder; None where it is no line of it."""
    event = record.event
    found = MARKS.get(type(event))
    if found is None:
        return None
    if isinstance(event, MessageDropped) and event.trigger == DropTrigger.KEEPALIVE:
        return None
    if isinstance(event, NatChecked) and True not in (event.local_behind, event.remote_behind):
        return None
    notify = getattr(event, "notify", None)
    if found.severity == "error" and isinstance(notify, int) and notify in SOFT:
        return found._replace(kind="note", severity="notice")
    return found


def _spi(value: Any) -> str:
    return words.spi(known(value))


def _notify(event: Any) -> str:
    return words.notify(known(event.notify))


def _exchange(event: Any) -> str:
    return words.exchange(known(event.exchange))


def _nearest(event: ProposalRefused) -> str:
    axis = TransformType.of(known(event.axis))
    kind = words.KINDS.get(axis, axis.label)
    return f"{kind}: had {known(event.found)}, wanted {known(event.wanted)}"


def _behind(event: NatChecked) -> str:
    here, there = known(event.local_behind), known(event.remote_behind)
    return "this router and the peer are" if here and there else "this router is" if here else "the peer is"


def _axis(event: SelectorsRefused) -> str:
    """Which side has nothing in common, where the source knows the nearest."""
    return f"{known(event.axis)} {known(event.part)}"


def _apart(event: SelectorsRefused) -> str:
    """The two that came closest; without them all that was proposed and expected."""
    if isinstance(event.found, SelectorFact) and isinstance(event.wanted, SelectorFact):
        return f"had {words.selector(event.found)}, wanted {words.selector(event.wanted)}"
    had = words.pair(known(event.proposed_local), known(event.proposed_remote))
    return f"had {had}, wanted {words.pair(known(event.expected_local), known(event.expected_remote))}"


def _path(event: PathChanged) -> str:
    followed = "followed" if known(event.followed) else "not followed"
    return f"{known(event.remote_before)} before, {known(event.remote)} now, {followed}"


def _word(text: Any) -> str:
    when(isinstance(text, str) and bool(text))
    return str(text)


def _suite(event: ChildSaCreated) -> str:
    length = event.key_length if event.key_length is None else known(event.key_length)
    return words.encryption(known(event.encryption), length)


def _counted(event: UnverifiedCounted) -> str:
    cookies, silent = known(event.cookies), known(event.silent)
    return f"{cookies} answered with a cookie, {silent} not answered"


#: Every event that is a line of the ladder, beside the messages themselves.
MARKS: dict[type[Event], Mark] = {
    TrafficMatched: Mark(
        "note",
        "info",
        "traffic wants a tunnel",
        (lambda e: known(e.tunnel), lambda e: f"{known(e.packet_source)} -> {known(e.packet_destination)}"),
    ),
    IkeSaCreated: Mark("ike", "good", "IKE SA READY", (lambda e: f"lifetime {words.duration(known(e.lifetime))}",)),
    IkeSaRekeyed: Mark(
        "ike",
        "good",
        "IKE SA READY",
        (
            lambda e: f"supersedes {_spi(e.old_spi_i)}",
            lambda e: f"takes {words.plural(known(e.children), 'Child SA')}",
        ),
    ),
    IkeSaClosed: Mark("ike", "notice", "IKE SA deleted", (lambda e: known(e.reason),)),
    ChildSaCreated: Mark(
        "child",
        "good",
        "Child SA installed",
        (
            lambda e: f"in {_spi(e.inbound)}",
            lambda e: f"out {_spi(e.outbound)}",
            _suite,
            lambda e: f"for {_spi(e.rekeys)}",
        ),
    ),
    ChildSaRekeyed: Mark(
        "child",
        "info",
        "Child SA superseded",
        (lambda e: f"traffic of {_spi(e.old_inbound)} goes to {_spi(e.new_inbound)}",),
    ),
    ChildSaClosed: Mark(
        "child",
        "notice",
        "Child SA deleted",
        (lambda e: f"in {_spi(e.inbound)}", lambda e: f"out {_spi(e.outbound)}", lambda e: known(e.reason)),
    ),
    NatChecked: Mark("note", "notice", "behind a NAT", (_behind,)),
    CookieAnswered: Mark("note", "notice", "the peer asks for its cookie back"),
    InvalidKeAnswered: Mark(
        "note",
        "notice",
        "the peer wants another key exchange",
        (lambda e: f"had group {int(known(e.offered))}, wanted group {int(known(e.wanted))}",),
    ),
    FragmentSizeLowered: Mark(
        "note", "notice", "smaller fragments", (lambda e: f"{known(e.before)} octets before, {known(e.after)} now",)
    ),
    FragmentsForgotten: Mark(
        "note",
        "notice",
        "fragments given up",
        (lambda e: f"had {known(e.held)} of {known(e.total)}", lambda e: known(e.why)),
    ),
    UnverifiedCounted: Mark("note", "notice", "requests of senders who have proven nothing", (_counted,)),
    PathChanged: Mark("note", "notice", "the peer's address changed", (_path, lambda e: _word(e.why))),
    UnprotectedSent: Mark("note", "notice", "answered without protection", (_exchange, _notify)),
    DuplicateSettled: Mark("ike", "notice", "two IKE SAs to one identity", (lambda e: known(e.why),)),
    ReauthenticationStarted: Mark(
        "ike",
        "info",
        "authenticates anew",
        (lambda e: f"for {words.plural(known(e.children), 'Child SA')}",),
    ),
    Reauthenticated: Mark(
        "ike",
        "good",
        "authenticated anew",
        (
            lambda e: f"supersedes {_spi(e.old_spi_i)}",
            lambda e: f"has {words.plural(known(e.children), 'Child SA')}",
        ),
    ),
    ReauthenticationFailed: Mark(
        "failure",
        "error",
        "not authenticated anew",
        (lambda e: known(e.why), lambda e: f"again in {known(e.again_in):g} s"),
    ),
    EspSeen: Mark(
        "note",
        "info",
        "ESP",
        (
            lambda e: f"to {_spi(e.spi)}",
            lambda e: words.plural(known(e.packets), "packet"),
            lambda e: f"{known(e.octets)} octets in {known(e.seconds):.1f} s",
            lambda e: f"{known(e.failed)} do not open" if known(e.failed) else "all open",
        ),
    ),
    RecordingEnded: Mark("failure", "error", "the recording ended", (lambda e: known(e.why),)),
    ClientLetGo: Mark("note", "notice", "a client read too slowly and was let go", (lambda e: known(e.who),)),
    RetryScheduled: Mark(
        "note", "notice", "tried again", (lambda e: known(e.what), lambda e: f"in {known(e.seconds):g} s")
    ),
    AuthRefused: Mark(
        "failure",
        "error",
        "AUTH does not verify",
        (
            lambda e: f"of {known(e.identity).value}",
            lambda e: f"had {words.method(known(e.method))}",
            lambda e: f"wanted {words.method(known(e.wanted))}",
        ),
    ),
    AuthNearMiss: Mark("note", "notice", "a key near to ours fits", (lambda e: known(e.kind) and slip(e, "", ""),)),
    ProfileNotFound: Mark(
        "failure",
        "error",
        "no profile matches the peer",
        (
            lambda e: words.identity(known(e.identity)),
            lambda e: "; ".join(f"{one.name}: {one.why}" for one in known(e.tried)),
        ),
    ),
    ProposalRefused: Mark(
        "failure",
        "error",
        "no proposal is acceptable",
        (lambda e: ProtocolId.of(known(e.protocol)).label, _nearest),
    ),
    ChoiceRefused: Mark(
        "failure",
        "error",
        "the peer chose what was not offered",
        (
            lambda e: ProtocolId.of(known(e.protocol)).label,
            lambda e: f"{known(e.what)}: had {known(e.found)}, wanted {known(e.wanted)}",
        ),
    ),
    GroupRefused: Mark(
        "note",
        "notice",
        "another key exchange is wanted",
        (lambda e: f"had group {int(known(e.found))}", lambda e: f"wanted group {int(known(e.wanted))}"),
    ),
    SelectorsRefused: Mark("failure", "error", "traffic selectors do not meet", (_axis, _apart)),
    SelectorsExceeded: Mark(
        "failure",
        "error",
        "the peer answers with selectors that were not proposed",
        (lambda e: f"{known(e.axis)} side", lambda e: words.selector(known(e.found))),
    ),
    ModeRefused: Mark(
        "failure", "error", "the other mode is wanted", (lambda e: f"had {known(e.found)}, wanted {known(e.wanted)}",)
    ),
    KeyNotFound: Mark(
        "failure",
        "error",
        "no key for the peer",
        (
            lambda e: f"profile {known(e.profile)}",
            lambda e: f"keyring {known(e.keyring) or 'none'}",
            lambda e: "; ".join(f"{one.name}: {one.why}" for one in known(e.tried)),
        ),
    ),
    ChildRefused: Mark(
        "failure",
        "error",
        "Child SA refused",
        (_notify, lambda e: {"local": "by this router", "peer": "by the peer"}[known(e.by)]),
    ),
    RequestRefused: Mark("failure", "error", "request refused", (_exchange, _notify, lambda e: known(e.why))),
    ResponseRefused: Mark("failure", "error", "the peer refuses", (_exchange, _notify)),
    RetransmissionsExhausted: Mark(
        "failure",
        "error",
        "no answer, given up",
        (_exchange, lambda e: f"sent {words.plural(known(e.sends), 'time')} in {known(e.seconds):.0f} s"),
    ),
    ExchangeFailed: Mark("failure", "error", "exchange failed", (_exchange, lambda e: known(e.why))),
    MessageDropped: Mark(
        "failure",
        "error",
        "datagram dropped",
        (
            lambda e: str(known(e.trigger)),
            lambda e: f"had {known(e.found)}",
            lambda e: f"wanted {known(e.wanted)}",
            lambda e: f"{known(e.size)} octets",
        ),
    ),
    EspDropped: Mark(
        "failure",
        "error",
        "ESP dropped",
        (
            lambda e: known(e.reason),
            lambda e: f"SPI {_spi(e.spi)}",
            lambda e: words.plural(known(e.count), "packet"),
        ),
    ),
    PlaneFailed: Mark("failure", "error", "the host refused", (lambda e: known(e.what), lambda e: known(e.why))),
    TaskFailed: Mark(
        "failure",
        "error",
        "a defect of ours ended a task",
        (lambda e: known(e.task), lambda e: _last(known(e.traceback))),
    ),
}


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    when(bool(lines))
    return lines[-1]
