"""The rows of `vrf definition`, `ip vrf` and `vrf forwarding`: routing tables for what is inside the tunnels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ikescope.config.model import Vrf
from ikescope.ios.configuration_bench import Bench, Refused, Scope, one, text_line
from ikescope.ios.grammar import Args, Row

LONGEST_NAME = 15
"""Octets of a Linux device's name: a VRF's device bears its own."""
_TAKEN = ("global", "any", "default", "lo", "all")
_NOT_OURS = ("tunnel", "loopback", "ikescope-")


def _enter(old: bool) -> Any:
    def run(bench: Bench, args: Args) -> None:
        name: str = args["name"]
        if args.no:
            _drop(bench, name)
            return
        if name not in bench.config.vrfs:
            bench.put("vrfs", Vrf(name=name, old=old, line=bench.line))
        bench.enter("vrf", name, f"vrf definition {name}")

    return run


def _refuse_name(name: str) -> None:
    if len(name.encode()) > LONGEST_NAME or "/" in name:
        raise Refused(
            f"had {name} with {len(name.encode())} octets, wanted the name of a Linux device: "
            f"{LONGEST_NAME} at most, without /",
            "name",
        )
    if name.lower() in _TAKEN or name.lower().startswith(_NOT_OURS):
        raise Refused(f"{name} is taken; possible: another name", "name")


def _drop(bench: Bench, name: str) -> None:
    """A VRF goes, and with it the addresses of its interfaces and its routes."""
    if name not in bench.config.vrfs:
        return
    bench.drop("vrfs", name)
    held = False
    for table in ("interfaces", "tunnels"):
        for item in bench.items(table).values():
            if item.vrf == name:
                held = held or bool(item.addresses)
                bench.put(table, _moved(item, None))
    bench.set(routes=tuple(route for route in bench.config.routes if route.vrf != name))
    if held:
        bench.replies.append(f"% IPv4 and IPv6 addresses from all interfaces in VRF {name} have been removed")


def _moved(item: Any, vrf: str | None) -> Any:
    """An interface in another VRF: it has no address there yet."""
    borrowed = {"unnumbered": None, "unnumbered6": None} if hasattr(item, "unnumbered") else {}
    return msgspec.structs.replace(item, vrf=vrf, addresses=(), **borrowed)


def _forwarding(bench: Bench, args: Args) -> None:
    item = bench.item
    name = None if args.no else args["name"]
    if name is not None and (bench.mode == "tunnel" or item.loopback):
        _refuse_name(name)
        if name not in bench.config.vrfs:
            raise Refused(f"% VRF {name} not configured; possible: first `vrf definition {name}`", "name")
    if item.vrf == name:
        return
    what = f"disabling VRF {item.vrf}" if name is None else f"enabling VRF {name}"
    for version in (4, 6):
        if any(each.version == version for each in item.addresses):
            bench.replies.append(f"% Interface {item.name} IPv{version} disabled and address(es) removed due to {what}")
    bench.change(**msgspec.structs.asdict(_moved(item, name)))


def _show_forwarding(config: Any) -> Iterable[str]:
    return () if config.vrf is None else (f"vrf forwarding {config.vrf}",)


def forwarding(mode: str) -> tuple[Row, ...]:
    """The rows of an interface's mode; they stand before its addresses."""
    return (
        Row(mode, "vrf forwarding <name:word>", _forwarding, _show_forwarding, "vrf forwarding [<name:word>]"),
        Row(mode, "ip vrf forwarding <name:word>", _forwarding, None, "ip vrf forwarding [<name:word>]"),
    )


def _family(bench: Bench, args: Args) -> None:
    family: str = args["family"]
    kept = tuple(each for each in bench.item.families if each != family)
    bench.change(families=kept if args.no else tuple(sorted((*kept, family))))
    if not args.no:
        scope = bench.path[0]
        bench.path = [scope, Scope("vrf-family", scope.name, f"{scope.header}, address-family {family}")]


def _leave_family(bench: Bench, args: Args) -> None:
    bench.path = bench.path[:1]


def _show_families(vrf: Vrf) -> Iterable[str]:
    for family in vrf.families:
        yield from ("!", f"address-family {family}", "exit-address-family")


def _show_vrfs(vrf: Vrf) -> list[str]:
    return [f"ip vrf {vrf.name}" if vrf.old else f"vrf definition {vrf.name}"]


GLOBAL_ROWS = (
    Row("global", "vrf definition <name:word>", _enter(False), _show_vrfs, "=", opens="vrf"),
    Row("global", "ip vrf <name:word>", _enter(True), None, "="),
)
VRF_ROWS = (
    one("vrf", "rd <rd:word>", "rd", default="", convert=lambda args: args["rd"], text=lambda rd: f"rd {rd}"),
    text_line("vrf", "description", "description"),
    Row("vrf", "address-family {<family:=ipv4|ipv6>} [unicast]", _family, _show_families, "="),
)
VRF_FAMILY_ROWS = (Row("vrf-family", "exit-address-family", _leave_family, None, "="),)
