"""`ikescope check`: what a configuration would do here, before it does."""

from __future__ import annotations

import argparse

from ikescope.daemon.load import Rejected, findings, has_errors, not_acted_on, read_configuration


def main(args: argparse.Namespace) -> int:
    """Print the findings of each file; 1 if one of them is an error, 0 otherwise."""
    return max(_check(name, args) for name in args.files)


def _check(name: str, args: argparse.Namespace) -> int:
    try:
        config = read_configuration(name, generation=args.ios_defaults, lab_timers=args.lab_timers)
    except Rejected as error:
        for line in error.lines:
            print(_as_error(line))
        return error.exit_status
    lines = [*findings(config), *not_acted_on(config, verbose=args.verbose)]
    for line in lines:
        print(line)
    tunnels = ", ".join(config.tunnels) or "none"
    verdict = "errors" if has_errors(config) else "no errors"
    print(f"{config.source}: {config.hostname}: {verdict}; tunnels: {tunnels}")
    return 1 if has_errors(config) else 0


def _as_error(line: str) -> str:
    """`FILE:LINE: text` with the severity of the other findings."""
    place, space, text = line.partition(": ")
    return f"{place}: error: {text}" if space else line
