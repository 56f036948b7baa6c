"""By which slip of the hand two pre-shared keys differ: the keys near to ours, and the one that an AUTH value fits."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, get_args

import msgspec

from ikescope.config.model import KeyringPeer, Profile, RouterConfig, Secret
from ikescope.crypto.auth import psk_auth, verify
from ikescope.crypto.suites import Prf
from ikescope.policy.peers import Key

NearKind = Literal[
    "trailing_blank", "quotes", "line_end", "hex_as_text", "text_as_hex", "case", "swapped", "other_peer"
]
"""How the peer's key differs from ours. `hex_as_text`: ours are the characters of hexadecimal digits where the peer has
the octets that they name; `text_as_hex`: the other way round. `swapped`: the peer uses the key of the other direction.
`other_peer`: it uses the one of another peer of the keyring.
"""

KINDS: tuple[NearKind, ...] = get_args(NearKind)
MOST = 16
"""So many near keys are tried and no more: two PRF each, some microseconds."""
_HEX = frozenset(string.hexdigits.encode())


class NearKey(msgspec.Struct, frozen=True):
    """A key near to ours. `by` has what the other has not (None: neither); `block`: the peer block of `other_peer`."""

    kind: NearKind
    secret: Secret
    by: Literal["local", "peer"] | None = None
    block: str | None = None


def near_keys(key: Secret, *, swapped: Secret | None = None, others: Iterable[NearKey] = ()) -> tuple[NearKey, ...]:
    """The keys that one slip makes of `key`, at most `MOST`, none twice and `key` itself not among them.

    `swapped` is the key of the other direction, `others` are those of other peers.
    """
    found: dict[bytes, NearKey] = {}
    more = () if swapped is None else (NearKey("swapped", swapped),)
    for one in (*_slips(key.octets), *more, *others):
        if one.secret != key and one.secret.octets:
            found.setdefault(one.secret.octets, one)
    return tuple(found.values())[:MOST]


def _slips(key: bytes) -> Iterator[NearKey]:
    yield NearKey("trailing_blank", Secret(key + b" "), "peer")
    yield NearKey("trailing_blank", Secret(key.rstrip(b" \t")), "local")
    yield NearKey("quotes", Secret(b'"' + key + b'"'), "peer")
    if len(key) > 2 and key[:1] == key[-1:] and key[:1] in (b'"', b"'"):
        yield NearKey("quotes", Secret(key[1:-1]), "local")
    for end in (b"\r\n", b"\r", b"\n"):
        yield NearKey("line_end", Secret(key + end), "peer")
    yield NearKey("line_end", Secret(key.rstrip(b"\r\n")), "local")
    digits = key[2:] if key[:2] in (b"0x", b"0X") else key
    if digits and len(digits) % 2 == 0 and _HEX.issuperset(digits):
        yield NearKey("hex_as_text", Secret(bytes.fromhex(digits.decode("ascii"))))
    for prefix in (b"", b"0x"):
        yield NearKey("text_as_hex", Secret(prefix + key.hex().encode()))
    for other in (key.lower(), key.upper(), key.swapcase()):
        yield NearKey("case", Secret(other))


def near_keys_of(config: RouterConfig, profile: Profile, key: Key) -> tuple[NearKey, ...]:
    """The keys near to the one that authenticates a peer (the remote key), out of the whole keyring that it is of."""
    keyring = config.keyrings.get(key.keyring) if key.keyring else None
    if keyring is None:
        return near_keys(key.secret, swapped=profile.local_key)
    own = next((block for block in keyring.peers if block.name == key.block), None)
    others = (one for block in keyring.peers if block is not own for one in _of_block(block))
    return near_keys(key.secret, swapped=None if own is None else own.local_key, others=others)


def _of_block(block: KeyringPeer) -> Iterator[NearKey]:
    for secret in (block.remote_key, block.local_key):
        if secret is not None:
            yield NearKey("other_peer", secret, None, block.name)


def near_miss(prf: Prf, octets: bytes, auth: bytes, candidates: Sequence[NearKey]) -> NearKey | None:
    """The first near key that makes an AUTH value that came of `octets` (see `crypto.auth.signed_octets`).

    All of them are computed, whichever it is: how long it takes tells nothing.
    """
    fits = [verify(auth, psk_auth(prf, one.secret.octets, octets)) for one in candidates]
    return next((one for one, fit in zip(candidates, fits, strict=True) if fit), None)
