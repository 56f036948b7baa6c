"""Valid envelopes around payload chains that are not: what only the peer itself can send (RFC 7296 2.1, 2.21)."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.test_state_input import Scene, learned, scene
from tests.support.world import feed

from ikescope.engine.fragments import HELD_OCTETS, Reassembly, Rejected, Whole, parts
from ikescope.engine.states import IkeState
from ikescope.events.message import DropTrigger, MessageSent, RequestRefused
from ikescope.wire.encrypted import EncryptedFragmentPayload
from ikescope.wire.header import FLAG_INITIATOR, FLAG_RESPONSE
from ikescope.wire.registry import PayloadType

QUIET = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
Change = tuple[int, int, bytes]

CHANGES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=4)), max_size=3)
"""Where (modulo the length), how many octets go, what stands there instead."""
REQUESTS = st.sampled_from([(36, False), (37, False), (36, True), (37, True), (35, False), (35, True)])


def mutated(chain: bytes, changes: list[Change]) -> bytes:
    """The chain with pieces replaced."""
    for where, gone, instead in changes:
        at = where % (len(chain) + 1)
        chain = chain[:at] + instead + chain[at + gone :]
    return chain


def sealed(now: Scene, exchange: int, number: int, response: bool, chain: tuple[int, bytes]) -> bytes:
    """A message of the peer's."""
    assert now.envelope is not None
    flags = (0 if now.sa.initiator else FLAG_INITIATOR) | (FLAG_RESPONSE if response else 0)
    head = now.sa.spi_i, now.sa.spi_r, exchange, flags, number
    return now.envelope.seal(*head, *chain, now.one.core(now.name).random)


def answers(now: Scene) -> list[bytes]:
    """The responses that the router sent to CREATE_CHILD_SA and INFORMATIONAL requests, repeats too."""
    sent = now.one.events(now.name, MessageSent)
    return [
        one.octets for one in sent if one.response and int(one.exchange) in (36, 37) and isinstance(one.octets, bytes)
    ]


@QUIET
@given(kind=REQUESTS, pick=st.integers(0, 50), changes=CHANGES, exchange=st.sampled_from((36, 37)))
def test_a_mutated_request_gets_one_answer_and_its_repetition_the_same(
    kind: tuple[int, bool], pick: int, changes: list[Change], exchange: int
) -> None:
    """R2: a protected request whose inner octets are mutated: one answer; the same again: the same octets (2.1)."""
    now = scene(IkeState.ESTABLISHED)
    chains = learned()[0][kind]
    first, chain = chains[pick % len(chains)]
    octets = sealed(now, exchange, now.sa.into.lowest, False, (first, mutated(chain, changes)))
    before = len(answers(now))
    feed(now.one, now.name, octets)
    now.one.sound()
    (answer,) = answers(now)[before:]
    feed(now.one, now.name, octets)
    assert answers(now)[before:] == [answer, answer]
    now.one.world.run(120)
    now.one.sound()


@QUIET
@given(
    state=st.sampled_from((IkeState.REKEYING, IkeState.DELETING, IkeState.AUTH_SENT)),
    kind=REQUESTS,
    pick=st.integers(0, 50),
    changes=CHANGES,
)
def test_a_mutated_response_ends_its_exchange(
    state: IkeState, kind: tuple[int, bool], pick: int, changes: list[Change]
) -> None:
    """R2: a protected response whose inner octets are mutated: our exchange is over, nothing is answered (2.21)."""
    now = scene(state)
    chains = learned()[0][kind]
    first, chain = chains[pick % len(chains)]
    ((number, pending),) = now.sa.out.in_flight.items()
    octets = sealed(now, int(pending.exchange), number, True, (first, mutated(chain, changes)))
    before = len(answers(now))
    feed(now.one, now.name, octets)
    now.one.sound()
    assert now.sa.out.in_flight.get(number) is not pending
    assert len(answers(now)) == before
    now.one.world.run(120)
    now.one.sound()


@QUIET
@given(inner=st.binary(min_size=1, max_size=2000), room=st.integers(1, 700), data=st.data())
def test_fragments_in_any_order_make_the_message(inner: bytes, room: int, data: st.DataObject) -> None:
    """However a message is parted and its fragments arrive, some twice, it is whole once, as it was (RFC 7383)."""
    pieces = list(parts(inner, room))
    order = data.draw(st.permutations([*pieces, *pieces[:3]]))
    reassembly, key, whole = Reassembly(), (False, 7), []
    for number, total, piece in order:
        fragment = EncryptedFragmentPayload(PayloadType.of(41 if number == 1 else 0), number, total, piece)
        assert reassembly.judge(key, 36, fragment) is None
        outcome = reassembly.take(key, 36, fragment, b"datagram" + piece, piece, HELD_OCTETS)
        if isinstance(outcome, Whole):
            whole.append(outcome)
            break
        if isinstance(outcome, Rejected):
            assert outcome.trigger is DropTrigger.FRAGMENT_REPEATED
    (one,) = whole
    assert (one.opened.first, one.opened.inner, len(one.opened.sizes)) == (41, inner, len(pieces))
    assert one.datagram == b"datagram" + pieces[0][2]
    assert not reassembly.messages


@QUIET
@given(st.sampled_from([int(one) for one in PayloadType] + [0, 99, 255]), st.binary(max_size=120))
def test_octets_of_no_shape_are_refused_and_harm_nothing(first: int, inner: bytes) -> None:
    """R2: a protected request around octets: answered or refused; the IKE SA ends for INVALID_SYNTAX alone (2.21.3)."""
    now = scene(IkeState.ESTABLISHED)
    feed(now.one, now.name, sealed(now, 37, now.sa.into.lowest, False, (first, inner)))
    now.one.sound()
    refused = [int(one.notify) for one in now.one.events(now.name, RequestRefused)]
    deleted = first == PayloadType.DELETE
    assert now.sa.state is IkeState.ESTABLISHED or deleted or refused == [7]
