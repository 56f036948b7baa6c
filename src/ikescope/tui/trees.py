"""`ikescope read CAPTURE --as trees`: its messages as trees, by two processes where there are processors for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ikescope.capture.octets import Octets
from ikescope.capture.opened import messages
from ikescope.capture.reader import is_capture, packets
from ikescope.errors import LocalError
from ikescope.tui import ahead, halves
from ikescope.tui.stream import size_of
from ikescope.views.trees import Trees

if TYPE_CHECKING:
    from ikescope.capture.conversation import Reading


def lines(stream: BinaryIO, name: str, reading: Reading) -> Iterator[bytes] | None:
    """The messages of a capture, a JSON object a line with its line feed; None where it is no capture.

    LocalError where it holds no message; what stops it on the way is noted.
    """
    octets = Octets(stream, reading.note)
    if not is_capture(octets.head(4)):
        return None
    path = Path(name)
    if size_of(stream) >= halves.LARGE and ahead.can_fork() and path.is_file():
        return _both(path, name, reading)
    return _some((line for _, line in _told(octets, name, reading, None, reading.note)), name)


def _both(path: Path, name: str, reading: Reading) -> Iterator[bytes]:
    def work(mine: Callable[[str, str], bool], note: Callable[[str], None]) -> Iterator[halves.Told]:
        with path.open("rb") as stream:
            yield from _told(Octets(stream, note), name, reading, mine, note)

    return _some(halves.together(work, reading.note), name)


def _some(told: Iterator[bytes], name: str) -> Iterator[bytes]:
    line = next(told, None)
    if line is None:
        raise LocalError(f"{name}: a capture without an IKE message")
    yield line
    yield from told


def _told(
    octets: Octets,
    name: str,
    reading: Reading,
    mine: Callable[[str, str], bool] | None,
    note: Callable[[str], None],
) -> Iterator[halves.Told]:
    from msgspec.structs import replace

    trees = Trees()

    def noted(what: str) -> None:
        note(f"{name}: {what}")

    own = replace(reading, name=name, note=noted)
    try:
        for seen in messages(packets(octets, noted), own, mine):
            yield seen.packet, trees.of_capture(seen, name) + b"\n"
    except LocalError as error:
        noted(f"{error}; what stands before it is shown")
