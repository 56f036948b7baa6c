"""What every payload says, with its octets; rekeys, crossings, fragments: the walk over sessions of the test world."""

from __future__ import annotations

import re

import msgspec
import pytest
from tests.support.world import Side, pair
from tests.timeline.sessions import KINDS, records

from ikescope.capture import from_records
from ikescope.engine.commands import Rekey
from ikescope.events import UNSET, Record
from ikescope.explain.notifies import NOTIFIES, means
from ikescope.explain.payloads import placed, said
from ikescope.explain.scene import Step
from ikescope.explain.walk import Walk, walk
from ikescope.timeline import Timeline
from ikescope.views import tree
from ikescope.views.read import read, render
from ikescope.wire.registry import NotifyType

SAYS = re.compile(r"What the .* says")


def text(steps: list[Step]) -> str:
    """All lines as one text."""
    return "\n".join(line for step in steps for line in step.lines)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("router", ["R1", "R2"])
def test_a_note_has_at_most_four_lines(kind: str, router: str) -> None:
    """From either side of every session no note is longer than four lines, and none is without one."""
    for step in walk(records(kind), router):
        assert 1 <= len(step.lines) <= 4, step
        assert not step.links or len(step.links) == len(step.lines)
        assert not SAYS.match(step.title) or len(step.lines) >= 2, step


@pytest.mark.parametrize("kind", KINDS)
def test_every_payload_is_said_with_its_octets(kind: str) -> None:
    """Each payload of each message is one sentence, and its octets are those of the payload in the tree."""
    for message in Timeline().extend(records(kind)).messages:
        nodes = tree.nodes(message)
        payloads = [node for node in nodes[1:] if node.name != "ENCR"] if not message.fragments else []
        payloads += [node for outer in nodes for node in outer.children if node.inside]
        spans = [span for one in said(message) for span in one.spans]
        assert [(one.offset, one.length, one.inside) for one in spans] == [
            (node.offset, node.length, node.inside) for node in payloads
        ]
        assert all(one.seq == message.seq for one in spans)


def test_a_sentence_names_the_values_of_its_payload() -> None:
    """Selectors, identity, SPI, group and nonce in the sentences are those of the octets."""
    found = text(walk(records("a whole life"), "R1"))
    for sentence in (
        "IDi: the initiator says it is 192.0.2.1 (IPv4 address).",
        "TSi: from the initiator's side, 192.0.2.1 GRE.",
        "KE: public value of group 19 (256-bit elliptic curve), 64 octets.",
        "NOTIFY(SET_WINDOW_SIZE): how many requests may be under way at once, 5.",
        "SA: offers IKE: encryption AES-CBC-256; PRF SHA512; integrity SHA512; key exchange 19.",
    ):
        assert sentence in found
    for spi in re.findall(r"ESP, SPI 0x([0-9A-F]{8})", found):
        assert any(spi.lower() in str(one.event) for one in records("a whole life"))


def test_what_is_encrypted_stays_unknown_without_a_key() -> None:
    """A capture without keys: the Encrypted payload is named with its octets, and neither agreement nor refusal."""
    found = "\n".join(render(read(from_records(records("another key")), "c.pcapng"), "explain"))
    assert "that this source holds no key for" in found
    assert "whether it agrees or refuses is encrypted" in found
    assert "proves it and makes" not in found and "AUTHENTICATION_FAILED" not in found


def test_a_debug_text_says_what_its_names_tell() -> None:
    """Where only names are known, a notify's meaning is told and no value."""
    lines = render([one for one in records("a whole life") if one.stamp.router == "R1"], "debug")
    found = "\n".join(render(read("\n".join(lines).encode(), "d"), "explain"))
    assert "NOTIFY(USE_TRANSPORT_MODE): transport mode instead of tunnel mode." in found
    assert "SET_WINDOW_SIZE): how many requests may be under way at once." in found
    assert "nonce of" not in found and "[" not in found.replace("[R", "")


def test_without_payloads_the_tour_is_as_short_as_before() -> None:
    """Who has the octets beside it, as the demo's files do, is told the rest alone."""
    told = records("a whole life")
    short = Walk("R1", payloads=False)
    titles = [step.title for record in told for step in short.add(record)]
    assert titles and not [title for title in titles if SAYS.match(title)]
    whole = [step.title for step in walk(told, "R1")]
    assert [title for title in whole if not SAYS.match(title)] == titles


