"""The rows of `interface ...`: tunnels, loopbacks and the physical ones, and their IP addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from typing import Any

import msgspec

from ikescope.config.model import Address, Interface, InterfaceAddress, Tunnel
from ikescope.ios.configuration_bench import Bench, Refused, flag, one, text_line
from ikescope.ios.configuration_vrf import forwarding
from ikescope.ios.grammar import Args, Row

#: Where a tunnel says whose address of a family it has.
_UNNUMBERED = {4: "unnumbered", 6: "unnumbered6"}


def _four(addresses: Iterable[InterfaceAddress]) -> list[InterfaceAddress]:
    return [address for address in addresses if address.version == 4]


def _six(addresses: Iterable[InterfaceAddress]) -> list[InterfaceAddress]:
    return [address for address in addresses if address.version == 6]


def _ip_address(bench: Bench, args: Args) -> None:
    _numbered(bench, 4)
    held: tuple[InterfaceAddress, ...] = bench.item.addresses
    four, six = _four(held), _six(held)
    if args.no:
        gone = _given(args)
        bench.change(addresses=(*(a for a in four if gone is not None and a != gone), *six))
        return
    new = _given(args)
    assert new is not None
    name: str = bench.item.name
    others = [address for address in four if address != new]
    if "secondary" in args:
        if not four:  # running-config prints the secondary addresses first
            bench.without_primary.add(name)
        four = [*others, new]
    elif name in bench.without_primary:
        bench.without_primary.discard(name)
        four = [new, *others]
    else:
        four = [new, *(address for address in four[1:] if address != new)]
    bench.change(addresses=(*four, *six))


def _numbered(bench: Bench, version: int) -> None:
    """An interface is told an address of its own: what it had of another is gone."""
    field = _UNNUMBERED[version]
    if getattr(bench.item, field, None) is not None:
        kept = tuple(address for address in bench.item.addresses if address.version != version)
        bench.change(**{field: None, "addresses": kept})


def _given(args: Args) -> InterfaceAddress | None:
    if "prefix" in args:
        return IPv4Interface(args["prefix"])
    return IPv4Interface((args["address"], args["mask"])) if "address" in args else None


def _show_ip(item: Tunnel | Interface) -> Iterable[str]:
    if isinstance(item, Tunnel) and item.unnumbered is not None:
        return (f"ip unnumbered {item.unnumbered}",)
    return _show_own(item)


def _show_own(item: Tunnel | Interface) -> Iterable[str]:
    if getattr(item, "dhcp", False):
        yield "ip address dhcp"
    four = _four(item.addresses)
    for index, address in enumerate(four[1:] + four[:1] if len(four) > 1 else four):
        assert isinstance(address, IPv4Interface)
        secondary = len(four) > 1 and index < len(four) - 1
        yield f"ip address {address.ip} {address.netmask}{' secondary' if secondary else ''}"
    if not four and not getattr(item, "dhcp", False):
        yield "no ip address"


def _ipv6_address(bench: Bench, args: Args) -> None:
    _numbered(bench, 6)
    held: tuple[InterfaceAddress, ...] = bench.item.addresses
    new = IPv6Interface(args["prefix"]) if "prefix" in args else None
    if args.get("ignored") == "eui-64" and bench.mode == "tunnel":
        raise Refused("a tunnel has no MAC address; possible: ipv6 address X:X:X:X::X/64", "ignored")
    if "six" in args:
        if not args["six"].is_link_local:
            raise Refused(f"had {args['six']}, wanted an address of fe80::/10", "six")
        new = IPv6Interface((args["six"], 64))
    kept = tuple(a for a in held if (a.version == 4 if new is None else a != new))
    bench.change(addresses=kept if args.no or new is None else (*kept, new))


def _show_ipv6(item: Tunnel | Interface) -> Iterable[str]:
    if isinstance(item, Tunnel) and item.unnumbered6 is not None:
        return [f"ipv6 unnumbered {item.unnumbered6}"]
    return [f"ipv6 address {_six_text(address)}" for address in _six(item.addresses)]


def _six_text(address: InterfaceAddress) -> str:
    own = address.ip.is_link_local and address.network.prefixlen == 64
    return f"{address.ip} link-local" if own else str(address)


def _unnumbered(version: int) -> Callable[[Bench, Args], None]:
    """`ip unnumbered` or `ipv6 unnumbered`: the interface's first address of the family, alone."""
    others, form = (_six, "ip address A.B.C.D MASK") if version == 4 else (_four, "ipv6 address X:X:X:X::X/128")

    def run(bench: Bench, args: Args) -> None:
        if args.no:
            bench.change(**{_UNNUMBERED[version]: None, "addresses": tuple(others(bench.item.addresses))})
            return
        scope, name = bench.path[-1], args["interface"]

        def resolve(later: Bench) -> None:
            if not later.holds(scope):
                return
            own = _address_of(later, name, version)
            # At the console a physical interface may get its address later: it stands below the tunnels in a file.
            if own is None and (bench.line or name.startswith("Loopback")):
                raise Refused(f"{name} has no address here; possible: {form}")
            later.path = [scope]
            mine = () if own is None else (own,)
            later.change(**{_UNNUMBERED[version]: name, "addresses": (*mine, *others(later.item.addresses))})

        word = "ip" if version == 4 else "ipv6"
        bench.waiting.append((bench.line, f"{scope.header}: {word} unnumbered {name}", resolve))

    return run


