"""What the tour does with a pair of configurations: who pings whom through which tunnel."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import msgspec

from ikescope.config.model import RouterConfig
from ikescope.errors import LocalError
from ikescope.ios.configuration import load

Texts = Mapping[str, str]


class Way(msgspec.Struct, frozen=True):
    """A tunnel and the LAN hosts that reach each other through it."""

    tunnel: str
    source: str
    destination: str


class Plan(msgspec.Struct, frozen=True):
    """The pair as parsed, and the ways between the LANs in the order of the tunnels."""

    configs: dict[str, RouterConfig]
    ways: tuple[Way, ...]


def texts() -> dict[str, str]:
    """The tour's own configurations by router."""
    folder = files("ikescope.demo") / "configs"
    return {name: (folder / f"{name}.cfg").read_text(encoding="utf-8") for name in ("R1", "R2")}


def plan(configurations: Texts) -> Plan:
    """Read a pair of configurations; LocalError where a tunnel leads to no LAN."""
    configs = {name: load(text, name=f"{name}.cfg", lab_timers=True) for name, text in configurations.items()}
    there, back = (_routed(configs[name]) for name in ("R1", "R2"))
    ways = tuple(Way(name, back[name], there[name]) for name in there if name in back)
    if not ways:
        raise LocalError("the tour's configurations route no LAN into a tunnel")
    return Plan(configs, ways)


def _routed(config: RouterConfig) -> dict[str, str]:
    """The second host address of the network that each tunnel leads to."""
    return {route.interface: str(route.prefix[2]) for route in config.routes if route.interface in config.tunnels}
