"""Octets to messages and back: lossless, bounded, and no error but DecodeError, whatever comes in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.messages import (
    RFC7634_INFORMATIONAL,
    RFC7634_OPENED,
    STRONGSWAN_SA_INIT_REQUEST,
    STRONGSWAN_SA_INIT_RESPONSE,
)
from tests.wire.strategies import ENCRYPTED, PAYLOADS, messages

from ikescope.errors import DecodeError, LocalError
from ikescope.wire import (
    EncryptedPayload,
    Header,
    KePayload,
    Message,
    NotifyPayload,
    Payload,
    encode_chain,
    parse_chain,
)
from ikescope.wire.registry import ExchangeType, KeyExchangeId, NotifyType, PayloadType
from ikescope.wire.tree import Node, tree

REAL = (STRONGSWAN_SA_INIT_REQUEST, STRONGSWAN_SA_INIT_RESPONSE, RFC7634_INFORMATIONAL)


@given(messages())
@settings(max_examples=200, deadline=None)
def test_a_message_survives_the_wire(message: Message) -> None:
    """What is encoded parses to the same message, reserved octets and unknown numbers included."""
    octets = message.encode()
    assert Message.parse(octets) == message
    assert Message.parse(octets).encode() == octets


@pytest.mark.parametrize("kind", [*PAYLOADS, *ENCRYPTED], ids=lambda kind: kind.label)
def test_every_payload_survives_the_wire(kind: PayloadType) -> None:
    """Each payload type, with every field random, comes back equal and encodes to the same octets."""

    @given(({**PAYLOADS, **ENCRYPTED})[kind])
    @settings(max_examples=25, deadline=None)
    def survives(payload: Payload) -> None:
        first, octets = encode_chain([payload])
        assert first == kind
        assert parse_chain(first, octets) == (payload,)

    survives()


def _walk(nodes: tuple[Node, ...]) -> list[Node]:
    return [found for node in nodes for found in (node, *_walk(node.children))]


def _survives(octets: bytes) -> None:
    for node in _walk(tree(octets, octets[28:])):
        assert 0 <= node.offset <= node.offset + node.length <= len(octets)
    try:
        message = Message.parse(octets)
    except DecodeError as error:
        assert "had " in str(error)
        assert "wanted " in str(error)
        assert "at offset " in str(error)
        return
    assert message.encode() == octets


@given(st.binary(max_size=120))
@settings(max_examples=200, deadline=None)
def test_random_octets(octets: bytes) -> None:
    """Random octets parse or raise DecodeError with offset, had and wanted; what parses encodes to the same octets."""
    _survives(octets)
    header = b"\1" * 16 + b"\x21\x20\x22\x08" + bytes(4) + (28 + len(octets)).to_bytes(4, "big")
    _survives(header + octets)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_mutated_messages(data: st.DataObject) -> None:
    """A valid message with octets changed, cut or added parses losslessly or raises DecodeError, and nothing else."""
    octets = bytearray(data.draw(st.one_of(st.sampled_from(REAL), messages().map(Message.encode))))
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(16, len(octets) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(-3, 3))
    changed = bytes(octets[: len(octets) + cut]) if cut < 0 else bytes(octets) + bytes(cut)
    if data.draw(st.booleans()) and len(changed) >= 28:
        changed = changed[:24] + len(changed).to_bytes(4, "big") + changed[28:]
    _survives(changed)


@given(st.sampled_from([*PAYLOADS]), st.binary(max_size=80))
@settings(max_examples=400, deadline=None)
def test_random_bodies(kind: PayloadType, body: bytes) -> None:
    """A random body under each payload type parses losslessly or raises DecodeError."""
    octets = b"\0\0" + (4 + len(body)).to_bytes(2, "big") + body
    try:
        chain = parse_chain(kind, octets)
    except DecodeError:
        return
    assert encode_chain(chain) == (kind, octets)


def test_strongswan_sa_init_request() -> None:
    """A real IKE_SA_INIT request reads as what strongSwan sent."""
    message = Message.parse(STRONGSWAN_SA_INIT_REQUEST)
    assert message.exchange is ExchangeType.IKE_SA_INIT
    assert (message.initiator, message.response, message.message_id) == (True, False, 0)
    assert message.spi_i.hex() == "e6186895f612af32"
    ke = message.find(KePayload)
    assert ke is not None
    assert ke.group is KeyExchangeId.CURVE25519
    hashes = message.notify(NotifyType.SIGNATURE_HASH_ALGORITHMS)
    assert hashes is not None
    assert hashes.data.hex() == "0002000300040005"
    assert message.notify(NotifyType.COOKIE) is None
    assert len(message.notifies()) == len(message.all(PayloadType.NOTIFY)) == 5
    assert message.first(PayloadType.KE) is ke
    assert message.first(PayloadType.AUTH) is None
    assert message.sk_offset is None
    assert message.encrypted is None


def test_rfc7634_informational() -> None:
    """The message of RFC 7634 appendix B frames as an SK payload whose first payload inside is a Notify."""
    message = Message.parse(RFC7634_INFORMATIONAL)
    assert message.payloads == (EncryptedPayload(PayloadType.NOTIFY, RFC7634_INFORMATIONAL[32:]),)
    assert message.sk_offset == 28
    assert message.encode() == RFC7634_INFORMATIONAL
    inner = parse_chain(PayloadType.NOTIFY, RFC7634_OPENED, inside=True)
    assert inner == (NotifyPayload(NotifyType.SET_WINDOW_SIZE, bytes((0, 0, 0, 10))),)


def test_sk_offset_after_clear_payloads() -> None:
    """`sk_offset` points at the generic header of the Encrypted payload also where payloads precede it."""
    clear = NotifyPayload(NotifyType.COOKIE, b"abc")
    sealed = EncryptedPayload(PayloadType.NO_NEXT, b"x" * 20)
    message = Message(b"i" * 8, b"r" * 8, ExchangeType.INFORMATIONAL, 3, (clear, sealed), True, False)
    assert message.sk_offset == 28 + 11
    assert message.encode()[39:43] == b"\0\0\0\x18"


def test_a_header_keeps_every_bit() -> None:
    """The header alone survives the wire, unknown exchange, version and flag bits included."""
    octets = bytes(range(1, 29))
    header = Header.parse(b"xx" + octets, 2)
    assert header.encode() == octets
    assert (header.major_version, header.minor_version) == (1, 2)
    assert (header.initiator, header.response) == (False, False)


def test_what_does_not_fit_is_the_callers_error() -> None:
    """A field too large for its place raises LocalError, no struct.error."""
    with pytest.raises(LocalError, match="had 70004, wanted at most 65535"):
        encode_chain([EncryptedPayload(PayloadType.NO_NEXT, bytes(70000))])
    with pytest.raises(LocalError, match="NOTIFY payload: a field does not fit"):
        encode_chain([NotifyPayload(NotifyType(70000))])
    message = Message(b"short", b"r" * 8, ExchangeType.INFORMATIONAL, 3, (), True, False)
    with pytest.raises(LocalError, match="had 5 and 8, wanted 8"):
        message.encode()
    with pytest.raises(LocalError, match="IKE header: a field does not fit"):
        Message(b"i" * 8, b"r" * 8, ExchangeType.INFORMATIONAL, 1 << 32, (), True, False).encode()