def _dhcp(bench: Bench, args: Args) -> None:
    bench.change(dhcp=not args.no)


_IP_ADDRESS = "ip address {<address:ipv4> <mask:mask>|<prefix:prefix4>} [<secondary:=secondary>]"
_IP_UNDO = "ip address [{<address:ipv4> <mask:mask>|<prefix:prefix4>} [<secondary:=secondary>]]"
_IPV6_ADDRESS = "ipv6 address {<prefix:prefix6> [<ignored:=eui-64|anycast>]|<six:ipv6> link-local}"


def _common(mode: str) -> tuple[Row, ...]:
    return (
        text_line(mode, "description", "description"),
        *forwarding(mode),
        Row(mode, _IP_ADDRESS, _ip_address, _show_ip, _IP_UNDO),
        Row(
            mode,
            _IPV6_ADDRESS,
            _ipv6_address,
            _show_ipv6,
            f"ipv6 address [{_IPV6_ADDRESS.removeprefix('ipv6 address ')}]",
        ),
    )


def _source(args: Args) -> str:
    if "address" in args:
        return str(args["address"])
    name: str = args["interface"]
    return name


def _mode(bench: Bench, args: Args) -> None:
    words = (args[name] for name in ("kind", "family", "overlay") if name in args)
    bench.change(mode="gre ip" if args.no else " ".join(words))


def _show_mode(tunnel: Tunnel) -> Iterable[str]:
    return () if tunnel.mode == "gre ip" else (f"tunnel mode {tunnel.mode}",)


def _protection(bench: Bench, args: Args) -> None:
    bench.change(ipsec_profile=None if args.no else args["name"])


def _mtu(bench: Bench, args: Args) -> None:
    bench.change(mtu=None if args.no else args["octets"])


