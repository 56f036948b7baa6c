"""The walk over sessions that two routers really negotiate: what the configuration says is what the sentences say."""

from __future__ import annotations

import re

import msgspec
import pytest
from tests.support.world import Pair, Side, pair

from ikescope.engine.commands import Clear, Probe, Rekey
from ikescope.events import Record
from ikescope.explain.scene import Step
from ikescope.explain.summary import verdict
from ikescope.explain.walk import walk
from ikescope.timeline import Timeline
from ikescope.views.read import VIEWS, join, read, render


def tour(side: Side | None = None) -> Pair:
    """Up, IKE rekey, Child rekey, a second selector, liveness, clear: the guided tour's session."""
    both = pair(side or Side(second=True)).up()
    both.ask("R1", Rekey(sa=both.world.status("R1").ike[0].id))
    both.world.run(2)
    both.ask("R1", Rekey(spi=both.world.status("R1").children[0].inbound))
    both.world.run(2)
    both.ping("R1", third=1)
    both.world.run(2)
    for intent in (Probe(), Clear()):
        both.ask("R1", intent)
        both.world.run(2)
    return both


@pytest.fixture(scope="module")
def told() -> list[Record]:
    """The records of one tour, both routers."""
    return tour().world.records


def said(steps: list[Step]) -> str:
    """All lines as one text."""
    return "\n".join(line for step in steps for line in step.lines)


def test_the_parts_come_in_order(told: list[Record]) -> None:
    """A whole session is told in parts 1 to 7, each after the one before."""
    parts = [step.part for step in walk(told, "R1")]
    assert parts == sorted(parts) and set(parts) == set(range(1, 8))


def test_each_note_has_two_to_four_lines(told: list[Record]) -> None:
    """From either side no note is shorter than two lines or longer than four."""
    for router in ("R1", "R2"):
        for step in walk(told, router):
            assert 2 <= len(step.lines) <= 4, step
            assert not re.search(r"UNSET|None|[A-Z]+_\d+ \(\d+\)", "".join(step.lines)), step


def test_every_spi_of_the_walk_is_in_the_records(told: list[Record]) -> None:
    """No SPI is named that no event holds."""
    raw = b"".join(msgspec.json.encode([one.stamp, one.event]) for one in told).decode().lower()
    found = set(re.findall(r"0x([0-9A-F]{8,16})", said(walk(told, "R1"))))
    assert len(found) >= 10
    assert not [spi for spi in found if spi.lower() not in raw]


def test_the_configuration_changes_the_sentences() -> None:
    """Another group, selector and lifetime in the configuration are in the sentences, and the old ones are not."""
    one = said(walk(pair(Side(ike="cbc", ike_lifetime=86400, child_lifetime=3600)).up().world.records, "R1"))
    other_side = Side(ike="modp", esp="sha256", mode="acl", ike_lifetime=7200, child_lifetime=900)
    other = said(walk(pair(other_side).up().world.records, "R1"))
    for before, after in (
        ("group 19 (256-bit elliptic curve)", "group 14 (2048-bit MODP)"),
        ("192.0.2.1 -> 192.0.2.2, GRE", "10.1.0.0/24 -> 10.2.0.0/24"),
        ("86400 s (24 h)", "7200 s (2 h)"),
        ("3600 s (1 h)", "900 s (15 min)"),
        ("SHA512", "SHA256"),
    ):
        assert before in one and after not in one, (before, after)
        assert after in other and before not in other, (before, after)


def test_an_aead_has_five_keys() -> None:
    """With AES-GCM no integrity keys are named: the sentence counts what the event holds."""
    text = said(walk(pair(Side(ike="gcm", esp="gcm")).up().world.records, "R1"))
    assert "to five keys" in text and "SK_ai" not in text and "sealed by its own ICV" in text


@pytest.mark.parametrize(
    ("first", "second", "answer"),
    [
        (Side(), Side(key="another-key"), "Not up: the pre-shared keys differ"),
        (Side(ike="cbc"), Side(ike="modp"), "Not up: no common IKE proposal: for "),
        (Side(esp="cbc"), Side(esp="gcm"), "Not up: no common ESP proposal: for "),
        (Side(), Side(match="address 203.0.113.9 255.255.255.255"), "Not up: no IKEv2 profile of R2 matches"),
        (
            Side(mode="acl"),
            Side(mode="acl", selectors=("10.77.0.0 0.0.0.255 10.78.0.0 0.0.0.255",)),
            "Not up: the traffic selectors do not meet",
        ),
    ],
)
def test_a_fault_in_a_configuration_is_the_answer(first: Side, second: Side, answer: str) -> None:
    """Each fault that two configurations can have against each other is named in the first line."""
    both = pair(first, second)
    both.ping("R1")
    both.world.run(5)
    records = both.world.records
    assert verdict(Timeline().extend(records), "R1")[0].startswith(answer)
    assert any(step.part == 8 for step in walk(records, "R1"))


def test_the_verdict_counts_what_was_rekeyed(told: list[Record]) -> None:
    """One rekey of each kind is counted; the session ended as the operator wanted."""
    lines = verdict(Timeline().extend(told), "R1")
    assert lines[0].startswith("Down: IKE SA ") and lines[0].endswith(" was up and ended: cleared by the operator.")
    assert lines[1] == "Rekeyed so far: IKE SA once, Child SAs once."


def test_every_view_of_records_and_of_the_debug_text(told: list[Record]) -> None:
    """All views render a real session, from its records and from R1's debug text read back."""
    text = "\n".join(render(told, "debug", router="R1")).encode()
    for view in VIEWS:
        for records in (told, read(text, "debug.txt")):
            lines = list(render(records, view))
            assert lines and "UNSET" not in "\n".join(lines), view


def test_two_recordings_make_one_ladder(told: list[Record]) -> None:
    """Each datagram of a real session is one line when both recordings are joined."""
    sources = [[one for one in told if one.stamp.router == name] for name in ("R1", "R2")]
    assert list(render(join(sources), "ladder")) == list(render(told, "ladder"))
