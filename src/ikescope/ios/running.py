"""`show running-config`: the router as IOS lines, in IOS's order, printed by the rows that read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from ikescope.config.model import KeyringPeer, Profile, RouterConfig, Secret
from ikescope.config.smart_defaults import IPSEC_PROFILE, NAME
from ikescope.ios.configuration_access import without_secrets
from ikescope.ios.configuration_bench import TABLES
from ikescope.ios.configuration_foreign import redact
from ikescope.ios.configuration_ipsec import inheriting, missing_defaults
from ikescope.ios.configuration_keyring import REMOVED
from ikescope.ios.configuration_rows import GRAMMAR, ROWS
from ikescope.ios.grammar import Args, Match, Row
from ikescope.ios.sealing import SealedKey, Sealer

_Holder = TypeVar("_Holder", KeyringPeer, Profile)
_Keys = Callable[[Secret | None, Secret | None], tuple[Secret | None, Secret | None]]
"""What is printed in place of a holder's local and remote key."""

_HASHED = re.compile(r"\bsecret [589] \$")

#: Interfaces in IOS's order.
_INTERFACE_TABLES = (("interface", "interfaces", True), ("tunnel", "tunnels", None), ("interface", "interfaces", False))


def running_config(
    config: RouterConfig,
    *,
    sealer: Sealer | None = None,
    secrets: bool = False,
    only: str | None = None,
    whole: bool = False,
) -> list[str]:
    """The lines of `show running-config`; keys print sealed under `sealer`, as `<removed>` without it, in clear with
    `secrets`. Loaded again they give the same model (keys that were removed are none). `only` is an interface to print
    alone; `whole` prints what is as it is by default, too.
    """
    body = configuration_lines(config, sealer=sealer, secrets=secrets, whole=whole)
    if only is not None:
        body = ["!", *_section_of(body, f"interface {only}"), "end"]
    octets = sum(len(line) + 1 for line in body)
    return ["Building configuration...", "", f"Current configuration : {octets} bytes", *body]


def configuration_lines(
    config: RouterConfig, *, sealer: Sealer | None = None, secrets: bool = False, whole: bool = False
) -> list[str]:
    """The configuration itself, from `!` to `end`, as startup-config keeps it."""
    shown = config if secrets else _keys_replaced(config, _removed if sealer is None else _sealed_by(sealer))
    shown = shown if secrets else without_secrets(shown, hashes=sealer is not None)
    if not whole:
        shown = msgspec.structs.replace(shown, ipsec_profiles=inheriting(shown))
    return ["!", *_global(shown, whole), "!", "end"]


def _section_of(lines: list[str], head: str) -> list[str]:
    if head not in lines:
        return []
    first = lines.index(head)
    return lines[first : lines.index("!", first) + 1]


def shown_line(line: str, sealer: Sealer | None) -> str:
    """A line of a file as an operator may see it: a key in it sealed, or removed without `sealer`."""
    for mode in ("peer", "profile"):
        found = GRAMMAR[mode].match(line)
        if isinstance(found, Match) and not found.args.no and ("key" in found.args or "hex" in found.args):
            return _with_shown_key(line, found.args, sealer)
    if sealer is not None and _HASHED.search(line):
        return line
    return redact(line)


def _with_shown_key(line: str, args: Args, sealer: Sealer | None) -> str:
    start = min(args.columns[name] for name in ("encoding", "key", "hex") if name in args.columns)
    head = line[:start].rstrip()
    head = head[: -len("hex")].rstrip() if "hex" in args else head
    if sealer is None:
        return f"{head} {REMOVED.decode()}"
    if args.get("encoding") == "6":
        return line
    key = Secret(args["hex"] if "hex" in args else args["key"].encode())
    return f"{head} 6 {sealer.seal(key)}"


def section(config: RouterConfig, mode: str, name: str) -> list[str]:
    """The lines of one item (`profile`, `default`), its keys removed; KeyError where it is not there."""
    item = getattr(_keys_replaced(config, _removed), TABLES[mode])[name]
    opener = next(row for row in ROWS["global"] if row.opens == ("interface" if mode == "tunnel" else mode))
    return [line.rstrip() for line in _item(opener, mode, item)]


def _global(config: RouterConfig, whole: bool) -> Iterator[str]:
    missing = list(missing_defaults(config))
    for row in ROWS["global"]:
        if row.opens == "interface":
            for mode, table, loopback in _INTERFACE_TABLES:
                items = getattr(config, table).values()
                chosen = [item for item in items if loopback is None or item.loopback == loopback]
                yield from _items(row, mode, chosen, whole)
        elif row.opens:
            yield from (line for line in missing if line.startswith(f"no {_title(row)} "))
            yield from _items(row, row.opens, getattr(config, TABLES[row.opens]).values(), whole)
        elif row.show is not None:
            lines = _lines(row, config, whole)
            yield from lines
            if lines:
                yield "!"


def _title(row: Row) -> str:
    return row.syntax.split(" <")[0]


def _items(row: Row, mode: str, items: Iterable[Any], whole: bool) -> Iterator[str]:
    for item in items:
        if whole or not _is_standard(item):
            yield from _item(row, mode, item, whole)
            yield "!"


def _lines(row: Row, item: Any, whole: bool) -> list[str]:
    assert row.show is not None
    return list(row.show(item)) or ([row.default] if whole and row.default else [])


def _is_standard(item: Any) -> bool:
    if getattr(item, "smart_default", False):
        return True
    return bool(item.name == NAME and msgspec.structs.replace(item, line=0) == IPSEC_PROFILE)


def _item(row: Row, mode: str, item: Any, whole: bool = False) -> Iterator[str]:
    assert row.show is not None
    yield from row.show(item)
    for inner in ROWS[mode]:
        if inner.show is None:
            continue
        if inner.opens == "peer":
            for peer in item.peers:
                yield from (f" {line}" for line in _item(inner, "peer", peer, whole))
                yield " !"
        else:
            yield from (f" {line}" for line in _lines(inner, item, whole))


def _keys_replaced(config: RouterConfig, keys: _Keys) -> RouterConfig:
    keyrings = {
        name: msgspec.structs.replace(ring, peers=tuple(_with_keys(peer, keys) for peer in ring.peers))
        for name, ring in config.keyrings.items()
    }
    profiles = {name: _with_keys(profile, keys) for name, profile in config.profiles.items()}
    return msgspec.structs.replace(config, keyrings=keyrings, profiles=profiles)


def _with_keys(holder: _Holder, keys: _Keys) -> _Holder:
    local_key, remote_key = keys(holder.local_key, holder.remote_key)
    return msgspec.structs.replace(holder, local_key=local_key, remote_key=remote_key)


def _removed(local: Secret | None, remote: Secret | None) -> tuple[Secret | None, Secret | None]:
    """Two keys that were the same stay the same, so that the shape of the lines survives."""
    other = Secret(REMOVED if local == remote else REMOVED + b" 2")
    return None if local is None else Secret(REMOVED), None if remote is None else other


def _sealed_by(sealer: Sealer) -> _Keys:
    def sealed(*keys: Secret | None) -> tuple[Secret | None, Secret | None]:
        local, remote = (None if key is None else SealedKey(sealer.seal(key).encode()) for key in keys)
        return local, remote

    return sealed
