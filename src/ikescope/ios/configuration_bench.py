"""The bench that configuration commands work at: the router so far, the mode one is in, what waits for the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ikescope.config.model import Address, Ignored, RouterConfig
from ikescope.config.smart_defaults import empty
from ikescope.ios.grammar import Args, Row
from ikescope.ios.sealing import Closed, Opener

GLOBAL = "global"

#: The prompt of each mode, as IOS prints it.
PROMPTS = {
    GLOBAL: "(config)#",
    "proposal": "(config-ikev2-proposal)#",
    "policy": "(config-ikev2-policy)#",
    "keyring": "(config-ikev2-keyring)#",
    "peer": "(config-ikev2-keyring-peer)#",
    "profile": "(config-ikev2-profile)#",
    "transform-set": "(cfg-crypto-trans)#",
    "ipsec-profile": "(ipsec-profile)#",
    "tunnel": "(config-if)#",
    "interface": "(config-if)#",
    "access-list": "(config-ext-nacl)#",
    "vrf": "(config-vrf)#",
    "vrf-family": "(config-vrf-af)#",
    "vty": "(config-line)#",
    "pubkey-chain": "(conf-ssh-pubkey)#",
    "pubkey-user": "(conf-ssh-pubkey-user)#",
    "key-string": "(conf-ssh-pubkey-data)#",
}

#: The table of RouterConfig that a mode's item stands in.
TABLES = {
    "proposal": "proposals",
    "policy": "policies",
    "keyring": "keyrings",
    "profile": "profiles",
    "transform-set": "transform_sets",
    "ipsec-profile": "ipsec_profiles",
    "tunnel": "tunnels",
    "interface": "interfaces",
    "access-list": "access_lists",
    "vrf": "vrfs",
    "vrf-family": "vrfs",
    "vty": "vty",
}


#: Words that act in a configuration of generation 15 alone: why, and what is possible instead.
OF_GENERATION_15 = {
    "md5": ("which generation 15 alone has (RFC 8247: MUST NOT)", "sha256 sha384 sha512"),
    "2": ("which generation 15 alone has (1024 bits, RFC 8247: SHOULD NOT)", "19 20 21, or 14 and above"),
    "group2": (
        "which generation 15 alone has (1024 bits, RFC 8247: SHOULD NOT)",
        "group19 group20 group21, or group14 and above",
    ),
}


class Refused(Exception):
    """A line that the grammar knows but that cannot act; `argument` names the value at fault, if one is."""

    def __init__(self, text: str, argument: str = "") -> None:
        super().__init__(text)
        self.argument = argument


@dataclass(frozen=True, slots=True)
class Scope:
    """A mode one is in: the item's name and the line that opened it."""

    mode: str
    name: str
    header: str


