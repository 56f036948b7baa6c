"""A configuration file from disk, and what a check of it says, in lines for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from ikescope.config.model import Finding, RouterConfig
from ikescope.errors import LocalError
from ikescope.ios.configuration import ConfigurationError, load
from ikescope.ios.sealing import Opener

STANDARD_INPUT = "-"
_OCTETS = 16 << 20


class Rejected(LocalError):
    """The file was read and the answer is no: `lines` say why, one for each error."""

    exit_status = 1

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__(lines[0])
        self.lines = lines


def read_text(name: str) -> str:
    """The text of a file, or of standard input for `-`; LocalError where it cannot be read."""
    try:
        if name == STANDARD_INPUT:
            raw = sys.stdin.buffer.read(_OCTETS + 1)
        else:
            with Path(name).open("rb") as file:
                raw = file.read(_OCTETS + 1)
    except OSError as error:
        raise LocalError(f"{name}: {error.strerror}") from error
    if len(raw) > _OCTETS:
        raise LocalError(f"{name}: had more than {_OCTETS} octets, wanted a router's configuration")
    if b"\0" in raw:
        raise LocalError(f"{name} is not a text")
    return raw.decode("utf-8", errors="replace")


def read_configuration(
    name: str, *, generation: str | None = None, lab_timers: bool = False, opener: Opener | None = None
) -> RouterConfig:
    """The router of a file; Rejected where a line of it cannot act, LocalError where there is no reading it."""
    text = read_text(name)
    try:
        return load(text, name=name, generation=generation, lab_timers=lab_timers, opener=opener)
    except ConfigurationError as error:
        raise Rejected(error.problems) from error


def findings(config: RouterConfig) -> Iterator[str]:
    """A line for each finding: file, line, severity, text and what to write instead."""
    return (finding_line(config.source, finding) for finding in config.findings)


def finding_line(name: str, finding: Finding) -> str:
    """One finding about the file `name`."""
    place = f"{name}:{finding.line}" if finding.line else name
    text = " ".join(finding.text.split())
    remedy = f" (write: {' '.join(finding.remedy.split())})" if finding.remedy else ""
    return f"{place}: {finding.severity}: {text}{remedy}"


def not_acted_on(config: RouterConfig, *, verbose: bool = False) -> Iterator[str]:
    """Lines about crypto and tunnels without effect here by name, the others as a number (all by name if `verbose`)."""
    far = [ignored for ignored in config.ignored if not ignored.near]
    for ignored in config.ignored:
        if ignored.near or verbose:
            why = f" ({ignored.reason})" if ignored.reason else ""
            yield f"{config.source}:{ignored.line}: not acted on: {ignored.text.strip()}{why}"
    if far and not verbose:
        yield (
            f"{config.source}: {len(far)} line{'' if len(far) == 1 else 's'} not acted on"
            f" (`ikescope check --verbose {config.source}` lists them)"
        )


def has_errors(config: RouterConfig) -> bool:
    """Whether something configured cannot work."""
    return any(finding.severity == "error" for finding in config.findings)
