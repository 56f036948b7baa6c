"""What the tour does with a pair of configurations: who pings whom through which tunnel, and what can be broken."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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


def _replaced(text: str, pattern: str, line: str) -> str:
    found, count = re.subn(pattern, line, text, flags=re.MULTILINE)
    assert count, f"the tour's configuration has no line {pattern}"
    return found


def wrong_key(pair: Texts) -> dict[str, str]:
    """R2 with another pre-shared key than R1."""
    key = r"^(\s*pre-shared-key) \S+$"
    return {**pair, "R2": _replaced(pair["R2"], key, r"\1 some-other-key")}


def other_proposal(pair: Texts) -> dict[str, str]:
    """R2 with a proposal of its own that shares no key exchange with the smart default."""
    lines = (
        "crypto ikev2 proposal MODERN\n encryption aes-cbc-256\n integrity sha512\n group 20\n!\n"
        "crypto ikev2 policy MODERN\n proposal MODERN\n!\n"
    )
    return {**pair, "R2": _replaced(pair["R2"], r"^(crypto ikev2 keyring .*)$", lines.replace("\\", "") + r"\1")}


def other_selectors(pair: Texts) -> dict[str, str]:
    """R2 with an access list that protects another network of R1's site than R1 does."""
    line = r"^( *\d+ permit ip \S+ \S+) (\d+\.\d+)\.\d+\.0 (0\.0\.0\.255)$"
    return {**pair, "R2": _replaced(pair["R2"], line, r"\1 \2.9.0 \3")}


def encapsulated(pair: Texts) -> dict[str, str]:
    """Both with `nat force-encap`, so that IKE moves to port 4500 after its first exchange."""
    line = r"^(crypto ikev2 profile \S+)$"
    return {name: _replaced(text, line, r"\1\n nat force-encap") for name, text in pair.items()}


class Break(msgspec.Struct, frozen=True):
    """A failure to stage: its name, what was done, the pair with it, the tunnel to ping through, whether UDP 4500 is
    dropped; `silent` says what it means that the responder has nothing to tell.
    """

    title: str
    what: str
    change: Callable[[Texts], dict[str, str]]
    way: int = 0
    drop_4500: bool = False
    silent: tuple[str, ...] = ()


BREAKS: dict[str, Break] = {
    "psk": Break(
        "one wrong key", "The pre-shared keys that R1 and R2 hold for each other are not the same.", wrong_key
    ),
    "proposal": Break(
        "no common proposal",
        "R2 has a `crypto ikev2 proposal` of its own, with one key exchange group that R1 does not offer.",
        other_proposal,
    ),
    "selectors": Break(
        "selectors that do not meet",
        "R2's access list SECOND is not the mirror of R1's: it names another network behind R1.",
        other_selectors,
        way=1,
    ),
    "port-4500": Break(
        "UDP 4500 does not pass",
        "Both have `nat force-encap`, so IKE moves to UDP 4500 after IKE_SA_INIT; a filter between them drops that.",
        encapsulated,
        drop_4500=True,
        silent=(
            "R2 answered IKE_SA_INIT, waited for IKE_AUTH and gave up: not one IKE_AUTH request reached it.",
            "Its log looks as if R1 had been switched off; only R1 knows that it asked, how often, and on which port.",
        ),
    ),
}
