"""A finding as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from ikescope.explain.findings.model import Finding, Remedy

_SIDES = {"local": "here", "peer": "at the peer", "path": "on the path", "unknown": "on either side"}


def tell(finding: Finding) -> list[str]:
    """Cause, what it rests on with file and line, and what to change on which side, with the exact lines."""
    return [*_head(finding), *(f"  {one}" for one in finding.because), *_evidence(finding), *_remedies(finding)]


def _head(finding: Finding) -> list[str]:
    times = f", {finding.count} times" if finding.count > 1 else ""
    return [f"{finding.severity}: {finding.id} ({finding.confidence}{times}): {finding.cause}."]


def _evidence(finding: Finding) -> list[str]:
    return [f"  Seen: {one.place}: {one.text}." for one in finding.evidence]


def _remedies(finding: Finding) -> Iterator[str]:
    for number, remedy in enumerate(finding.remedy):
        word = "Change" if number == 0 or remedy.both else "Or"
        if remedy.syntax == "text":
            yield from (f"  {word} {where(remedy)}: {line.rstrip('.')}." for line in remedy.lines)
        else:
            form = "swanctl.conf" if remedy.syntax == "swanctl" else "configuration"
            yield f"  {word} {where(remedy)}, {form}:"
            yield from (f"    {line}" for line in remedy.lines)


def where(remedy: Remedy) -> str:
    """The router to change: its name where it is known, otherwise its side."""
    return f"at {remedy.router}" if remedy.router else _SIDES[remedy.side]
