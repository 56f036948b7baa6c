"""The startup configuration on disk: read, written all or not at all, what it was before kept beside it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Protocol

from ikescope.errors import LocalError
from ikescope.ios.archive import STARTUP_OCTETS
from ikescope.ios.sealing import Sealer

PREVIOUS = ".previous"
_NEW = ".new"


class StartupFile:
    """`path` on disk, for who may read and write there: the router itself, or the keeper of files for it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()  # what a link points to is written, the link stays
        self._new = self.path.with_name(self.path.name + _NEW)

    def read(self) -> int:
        """A descriptor of the file as it is now; OSError where it is not there."""
        return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)

    def begin(self) -> int:
        """A descriptor to write what is to become the file; what a run left behind that was cut off is taken away."""
        with contextlib.suppress(FileNotFoundError):
            self._new.unlink()
        return _made(self._new, _mode(self.path))

    def finish(self) -> None:
        """What was written is the file from now on, on the disk too; the file that was is `.previous`."""
        _sync(self._new)
        with contextlib.suppress(FileNotFoundError):
            self._keep_previous()
        self._new.replace(self.path)
        _sync(self.path.parent)

    def _keep_previous(self) -> None:
        before = self.path.with_name(self.path.name + PREVIOUS)
        half = before.with_name(before.name + _NEW)
        octets = self.path.read_bytes()
        with contextlib.suppress(FileNotFoundError):
            half.unlink()
        with os.fdopen(_made(half, _mode(self.path)), "wb") as file:
            file.write(octets)
        _sync(half)
        half.replace(before)


def _made(path: Path, mode: int) -> int:
    """A new file that is nobody else's; a link or a file that somebody put there is refused (OSError)."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.fchmod(fd, mode)
    return fd


def _mode(path: Path) -> int:
    """The rights of a file, those of others than its owner never to write; 0600 for one that is not there."""
    try:
        return path.stat().st_mode & 0o744
    except FileNotFoundError:
        return 0o600


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Kept(Protocol):
    """Who reads and writes the startup configuration."""

    def read(self) -> int:
        """A descriptor of it; OSError."""

    def begin(self) -> int:
        """A descriptor of what is to take its place; OSError."""

    def finish(self) -> None:
        """Put that in its place; OSError."""


class DiskArchive:
    """What the router keeps over a restart (ios.archive.Archive): the file it was started with.

    Reading and writing it is a StartupFile's work, or that of the keeper who has one and may.
    """

    def __init__(self, name: str, sealer: Sealer | None, file: Kept | None) -> None:
        self.name, self.sealer = name, sealer
        self._file: Kept | None = file

    def by(self, keeper: Kept) -> None:
        """Let another process do it from now on, where there is a file."""
        self._file = self._file and keeper

    def startup(self) -> str:
        """The text of the file; LocalError where it is not to be had."""
        try:
            with os.fdopen(self._kept().read(), "rb") as file:
                octets = file.read(STARTUP_OCTETS + 1)
        except OSError as error:
            raise LocalError(f"startup-config is not present ({self.name}: {error.strerror})") from error
        if len(octets) > STARTUP_OCTETS:
            raise LocalError(f"startup-config: {self.name} had more than {STARTUP_OCTETS} octets")
        return octets.decode("utf-8", errors="replace")

    def save(self, text: str) -> None:
        """Make a text the file; LocalError where that cannot be: the file is as it was."""
        kept = self._kept()
        try:
            with os.fdopen(kept.begin(), "wb") as file:
                file.write(text.encode())
            kept.finish()
        except OSError as error:
            raise LocalError(f"{self.name}: {error.strerror}") from error

    def _kept(self) -> Kept:
        if self._file is None:
            raise LocalError("startup-config is not present (the router was not started with a file)")
        return self._file
