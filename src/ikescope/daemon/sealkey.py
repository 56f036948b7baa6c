"""The router's key file: what seals the keys in its running and startup configuration (docs/security.md)."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from pathlib import Path

from ikescope.crypto.sealing import KEY_OCTETS
from ikescope.daemon.paths import write_once
from ikescope.errors import LocalError
from ikescope.ios.sealing import Opener, Sealer, Unused

SUFFIX = ".key"
_HEAD = b"ikescope-key-1 "
_OCTETS = 4096


def beside(configuration: str | Path) -> Path:
    """Where the key file of a configuration lies unless another place is named: beside it."""
    return Path(f"{Path(configuration).resolve()}{SUFFIX}")


def existing(path: Path) -> Sealer | None:
    """What a key file seals with, None where there is none. LocalError where it cannot be read or others can."""
    try:
        return Sealer(_read(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LocalError(f"key file {path}: {error.strerror}") from error


class KeyFile:
    """The key file of a router that starts: `named` by its operator, or beside its `startup` file.

    `opener` is for reading that file; `keep` makes a key file that is not there yet, once the router may start.
    """

    def __init__(self, named: str | None, startup: str | None) -> None:
        self._named = named is not None
        place = named or startup
        self._path = None if place is None else Path(place) if named is not None else beside(place)
        self._sealer = None if self._path is None else existing(self._path)
        self._key = b"" if self._path is None or self._sealer is not None else os.urandom(KEY_OCTETS)

    @property
    def opener(self) -> Opener | None:
        """Who reads the sealed keys of the startup file."""
        return Unused(self._key) if self._key else self._sealer

    def keep(self, say: Callable[[list[str]], None]) -> Sealer | None:
        """What seals from now on. Where no key file can be made, LocalError for one that was named, or `say` it."""
        if not self._key:
            return self._sealer
        assert self._path is not None
        try:
            write_once(self._path, _HEAD + base64.b64encode(self._key) + b"\n")
        except OSError as error:
            why = f"key file {self._path}: {error.strerror}"
            if self._named:
                raise LocalError(why) from error
            say([f"{why}; keys are shown as <removed> and `write memory` keeps nothing (--key-file names another)"])
            return None
        return Sealer(self._key)


def _read(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        mode = os.fstat(fd).st_mode & 0o777
        text = file.read(_OCTETS)
    if mode & 0o077:
        raise LocalError(f"key file {path}: had mode {mode:04o}, wanted 0600: chmod 600 {path}")
    try:
        key = base64.b64decode(text.removeprefix(_HEAD).strip(), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(_HEAD) or len(key) != KEY_OCTETS:
        raise LocalError(f"key file {path}: wanted one line, ikescope-key-1 and {KEY_OCTETS} octets in base64")
    return key
