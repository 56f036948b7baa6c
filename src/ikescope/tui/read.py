"""`ikescope read`: a recording or a debug text becomes the same verdict and ladder as a live session."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ikescope.capture.octets import Readable
from ikescope.errors import LocalError
from ikescope.tui.pasted import Long, pasted
from ikescope.tui.stream import VIEWS, is_large, progress, show

if TYPE_CHECKING:
    from ikescope.capture.conversation import Reading
    from ikescope.events import Record

_PASTED = "pasted text"
_DEFAULT = ("verdict", "ladder")
_LADDER = 1 << 27
"""Octets of a capture up to which its ladder is held as a whole."""


class NotUnderstood(LocalError):
    """`--strict`: a line of a debug text that no event stands for."""

    exit_status = 1


def main(args: argparse.Namespace) -> int:
    """Read every file into one stream of records and print the view: without `--as`, the verdict, then the ladder.

    The exit status is 1 where an error finding stands.
    """
    from ikescope.tui import keys

    reading = keys.reading(args)
    names = args.files or [None]
    if args.inner is not None and (args.as_ != "pcapng" or len(names) != 1):
        raise LocalError("--inner: wanted one capture and --as pcapng")
    if args.inner is not None and args.anonymise:
        raise LocalError("--inner shows packets as they are: not with --anonymise")
    sources: list[list[Record]] = []
    for name in names:
        known = name if name not in (None, "-") else _PASTED
        if args.strict:
            with _opened(name, again=True) as stream:
                _insist(stream, known)
        alone = len(names) == 1 and not args.anonymise
        if args.as_ == "pcapng" and alone and _again(_octets(name), known, args):
            return 0
        if args.as_ == "trees" and alone and _dissected(name, known, reading, args):
            return 0
        if args.as_ == "ladder" and alone and name is not None and (wrong := _drawn(name, reading, args)) is not None:
            return 1 if wrong else 0
        from ikescope.capture import source

        with _opened(name) as stream, progress(stream, known) as read_from:
            if alone and args.as_ in VIEWS and is_large(stream):
                return _streamed(read_from, known, reading, args)
            sources.append(source.read(read_from, known, reading))
    return _shown(sources, args)


def _shown(sources: list[list[Record]], args: argparse.Namespace) -> int:
    """Print the view of what was read."""
    from ikescope.views import read

    records = read.join(sources)
    if args.anonymise:
        from ikescope.views.anonymise import anonymised

        records = anonymised(records)
    if args.as_ == "pcapng":
        from ikescope.capture.convert import from_records

        _write(from_records(records), args.output)
        return 0
    views = [args.as_] if args.as_ else _DEFAULT
    lines: list[str] = []
    for number, view in enumerate(views):
        lines += ["", *read.render(records, view)] if number else read.render(records, view)
    _write(("\n".join(lines) + "\n").encode(), args.output)
    return 1 if read.is_wrong(records) else 0


def _again(data: bytes, name: str, args: argparse.Namespace) -> bool:
    """A capture as pcapng: every packet of it with a comment, what ESP holds where the keys are given."""
    from ikescope.capture import annotated, is_capture

    if not is_capture(data):
        if args.inner is not None:
            raise LocalError(f"{name}: --inner: wanted a capture (pcap or pcapng)")
        return False
    table = "" if args.inner is None else _octets(args.inner).decode(errors="replace")
    _write(annotated(data, esp_table=table), args.output)
    return True


def _dissected(name: str | None, known: str, reading: Reading, args: argparse.Namespace) -> bool:
    """A capture's messages as trees, with nothing told of them; False where it is none."""
    from ikescope.tui import trees

    with _opened(name) as stream:
        lines = trees.lines(stream, known, reading)
        if lines is not None:
            with _writing(args.output) as out:
                out.writelines(lines)
    return lines is not None


def _drawn(name: str, reading: Reading, args: argparse.Namespace) -> bool | None:
    """The ladder of a large capture, conversation by conversation; whether an error finding stands, None if it is none.

    One so large that its ladder is drawn in parts is left to that.
    """
    from ikescope.tui import ladders

    path = Path(name)
    if not path.is_file() or path.stat().st_size >= _LADDER:
        return None
    found = ladders.lines(path, name, reading)
    if found is None:
        return None
    _write(found[0], args.output)
    return found[1]


def _streamed(stream: Readable, name: str, reading: Reading, args: argparse.Namespace) -> int:
    """A large file: its view is written as it is read."""
    with _writing(args.output) as out:
        wrong = show(stream, name, reading, args.as_, lambda line: _put(out, line))
    return 1 if wrong else 0


@contextmanager
def _writing(output: str | None) -> Iterator[BinaryIO]:
    """Where a view goes that is written as it is read."""
    try:
        with open(output, "wb") if output else nullcontext(sys.stdout.buffer) as out:
            yield out
    except BrokenPipeError:
        # Who reads it has seen enough.
        raise
    except OSError as error:
        raise LocalError(f"{output or 'standard output'}: {error.strerror}") from error


def _put(out: BinaryIO, line: str) -> None:
    out.write(f"{line}\n".encode())


_LISTED = 20
"""Lines that `--strict` lists."""


def _insist(stream: Readable, name: str) -> None:
    """Refuse a text with lines that are not understood, and list them; recordings and captures are strict anyhow."""
    from ikescope.capture.octets import Octets
    from ikescope.capture.reader import is_capture
    from ikescope.capture.text import told
    from ikescope.ios.debug_read import Foreign, Unknown

    octets = Octets(stream)
    head = octets.head(64)
    if is_capture(head) or head.lstrip()[:1] == b"{":
        return
    count, shown = 0, list[str]()
    for found in told(octets, None):
        if isinstance(found, Unknown) and not isinstance(found, Foreign):
            count += 1
            if count <= _LISTED:
                shown.append(f"{name}:{found.number}: not understood: {found.text.strip()}")
    if count > _LISTED:
        shown.append(f"{name}: {count - _LISTED} lines more")
    if shown:
        raise NotUnderstood("\n".join(shown))


def _octets(name: str | None) -> bytes:
    with _opened(name) as stream:
        return stream.read()


@contextmanager
def _opened(name: str | None, *, again: bool = False) -> Iterator[BinaryIO | Long]:
    """A file, or standard input; `again`: it is wanted once more after this."""
    try:
        if name is None or name == "-":
            if name is None and sys.stdin.isatty():
                print("Paste, then Ctrl-D:", file=sys.stderr, flush=True)
            yield io.BytesIO(pasted().all()) if again else pasted().stream()
            return
        if Path(name).is_fifo():
            yield io.BytesIO(pasted(name).all()) if again else pasted(name).stream()
            return
        with Path(name).open("rb") as stream:
            yield stream
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LocalError(f"{name}: {error.strerror}") from error


def _write(octets: bytes, output: str | None) -> None:
    if output is None:
        sys.stdout.buffer.write(octets)
        return
    try:
        Path(output).write_bytes(octets)
    except OSError as error:
        raise LocalError(f"{output}: {error.strerror}") from error
