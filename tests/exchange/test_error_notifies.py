"""Every error notify of RFC 7296 section 3.10.1, as the answer to each of our requests: what ends, what goes on.

See tests/support/stage.py for the notation. The outcome is a table; the peer has not changed its mind about
anything, it only answers so.
"""

import pytest
from tests.support.stage import Stage, stage
from tests.support.world import Pair, Side, feed, pair, sealed

from ikescope.engine.commands import Connect, Probe
from ikescope.events.message import ResponseRefused
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.registry import ExchangeType, NotifyType

ERRORS = {kind.name: kind for kind in NotifyType if 0 < kind <= NotifyType.CHILD_SA_NOT_FOUND}
ERRORS["NOTIFY_8191"] = NotifyType.of(8191)
"""All of the registry up to RFC 7296's last, and one that nobody has defined."""
REQUESTS = ("new child", "rekey child", "rekey ike", "D esp", "D ike", "liveness")
FATAL = "the peer could not read our request (INVALID_SYNTAX)"
CHILD, GONE = "1,2 established (1/2 installed)", ""

USUAL: dict[str, tuple[str, list[str], list[str]]] = {
    "new child": (CHILD, ["child refused by peer: {kind}"], []),
    "rekey child": (CHILD, ["child refused by peer: {kind}"], []),
    "rekey ike": (CHILD, ["retry rekey IKE SA"], []),
    "D esp": ("1,2 established", ["child 1 closed: cleared by the operator"], []),
    "D ike": (
        GONE,
        ["child 1 closed: its IKE SA ended", "ike 1,2 closed: cleared by the operator", "session down"],
        [],
    ),
    "liveness": (CHILD, [], []),
}
"""Request -> what stands then, what is said, what is sent: an error refuses one request and no more."""

ENDED = (GONE, ["child 1 closed: its IKE SA ended", f"ike 1,2 closed: {FATAL}", "session down"])
SPECIAL: dict[tuple[str, NotifyType], tuple[str, list[str], list[str]]] = {
    ("new child", NotifyType.TEMPORARY_FAILURE): (CHILD, ["retry create Child SA"], []),
    ("rekey child", NotifyType.TEMPORARY_FAILURE): (CHILD, ["retry create Child SA"], []),
    ("new child", NotifyType.INVALID_KE_PAYLOAD): (CHILD, [], ["a> new child 4"]),
    ("rekey child", NotifyType.INVALID_KE_PAYLOAD): ("1,2 established (1/2 rekeying)", [], ["a> rekey child 1 as 4"]),
    ("rekey child", NotifyType.CHILD_SA_NOT_FOUND): (
        "1,2 established",
        ["child 1 closed: the peer no longer has it (CHILD_SA_NOT_FOUND)"],
        ["a> new child 4"],
    ),
    ("new child", NotifyType.INVALID_SYNTAX): (ENDED[0], ["child refused by peer: INVALID_SYNTAX", *ENDED[1]], []),
    ("rekey child", NotifyType.INVALID_SYNTAX): (ENDED[0], ["child refused by peer: INVALID_SYNTAX", *ENDED[1]], []),
    ("rekey ike", NotifyType.INVALID_SYNTAX): (ENDED[0], ["retry rekey IKE SA", *ENDED[1]], []),
    ("D esp", NotifyType.INVALID_SYNTAX): (
        GONE,
        ["child 1 closed: cleared by the operator", f"ike 1,2 closed: {FATAL}", "session down"],
        [],
    ),
    ("liveness", NotifyType.INVALID_SYNTAX): (ENDED[0], ENDED[1], []),
}
"""Where the RFC wants something else: sections 2.21.3 (INVALID_SYNTAX), 1.3 (INVALID_KE_PAYLOAD), 2.25 (the rest)."""


