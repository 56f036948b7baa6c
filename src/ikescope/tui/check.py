"""`ikescope check`: what a configuration would do here, before it does."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from ikescope.config.model import RouterConfig
from ikescope.daemon.load import finding_line, findings, has_errors, not_acted_on, read_text
from ikescope.daemon.sealkey import beside, existing
from ikescope.ios.configuration_reader import Survey, survey
from ikescope.ios.sealing import Unopened
from ikescope.policy.pairs import pair_findings


def main(args: argparse.Namespace) -> int:
    """Print the findings of each file, then those about two of them together; 1 if one is an error, 0 otherwise."""
    checked = [_check(name, args) for name in args.files]
    status = max(status for status, _ in checked)
    configs = [config for _, config in checked if config is not None]
    for left, right in combinations(configs, 2):
        for one in pair_findings(left, right):
            status = max(status, 1 if one.finding.severity == "error" else 0)
            print(finding_line((left, right)[one.at].source, one.finding))
    return status


def _check(name: str, args: argparse.Namespace) -> tuple[int, RouterConfig | None]:
    text, looks = read_text(name), Unopened()
    place = beside(name) if args.key_file is None else Path(args.key_file)
    found = survey(text, name, args.ios_defaults, args.lab_timers, existing(place) or looks)
    config = found.config
    for problem in found.problems:
        print(_as_error(problem))
    if args.ios:
        for line in _not_of_ios(name, found):
            print(line)
    if args.ios or config is None:
        print(_counted(name, found))
    if config is None:
        return 1, None
    for line in (*findings(config), *_not_opened(name, looks), *not_acted_on(config, verbose=args.verbose)):
        print(line)
    tunnels = ", ".join(config.tunnels) or "none"
    verdict = "errors" if has_errors(config) else "no errors"
    print(f"{config.source}: {config.hostname}: {verdict}; tunnels: {tunnels}")
    return 1 if has_errors(config) else 0, config


def _not_of_ios(name: str, found: Survey) -> Iterator[str]:
    """A line for each that an IOS router would not read."""
    for one in found.ours:
        yield f"{name}:{one.line}: ikescope's own: {one.text} (IOS has no `{one.word}`)"


def _counted(name: str, found: Survey) -> str:
    near = sum(entry.near for entry in found.ignored)
    return (
        f"{name}: {found.acted} lines act, {len(found.ours)} of them unknown to IOS; {len(found.problems)} refused; "
        f"{near} of crypto and tunnels without effect; {len(found.ignored) - near} of other parts of a router"
    )


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
