"""`read --keys PATH... --psk FILE`: files with keys, for captures alone; nothing of them is ever printed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ikescope.errors import LocalError

if TYPE_CHECKING:
    from ikescope.capture.conversation import Reading

TABLES = ("ikev2_decryption_table", "esp_sa")


def reading(args: argparse.Namespace) -> Reading:
    """What captures are read with; a capture or recording among the paths of --keys is one more file to read."""
    from ikescope.capture.conversation import Reading
    from ikescope.capture.keyfiles import KeyRing, pre_shared_keys

    ring = KeyRing()
    for path in (one for given in args.keys for one in _files(Path(given))):
        data = _read(path)
        if _is_source(data):
            args.files.append(str(path))
        else:
            ring.add(data.decode("utf-8", errors="replace"), str(path))
    psks = () if args.psk is None else tuple(pre_shared_keys(_read(Path(args.psk)).decode(errors="replace"), args.psk))
    return Reading(ring=ring, psks=psks, note=_say)


def _files(path: Path) -> list[Path]:
    """A file, or those of a directory that `run --write-keys` or Wireshark keeps there."""
    if not path.is_dir():
        return [path]
    found = [path / name for name in TABLES if (path / name).is_file()]
    if not found:
        raise LocalError(f"{path}: no key table in it; wanted {' or '.join(TABLES)}")
    return [one for one in found if one.stat().st_size] or found


def _is_source(data: bytes) -> bool:
    from ikescope.capture.octets import GZIP
    from ikescope.capture.reader import is_capture

    return is_capture(data) or data[:2] == GZIP or data.startswith(b'{"schema":')


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}") from error


def _say(note: str) -> None:
    print(f"ikescope: {note}", file=sys.stderr)
