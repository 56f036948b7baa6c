"""`--record`: every record as a JSON line, in files of bounded size that are readable after a cut."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ikescope.daemon.paths import make_directory
from ikescope.errors import LocalError
from ikescope.events import Record, encode

PART_OCTETS = 64 << 20
PARTS = 8


class Recording:
    """One recording a start: `R1-20240131T120000.jsonl`, then `.2.jsonl` and so on; of all starts the latest `PARTS`.

    Each line is handed to the kernel as it is written: a killed router leaves all lines but, at the worst, half of the
    last; each full part is on the disk before the next begins. A full disk ends the recording, not the router; `ended`
    then says why.
    """

    def __init__(
        self, directory: Path, hostname: str, started: datetime, *, part_octets: int = PART_OCTETS, parts: int = PARTS
    ) -> None:
        make_directory(directory)
        self._stem = directory / f"{hostname}-{started:%Y%m%dT%H%M%S}"
        self._own = re.compile(re.escape(hostname) + r"-(\d{8}T\d{6})(?:\.(\d+))?\.jsonl")
        self._limit, self._keep = part_octets, parts
        self._part = 1
        self._octets = 0
        self.ended = ""
        self.opens: Callable[[int], int] = self.open_part
        try:
            self._fd = self.open_part(1)
        except OSError as error:
            raise LocalError(f"recording {self.path}: {error.strerror}") from error

    @property
    def path(self) -> Path:
        """The file that is written now."""
        return self._path(self._part)

    def _path(self, part: int) -> Path:
        return self._stem.with_name(f"{self._stem.name}{f'.{part}' if part > 1 else ''}.jsonl")

    def open_part(self, part: int) -> int:
        """The descriptor of a part, made now; the oldest are removed. `opens` is who is asked for the next one: this,
        or a process that may do so where the router itself no longer may.
        """
        fd = os.open(self._path(part), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._make_room()
        return fd

    def add(self, record: Record) -> None:
        """Write one record."""
        if self.ended:
            return
        line = encode(record) + b"\n"
        try:
            if self._octets and self._octets + len(line) > self._limit:
                self._rotate()
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            self.ended = f"{self.path}: {error.strerror}"
            return
        self._octets += len(line)

    def _rotate(self) -> None:
        os.fdatasync(self._fd)
        os.close(self._fd)
        self._part += 1
        self._octets = 0
        self._fd = self.opens(self._part)

    def _make_room(self) -> None:
        """Remove the oldest parts of this router, of earlier starts too."""
        found = []
        for path in self._stem.parent.iterdir():
            match = self._own.fullmatch(path.name)
            if match is not None:
                found.append((match[1], int(match[2] or 1), path))
        for *_, path in sorted(found)[: -self._keep]:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        if not self.ended:
            self.ended = "closed"
            os.close(self._fd)
