"""`ikescope check`: what a configuration would do here, before it does."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from ikescope.daemon.load import Rejected, findings, has_errors, not_acted_on, read_configuration
from ikescope.daemon.sealkey import beside, existing
from ikescope.ios.sealing import Unopened


def main(args: argparse.Namespace) -> int:
    """Print the findings of each file; 1 if one of them is an error, 0 otherwise."""
    return max(_check(name, args) for name in args.files)


def _check(name: str, args: argparse.Namespace) -> int:
    place = beside(name) if args.key_file is None else Path(args.key_file)
    looks = Unopened()
    opener = existing(place) or looks
    try:
        config = read_configuration(name, generation=args.ios_defaults, lab_timers=args.lab_timers, opener=opener)
    except Rejected as error:
        for line in error.lines:
            print(_as_error(line))
        return error.exit_status
    lines = [*findings(config), *_not_opened(config.source, looks), *not_acted_on(config, verbose=args.verbose)]
    for line in lines:
        print(line)
    tunnels = ", ".join(config.tunnels) or "none"
    verdict = "errors" if has_errors(config) else "no errors"
    print(f"{config.source}: {config.hostname}: {verdict}; tunnels: {tunnels}")
    return 1 if has_errors(config) else 0


def _not_opened(name: str, looks: Unopened) -> Iterator[str]:
    """One line for the sealed keys that were taken as they are."""
    count, whose = len(looks.names), ", ".join(dict.fromkeys(looks.names))
    if count:
        keys = "1 key is" if count == 1 else f"{count} keys are"
        yield f"{name}: note: {keys} sealed under the key file {whose}, which is not here (--key-file FILE opens them)"


def _as_error(line: str) -> str:
    """`FILE:LINE: text` with the severity of the other findings."""
    place, space, text = line.partition(": ")
    return f"{place}: error: {text}" if space else line
