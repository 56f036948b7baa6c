"""What a router keeps over a restart: the startup configuration, the one before it, and the key that seals secrets."""

from __future__ import annotations

from typing import Protocol

from ikescope.errors import LocalError
from ikescope.ios.sealing import Sealer

STARTUP_OCTETS = 16 << 20
"""As long as a startup configuration may be."""


class Archive(Protocol):
    """The startup configuration of a router, wherever it lies."""

    @property
    def sealer(self) -> Sealer | None:
        """What seals the keys that are shown and kept; None: they are shown as `<removed>` and nothing is kept."""

    @property
    def name(self) -> str:
        """What the operator calls the file of the startup configuration, such as R1.cfg."""

    def startup(self) -> str:
        """The text of the startup configuration; LocalError where there is none to be had."""

    def save(self, text: str) -> None:
        """Keep a text as the startup configuration, all of it or, with a LocalError, none."""


class MemoryArchive:
    """Of a router without a file, in memory: it begins without a startup configuration."""

    def __init__(self, sealer: Sealer | None = None, text: str = "") -> None:
        self.sealer, self.name = sealer, "memory"
        self._text = text

    def startup(self) -> str:
        """The text that was kept last; LocalError before that."""
        if not self._text:
            raise LocalError("startup-config is not present")
        return self._text

    def save(self, text: str) -> None:
        """Keep it until the process ends."""
        self._text = text