@dataclass(slots=True)
class Bench:
    """Mutable while a file is read or a line typed; `config` is a new value after each change.

    `broken` holds for each access-list the lines that the model cannot carry: refused if a tunnel uses the list.
    `without_primary` names the interfaces that so far hold secondary addresses only.
    `opener` reads sealed keys. `waiting` are the steps to take when the whole text has been read, each with its line.
    """

    config: RouterConfig
    lab_timers: bool = False
    generation_forced: bool = False
    line: int = 0
    path: list[Scope] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    broken: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    waiting: list[tuple[int, str, Callable[[Bench], None]]] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)
    without_primary: set[str] = field(default_factory=set)
    opener: Opener = field(default_factory=Closed)

    @property
    def mode(self) -> str:
        """The mode one is in."""
        return self.path[-1].mode if self.path else GLOBAL

    def set(self, **fields: Any) -> None:
        """Change fields of the router itself."""
        self.config = msgspec.structs.replace(self.config, **fields)

    def items(self, table: str) -> dict[str, Any]:
        """One table of the router."""
        found: dict[str, Any] = getattr(self.config, table)
        return found

    def put(self, table: str, item: Any) -> None:
        """Add an item to a table, or take the place of its namesake."""
        self.set(**{table: {**self.items(table), item.name: item}})

    def standard(self, table: str, name: str) -> Any:
        """The smart default of that name, which comes back when it is named again; None for any other."""
        found = getattr(empty(self.config.generation), table).get(name)
        if table != "ipsec_profiles" or found is None:
            return found
        return msgspec.structs.replace(found, **msgspec.structs.asdict(self.config.sa_defaults))

    def drop(self, table: str, name: str) -> None:
        """Remove an item; an unknown name changes nothing, as in IOS."""
        self.set(**{table: {key: item for key, item in self.items(table).items() if key != name}})

    def enter(self, mode: str, name: str, header: str) -> None:
        """Go into the mode of an item; a peer's lies within its keyring's."""
        self.path = [*(self.path[:1] if mode == "peer" else []), Scope(mode, name, header)]

    @property
    def item(self) -> Any:
        """The item of the mode one is in."""
        scope = self.path[-1]
        if scope.mode == "peer":
            ring = self.config.keyrings[self.path[0].name]
            return next(peer for peer in ring.peers if peer.name == scope.name)
        return self.items(TABLES[scope.mode])[scope.name]

    def holds(self, scope: Scope) -> bool:
        """Whether the item of a mode is still there when what waited for the end is done."""
        if scope.mode == "peer":
            ring = self.config.keyrings.get(self.path[0].name)
            return ring is not None and any(peer.name == scope.name for peer in ring.peers)
        return scope.mode not in TABLES or scope.name in self.items(TABLES[scope.mode])

    def change(self, **fields: Any) -> None:
        """Change fields of the item of the mode one is in."""
        edited = {"smart_default": False} if getattr(self.item, "smart_default", False) else {}
        new = msgspec.structs.replace(self.item, **{**edited, **fields})
        scope = self.path[-1]
        if scope.mode == "peer":
            ring = self.config.keyrings[self.path[0].name]
            peers = tuple(new if peer.name == scope.name else peer for peer in ring.peers)
            self.put("keyrings", msgspec.structs.replace(ring, peers=peers))
        else:
            self.put(TABLES[scope.mode], new)

    def interface_address(self, name: str, version: int | None = None) -> Address | None:
        """The first address of an interface (of that IP version), None where it has none or is not known."""
        found = self.config.interfaces.get(name)
        return next((each.ip for each in found.addresses if version in (None, each.version)), None) if found else None

    def check_generation(self, words: Iterable[str], argument: str) -> None:
        """Refuse what generation 15 alone negotiates."""
        for word in words:
            if word in OF_GENERATION_15 and self.config.generation != "15":
                why, instead = OF_GENERATION_15[word]
                raise Refused(
                    f"had {word}, {why}; possible: {instead}; or `version 15.9`, `--ios-defaults 15`", argument
                )

    def check_lifetime(self, seconds: int, argument: str) -> None:
        """Refuse a lifetime below IOS's 120 s unless lab timers were asked for."""
        if seconds < 120 and not self.lab_timers:
            raise Refused(f"had {seconds}, wanted 120 or more (10-119 need --lab-timers)", argument)


def one(
    mode: str,
    syntax: str,
    attribute: str,
    *,
    default: Any = None,
    convert: Callable[[Args], Any],
    text: Callable[[Any], str],
    undo: str | None = "",
) -> Row:
    """A row that sets one field of the item: `no` puts the default back, running-config prints what differs from it."""

    def run(bench: Bench, args: Args) -> None:
        bench.change(**{attribute: default if args.no else convert(args)})

    def show(item: Any) -> Iterable[str]:
        value = getattr(item, attribute)
        return () if value == default else (text(value),)

    return Row(mode, syntax, run, show, undo, default=text(default) if default else "")


def flag(mode: str, syntax: str, attribute: str) -> Row:
    """A row that is there or not."""
    row = one(mode, syntax, attribute, default=False, convert=lambda _: True, text=lambda _: syntax, undo="=")
    return replace(row, default=f"no {syntax}")


def text_line(mode: str, keyword: str, attribute: str) -> Row:
    """A row of a keyword and free text."""
    return one(
        mode,
        f"{keyword} <text:line>",
        attribute,
        default="",
        convert=lambda args: args["text"],
        text=lambda value: f"{keyword} {value}",
    )


def several(
    mode: str, syntax: str, attribute: str, *, convert: Callable[[Args], tuple[Any, ...]], text: Callable[[Any], str]
) -> Row:
    """A row that adds to a tuple of the item; its `no` form takes away what it names."""

    def run(bench: Bench, args: Args) -> None:
        held = getattr(bench.item, attribute)
        for new in convert(args):
            kept = tuple(value for value in held if text(value) != text(new))
            held = kept if args.no else (*kept, new) if len(kept) == len(held) else held
        bench.change(**{attribute: held})

    def show(item: Any) -> Iterable[str]:
        return map(text, getattr(item, attribute))

    return Row(mode, syntax, run, show, "=")


def opener(
    mode: str,
    syntax: str,
    table: str,
    make: Callable[[Bench, Args], Any],
    *,
    title: str,
    reminder: Callable[[Any], str] = lambda _: "",
) -> Row:
    """A row that makes an item, or finds it, and goes into its mode; `no` removes the item."""

    def run(bench: Bench, args: Args) -> None:
        name = args["name"]
        if args.no:
            bench.drop(table, name)
            return
        if name not in bench.items(table):
            bench.put(table, bench.standard(table, name) or make(bench, args))
        bench.enter(mode, name, f"{title} {name}")
        bench.replies.extend(reminder(bench.item).splitlines())

    return Row("global", syntax, run, lambda item: [f"{title} {item.name}"], f"{title} <name:word>", opens=mode)
