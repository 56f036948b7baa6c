"""What a running router says where it was started: its syslog lines, never more than somebody can read."""

from __future__ import annotations

import sys

from ikescope.config.model import DEBUGGING
from ikescope.events import Record
from ikescope.events.router import RouterStarted, RouterStopped
from ikescope.ios import syslog

LINES, SECONDS = 40, 10.0
"""At most so many lines in so many seconds; what is more is counted."""

SAID_OTHERWISE = (RouterStarted, RouterStopped)
"""The ready line and the end of the process say these."""


class Console:
    """Writes a record's syslog lines to standard error."""

    def __init__(self) -> None:
        self._since, self._written, self._withheld = 0.0, 0, 0

    def add(self, record: Record, severity: int | None = DEBUGGING) -> None:
        """Say what a record is worth saying, up to a severity (None: nothing)."""
        lines = [] if isinstance(record.event, SAID_OTHERWISE) else syslog.up_to(severity, syslog.lines(record))
        if not lines:
            return
        now = record.stamp.mono
        if now - self._since >= SECONDS:
            if self._withheld:
                self._write(f"%SYS-4-IKESCOPE_QUIET: {self._withheld} messages were not shown (show logging)")
            self._since, self._written, self._withheld = now, 0, 0
        for line in lines:
            if self._written < LINES:
                self._written += 1
                self._write(line)
            else:
                self._withheld += 1

    def _write(self, line: str) -> None:
        try:
            print(line, file=sys.stderr, flush=True)
        except OSError:
            self._withheld += 1
