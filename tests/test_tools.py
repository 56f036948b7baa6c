"""The project's own tools do what their first lines promise."""

import random

import pytest
from tools import fuzz

from ikescope.errors import DecodeError
from ikescope.wire.message import Message


def test_the_decoder_stands_a_short_fuzz() -> None:
    """No datagram makes the decoder raise anything but PeerError or write back other octets than it read."""
    assert fuzz.fuzz(fuzz.decoder, 3000, seed=7296) == ""


def test_a_seed_leads_to_the_same_datagrams() -> None:
    """A finding can be repeated: one seed, one sequence of datagrams."""
    first, second = random.Random(1), random.Random(1)
    assert [fuzz.datagram(first) for _ in range(50)] == [fuzz.datagram(second) for _ in range(50)]


def test_a_finding_is_told_with_its_octets() -> None:
    """A target that raises anything but a refusal is a finding: number, seed, error and datagram."""
    given: list[bytes] = []

    def fragile(data: bytes) -> None:
        given.append(data)
        if len(given) == 3:
            raise IndexError("past the end")

    finding = fuzz.fuzz(fragile, 10, seed=1)
    assert finding == f"datagram 2 of seed 1: IndexError: past the end\n{given[2].hex()}"


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
    fuzz.decoder(b"")
    with pytest.raises(AssertionError, match="written back differently"):
        fuzz.decoder(b"octets")
