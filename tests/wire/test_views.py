"""Messages in words: IOS's Payload contents, and the tree of every field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.messages import RFC7634_INFORMATIONAL, RFC7634_OPENED, STRONGSWAN_SA_INIT_REQUEST
from tests.wire.strategies import messages

from ikescope.wire import (
    CpPayload,
    CpValue,
    EncryptedPayload,
    IdPayload,
    Message,
    NotifyPayload,
    TrafficSelector,
    TsPayload,
    encode_chain,
    parse_chain,
)
from ikescope.wire.delete import DeletePayload
from ikescope.wire.describe import payload_names
from ikescope.wire.registry import (
    CpAttribute,
    CpType,
    ExchangeType,
    IdType,
    NotifyType,
    PayloadType,
    ProtocolId,
    TsType,
)
from ikescope.wire.tree import SECTIONS, Node, Sealing, tree


def test_payload_contents_as_ios_prints_them() -> None:
    """Payload names are IOS's, notifies with their type, two of those in IOS's own words."""
    message = Message.parse(STRONGSWAN_SA_INIT_REQUEST)
    assert payload_names(message.payloads) == (
        "SA",
        "KE",
        "N",
        "NOTIFY(NAT_DETECTION_SOURCE_IP)",
        "NOTIFY(NAT_DETECTION_DESTINATION_IP)",
        "NOTIFY(IKEV2_FRAGMENTATION_SUPPORTED)",
        "NOTIFY(SIGNATURE_HASH_ALGORITHMS)",
        "NOTIFY(REDIRECT_SUPPORTED)",
    )
    assert payload_names(Message.parse(RFC7634_INFORMATIONAL).payloads) == ("ENCR",)
    notifies = (NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED, NotifyType.NON_FIRST_FRAGMENTS_ALSO, NotifyType(40960))
    names = payload_names(NotifyPayload(notify_type) for notify_type in notifies)
    assert names == ("NOTIFY(ESP_TFC_NO_SUPPORT)", "NOTIFY(NON_FIRST_FRAGS)", "NOTIFY(NOTIFY_40960)")


def _covered(node: Node) -> None:
    """Children lie in their parent one after the other, without a gap."""
    at = node.offset
    for child in node.children:
        if child.inside == node.inside:
            assert child.offset == at
            at += child.length
        _covered(child)
    if node.children:
        assert at == node.offset + node.length


@given(messages())
@settings(max_examples=100, deadline=None)
def test_every_octet_is_in_the_tree(message: Message) -> None:
    """The nodes of a message cover all its octets in order, and each payload's children cover the payload."""
    octets = message.encode()
    at = 0
    nodes = tree(octets)
    for node in nodes:
        assert node.offset == at
        at += node.length
        _covered(node)
    assert at == len(octets)


def _leaves(nodes: Iterable[Node], inside: bool) -> Iterator[tuple[int, int]]:
    """From where to where each field goes that has no fields of its own, of the datagram or of what was opened."""
    for node in nodes:
        own = [child for child in node.children if child.inside == node.inside]
        if node.inside == inside and not own:
            yield node.offset, node.offset + node.length
        yield from _leaves(node.children, inside)


def _once(nodes: tuple[Node, ...], inside: bool, size: int) -> None:
    """The fields follow each other from the first octet to the last, without a gap, none twice."""
    at = 0
    for start, end in _leaves(nodes, inside):
        assert start == at and end > start
        at = end
    assert at == size


@given(messages())
@settings(max_examples=100, deadline=None)
def test_every_octet_is_in_one_field(message: Message) -> None:
    """Each octet of a message belongs to exactly one field at the leaves of its tree."""
    octets = message.encode()
    _once(tree(octets), False, len(octets))


