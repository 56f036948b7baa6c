"""Keys that differ by a slip of the hand: which are tried, how many, and which one an AUTH value fits."""

import pytest

from ikescope.config.model import Secret
from ikescope.crypto.auth import psk_auth
from ikescope.crypto.suites import PRFS
from ikescope.policy.near_keys import MOST, NearKey, near_keys, near_miss

OCTETS = b"what the peer signs"


def found(ours: bytes, theirs: bytes, *, prf: int = 5, swapped: bytes = b"", others: tuple[bytes, ...] = ()) -> object:
    """Kind and side of the near miss between our key and the peer's, None without one."""
    more = [NearKey("other_peer", Secret(key), None, f"B{number}") for number, key in enumerate(others)]
    candidates = near_keys(Secret(ours), swapped=Secret(swapped) if swapped else None, others=more)
    one = near_miss(PRFS[prf], OCTETS, psk_auth(PRFS[prf], theirs, OCTETS), candidates)
    return None if one is None else (one.kind, one.by, one.block)


@pytest.mark.parametrize("prf", PRFS)
@pytest.mark.parametrize(
    ("ours", "theirs", "kind", "by"),
    [
        (b"cisco", b"cisco ", "trailing_blank", "peer"),
        (b"cisco ", b"cisco", "trailing_blank", "local"),
        (b"cisco \t", b"cisco", "trailing_blank", "local"),
        (b"cisco", b'"cisco"', "quotes", "peer"),
        (b'"cisco"', b"cisco", "quotes", "local"),
        (b"'cisco'", b"cisco", "quotes", "local"),
        (b"cisco", b"cisco\r\n", "line_end", "peer"),
        (b"cisco", b"cisco\r", "line_end", "peer"),
        (b"cisco", b"cisco\n", "line_end", "peer"),
        (b"cisco\r\n", b"cisco", "line_end", "local"),
        (b"6a6b6c", b"jkl", "hex_as_text", None),
        (b"0x6A6b6c", b"jkl", "hex_as_text", None),
        (b"jkl", b"6a6b6c", "text_as_hex", None),
        (b"jkl", b"0x6a6b6c", "text_as_hex", None),
        (b"Cisco", b"cisco", "case", None),
        (b"cisco", b"CISCO", "case", None),
        (b"cISCO", b"Cisco", "case", None),
    ],
)
def test_each_slip_is_found_by_its_kind(prf: int, ours: bytes, theirs: bytes, kind: str, by: str | None) -> None:
    """An AUTH value made with the peer's key names the slip that leads there from ours, for every PRF."""
    assert found(ours, theirs, prf=prf) == (kind, by, None)


def test_swapped_and_other_peers_keys_are_found() -> None:
    """The key of the other direction, and that of another peer with its block; another key is no near miss."""
    assert found(b"a", b"b", swapped=b"b", others=(b"c", b"d")) == ("swapped", None, None)
    assert found(b"a", b"d", swapped=b"b", others=(b"c", b"d")) == ("other_peer", None, "B1")
    assert found(b"a", b"nothing like it", swapped=b"b", others=(b"c",)) is None


def test_near_keys_are_few_and_differ() -> None:
    """At most sixteen, none twice, neither our own nor an empty one, however many peers there are."""
    others = [NearKey("other_peer", Secret(bytes([65 + number])), None, f"B{number}") for number in range(40)]
    for key in (b"0xAb01", b"\x00\xff", b" ", b'"Ab"\r\n'):
        tried = near_keys(Secret(key), swapped=Secret(key), others=others)
        octets = [one.secret.octets for one in tried]
        assert len(octets) == MOST == len(set(octets))
        assert key not in octets
        assert b"" not in octets


def test_no_key_is_shown() -> None:
    """A near key prints without its octets."""
    assert all("a-key" not in repr(one) for one in near_keys(Secret(b"a-key")))
