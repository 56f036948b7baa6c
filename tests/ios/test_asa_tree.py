"""A message of which an ASA's text spells out less than its octets, as a tree of what it does spell out."""

from __future__ import annotations

import msgspec
from tests.ios import asa_samples as asa
from tests.ios.test_asa import records

from ikescope.events import UNSET, DumpedFact, Record, decode, encode
from ikescope.events.message import DatagramEvent, MessageReceived, MessageSent
from ikescope.ios.asa_dump import MAX_DETAILS, MAX_OCTETS
from ikescope.timeline import Timeline
from ikescope.views import tree, trees
from ikescope.views.anonymise import Anonymiser

AUTH = asa.message(
    "Received",
    7,
    "IKE_AUTH",
    1,
    asa.auth_payloads("IDi", bytes((192, 0, 2, 1)), asa.NET_I, asa.NET_R),
    response=False,
    initiator=True,
    sealed=True,
)


def _named(found: tuple[DumpedFact, ...], *names: str) -> DumpedFact:
    """The node at the end of a path of names."""
    node = next(one for one in found if one.name == names[0])
    return node if len(names) == 1 else _named(node.children, *names[1:])


def _dumped(lines: list[str], kind: type[DatagramEvent] = MessageReceived) -> tuple[DumpedFact, ...]:
    event = next(one.event for one in records(lines) if isinstance(one.event, kind))
    assert event.octets is UNSET
    assert isinstance(event.dumped, tuple)
    return event.dumped


def test_what_is_in_the_clear() -> None:
    """Header and payloads have the names, lengths, sections and octets of the text, and what it omits is marked."""
    found = _dumped(asa.init_sent(), MessageSent)
    assert [one.name for one in found][:5] == ["IKE header", "SA", "KE", "N", "VID"]
    assert found[0].value == "IKE_SA_INIT request, message ID 0"
    assert (_named(found, "KE").length, _named(found, "KE").section) == (264, "RFC 7296 section 3.4")
    assert _named(found, "KE", "Key Exchange Data").octets == bytes(range(256))
    cipher = _named(found, "SA", "Proposal 1", "ENCR")
    assert (cipher.value, cipher.length) == ("AES-CBC", 12)
    assert _named(cipher.children, "Attributes").omitted
    assert not any(one.omitted for one in _named(found, "SA", "Proposal 1", "PRF").children)
    notify = _named(found, "NOTIFY(NAT_DETECTION_SOURCE_IP)")
    assert _named(notify.children, "Notify Message Type").value == "NAT_DETECTION_SOURCE_IP (16388)"


def test_what_is_inside_the_encrypted_payload() -> None:
    """Identity, method, SPI and selectors are children of ENCR; the octets of AUTH and the SPI are said to miss."""
    found = _dumped(AUTH)
    assert [one.name for one in found] == ["IKE header", "ENCR"]
    inside = found[1].children
    assert [one.name for one in inside] == ["IDi", "AUTH", "SA", "TSi", "TSr"]
    assert _named(inside, "IDi", "Identification Data").value == asa.LOCAL
    assert _named(inside, "AUTH").value == "PSK"
    missing = _named(inside, "AUTH", "Authentication Data")
    assert (missing.omitted, missing.value, missing.octets) == (True, "32 octets, not in the text", UNSET)
    assert _named(inside, "SA", "Proposal 1", "SPI").omitted
    assert _named(inside, "TSi", "Traffic Selector").value.endswith(" - ".join(asa.NET_I))


def test_the_same_tree_in_every_view() -> None:
    """`--as trees` and `--as json` hold it without offsets, the timeline's message draws it, and it is read again."""
    found = records(AUTH)
    record = next(one for one in found if isinstance(one.event, MessageReceived))
    again = decode(encode(record)).event
    assert isinstance(again, MessageReceived)
    assert isinstance(record.event, MessageReceived)
    assert again.dumped == record.event.dumped
    line = msgspec.json.decode(next(trees.lines([record])))
    assert [one["name"] for one in line["tree"][1]["children"]] == ["IDi", "AUTH", "SA", "TSi", "TSr"]
    assert b'"offset"' not in msgspec.json.encode(line["tree"])
    timeline = Timeline().extend(found)
    exchanges = [one for sa in timeline.ike.values() for one in timeline.exchanges_of(sa)]
    message = next(one.request for one in exchanges if one.request is not None)
    drawn = tree.message_lines(message)
    assert "  AUTH: PSK, 40 octets" in drawn
    assert "    Authentication Data: 32 octets, not in the text" in drawn
    assert all(node.length == 0 for node in tree.nodes(message))


def test_what_people_post_has_none() -> None:
    """A tree spells out identities and addresses in octets: anonymised records are without it."""
    some = Anonymiser()
    found: list[Record] = records(AUTH)
    for one in found:
        some.meet(one)
    some.settle()
    events = [some.record(one).event for one in found]
    assert all(one.dumped is UNSET for one in events if isinstance(one, DatagramEvent))


def test_a_hostile_dump_is_bounded() -> None:
    """Octets and lines beyond what is kept leave a node that says so, and numbers without meaning raise nothing."""
    odd = [
        "    Num of TSs: 999, reserved 0x0",
        "    type: 99999, reserved: 0x0, id: ?",
        "    start port: 1, end port: 2",
    ]
    payloads = [
        *asa.payload("TSi", "SA", 999999, *odd, "    start addr: x, end addr: y"),
        *asa.payload("SA", "XYZ", 1, *odd),
        *asa.payload("XYZ", "KE", 7, "    Odd: line"),
        *asa.payload("KE", "NONE", 9, "    DH group: 99999, Reserved: 0x0", *["    Odd: line"] * (MAX_DETAILS + 9)),
        *["    " + "00 " * 31 + "00"] * (MAX_OCTETS // 32 + 9),
    ]
    found = _dumped(asa.message("Sending", 7, "IKE_SA_INIT", 0, payloads, response=False, initiator=True), MessageSent)
    assert _named(found, "TSi", "Traffic Selectors").value == "998 selectors, not in the text"
    assert _named(found, "XYZ", "Text").value == "Odd: line"
    assert len(_named(found, "KE").children) <= MAX_DETAILS + 5
    assert _named(found, "KE", "Octets").omitted
