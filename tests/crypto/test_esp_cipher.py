"""ESP packets: published ones, both directions, refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ikescope.crypto.esp_cipher import EspCipherError, EspOpener, EspSealer
from ikescope.crypto.keys import ChildKeys, child_keys
from ikescope.crypto.suites import PRFS, EspSuite, esp_suite

from .published import load, octets
from .transforms import ESP, T

_IDS = ["cbc-sha1", "cbc-sha512-esn", "gcm", "gcm-esn", "chacha", "chacha-esn", "null", "null-esn"]


def _sa(transforms: tuple[T, ...]) -> tuple[EspSuite, ChildKeys, EspSealer, EspOpener]:
    suite = esp_suite(transforms)
    keys = child_keys(PRFS[5], b"d" * 32, b"i" * 32, b"r" * 32, suite)
    return suite, keys, EspSealer(suite, keys.encr_i, keys.integ_i), EspOpener(suite, keys.encr_i, keys.integ_i)


def test_the_packet_of_rfc_7634() -> None:
    """The ESP packet of RFC 7634 appendix A opens to its inner packet, padded 1, 2 and of next header 4."""
    vector = load("rfc7634")["esp"]
    opener = EspOpener(esp_suite((T(1, 28), T(5, 0))), octets(vector["key_and_salt"]))
    assert opener.open(octets(vector["packet"])) == octets(vector["inner_packet"]) + b"\x01\x02\x02\x04"


@pytest.mark.parametrize("transforms", ESP, ids=_IDS)
def test_sealed_packets_open(transforms: tuple[T, ...]) -> None:
    """Packets open in any order and again; SPI and sequence number are in clear, the length is the suite's."""
    suite, _, sealer, opener = _sa(transforms)
    icv = suite.integrity.icv_octets if suite.integrity else suite.encryption.icv_octets
    packets = {seq: sealer.seal(0xC0FFEE01, seq, 3, bytes((seq,)) * 64) for seq in range(1, 20)}
    for seq in (5, 1, 19, 5, 2):
        packet = packets[seq]
        assert packet[:8] == bytes.fromhex("c0ffee01") + seq.to_bytes(4, "big")
        assert len(packet) == 8 + suite.encryption.iv_octets + 64 + icv
        assert opener.open(packet, 3 if suite.esn else 0) == bytes((seq,)) * 64


@pytest.mark.parametrize("transforms", ESP, ids=_IDS)
def test_every_changed_octet_is_noticed(transforms: tuple[T, ...]) -> None:
    """A packet changed anywhere, cut, or of another SA opens to nothing, and the next good one still opens."""
    suite, keys, sealer, opener = _sa(transforms)
    packet = sealer.seal(1, 2, 0, b"p" * 32)
    changed = [packet[:at] + bytes((packet[at] ^ 0x80,)) + packet[at + 1 :] for at in range(len(packet))]
    other = EspSealer(suite, keys.encr_r, keys.integ_r).seal(1, 2, 0, b"p" * 32)
    for wrong in (*changed, *(packet[:length] for length in range(len(packet))), packet + bytes(16), other):
        with pytest.raises(EspCipherError) as refused:
            opener.open(wrong)
        assert refused.value.notify is None
    assert opener.open(packet) == b"p" * 32


@pytest.mark.parametrize("transforms", [row for row in ESP if T(5, 1) in row], ids=["cbc", "gcm", "chacha", "null"])
def test_the_high_half_of_an_extended_sequence_number_is_authenticated(transforms: tuple[T, ...]) -> None:
    """With ESN the high half is not sent but covered by the ICV: a wrong guess does not open (RFC 4303 2.2.1)."""
    _, _, sealer, opener = _sa(transforms)
    packet = sealer.seal(1, 2, 7, b"p" * 32)
    assert opener.open(packet, 7) == b"p" * 32
    for guess in (0, 6, 8):
        with pytest.raises(EspCipherError, match="does not verify"):
            opener.open(packet, guess)


def test_ivs_of_an_sa_are_all_different() -> None:
    """The IV of an AEAD is the sequence number; that of AES-CBC differs even between equal packets of equal numbers."""
    _, _, sealer, _ = _sa(ESP[3])
    assert sealer.seal(1, 0x0A0B0C0D, 7, bytes(16))[8:16] == bytes.fromhex("000000070a0b0c0d")
    _, _, sealer, _ = _sa(ESP[0])
    packets = [sealer.seal(1, 1, 0, bytes(16)) for _ in range(100)]
    assert len({packet[8:24] for packet in packets}) == 100
    # Nor is an IV the last block of the packet before (RFC 3602 section 3).
    assert not {packet[8:24] for packet in packets} & {packet[24:40] for packet in packets}


def test_a_ciphertext_of_broken_blocks_does_not_reach_the_context() -> None:
    """An authenticated AES-CBC packet whose ciphertext is not whole blocks is refused with had and wanted."""
    suite, keys, sealer, opener = _sa(ESP[0])
    null = EspSealer(esp_suite((T(1, 11), T(3, 2))), b"", keys.integ_i)
    with pytest.raises(EspCipherError, match="had 28, wanted a multiple of 16"):
        opener.open(null.seal(1, 2, 0, bytes(44)))
    assert opener.open(sealer.seal(1, 2, 0, b"p" * suite.encryption.block)) == b"p" * 16


@given(st.binary(max_size=120))
def test_arbitrary_octets_are_refused_and_nothing_else(packet: bytes) -> None:
    """Whatever arrives, opening it ends in an EspCipherError."""
    for transforms in ESP:
        with pytest.raises(EspCipherError):
            _sa(transforms)[3].open(packet)
