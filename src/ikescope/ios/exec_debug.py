"""`debug`, `undebug` and `show debugging` of one operator: levels, conditions, and the renderer that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ikescope.config.model import RouterConfig
from ikescope.ios.debug import LEVELS, Level, Renderer
from ikescope.ios.debug_condition import Condition

Arguments = dict[str, Any]

#: How IOS names a level that is on; `default` and `error` are as seen, the rest in their manner.
NAMES: dict[Level, str] = {
    "default": "IKEv2 default debugging",
    "error": "IKEv2 error debugging",
    "internal": "IKEv2 internal debugging",
    "packet": "IKEv2 packet debugging",
    "hexdump": "IKEv2 packet hexdump debugging",
    "ipsec": "Crypto IPSEC debugging",
}


class _Router(Protocol):
    @property
    def config(self) -> RouterConfig: ...


class Debugging(Protocol):
    """What these commands need of a session: its levels and its condition, which they change."""

    debug: set[Level]
    condition: Condition


class Debugged(Debugging, Protocol):
    """The same with the router, whose generation says how its debug looks."""

    @property
    def router(self) -> _Router:
        """The router."""


def renderer(session: Debugged) -> Renderer | None:
    """What prints this operator's debug lines; None with debugging off."""
    if not session.debug:
        return None
    return Renderer(session.debug, session.router.config.generation, stamps=True, condition=session.condition)


def debugging(levels: Iterable[Level]) -> list[str]:
    """`show debugging`: what is on."""
    on = [level for level in LEVELS if level in set(levels)]
    ipsec = ["Cryptographic Subsystem:", f"  {NAMES['ipsec']} is on"] if "ipsec" in on else []
    ikev2 = [f"  {NAMES[level]} is on" for level in on if level != "ipsec"]
    return [*ipsec, *(["IKEV2:", *ikev2] if ikev2 else []), ""] if on else []


def _level(arguments: Arguments) -> Level:
    chosen: Level = "hexdump" if "hexdump" in arguments else arguments.get("level") or "default"
    return chosen


def _on(session: Debugging, arguments: Arguments) -> list[str]:
    level = _level(arguments)
    session.debug.add(level)
    return [f"{NAMES[level]} is on"]


def _off(session: Debugging, arguments: Arguments) -> list[str]:
    level = _level(arguments)
    session.debug.discard(level)
    return [f"{NAMES[level]} is off"]


def _ipsec(session: Debugging, *, on: bool) -> list[str]:
    (session.debug.add if on else session.debug.discard)("ipsec")
    return [f"{NAMES['ipsec']} is {'on' if on else 'off'}"]


def _all_off(session: Debugging, _: Arguments) -> list[str]:
    session.debug.clear()
    return ["All possible debugging has been turned off"]


def _condition(session: Debugging, arguments: Arguments, *, on: bool) -> list[str]:
    try:
        session.condition = session.condition.changed(arguments, on=on)
    except ValueError as error:
        return [f"% {error}", ""]
    return []


#: By the name of the command in `commands.EXEC_ROWS`.
DEBUGS: dict[str, Callable[[Debugging, Arguments], list[str]]] = {
    "debug crypto ikev2": _on,
    "undebug crypto ikev2": _off,
    "debug crypto ipsec": lambda session, _: _ipsec(session, on=True),
    "undebug crypto ipsec": lambda session, _: _ipsec(session, on=False),
    "debug crypto condition": lambda session, arguments: _condition(session, arguments, on=True),
    "undebug crypto condition": lambda session, arguments: _condition(session, arguments, on=False),
    "undebug all": _all_off,
}
