"""`show running-config`: the router as IOS lines, in IOS's order, printed by the rows that read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from ikescope.config.model import KeyringPeer, Profile, RouterConfig, Secret
from ikescope.config.smart_defaults import IPSEC_PROFILE, NAME
from ikescope.ios.configuration_bench import TABLES
from ikescope.ios.configuration_ipsec import missing_defaults
from ikescope.ios.configuration_keyring import REMOVED
from ikescope.ios.configuration_rows import ROWS
from ikescope.ios.grammar import Row
from ikescope.ios.sealing import SealedKey, Sealer

_Holder = TypeVar("_Holder", KeyringPeer, Profile)
_Keys = Callable[[Secret | None, Secret | None], tuple[Secret | None, Secret | None]]
"""What is printed in place of a holder's local and remote key."""

#: Interfaces in IOS's order.
_INTERFACE_TABLES = (("interface", "interfaces", True), ("tunnel", "tunnels", None), ("interface", "interfaces", False))


def running_config(config: RouterConfig, *, sealer: Sealer | None = None, secrets: bool = False) -> list[str]:
    """The lines of `show running-config`; keys print sealed under `sealer`, as `<removed>` without it, in clear with
    `secrets`. Loaded again they give the same model (keys that were removed are none).
    """
    body = configuration_lines(config, sealer=sealer, secrets=secrets)
    octets = sum(len(line) + 1 for line in body)
    return ["Building configuration...", "", f"Current configuration : {octets} bytes", *body]


def configuration_lines(config: RouterConfig, *, sealer: Sealer | None = None, secrets: bool = False) -> list[str]:
    """The configuration itself, from `!` to `end`, as startup-config keeps it."""
    shown = config if secrets else _keys_replaced(config, _removed if sealer is None else _sealed_by(sealer))
    return ["!", *_global(shown), "!", "end"]


def section(config: RouterConfig, mode: str, name: str) -> list[str]:
    """The lines of one item (`profile`, `default`), its keys removed; KeyError where it is not there."""
    item = getattr(_keys_replaced(config, _removed), TABLES[mode])[name]
    opener = next(row for row in ROWS["global"] if row.opens == ("interface" if mode == "tunnel" else mode))
    return [line.rstrip() for line in _item(opener, mode, item)]


def _global(config: RouterConfig) -> Iterator[str]:
    missing = list(missing_defaults(config))
    for row in ROWS["global"]:
        if row.opens == "interface":
            for mode, table, loopback in _INTERFACE_TABLES:
                items = getattr(config, table).values()
                chosen = [item for item in items if loopback is None or item.loopback == loopback]
                yield from _items(row, mode, chosen)
        elif row.opens:
            yield from (line for line in missing if line.startswith(f"no {_title(row)} "))
            yield from _items(row, row.opens, getattr(config, TABLES[row.opens]).values())
        elif row.show is not None:
            lines = list(row.show(config))
            yield from lines
            if lines:
                yield "!"


def _title(row: Row) -> str:
    return row.syntax.split(" <")[0]


def _items(row: Row, mode: str, items: Iterable[Any]) -> Iterator[str]:
    for item in items:
        if not _is_standard(item):
            yield from _item(row, mode, item)
            yield "!"


def _is_standard(item: Any) -> bool:
    if getattr(item, "smart_default", False):
        return True
    return bool(item.name == NAME and msgspec.structs.replace(item, line=0) == IPSEC_PROFILE)


def _item(row: Row, mode: str, item: Any) -> Iterator[str]:
    assert row.show is not None
    yield from row.show(item)
    for inner in ROWS[mode]:
        if inner.show is None:
            continue
        if inner.opens == "peer":
            for peer in item.peers:
                yield from (f" {line}" for line in _item(inner, "peer", peer))
                yield " !"
        else:
            yield from (f" {line}" for line in inner.show(item))


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