@pytest.mark.parametrize(("router", "other"), [("R1", "R2"), ("R2", "R1")])
def test_the_nonces_decide_a_crossing(router: str, other: str) -> None:
    """Both ends name the same nonce as the lowest, one as its own and one as the peer's, and which SA goes."""

    def crossings(name: str) -> list[tuple[str, ...]]:
        return [one.lines for one in walk(records("crossing rekeys"), name) if one.title == "Two rekeys crossed"]

    mine, its = crossings(router), crossings(other)
    assert len(mine) == len(its) == 2
    for here, there in zip(mine, its, strict=True):
        nonces = [re.findall(r"begins (\w{8}), was in (our|the peer's) exchange", line) for line in (here[1], there[1])]
        assert nonces[0][0][0] == nonces[1][0][0] and {nonces[0][0][1], nonces[1][0][1]} == {"our", "the peer's"}
        stays = [line.split()[1] for line in (here[2], there[2])]
        assert sorted(stays) == ["ours", "the"]
    assert "The redundant one goes" in [one.title for one in walk(records("crossing rekeys"), router)] + [
        one.title for one in walk(records("crossing rekeys"), other)
    ]


def test_without_the_nonces_nobody_says_what_they_were() -> None:
    """A crossing in a recording without octets is told, the nonces are not."""
    bare = [
        Record(one.stamp, msgspec.structs.replace(one.event, octets=UNSET, opened=UNSET))
        if hasattr(one.event, "opened")
        else one
        for one in records("crossing rekeys")
    ]
    (first, _) = (one.lines for one in walk(bare, "R1") if one.title == "Two rekeys crossed")
    assert len(first) == 2 and "lowest" not in text(walk(bare, "R1"))


def test_generations_are_counted() -> None:
    """Each rekey is one more generation, and the line of SPIs is that of the SAs."""
    one = pair(Side(), seed="generations").up()
    for _ in range(2):
        one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
        one.world.run(2)
    found = text(walk(one.world.records, "R1"))
    spis = [f"0x{spi:08X}" for spi in (one.one_child("R1").inbound,)]
    assert re.search(rf"Generation 3 of this Child SA, .*: 0x\w+ -> 0x\w+ -> {spis[0]}\.", found)


def test_keymat_is_counted_by_the_algorithms() -> None:
    """KEYMAT is as long as both ways' keys: key and salt of an AEAD, encryption and integrity of others."""
    assert "KEYMAT is prf+ of SK_d over Ni and Nr: 40 octets here" in text(walk(records("a NAT"), "R1"))
    assert "Each way takes 20 octets for AES-GCM-128 (4 of them its salt);" in text(walk(records("a NAT"), "R1"))
    found = text(walk(records("a whole life"), "R1"))
    assert "192 octets here" in found and "32 octets for AES-CBC-256 and 64 octets" not in found


def test_fragments_are_told() -> None:
    """That both take fragments, and that a message came in several, with their number and size."""
    titles = [one.title for one in walk(records("fragments"), "R2")]
    assert "Fragments are agreed" in titles and "A message in fragments" in titles


@pytest.mark.parametrize("kind", NotifyType)
def test_every_notify_has_words(kind: NotifyType) -> None:
    """The table holds each notify of the registry: what it means, its section; an error of RFC 7296 its causes."""
    fact = NOTIFIES[kind]
    assert fact.means and fact.means == means(kind) and re.match(r"RFC \d+|3GPP", fact.section)
    assert len(fact.means) < 70 and not fact.means.endswith(".")


def test_an_unknown_notify_says_its_class() -> None:
    """A notify that nobody registered is an error or a status by its number (RFC 7296 section 3.10.1)."""
    assert means(NotifyType.of(8191)).startswith("an error") and means(NotifyType.of(40960)).startswith("a status")


def test_malformed_payloads_end_the_list() -> None:
    """Octets that are no payloads are no sentences, and nothing is raised."""
    message = Timeline().extend(records("silence")).messages[0]
    assert isinstance(message.octets, bytes)

    for cut in range(0, len(message.octets), 7):
        short = msgspec.structs.replace(message, octets=message.octets[:cut], payloads=UNSET)
        assert len(placed(short)) == len(said(short))
