"""The files of a tour: walkthrough, debug texts, recording, capture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ikescope.capture import comment, pcapng
from ikescope.capture.convert import comments
from ikescope.daemon.keyfile import ESP_TABLE, IKE_TABLE
from ikescope.demo.stage import ROUTERS, Frame
from ikescope.errors import LocalError
from ikescope.events import Record, encode
from ikescope.ios.debug import Renderer, transcript
from ikescope.views.walkthrough import Document, html, markdown

KEYS = "keys"


def prepare(directory: Path, *, keys: bool) -> Path | None:
    """Make the directory, remove the keys of an earlier tour; where keys go, if they are wanted."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".ikescope"
        probe.touch()
        probe.unlink()
        for name in (IKE_TABLE, ESP_TABLE):
            (directory / KEYS / name).unlink(missing_ok=True)
    except OSError as error:
        raise LocalError(f"--output {directory}: {error.strerror}") from error
    return directory / KEYS if keys else None


def debug_text(records: Sequence[Record], router: str) -> str:
    """The whole debug of one router, with time stamps."""
    mine = [record for record in records if record.stamp.router == router]
    return "\n".join(transcript(Renderer(stamps=True), mine)) + "\n"


def capture(frames: Sequence[Frame], name: str, records: Sequence[Record] = ()) -> bytes:
    """A pcapng file of what passed between the routers; each packet's comment says what it is."""
    told = comments(records)
    link = frames[0].link if frames else pcapng.LINK_RAW
    blocks = [pcapng.section(), pcapng.interface(name, link, description="between R1 and R2")]
    blocks += [
        pcapng.packet(0, frame.nanoseconds, frame.octets, comment=comment(frame.link, frame.octets, told))
        for frame in frames
    ]
    return b"".join(blocks)


def contents(document: Document, records: Sequence[Record], frames: Sequence[Frame], device: str) -> dict[str, bytes]:
    """Every file by its name."""
    ordered = sorted(records, key=lambda record: record.stamp.wall)
    return {
        "walkthrough.md": markdown(document).encode(),
        "walkthrough.html": html(document).encode(),
        **{f"{name}-debug.txt": debug_text(records, name).encode() for name in ROUTERS},
        "recording.jsonl": b"".join(encode(record) + b"\n" for record in ordered),
        "capture.pcapng": capture(frames, device, records),
    }


ABOUT = {
    "walkthrough.md": "this tour, to read again",
    "walkthrough.html": "the same in a browser, with every message decoded",
    "R1-debug.txt": "R1's whole debug crypto ikev2, with time stamps",
    "R2-debug.txt": "R2's",
    "recording.jsonl": "every event of both routers (ikescope read)",
    "capture.pcapng": "the packets between them (Wireshark)",
    f"{KEYS}/{IKE_TABLE}": "opens the IKE messages of the capture",
    f"{KEYS}/{ESP_TABLE}": "opens the ESP packets of the capture",
}


def write(directory: Path, files: dict[str, bytes]) -> None:
    """Write them all; LocalError where the disk does not take one."""
    for name, octets in files.items():
        try:
            (directory / name).write_bytes(octets)
        except OSError as error:
            raise LocalError(f"{directory / name}: {error.strerror}") from error


def listing(directory: Path) -> list[str]:
    """A line for each file that is there."""
    found = [(name, about) for name, about in ABOUT.items() if (directory / name).exists()]
    width = max((len(name) for name, _ in found), default=0)
    return [f"  {name.ljust(width)}  {about}" for name, about in found]
