"""`ikescope read`: a recording or a debug text becomes the same verdict and ladder as a live session."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ikescope.errors import LocalError

_PASTE = "Paste, then Ctrl-D:"


def main(args: argparse.Namespace) -> int:
    """Read every file into one stream of records and print the view."""
    from ikescope.views import read

    records = []
    for name in args.files or [None]:
        data = _octets(name)
        records += read.read(data, name or "pasted text")
    text = read.render(records, as_=args.as_)
    _write(text, args.output)
    return 0


def _octets(name: str | None) -> bytes:
    try:
        if name is None or name == "-":
            if name is None and sys.stdin.isatty():
                print(_PASTE, file=sys.stderr, flush=True)
            return sys.stdin.buffer.read()
        return Path(name).read_bytes()
    except OSError as error:
        raise LocalError(f"{name}: {error.strerror}") from error


def _write(text: str, output: str | None) -> None:
    whole = text if text.endswith("\n") else text + "\n"
    if output is None:
        sys.stdout.write(whole)
        return
    try:
        Path(output).write_text(whole, encoding="utf-8")
    except OSError as error:
        raise LocalError(f"{output}: {error.strerror}") from error
