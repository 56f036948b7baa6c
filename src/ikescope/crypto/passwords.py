"""Passwords as IOS stores them: types 5 (MD5), 8 (PBKDF2 with SHA-256) and 9 (scrypt), made and verified.

The text of a type 8 or 9 is `$8$SALT$HASH`: a salt of 14 characters, taken as they stand, and 32 octets in base64 with
the alphabet of crypt(3). Type 5 is MD5-crypt, `$1$SALT$HASH`; it is verified and never made.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable

from ikescope.crypto.rand import Random

CLEAR, MD5, PBKDF2, SCRYPT = 0, 5, 8, 9
"""The type numbers of a `secret`."""
LONGEST = 255
"""Octets of a password that are looked at; a longer one is none."""

_CRYPT = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_CRYPT, _TO_PLAIN = str.maketrans(_PLAIN, _CRYPT), str.maketrans(_CRYPT, _PLAIN)
_SALT_CHARACTERS = 14
_SHAPES = {
    MD5: re.compile(r"\$1\$([./0-9A-Za-z]{1,8})\$([./0-9A-Za-z]{22})"),
    PBKDF2: re.compile(r"\$8\$([./0-9A-Za-z]{14})\$([./0-9A-Za-z]{43})"),
    SCRYPT: re.compile(r"\$9\$([./0-9A-Za-z]{14})\$([./0-9A-Za-z]{43})"),
}


def is_hash(kind: int, text: str) -> bool:
    """Whether a text is a whole hash of that type."""
    return kind in _SHAPES and _SHAPES[kind].fullmatch(text) is not None


def make(password: bytes, random: Random, kind: int = SCRYPT) -> str:
    """The text of a password's hash with a salt of its own; `kind` is PBKDF2 or SCRYPT."""
    salt = "".join(_CRYPT[octet & 63] for octet in random(_SALT_CHARACTERS))
    return f"${kind}${salt}${_HASHES[kind](password, salt)}"


def verify(kind: int, text: str, password: bytes) -> bool:
    """Whether it is the password; takes the same time whatever the password is, but not whatever its type is.

    Of type 0, a password in clear, the octets are compared. A text that is no hash is nobody's.
    """
    if len(password) > LONGEST:
        return False
    if kind == CLEAR:
        return hmac.compare_digest(text.encode(), password)
    found = _SHAPES[kind].fullmatch(text) if kind in _SHAPES else None
    if found is None:
        return False
    return hmac.compare_digest(_HASHES[kind](password, found[1]).encode(), found[2].encode())


def waste(password: bytes) -> None:
    """As much work as verifying takes, for a user that there is not."""
    _scrypt(password[:LONGEST], "." * _SALT_CHARACTERS)


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode().rstrip("=").translate(_TO_CRYPT)


def _pbkdf2(password: bytes, salt: str) -> str:
    return _text(hashlib.pbkdf2_hmac("sha256", password, salt.encode(), 20000, 32))


def _scrypt(password: bytes, salt: str) -> str:
    return _text(hashlib.scrypt(password, salt=salt.encode(), n=16384, r=1, p=1, dklen=32))


def _md5(password: bytes, salt: str) -> str:
    """MD5-crypt, as FreeBSD's crypt(3) has it since 1994."""
    seed = salt.encode()
    inner = hashlib.md5(password + seed + password, usedforsecurity=False).digest()
    first = password + b"$1$" + seed + (inner * (len(password) // 16 + 1))[: len(password)]
    length = len(password)
    while length:
        first += b"\0" if length & 1 else password[:1]
        length >>= 1
    digest = hashlib.md5(first, usedforsecurity=False).digest()
    for turn in range(1000):
        text = password if turn & 1 else digest
        text += (seed if turn % 3 else b"") + (password if turn % 7 else b"")
        digest = hashlib.md5(text + (digest if turn & 1 else password), usedforsecurity=False).digest()
    groups = [(digest[i], digest[i + 6], digest[i + 12 if i < 4 else 5]) for i in range(5)]
    numbers = [(a << 16 | b << 8 | c, 4) for a, b, c in groups] + [(digest[11], 2)]
    return "".join(_CRYPT[number >> 6 * at & 63] for number, count in numbers for at in range(count))


_HASHES: dict[int, Callable[[bytes, str], str]] = {MD5: _md5, PBKDF2: _pbkdf2, SCRYPT: _scrypt}
