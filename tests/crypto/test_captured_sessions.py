"""Two sessions between strongSwan daemons, with the keys they logged: everything opens, and is made again."""

from __future__ import annotations

from typing import Any

import pytest

from ikescope.crypto.cipher import CbcDecryptor
from ikescope.crypto.envelope import Envelope, EnvelopeError
from ikescope.crypto.esp_cipher import EspOpener, EspSealer
from ikescope.crypto.keys import IkeKeys
from ikescope.crypto.suites import IkeSuite, esp_suite, ike_suite

from .published import load, octets
from .transforms import CBC_256_SHA512_GROUP_19, GCM_128_SHA256_GROUP_31, T

_SESSIONS = {
    "strongswan_cbc_sha512_ecp256": (CBC_256_SHA512_GROUP_19, (T(1, 20, 128),)),
    "strongswan_gcm_x25519": (GCM_128_SHA256_GROUP_31, (T(1, 12, 256), T(3, 12))),
}
_INITIATOR, _RESPONSE = 0x08, 0x20


def _keys(row: dict[str, str]) -> IkeKeys:
    sk_ai, sk_ar, sk_ei, sk_er = (octets(row[name]) for name in ("sk_ai", "sk_ar", "sk_ei", "sk_er"))
    return IkeKeys(b"", sk_ai, sk_ar, sk_ei, sk_er, b"", b"")


def _encrypted(session: dict[str, Any]) -> list[tuple[bytes, IkeKeys]]:
    by_spis = {octets(row["spi_i"] + row["spi_r"]): _keys(row) for row in session["ike_keys"]}
    datagrams = [octets(datagram) for datagram in session["ike"]]
    return [(datagram, by_spis[datagram[:16]]) for datagram in datagrams if datagram[16] == 46]


def _payloads(first: int, inner: bytes) -> list[int]:
    kinds: list[int] = []
    while first:
        kinds.append(first)
        length = int.from_bytes(inner[2:4], "big")
        assert 4 <= length <= len(inner)
        first, inner = inner[0], inner[length:]
    assert not inner
    return kinds


def _opened(suite: IkeSuite, datagram: bytes, keys: IkeKeys) -> bytes:
    from_initiator = bool(datagram[19] & _INITIATOR)
    inner = Envelope(suite, keys, not from_initiator).open(datagram, 28)
    with pytest.raises(EnvelopeError):
        Envelope(suite, keys, from_initiator).open(datagram, 28)
    return inner


@pytest.mark.parametrize("name", _SESSIONS)
def test_every_message_opens_to_payloads(name: str) -> None:
    """Each encrypted message of the session opens, in its direction only, to a chain of payloads without remainder.

    initiator                                   responder
    HDR, SK { IDi, AUTH, SA, TSi, TSr, N+ } -->         IKE_AUTH, first Child SA
                                            <-- HDR, SK { IDr, AUTH, SA, TSi, TSr, N+ }
    CREATE_CHILD_SA, INFORMATIONAL          -->         rekeys and deletes, under two IKE SAs
                                            <--
    """
    suite = ike_suite(_SESSIONS[name][0])
    messages = _encrypted(load(name))
    chains = [_payloads(datagram[28], _opened(suite, datagram, keys)) for datagram, keys in messages]
    assert len(messages) == 12 and len({datagram[:16] for datagram, _ in messages}) == 2
    auth = 39
    assert {35, auth, 33, 44, 45} <= set(chains[0]) and {36, auth, 33, 44, 45} <= set(chains[1])
    assert [datagram[18] for datagram, _ in messages[:4]] == [35, 35, 36, 36]
    assert sum(42 in chain for chain in chains) >= 2


@pytest.mark.parametrize("name", _SESSIONS)
def test_every_message_is_made_again(name: str) -> None:
    """Given the IV that strongSwan chose, our envelope seals the inner payloads to strongSwan's own octets.

    AEAD: all of them. AES-CBC: as far as the padding, which is as short as strongSwan's.
    """
    suite = ike_suite(_SESSIONS[name][0])
    for datagram, keys in _encrypted(load(name)):
        inner = _opened(suite, datagram, keys)
        from_initiator = bool(datagram[19] & _INITIATOR)
        iv = datagram[32 : 32 + suite.encryption.iv_octets]
        # AES-CBC: the block whose ciphertext is the IV.
        first = (
            CbcDecryptor(keys.sk_ei if from_initiator else keys.sk_er).decrypt(bytes(16) + iv) if len(iv) == 16 else b""
        )
        envelope = Envelope(suite, keys, from_initiator, first_iv=int.from_bytes(iv, "big"))
        sealed = envelope.seal(
            datagram[:8],
            datagram[8:16],
            datagram[18],
            datagram[19],
            int.from_bytes(datagram[20:24], "big"),
            datagram[28],
            inner,
            lambda _, first=first: first,  # type: ignore[misc]
        )
        if suite.encryption.aead:
            assert sealed == datagram
        else:
            # strongSwan pads with random octets: all before the block that begins the padding is equal.
            same = 48 + len(inner) // 16 * 16
            assert len(sealed) == len(datagram) and sealed[:same] == datagram[:same]


@pytest.mark.parametrize("name", _SESSIONS)
def test_every_esp_packet_opens(name: str) -> None:
    """Each ESP packet of the session opens to an IPv4 packet, its padding 1, 2, 3 ... and next header 4."""
    session = load(name)
    suite = esp_suite(_SESSIONS[name][1])
    by_spi = {octets(row["spi"]): (octets(row["key"]), octets(row["integ_key"])) for row in session["esp_keys"]}
    openers = {spi: EspOpener(suite, *keys) for spi, keys in by_spi.items()}
    packets = [octets(packet) for packet in session["esp"]]
    assert len(packets) == 8
    for packet in packets:
        plain = openers[packet[:4]].open(packet)
        pad, next_header = plain[-2:]
        assert next_header == 4
        assert plain[-2 - pad : -2] == bytes(range(1, pad + 1))
        assert plain[0] >> 4 == 4 and int.from_bytes(plain[2:4], "big") == len(plain) - 2 - pad
        spi, seq = int.from_bytes(packet[:4], "big"), int.from_bytes(packet[4:8], "big")
        again = EspSealer(suite, *by_spi[packet[:4]]).seal(spi, seq, 0, plain)
        assert len(again) == len(packet) and openers[packet[:4]].open(again) == plain
