"""Our debug beside the published transcripts, the event-trace and the error lines of real routers."""

from pathlib import Path

import pytest
from tests.ios.fidelity import SITUATIONS, measure

from ikescope.capture import source
from ikescope.events import Event, IdentityFact, ProposalFact, Record, Stamp, TransformFact
from ikescope.events import message as m
from ikescope.events import negotiation as n
from ikescope.ios import event_trace
from ikescope.ios.catalogue_deviations import ASA
from ikescope.ios.debug import Renderer
from ikescope.ios.debug_read import Unknown, read

DATA = Path(__file__).parent / "data"
NUMBERS = [one.number for one in SITUATIONS]


@pytest.mark.parametrize("number", NUMBERS)
def test_every_difference_from_a_transcript_is_named(number: str) -> None:
    """No line parts us from a transcript of the same situation that no listed deviation explains."""
    assert measure(number).unnamed == ()


@pytest.mark.parametrize("number", NUMBERS)
def test_what_a_situation_shares_is_printed_line_by_line(number: str) -> None:
    """At least 95 % of the lines that no deviation sets aside stand in our debug, in order, state machine included."""
    found = measure(number)
    assert found.share >= 0.95
    assert found.equal / found.lines >= (0.65 if number == "11" else 0.85)


def test_no_deviation_is_listed_in_vain() -> None:
    """Each deviation sets a line of some transcript, or of ours, aside."""
    used = {one for number in NUMBERS for one, _ in measure(number).named}
    assert [one.why for one in ASA if one not in used] == []


def test_a_real_event_trace_is_read_whole_and_written_back_the_same() -> None:
    """Every line of a router's event-trace is known, and rendering what was read gives each of them again."""
    lines = [line for line in (DATA / "event-trace-30.txt").read_text().splitlines() if not line.startswith("#")]
    found = list(event_trace.read(lines, year=2026))
    assert [one for one in found if isinstance(one, Unknown)] == []
    assert event_trace.trace(one for one in found if isinstance(one, Record)) == lines


def test_a_file_of_an_event_trace_is_a_source() -> None:
    """`ikescope read` takes an event-trace as it takes a debug, and knows whose it is."""
    records = source.read((DATA / "event-trace-30.txt").read_bytes(), "trace.txt")
    assert len(records) == 23
    assert {one.stamp.router for one in records} == {"192.0.2.1"}
    assert records[-1].stamp.line == 32


#: Error lines of IOS-XE 26.02 (33), SPIs and session numbers aside: the event of ours that prints each.
AES, STRONG = (TransformFact(1, 12, 128), *((2, 7), (3, 14), (4, 20))), (TransformFact(1, 12, 256),)
OFFER = tuple(TransformFact(*one) if isinstance(one, tuple) else one for one in AES)
WANTED = (*STRONG, *OFFER[1:])
LABELS = "PRF: SHA512 INTEGRITY: SHA512 DH GROUP: DH_GROUP_384_ECP/Group 20"
PEER = IdentityFact(1, "192.0.2.2")
ERRORS = [
    (
        n.ProposalRefused(
            protocol=1, received=(ProposalFact(1, 1, "", OFFER),), expected=(ProposalFact(1, 1, "", WANTED),)
        ),
        f"Received Policies: : Failed to find a matching policyProposal 1:  ENCRYPTION: AES-CBC-128 {LABELS}",
    ),
    (
        n.ProposalRefused(
            protocol=1, received=(ProposalFact(1, 1, "", OFFER),), expected=(ProposalFact(1, 1, "", WANTED),)
        ),
        f"Expected Policies: : Failed to find a matching policyProposal 1:  ENCRYPTION: AES-CBC-256 {LABELS}",
    ),
    (m.ResponseRefused(exchange=34, notify=14), ": Received no proposal chosen notify"),
    (m.RequestRefused(exchange=34, notify=17, why=""), ": The peer's KE payload contained the wrong DH group"),
    (n.AuthRefused(method=2, identity=PEER), ": Failed to authenticate the IKE SA"),
    (n.ExchangeFailed(exchange=35, why=""), ": Auth exchange failed"),
    (n.ProfileNotFound(identity=PEER, tried=()), ": Failed to locate an item in the database"),
    (
        n.ProposalRefused(protocol=3, received=(ProposalFact(1, 3, "", STRONG),), expected=()),
        "Received Policies: : Failed to find a matching policyESP: Proposal 1:  ENCRYPTION: AES-CBC-256",
    ),
]


@pytest.mark.parametrize(("event", "text"), ERRORS, ids=lambda one: one if isinstance(one, str) else "")
def test_the_error_lines_of_ios_26_are_ours(event: Event, text: str) -> None:
    """What an IOS-XE 26 router prints of an error, we print of the same, to the letter; it is read back."""
    stamp = Stamp(seq=1, mono=0.0, wall=0.0, router="R1", session=89, sa=1, initiator=True)
    lines = Renderer("error", "26").lines(Record(stamp, event))
    assert f"IKEv2-ERROR:(SESSION ID = 89,SA ID = 1):{text}" in lines
    assert not [one for one in read(lines) if isinstance(one, Unknown)]


def test_a_responder_without_a_profile_says_so_without_an_sa() -> None:
    """The one error line of IOS-XE 26 that begins with a per cent sign names no SA."""
    stamp = Stamp(seq=1, mono=0.0, wall=0.0, router="R1", session=89, sa=1, initiator=False)
    event = n.ProfileNotFound(identity=PEER, tried=())
    assert Renderer("error", "26").lines(Record(stamp, event)) == ["IKEv2-ERROR:% IKEv2 profile not found"]
