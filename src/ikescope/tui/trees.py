"""`ikescope read CAPTURE --as trees`: its messages as trees, each written as it is read.

One process: what a second one hands over would cost as much as it saves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ikescope.capture.octets import Octets, Readable
from ikescope.capture.opened import messages
from ikescope.capture.reader import is_capture, packets
from ikescope.errors import LocalError
from ikescope.views.trees import Trees

if TYPE_CHECKING:
    from ikescope.capture.conversation import Reading


def lines(stream: Readable, name: str, reading: Reading) -> Iterator[bytes] | None:
    """The messages of a capture, a JSON object a line with its line feed; None where it is no capture.

    LocalError where it holds no message; what stops it on the way is noted.
    """
    octets = Octets(stream, reading.note)
    if not is_capture(octets.head(4)):
        return None
    return _some(_told(octets, name, reading), name)


def _some(told: Iterator[bytes], name: str) -> Iterator[bytes]:
    line = next(told, None)
    if line is None:
        raise LocalError(f"{name}: a capture without an IKE message")
    yield line
    yield from told


def _told(octets: Octets, name: str, reading: Reading) -> Iterator[bytes]:
    trees = Trees()

    def noted(what: str) -> None:
        reading.note(f"{name}: {what}")

    try:
        for seen in messages(packets(octets, noted), replace(reading, name=name, note=noted)):
            yield trees.of_capture(seen, name) + b"\n"
    except LocalError as error:
        noted(f"{error}; what stands before it is shown")
