"""The rows of `hostname`, `version`, access-lists and static routes."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import msgspec

from ikescope.config.model import AccessEntry, AccessList, Network, Route, RouterConfig
from ikescope.config.smart_defaults import generation_of, of_generation
from ikescope.ios.configuration_bench import Bench, Refused, opener
from ikescope.ios.grammar import Args, Row
from ikescope.ios.grammar_values import PROTOCOL_NAMES

_ANY_PORT = (0, 65535)
_PORT_PROTOCOLS = (6, 17, 132)


def _hostname(bench: Bench, args: Args) -> None:
    bench.set(hostname="Router" if args.no else args["name"])


def _version(bench: Bench, args: Args) -> None:
    bench.set(version=args["text"])
    if not bench.generation_forced:
        bench.config = of_generation(bench.config, generation_of(args["text"]))


def _end(side: str) -> str:
    return (
        f"{{<{side}_any:=any>|host <{side}_host:ipv4>|<{side}_net:ipv4> <{side}_wild:wildcard>}} "
        f"[{{eq <{side}_eq:port>|gt <{side}_gt:port>|lt <{side}_lt:port>|range <{side}_low:port> <{side}_high:port>}}]"
    )


_ENTRY = f"{{<action:=permit|deny>}} <protocol:protocol> {_end('source')} {_end('destination')} [log]"


def _network(args: Args, side: str) -> IPv4Network:
    if f"{side}_host" in args:
        return IPv4Network(args[f"{side}_host"])
    if f"{side}_net" in args:
        return IPv4Network((args[f"{side}_net"], args[f"{side}_wild"]), strict=False)
    return IPv4Network("0.0.0.0/0")


def _ports(args: Args, side: str) -> tuple[int, int]:
    if f"{side}_eq" in args:
        return args[f"{side}_eq"], args[f"{side}_eq"]
    if f"{side}_gt" in args:
        return args[f"{side}_gt"] + 1, 65535
    if f"{side}_lt" in args:
        return 0, args[f"{side}_lt"] - 1
    if f"{side}_low" in args:
        return args[f"{side}_low"], args[f"{side}_high"]
    return _ANY_PORT


def _entry(bench: Bench, args: Args, sequence: int) -> AccessEntry:
    entry = AccessEntry(
        permit=args["action"] == "permit",
        protocol=args["protocol"],
        source=_network(args, "source"),
        destination=_network(args, "destination"),
        source_ports=_ports(args, "source"),
        destination_ports=_ports(args, "destination"),
        sequence=sequence,
        line=bench.line,
    )
    for side, (low, high) in (("source", entry.source_ports), ("destination", entry.destination_ports)):
        if (low, high) != _ANY_PORT and entry.protocol not in _PORT_PROTOCOLS:
            raise Refused("ports are possible with tcp, udp and sctp only", f"{side}_eq")
        if low > high or high > 65535:
            raise Refused(f"had ports {low} to {high}, wanted a range that holds one")
    return entry


def _add_entry(bench: Bench, name: str, args: Args) -> None:
    held: AccessList = bench.config.access_lists.get(name) or AccessList(name=name, entries=(), line=bench.line)
    last = max((entry.sequence for entry in held.entries), default=0)
    new = _entry(bench, args, args.get("sequence", last + 10))
    same = tuple(_bare(entry) for entry in held.entries)
    if args.no:
        gone = {entry.sequence for entry in held.entries if _bare(entry) == _bare(new)}
        gone &= {args.get("sequence", new.sequence)} if "sequence" in args else gone
        entries = tuple(entry for entry in held.entries if entry.sequence not in gone)
    elif _bare(new) in same:
        return
    else:
        entries = tuple(entry for entry in held.entries if entry.sequence != new.sequence)
        entries = tuple(sorted((*entries, new), key=lambda entry: entry.sequence))
    bench.put("access_lists", msgspec.structs.replace(held, entries=entries))


def _bare(entry: AccessEntry) -> AccessEntry:
    return msgspec.structs.replace(entry, sequence=0, line=0)


def _named_entry(bench: Bench, args: Args) -> None:
    _add_entry(bench, bench.path[-1].name, args)


def _drop_sequence(bench: Bench, args: Args) -> None:
    if args.no:
        bench.change(entries=tuple(entry for entry in bench.item.entries if entry.sequence != args["sequence"]))
    else:
        raise Refused("% Incomplete command.")


def _numbered_entry(bench: Bench, args: Args) -> None:
    name = str(args.get("number") or args.get("more"))
    if args.no:
        bench.drop("access_lists", name)
    else:
        _add_entry(bench, name, args)


def _end_text(network: Network, ports: tuple[int, int]) -> str:
    if network.prefixlen == 0:
        text = "any"
    elif network.prefixlen == network.max_prefixlen:
        text = f"host {network.network_address}"
    else:
        text = f"{network.network_address} {network.hostmask}"
    low, high = ports
    if ports == _ANY_PORT:
        return text
    return f"{text} eq {low}" if low == high else f"{text} range {low} {high}"


def entry_text(entry: AccessEntry) -> str:
    """One entry as IOS prints it, without its sequence number."""
    names = {number: name for name, number in PROTOCOL_NAMES.items()}
    action = "permit" if entry.permit else "deny"
    source = _end_text(entry.source, entry.source_ports)
    destination = _end_text(entry.destination, entry.destination_ports)
    return f"{action} {names.get(entry.protocol, entry.protocol)} {source} {destination}"


def _show_entries(item: AccessList) -> Iterable[str]:
    return [f"{entry.sequence} {entry_text(entry)}" for entry in item.entries]


ACCESS_LIST_ROWS = (
    Row("access-list", f"[<sequence:1-2147483647>] {_ENTRY}", _named_entry, _show_entries, "="),
    Row("access-list", "<sequence:1-2147483647>", _drop_sequence, None, "="),
)

_NAMED = "[name <name:word>] [tag <tag:1-4294967295>] [name <name:word>]"
_VIA = f"{{<interface:interface> [<hop:ipv4>]|<hop:ipv4>}} [<distance:1-255>] {_NAMED}"
_VIA6 = f"{{<interface:interface> [<hop6:ipv6>]|<hop6:ipv6>}} [<distance:1-255>] {_NAMED}"
_MORE = "[<permanent:=permanent>]"


def _route(bench: Bench, args: Args) -> None:
    if "prefix6" in args:
        prefix: Network = IPv6Network(args["prefix6"].network)
    elif "prefix" in args:
        prefix = IPv4Network(args["prefix"].network)
    else:
        prefix = IPv4Network((args["network"], args["mask"]), strict=False)
    hop = args.get("hop", args.get("hop6"))
    new = Route(
        prefix=prefix,
        interface=args.get("interface"),
        next_hop=hop,
        distance=args.get("distance", 1),
        vrf=args.get("vrf"),
        line=bench.line,
    )
    kept = tuple(route for route in bench.config.routes if not _same_way(route, new, args.no))
    bench.set(routes=kept if args.no else (*kept, new))


def _same_way(held: Route, new: Route, removing: bool) -> bool:
    if (held.prefix, held.vrf) != (new.prefix, new.vrf):
        return False
    if removing and new.interface is None and new.next_hop is None:
        return True
    return (held.interface, held.next_hop) == (new.interface, new.next_hop)


def _show_routes(version: int) -> Any:
    def show(config: RouterConfig) -> Iterable[str]:
        for route in config.routes:
            if route.prefix.version != version:
                continue
            word = "ip route" if version == 4 else "ipv6 route"
            prefix = f"{route.prefix.network_address} {route.prefix.netmask}" if version == 4 else str(route.prefix)
            ways = [str(way) for way in (route.interface, route.next_hop) if way is not None]
            distance = [str(route.distance)] if route.distance != 1 else []
            vrf = ["vrf", route.vrf] if route.vrf is not None else []
            yield " ".join([word, *vrf, prefix, *ways, *distance])

    return show


_PREFIX = "{<network:ipv4> <mask:mask>|<prefix:prefix4>}"

_PARSERS = "ikescope compatibility cisco-parsers"

GLOBAL_ROWS_FIRST = (
    Row("global", "version <text:word>", _version, lambda c: [f"version {c.version}"] if c.version else [], None),
    Row("global", "hostname <name:word>", _hostname, lambda c: [f"hostname {c.hostname}"]),
    Row(
        "global",
        _PARSERS,
        lambda bench, args: bench.set(cisco_parsers=not args.no),
        lambda c: [_PARSERS] if c.cisco_parsers else [],
        default=f"no {_PARSERS}",
    ),
)
GLOBAL_ROWS_LAST = (
    Row(
        "global",
        f"ip route [vrf <vrf:word>] {_PREFIX} {_VIA} {_MORE}",
        _route,
        _show_routes(4),
        f"ip route [vrf <vrf:word>] {_PREFIX} [{_VIA}]",
    ),
    Row(
        "global",
        f"ipv6 route [vrf <vrf:word>] <prefix6:prefix6> {_VIA6}",
        _route,
        _show_routes(6),
        f"ipv6 route [vrf <vrf:word>] <prefix6:prefix6> [{_VIA6}]",
    ),
    opener(
        "access-list",
        "ip access-list extended <name:word>",
        "access_lists",
        lambda bench, args: AccessList(name=args["name"], entries=(), line=bench.line),
        title="ip access-list extended",
    ),
    Row(
        "global",
        f"access-list {{<number:100-199>|<more:2000-2699>}} {_ENTRY}",
        _numbered_entry,
        None,
        "access-list {<number:100-199>|<more:2000-2699>} [<_:line>]",
    ),
)