def asked(what: str) -> Stage:
    """A request of a's is in flight and never reaches b."""
    one = stage(Side(second=True))
    if what == "new child":
        one.ask("a", Connect(tunnel="Tunnel1", trigger="operator"))
    elif what == "liveness":
        one.ask("a", Probe())
    elif what.startswith("D"):
        one.delete("a", {"D esp": "child"}.get(what, "ike"))
    else:
        one.rekey("a", what.split()[1])
    one.sent()
    one.held.clear()
    return one


def answered(one: Stage, kind: NotifyType) -> None:
    """The one request of a's in flight is answered with an error notify, and with nothing else."""
    ((message_id, pending),) = one.pair.one_ike("R1").out.in_flight.items()
    data = b"\x00\x0e" if kind == NotifyType.INVALID_KE_PAYLOAD else b""
    notify = NotifyPayload(kind, data)
    exchange = ExchangeType.of(pending.exchange)
    feed(one.pair, "R1", sealed(one.pair, "R2", [notify], exchange=exchange, response=True, message_id=message_id))


@pytest.mark.parametrize("kind", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("what", REQUESTS)
def test_an_error_notify_answers_a_request(what: str, kind: NotifyType) -> None:
    """A> a request, B: N(error): one entry tells of it, what the RFC says ends, all else goes on, nothing is left."""
    ##= rfc7296#section-2.21.3 type=test
    ##% it returns an INVALID_SYNTAX notification, then this error notification is considered fatal in both peers,
    ##% meaning that the IKE SA is deleted without needing an explicit Delete payload.
    ##= rfc7296#section-3.10.1 type=test
    ##% An implementation receiving a Notify payload with one of these types that it does not recognize in a response
    ##% MUST assume that the corresponding request has failed entirely.
    one = asked(what)
    answered(one, kind)
    stands, said, sent = SPECIAL.get((what, kind), USUAL[what])
    assert one.stands("a") == stands
    assert one.said("a") == [text.format(kind=kind.name) for text in said]
    assert one.sent() == sent
    one.pair.sound()
    told = [event.notify for event in one.records("a") if isinstance(event, ResponseRefused)]
    assert told == ([] if what.startswith("D") else [kind])
    if stands == CHILD:
        assert one.plane("a") == "1 < 2*"
        spis = getattr(one.core("a").spis, "_used")  # noqa: B009 - not part of SpiSource
        assert len(spis) == 1 + len(sent)
    if stands == GONE:
        assert one.plane("a") == " < "
        assert one.jobs("a") == sum(text.startswith("retry") for text in said)
        one.wait(60)
        assert one.sent() == []


FIRST = {kind.name: kind for kind in ERRORS.values() if kind != NotifyType.INVALID_KE_PAYLOAD}


@pytest.mark.parametrize("kind", FIRST.values(), ids=FIRST)
def test_an_error_notify_alone_answers_ike_auth(kind: NotifyType) -> None:
    """I: IKE_AUTH, R: N(error) without AUTH: the IKE SA ends, no Delete is sent, nothing is left; it tells why."""
    ##= rfc7296#section-2.21.2 type=test
    ##% the UNSUPPORTED_CRITICAL_PAYLOAD, INVALID_SYNTAX, and AUTHENTICATION_FAILED notifications are the only ones to
    ##% cause the IKE SA to be deleted or not created, without a Delete payload.
    one: Pair = pair()

    def only_error(exchange: int, response: bool, chain: object) -> object:
        return [NotifyPayload(kind)] if (exchange, response) == (ExchangeType.IKE_AUTH, True) else chain

    one.core("R2").mutate = only_error  # type: ignore[assignment]
    one.ping("R1")
    one.world.run(1.0)
    assert one.ike("R1") == []
    assert [event.notify for event in one.events("R1", ResponseRefused)] == [kind]
    assert [event.exchange for event in one.sent("R1")] == [ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH]
    core = one.core("R1")
    assert not core.waiting
    assert not getattr(core.spis, "_used")  # noqa: B009 - not part of SpiSource