TUNNEL_ROWS = (
    *_common("tunnel"),
    Row("tunnel", "ip unnumbered <interface:interface>", _unnumbered(4)),
    Row("tunnel", "ipv6 unnumbered <interface:interface>", _unnumbered(6)),
    flag("tunnel", "ipv6 enable", "ipv6_enable"),
    Row(
        "tunnel",
        "ip mtu <octets:68-9976>",
        _mtu,
        lambda tunnel: () if tunnel.mtu is None else (f"ip mtu {tunnel.mtu}",),
    ),
    one(
        "tunnel",
        "tunnel source {<address:address>|<interface:interface>}",
        "source",
        convert=_source,
        text=lambda source: f"tunnel source {source}",
    ),
    Row(
        "tunnel",
        "tunnel mode {<kind:=gre> <family:=ip|ipv6>|<kind:=ipsec> {<family:=ipv4> [<overlay:=v6-overlay>]"
        "|<family:=ipv6> [<overlay:=v4-overlay>]|<family:=dual-overlay>}}",
        _mode,
        _show_mode,
        "tunnel mode [<_:line>]",
        default="tunnel mode gre ip",
    ),
    one(
        "tunnel",
        "tunnel destination <address:address>",
        "destination",
        convert=lambda args: args["address"],
        text=lambda address: f"tunnel destination {address}",
    ),
    one(
        "tunnel",
        "tunnel protection ipsec policy ipv4 <name:word>",
        "policy_acl",
        convert=lambda args: args["name"],
        text=lambda name: f"tunnel protection ipsec policy ipv4 {name}",
    ),
    one(
        "tunnel",
        "tunnel protection ipsec profile <name:word> [shared]",
        "ipsec_profile",
        convert=lambda args: args["name"],
        text=lambda name: f"tunnel protection ipsec profile {name}",
    ),
    flag("tunnel", "shutdown", "shutdown"),
)

INTERFACE_ROWS = (
    *_common("interface"),
    Row("interface", "ip address dhcp [<_:line>]", _dhcp, None, "ip address dhcp"),
    flag("interface", "shutdown", "shutdown"),
)


def _enter(bench: Bench, args: Args) -> None:
    name: str = args["name"]
    mode = "tunnel" if name.startswith("Tunnel") else "interface"
    table = "tunnels" if mode == "tunnel" else "interfaces"
    if args.no:
        bench.drop(table, name)
        return
    if name not in bench.items(table):
        make: Callable[..., Any] = Tunnel if mode == "tunnel" else Interface
        more = {} if mode == "tunnel" else {"loopback": name.startswith("Loopback")}
        bench.put(table, make(name=name, line=bench.line, **more))
    bench.enter(mode, name, f"interface {name}")


def _address_of(bench: Bench, name: str, version: int) -> InterfaceAddress | None:
    """The first address of an interface in a family, as one that has it too has it."""
    found = bench.config.interfaces.get(name)
    own = [each.ip for each in (found.addresses if found else ()) if each.version == version]
    return ip_interface(own[0]) if own else None


def _borrowed(bench: Bench, tunnel: Tunnel) -> Tunnel:
    """A tunnel with the addresses that the interfaces have now whose addresses are its own, too."""
    for version, field in _UNNUMBERED.items():
        name = getattr(tunnel, field)
        if name is not None:
            own = _address_of(bench, name, version)
            rest = [each for each in tunnel.addresses if each.version != version]
            mine = () if own is None else (own,)
            both = (*mine, *rest) if version == 4 else (*rest, *mine)
            tunnel = msgspec.structs.replace(tunnel, addresses=both)
    return tunnel


def resolve_sources(bench: Bench) -> None:
    """Give each tunnel its source address and those that it has of others, as far as the interfaces say it."""
    for held in bench.config.tunnels.values():
        tunnel = _borrowed(bench, held)
        if tunnel != held:
            bench.put("tunnels", tunnel)
        address = None if tunnel.source is None else _source_address(bench, tunnel.source, tunnel.destination)
        if address != tunnel.source_address:
            bench.put("tunnels", msgspec.structs.replace(tunnel, source_address=address))


def _source_address(bench: Bench, source: str, destination: Address | None) -> Address | None:
    try:
        return ip_address(source)
    except ValueError:
        return bench.interface_address(source, None if destination is None else destination.version)


GLOBAL_ROWS = (
    Row(
        "global",
        "interface <name:interface> [point-to-point]",
        _enter,
        lambda item: [f"interface {item.name}"],
        "interface <name:interface>",
        opens="interface",
    ),
)
