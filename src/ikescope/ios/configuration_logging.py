"""The rows of who is told what happens: `logging buffered`, `logging console` and `logging monitor`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from ikescope.config.model import DEBUGGING, RouterConfig
from ikescope.ios.configuration_bench import Bench
from ikescope.ios.grammar import Args, Row

SEVERITIES = (
    "emergencies",
    "alerts",
    "critical",
    "errors",
    "warnings",
    "notifications",
    "informational",
    "debugging",
)
"""By number, as RFC 5424 and IOS have them."""

_LEVEL = f"<severity:={'|'.join(SEVERITIES)}>|<number:0-7>"


def _set(place: str) -> Callable[[Bench, Args], None]:
    def run(bench: Bench, args: Args) -> None:
        level = SEVERITIES.index(args["severity"]) if "severity" in args else args.get("number", DEBUGGING)
        if "size" in args:
            bench.replies.append("% The buffer is the flight recorder, whose size stays as it is.")
        bench.set(logging=replace(bench.config.logging, **{place: None if args.no else level}))

    return run


def _shown(place: str) -> Callable[[RouterConfig], Iterable[str]]:
    def show(config: RouterConfig) -> Iterable[str]:
        level: int | None = getattr(config.logging, place)
        if level is None:
            return [f"no logging {place}"]
        return [f"logging {place} {SEVERITIES[level]}"] if level != DEBUGGING else []

    return show


#: A number up to 7 is a severity, one from 4096 on a size.
GLOBAL_ROWS = (
    Row(
        "global",
        f"logging buffered [<size:4096-2147483647>] [{_LEVEL}]",
        _set("buffered"),
        _shown("buffered"),
        default="logging buffered debugging",
    ),
    *(
        Row(
            "global",
            f"logging {place} [{_LEVEL}]",
            _set(place),
            _shown(place),
            default=f"logging {place} debugging",
        )
        for place in ("console", "monitor")
    ),
)
