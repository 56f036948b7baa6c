"""`ikescope watch`: the ladder of a running router, live, or of a recording, in the terminal."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from importlib.util import find_spec
from pathlib import Path

from ikescope.errors import LocalError
from ikescope.events import Record
from ikescope.tui.watch_source import Live, Recorded, Source

INSTALL = "pip install textual (in a checkout: pip install '.[tui]')"
_DUMB = ("", "dumb", "unknown")


def main(args: argparse.Namespace) -> int:
    """Show until the reader leaves; LocalError without a router, a terminal or the extra."""
    name: str | None = args.router
    source, title = _source(name)
    _insist_on_a_terminal()
    if find_spec("textual") is None:
        raise LocalError(f"watch needs Textual, which is not installed: {INSTALL}")
    from ikescope.tui.watch_app import WatchApp

    WatchApp(source, title).run()
    return 0


def _source(name: str | None) -> tuple[Source, str]:
    """A recording where the name is a file that is no socket, else a running router; what to call it."""
    if name is not None and Path(name).exists() and not stat.S_ISSOCK(Path(name).stat().st_mode):
        return Recorded(_records(Path(name))), Path(name).name
    from ikescope.daemon.client import find

    path = find(name)
    return Live(lambda: path if path.is_socket() else find(name)), path.stem


def _records(path: Path) -> list[Record]:
    from ikescope.views import read

    try:
        data = path.read_bytes()
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}") from error
    return read.read(data, str(path))


def _insist_on_a_terminal() -> None:
    instead = "for text: ikescope read --as ladder FILE, or ikescope console ROUTER"
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise LocalError(f"watch needs a terminal, and this is none; {instead}")
    if os.name == "posix" and os.environ.get("TERM", "") in _DUMB:
        raise LocalError(
            f"watch needs a terminal that moves its cursor, had TERM={os.environ.get('TERM', '')}; {instead}"
        )
