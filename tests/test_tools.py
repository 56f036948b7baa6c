"""The project's own tools do what their first lines promise."""

import random

import pytest
from tools import fuzz
from tools.fuzz_esp import Esp, EspRuns
from tools.fuzz_fragments import Fragments
from tools.fuzz_inputs import datagram

from ikescope.errors import DecodeError
from ikescope.wire.message import Message


def test_the_decoder_stands_a_short_fuzz() -> None:
    """No datagram makes the decoder raise anything but PeerError or write back other octets than it read."""
    assert fuzz.fuzz(lambda: fuzz.decoder, 3000, seed=7296).finding == ""


def test_a_seed_leads_to_the_same_datagrams() -> None:
    """A finding can be repeated: one seed, one sequence of datagrams."""
    first, second = random.Random(1), random.Random(1)
    assert [datagram(first) for _ in range(50)] == [datagram(second) for _ in range(50)]


def test_a_finding_is_told_with_its_octets() -> None:
    """A target that raises anything but a refusal is a finding: number, seed, error and datagram."""
    given: list[bytes] = []

    def fragile(data: bytes) -> float:
        given.append(data)
        if len(given) == 3:
            raise IndexError("past the end")
        return 0.0

    finding = fuzz.fuzz(lambda: fragile, 10, seed=1).finding
    assert finding.startswith("round 0 of seed 1, datagram 2, test_tools.py:")
    assert finding.endswith(f": IndexError: past the end\n{given[2].hex()}")


def test_fragments_stand_a_short_fuzz() -> None:
    """Fragments in any order and disagreement are put together or refused; never more is held than is allowed."""
    assert fuzz.fuzz(lambda: Fragments(fuzz.timed), 2000, seed=7383).finding == ""


def test_esp_stands_a_short_fuzz() -> None:
    """A few thousand changed, repeated and harmful ESP packets of six suites: none is delivered, honest ones are."""
    assert fuzz.fuzz(lambda: Esp(fuzz.timed), 3000, seed=4303, limit=1e9).finding == ""


def test_runs_of_esp_stand_a_short_fuzz() -> None:
    """The same within runs that are opened at once."""
    runs = EspRuns(fuzz.timed)
    assert fuzz.fuzz(lambda: runs, 200, seed=4303, limit=1e9).finding == ""
    assert 50 < runs.whole < 200, "some go as runs, some packet by packet"


def test_what_is_slow_once_is_an_outlier_and_slow_each_time_a_finding() -> None:
    """A datagram above the limit is played again with its round; the machine's own hiccups are told from a hang."""
    plays: list[int] = []

    def make(slow: int) -> fuzz.Target:
        plays.append(0)

        def target(data: bytes) -> float:
            plays[-1] += 1
            return 1.0 if plays[-1] == 5 and len(plays) <= slow else 0.0

        return target

    report = fuzz.fuzz(lambda: make(1), 8, seed=1)
    assert (report.finding, report.outliers, plays) == ("", 1, [8, 5])
    plays.clear()
    report = fuzz.fuzz(lambda: make(9), 8, seed=1)
    assert report.finding.startswith("round 0 of seed 1, datagram 4: 1000.00 ms in each of 4 plays")


def test_growth_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that holds more after a later round than after the second one fails the run."""
    held = iter([0, 0, 1 << 20, 0, 0, 2 << 20, 0, 0, (2 << 20) + fuzz.GROWTH + 1])
    monkeypatch.setattr(fuzz, "resident", lambda: next(held))
    report = fuzz.fuzz(lambda: fuzz.decoder, 30, seed=1, size=10, limit=1e9)
    assert report.finding == "round 2 of seed 1, grown by 32 MiB, wanted at most 32"


def test_a_refusal_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """PeerError is how a decoder refuses; the decoder's target lets it pass and notices a lossy decoder."""

    class Lossy:
        def encode(self) -> bytes:
            return b"other"

    def refuse(data: bytes) -> Lossy:
        if not data:
            raise DecodeError("no octets")
        return Lossy()

    monkeypatch.setattr(Message, "parse", refuse)
    fuzz.decode(b"")
    with pytest.raises(AssertionError, match="written back differently"):
        fuzz.decode(b"octets")
