"""What a finding is: a cause with its evidence, the side that must change, and the lines to put there."""

from __future__ import annotations

from typing import Literal

import msgspec

from ikescope.events import UNSET, UnsetType

SCHEMA = "ikescope.finding/1"
Severity = Literal["error", "warning", "note"]
Side = Literal["local", "peer", "path", "unknown"]
Confidence = Literal["certain", "likely", "possible"]
Syntax = Literal["ios", "asa", "swanctl", "text"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The worst first."""
CONFIDENCES: tuple[Confidence, ...] = ("certain", "likely", "possible")


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record or message that shows it: its number and router, what it says, and file and line where it came from.

    `line` is the line of a text or the packet of a capture, from 1.
    """

    seq: int
    router: str
    text: str
    source: str | UnsetType = UNSET
    line: int | UnsetType = UNSET

    @property
    def place(self) -> str:
        """`r1.txt:120`, or `record 7 of R1` where no file is known."""
        if isinstance(self.source, str) and isinstance(self.line, int):
            return f"{self.source}:{self.line}"
        if isinstance(self.line, int):
            return f"line {self.line}"
        return f"record {self.seq} of {self.router}" if self.router else f"record {self.seq}"


class Remedy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to do on one side, of `router` where its name is known: configuration lines as they are typed, or (`text`)
    sentences. Remedies of one finding are alternatives where they are on different sides; `both`: all are needed.
    """

    side: Side
    syntax: Syntax
    lines: tuple[str, ...]
    router: str = ""
    both: bool = False


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is wrong, or worth knowing, between `router`, from whose side it is told, and `peer` (an address).

    `cause` is one sentence without a full stop at its end, `because` those that it rests on, `change`
    what to change, in one more. `instead` are the ids of
    causes that look the same from here. `count` says how often it was met.
    """

    id: str
    severity: Severity
    side: Side
    confidence: Confidence
    cause: str
    because: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    remedy: tuple[Remedy, ...] = ()
    change: str = ""
    router: str = ""
    peer: str = ""
    spi_i: str = ""
    section: str = ""
    title: str = ""
    instead: tuple[str, ...] = ()
    count: int = 1


def encode(finding: Finding) -> str:
    """A finding as one JSON object in one line: `schema`, `type` finding, and all its fields."""
    facts = {name: getattr(finding, name) for name in Finding.__struct_fields__}
    return msgspec.json.encode({"schema": SCHEMA, "type": "finding", **facts}).decode()