def _everything(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _everything(node.children)


@given(messages())
@settings(max_examples=50, deadline=None)
def test_every_field_names_its_section(message: Message) -> None:
    """Each field of a message of our version says which section of which RFC describes it."""
    octets = message.encode()
    if octets[17] >> 4 != 2:
        return
    bare = {node.name for node in _everything(tree(octets)) if not node.section.startswith("RFC ")}
    assert bare <= {"Octets after the last payload"}


@given(messages(), st.integers(0, 15))
@settings(max_examples=100, deadline=None)
def test_every_octet_of_a_sealed_message_is_in_one_field(message: Message, pad: int) -> None:
    """So does each octet of what was encrypted, padding and pad length too, beside IV, ciphertext and ICV."""
    clear = tuple(one for one in message.payloads if one.kind not in (PayloadType.SK, PayloadType.SKF))
    first, chain = encode_chain(clear)
    plain = len(chain) + pad + 1
    outer = EncryptedPayload(PayloadType.of(first), bytes(16 + plain + 12))
    sealed = Message(b"i" * 8, b"r" * 8, ExchangeType.INFORMATIONAL, 2, (outer,), True, False).encode()
    nodes = tree(sealed, chain, sealing=Sealing(16, 12))
    _once(nodes, False, len(sealed))
    _once(nodes, True, plain)
    assert [node.name for node in nodes[1].children if not node.inside][-3:] == [
        *("Initialization Vector", "Encrypted Data", "Integrity Checksum Data"),
    ]


def _find(nodes: tuple[Node, ...], *path: str) -> Node:
    name, rest = path[0], path[1:]
    node = next(node for node in nodes if node.name == name)
    return _find(node.children, *rest) if rest else node


def test_the_tree_of_a_real_message() -> None:
    """Fields of a real message have words, offsets and sections."""
    nodes = tree(STRONGSWAN_SA_INIT_REQUEST)
    assert nodes[0].value == "IKE_SA_INIT request, message ID 0"
    assert _find(nodes, "IKE header", "Flags").value == "INITIATOR (0x08)"
    assert _find(nodes, "SA").value == "1 proposal"
    transform = _find(nodes, "SA", "Proposal 1", "ENCR")
    assert (transform.value, transform.section) == ("ENCR_AES_GCM_16 (20), 128 bits", "RFC 7296 section 3.3.2")
    assert (transform.offset, transform.length) == (40, 12)
    assert _find(nodes, "KE", "Key Exchange Method").value == "CURVE25519 (31)"
    assert _find(nodes, "NOTIFY(SIGNATURE_HASH_ALGORITHMS)", "Notification Data").value == (
        "SHA2_256 SHA2_384 SHA2_512 IDENTITY"
    )


def test_opened_octets_hang_below_the_encrypted_payload() -> None:
    """What an Encrypted payload held becomes its children, with offsets in the opened octets."""
    sealed = tree(RFC7634_INFORMATIONAL, RFC7634_OPENED)[1]
    inner = _find(sealed.children, "NOTIFY(SET_WINDOW_SIZE)")
    assert (inner.inside, inner.offset, inner.length) == (True, 0, 12)
    assert _find(inner.children, "Notification Data").value == "10"
    other = tree(RFC7634_INFORMATIONAL, RFC7634_OPENED, PayloadType.VENDOR)[1]
    assert other.children[-1].name == "VID"


def test_words_of_single_fields() -> None:
    """Identities, selectors, configuration attributes and SPIs are put into words."""
    selector = TrafficSelector(TsType.TS_IPV4_ADDR_RANGE, 47, start=b"\x0a\0\0\1", end=b"\x0a\0\0\1")
    chain = (
        IdPayload(IdType.ID_IPV4_ADDR, b"\x0a\0\0\1"),
        IdPayload(IdType.ID_FQDN, b"r2.example", kind=PayloadType.IDR),
        TsPayload(PayloadType.TSI, (selector, TrafficSelector(TsType.of(99), opaque=b"ab"))),
        CpPayload(CpType.CFG_REQUEST, (CpValue(CpAttribute.APPLICATION_VERSION, b"ikescope"),)),
        DeletePayload(ProtocolId.ESP, (b"abcd",)),
        DeletePayload(ProtocolId.IKE),
    )
    octets = Message(b"i" * 8, b"r" * 8, ExchangeType.INFORMATIONAL, 2, chain, True, False).encode()
    values = [node.value for node in tree(octets)[1:]]
    assert values == [
        "ID_IPV4_ADDR (1): 10.0.0.1",
        "ID_FQDN (2): r2.example",
        "2 selectors",
        "CFG_REQUEST (1), 1 attribute",
        "ESP (3): 61626364",
        "IKE (1): the SA that carries it",
    ]
    selectors = [node.value for node in tree(octets)[3].children if node.name == "Traffic Selector"]
    assert selectors == ["protocol 47, ports 0 - 65535, 10.0.0.1 - 10.0.0.1", "TS_TYPE_99 (99): 6162"]


@pytest.mark.parametrize(
    ("octets", "name", "text"),
    [
        (b"short", "IKE header", "malformed: had 5, wanted at least 28"),
        (bytes(16) + b"\x21\x10\x22\x08" + bytes(8) + b"rest", "Payloads", "of another major version"),
        (bytes(16) + b"\x2b\x20\x22\x08" + bytes(8) + b"\0", "VID", "malformed: length: had 1, wanted at least 4"),
        (
            bytes(16) + b"\x28\x20\x22\x08" + bytes(8) + b"\0\0\0\5x",
            "N",
            "malformed: N payload at offset 32: nonce octets: had 1",
        ),
        (bytes(16) + b"\0\x20\x22\x08" + bytes(8) + b"x", "Octets after the last payload", "78"),
    ],
    ids=["short", "version", "length", "nonce", "rest"],
)
def test_malformed_messages_have_a_tree_too(octets: bytes, name: str, text: str) -> None:
    """What does not parse is a node that says what is wrong."""
    node = tree(octets)[-1]
    assert node.name == name
    assert text in node.value


def test_every_payload_has_its_section() -> None:
    """Each payload that is read names the section that describes it."""
    chain = parse_chain(*encode_chain([NotifyPayload(NotifyType.COOKIE)]))
    assert SECTIONS[chain[0].kind] == "RFC 7296 section 3.10"
    assert {*range(33, 49), 53} == set(SECTIONS)
