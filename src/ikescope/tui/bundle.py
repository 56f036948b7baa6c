"""`ikescope bundle`: recording, configuration and versions in one file that can be posted with a bug report."""

from __future__ import annotations

import argparse
import importlib.metadata
import io
import json
import os
import platform
import tarfile
import time
from pathlib import Path

from ikescope import __version__
from ikescope.daemon.client import Client, find
from ikescope.daemon.feed import Feed
from ikescope.daemon.load import read_text
from ikescope.errors import LocalError
from ikescope.events import Record, encode
from ikescope.ios.configuration import ConfigurationError, load
from ikescope.ios.running import running_config, shown_line
from ikescope.ios.sealing import Unopened
from ikescope.views import read
from ikescope.views.anonymise import Anonymiser, configuration

DIRECTORY = "ikescope-bundle"
PACKAGES = ("cryptography", "msgspec", "rich", "numpy", "pyroute2", "textual", "starlette", "uvicorn")
_ABOUT = """\
An ikescope bundle: a session that can be posted.

  recording.jsonl    every event (ikescope read recording.jsonl)
  summary.txt        the verdict and the ladder
  configuration.cfg  the router's configuration, where it was to be had
  versions.json      what ran where

Names, addresses, identities and SPIs were replaced, the same by the same in all of these files; keys were never there.
Times, sizes, algorithms, interface names and vendor IDs are as they were. Look it through before you post it.
"""
_HEAD_LINES = 3
"""Lines of `show running-config` before the configuration."""


def main(args: argparse.Namespace) -> int:
    """Write the bundle and say what is in it."""
    records, lines = _sources(args)
    files = bundle(records, lines)
    _write(Path(args.output), files)
    sizes = ", ".join(f"{name} ({len(octets)} octets)" for name, octets in files.items())
    print(f"{args.output}: {sizes}")
    print("Names, addresses, identities and SPIs were replaced; look it through before you post it.")
    return 0


def _sources(args: argparse.Namespace) -> tuple[list[Record], list[str]]:
    """The records and the configuration's lines of a running router, or of files."""
    if args.what is not None and Path(args.what).is_file():
        try:
            data = Path(args.what).read_bytes()
        except OSError as error:
            raise LocalError(f"{args.what}: {error.strerror}") from error
        lines = [] if args.configuration is None else _loaded(args.configuration)
        return read.read(data, args.what), lines
    if args.configuration is not None:
        raise LocalError("--configuration: only with a FILE; a running router tells its own")
    path = find(args.what)
    with Client(path) as client:
        lines = [shown_line(line, None) for line in client.command("show running-config")["output"][_HEAD_LINES:]]
    return Feed(path).held(), lines


def _loaded(name: str) -> list[str]:
    """A configuration file as ikescope understands it; one that it does not accept, as it stands."""
    text = read_text(name)
    try:
        return running_config(load(text, name=name, lab_timers=True, opener=Unopened()))[_HEAD_LINES:]
    except ConfigurationError:
        return text.splitlines()


def bundle(records: list[Record], lines: list[str]) -> dict[str, bytes]:
    """The files of a bundle by their names, everything in them replaced by one anonymiser."""
    known = Anonymiser()
    for record in records:
        known.meet(record)
    for line in lines:
        known.meet_line(line)
    known.settle()
    new = [known.record(record) for record in records]
    summary = [*read.render(new, "verdict"), "", *read.render(new, "ladder")]
    files = {
        "README.txt": _ABOUT.encode(),
        "recording.jsonl": b"".join(encode(record) + b"\n" for record in new),
        "summary.txt": ("\n".join(summary) + "\n").encode(),
        "versions.json": json.dumps(versions(), indent=1).encode() + b"\n",
    }
    if lines:
        files["configuration.cfg"] = ("\n".join(configuration(known, lines)) + "\n").encode()
    return files


def versions() -> dict[str, str]:
    """What runs here: ikescope, Python, the system, the packages that are installed."""
    found = {
        "ikescope": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
    }
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _write(path: Path, files: dict[str, bytes]) -> None:
    """A gzipped tar file, its owner nobody, readable by its owner alone."""
    now = int(time.time())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, octets in files.items():
                entry = tarfile.TarInfo(f"{DIRECTORY}/{name}")
                entry.size, entry.mtime, entry.mode = len(octets), now, 0o644
                archive.addfile(entry, io.BytesIO(octets))
    except OSError as error:
        raise LocalError(f"--output {path}: {error.strerror}") from error
