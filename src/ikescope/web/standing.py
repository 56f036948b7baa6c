"""SAs that stand although their records are gone: what a router's status tells of them, in the form of a family."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import msgspec

from ikescope.events import SelectorFact
from ikescope.explain import words

FIRST = 1_000_000
"""Numbers of these families begin here, above those of the records."""


def standing(status: dict[str, Any], known: Container[str], now: float) -> list[dict[str, Any]]:
    """The IKE SAs of a status whose initiator's SPI is not `known`; `now` is the router's monotonic second."""
    children: dict[int, list[dict[str, Any]]] = {}
    for child in status.get("children", ()):
        children.setdefault(child["ike"], []).append(child)
    return [
        _family(status["hostname"], sa, children.get(sa["id"], []), now)
        for sa in status.get("ike", ())
        if _spi_i(sa) not in known
    ]


def _spi_i(sa: dict[str, Any]) -> str:
    return str(sa["spi_local"] if sa["initiator"] else sa["spi_remote"]).lower()


def _family(router: str, sa: dict[str, Any], children: list[dict[str, Any]], now: float) -> dict[str, Any]:
    spi_r = sa["spi_remote"] if sa["initiator"] else sa["spi_local"]
    sides = {(True, True): "both", (True, False): "local", (False, True): "remote"}
    generation = {
        "spi_i": _spi_i(sa),
        "spi_r": str(spi_r).lower(),
        "number": sa["id"],
        "state": sa["state"],
        "initiator": sa["initiator"],
        "suite": _suite(sa),
        "local_id": None,
        "remote_id": None,
        "nat": sides.get((sa["nat_local"], sa["nat_remote"]), ""),
        "lifetime": sa["lifetime"],
        "expires": None,
        "begun": now - sa["active"],
        "created": now - sa["active"],
        "closed": None,
        "reason": "",
        "rekeyed_from": None,
        "superseded_by": None,
    }
    return {
        "number": FIRST + sa["id"],
        "router": router,
        "peer": str(sa["remote"]),
        "earlier": 0,
        "generations": [generation],
        "children": [_child(child, _spi_i(sa), now) for child in children],
    }


def _suite(sa: dict[str, Any]) -> str | None:
    if sa["encryption"] is None:
        return None
    told = [words.encryption(sa["encryption"], sa["key_length"])]
    told += [f"PRF {words.prf(sa['prf'])}"] if sa["prf"] else []
    told += [f"integrity {words.integrity(sa['integrity'])}"] if sa["integrity"] else []
    return ", ".join([*told, f"group {sa['group']}"] if sa["group"] else told)


def _child(child: dict[str, Any], spi_i: str, now: float) -> dict[str, Any]:
    local, remote = (msgspec.convert(child[side], tuple[SelectorFact, ...]) for side in ("local", "remote"))
    suite = words.encryption(child["encryption"], child["key_length"])
    return {
        "inbound": f"{child['inbound']:08x}",
        "outbound": f"{child['outbound']:08x}",
        "tunnel": child["tunnel"],
        "sa": spi_i,
        "mode": "transport" if child["transport"] else "tunnel",
        "suite": suite + (f", {words.integrity(child['integrity'])}" if child["integrity"] else ""),
        "selectors": words.pair(local, remote),
        "lifetime": child["lifetime"],
        "expires": now + child["remaining"],
        "traffic": None,
        "created": now - child["active"],
        "closed": None,
        "reason": "",
        "replaces": None,
        "replaced_by": None,
    }
