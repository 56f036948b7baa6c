"""`pre-shared-key 6 TOKEN`: keys as a running-config shows them, sealed under the router's key, readable by it alone.

A token is `ikescope.1.NAME.OCTETS`: the form's number, the name of the key that sealed it, and the octets of AES-SIV in
base64 (RFC 4648 section 5, without padding). IOS's own type 6 tokens are of the 41 characters A to i of ASCII, which
has neither the point nor digits: the two are never taken for each other.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Protocol

from ikescope.config.model import Secret
from ikescope.crypto.sealing import KEY_OCTETS, TAG_OCTETS, name_of, salt_for, seal, unseal
from ikescope.errors import LocalError

_PURPOSE = b"ikescope pre-shared key"
_TOKEN = re.compile(r"ikescope\.1\.([0-9a-f]{8})\.([A-Za-z0-9_-]+)")
_OF_IOS = re.compile(r"[A-i]+")
IN_CLEAR = "write it in clear: pre-shared-key 0 KEY"


class Unreadable(LocalError):
    """A sealed key that cannot be read here: why, and what to do."""


class Opener(Protocol):
    """Who makes a key of what stands after `6`."""

    def open(self, token: str) -> Secret:
        """The key of a token; Unreadable where it cannot be had."""

    def salt(self, text: bytes) -> bytes | None:
        """32 octets to hash a password with; None without a key file."""


class Sealer:
    """A router's key file at work. `key` has 64 octets."""

    __slots__ = ("_key", "name")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_OCTETS:
            raise LocalError(f"a key for sealing: had {len(key)} octets, wanted {KEY_OCTETS}")
        self._key = key
        self.name = name_of(key)

    def __repr__(self) -> str:
        return f"<sealer {self.name}>"

    def seal(self, secret: Secret) -> str:
        """The token of a key: the same one each time, so that two running-configs may be compared."""
        octets = base64.urlsafe_b64encode(seal(self._key, secret.octets, _PURPOSE))
        return f"ikescope.1.{self.name}.{octets.decode().rstrip('=')}"

    def open(self, token: str) -> Secret:
        """The key of a token; Unreadable where it is another router's, IOS's own or was changed."""
        name, octets = _parts(token)
        if name != self.name:
            raise Unreadable(
                f"this key is sealed under the key file {name}, this router's is {self.name}; run with that file"
                f" (--key-file) or {IN_CLEAR}"
            )
        found = unseal(self._key, octets, _PURPOSE)
        if found is None:
            raise Unreadable(f"this sealed key (6) was changed since it was written; copy it again or {IN_CLEAR}")
        return Secret(found)

    def salt(self, text: bytes) -> bytes:
        """32 octets to hash a password with: the same each time, so that a file loaded twice is the same."""
        return salt_for(self._key, text)


class Closed:
    """Without a key file: sealed keys cannot be read."""

    def open(self, token: str) -> Secret:
        """Unreadable, always."""
        name, _ = _parts(token)
        raise Unreadable(
            f"this key is sealed under the key file {name} of the router that wrote it, which is not here: run with"
            f" that file (--key-file FILE) or {IN_CLEAR}"
        )

    def salt(self, text: bytes) -> None:
        """None: a password stays in clear in memory, and is not printed."""


class Unused(Sealer):
    """A key that was made just now: nothing is sealed under it yet."""

    __slots__ = ()

    def open(self, token: str) -> Secret:
        """Unreadable, always."""
        return Closed().open(token)


class Unopened:
    """For who only looks at a configuration: each sealed key is taken for some key; `names` are their key files."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def open(self, token: str) -> Secret:
        """A key that stands for the sealed one; Unreadable where the token is none of ours."""
        self.names.append(_parts(token)[0])
        return Secret(token.encode())

    def salt(self, text: bytes) -> None:
        """None: nobody logs in here."""


class SealedKey(Secret):
    """A key that prints as its token."""

    __slots__ = ()


def sealed_text(key: SealedKey) -> str:
    """`6 TOKEN`."""
    return f"6 {key.octets.decode()}"


def is_ours(token: str) -> bool:
    """Whether a word is a token of ikescope's, whichever key sealed it."""
    return _TOKEN.fullmatch(token) is not None


def _parts(token: str) -> tuple[str, bytes]:
    found = _TOKEN.fullmatch(token)
    if found is not None:
        text = found[2] + "=" * (-len(found[2]) % 4)
        try:
            octets = base64.b64decode(text, b"-_", validate=True)
        except binascii.Error:
            octets = b""
        if len(octets) > TAG_OCTETS:
            return found[1], octets
        raise Unreadable(f"this sealed key (6) was cut short; copy it again or {IN_CLEAR}")
    if _OF_IOS.fullmatch(token):
        raise Unreadable(
            "this key is encrypted by IOS (type 6) under that router's `key config-key password-encrypt`, which"
            f" ikescope does not read; {IN_CLEAR}"
        )
    raise Unreadable(
        f"this is no sealed key (6): wanted ikescope.1.NAME.OCTETS as show running-config prints it, or {IN_CLEAR}"
    )
