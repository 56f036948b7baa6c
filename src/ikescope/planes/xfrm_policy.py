"""XFRM policies: which packets leave by which states, and which must have come by one (linux/xfrm.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, summarize_address_range

from ikescope.config.model import Address, Network
from ikescope.planes.xfrm_state import sa_id
from ikescope.planes.xfrm_wire import (
    AF_INET,
    AF_INET6,
    ESP,
    LIMITS_OCTETS,
    SELECTOR_OCTETS,
    Attribute,
    Current,
    Limits,
    Mode,
    Selector,
    XfrmError,
    attribute,
    attributes,
    family_of,
    need,
    pack_address,
    unpack_address,
)
from ikescope.policy.ranges import ANY_PORTS, OPAQUE, Range

_REST = struct.Struct("=IIBBBB4x")
_BEFORE = SELECTOR_OCTETS + LIMITS_OCTETS + 32
POLICY_OCTETS = _BEFORE + _REST.size
_TEMPLATE_REST = struct.Struct("=IBBBxIII")
_TEMPLATE_FAMILY = struct.Struct("=HH")
TEMPLATE_OCTETS = 64
_ID_REST = struct.Struct("=IB3x")
_U32 = struct.Struct("=I")
_SPI_AND_PROTOCOL = struct.Struct(">IB")


class Direction(IntEnum):
    """Of a policy; FORWARD is checked as IN is, for packets that go on to another host."""

    IN = 0
    OUT = 1
    FORWARD = 2


class Action(IntEnum):
    """Of a policy."""

    ALLOW = 0
    BLOCK = 1


@dataclass(frozen=True, slots=True)
class Template:
    """The state that a policy's packets need: reqid, mode, ends of the outer path (None: any).

    `spi` 0: any state of that reqid.
    """

    reqid: int
    mode: Mode
    source: Address | None
    destination: Address | None
    spi: int = 0
    family: int = AF_INET

    def encode(self) -> bytes:
        """`struct xfrm_user_tmpl`, 64 octets, required, any algorithm."""
        return b"".join(
            (
                sa_id(self.destination, self.spi),
                _TEMPLATE_FAMILY.pack(self.family, 0),
                pack_address(self.source),
                _TEMPLATE_REST.pack(self.reqid, self.mode, 0, 0, *(0xFFFFFFFF,) * 3),
            )
        )

    @classmethod
    def decode(cls, octets: bytes) -> Template:
        """Out of 64 octets."""
        need(octets, TEMPLATE_OCTETS, "template")
        spi, protocol = _SPI_AND_PROTOCOL.unpack_from(octets, 16)
        if protocol != ESP:
            raise XfrmError(f"template: protocol had {protocol}, wanted {ESP}")
        family, _ = _TEMPLATE_FAMILY.unpack_from(octets, 24)
        reqid, mode, *_ = _TEMPLATE_REST.unpack_from(octets, 44)
        ends = [unpack_address(octets[at : at + 16], family) for at in (28, 0)]
        source, destination = (None if end is None or end.is_unspecified else end for end in ends)
        return cls(reqid, Mode(mode), source, destination, spi, family)


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """What the kernel tells policies apart by; `interface` is the XFRM interface's number, 0 none."""

    direction: Direction
    selector: Selector
    interface: int = 0

    def encode(self) -> bytes:
        """The body of DELPOLICY and GETPOLICY: `struct xfrm_userpolicy_id`."""
        return self.selector.encode() + _ID_REST.pack(0, self.direction) + _interface(self.interface)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy's content; without a template and with BLOCK it drops. Lower `priority` numbers win."""

    priority: int
    template: Template | None
    action: Action = Action.ALLOW

    def encode(self, key: PolicyKey) -> bytes:
        """The body of NEWPOLICY and UPDPOLICY."""
        parts = [
            key.selector.encode(),
            Limits().encode(),
            Current().encode(),
            _REST.pack(self.priority, 0, key.direction, self.action, 0, 0),
        ]
        if self.template is not None:
            parts.append(attribute(Attribute.TMPL, self.template.encode()))
        return b"".join((*parts, _interface(key.interface)))


def _interface(number: int) -> bytes:
    return attribute(Attribute.IF_ID, _U32.pack(number)) if number else b""


@dataclass(frozen=True, slots=True)
class PolicySeen:
    """A policy as the kernel shows it; the template of ESP alone, None where it has another or none."""

    key: PolicyKey
    priority: int
    action: int
    index: int
    template: Template | None


def decode_policy(body: bytes) -> PolicySeen:
    """The body of a NEWPOLICY as the kernel sends it; XfrmError for another shape or a socket's own policy."""
    need(body, POLICY_OCTETS, "policy")
    found = attributes(body[POLICY_OCTETS:])
    priority, index, direction, action, _, _ = _REST.unpack_from(body, _BEFORE)
    if direction not in tuple(Direction):
        raise XfrmError(f"policy: direction had {direction}, wanted 0 to 2")
    return PolicySeen(
        PolicyKey(Direction(direction), Selector.decode(body), _number(found)),
        priority,
        action,
        index,
        _template(found.get(Attribute.TMPL)),
    )


def _template(octets: bytes | None) -> Template | None:
    if octets is None or len(octets) < TEMPLATE_OCTETS:
        return None
    try:
        return Template.decode(octets)
    except ValueError:  # AH, IPComp, a mode that we do not know: somebody else's
        return None


def _number(found: dict[int, bytes]) -> int:
    value = found.get(Attribute.IF_ID)
    return int(_U32.unpack_from(value)[0]) if value is not None and len(value) >= 4 else 0


# --- from ranges of addresses and ports to prefixes and masks


def networks(one: Range) -> tuple[Network, ...]:
    """The fewest networks that hold just the addresses of a range."""
    if one.version == 4:
        four: Iterator[IPv4Network] = summarize_address_range(IPv4Address(one.first), IPv4Address(one.last))
        return tuple(four)
    six: Iterator[IPv6Network] = summarize_address_range(IPv6Address(one.first), IPv6Address(one.last))
    return tuple(six)


def masks(ports: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """The fewest (port, mask) that hold just the ports of a range; a port that cannot be seen is any."""
    if ports in (ANY_PORTS, OPAQUE):
        return ((0, 0),)
    found, (low, high) = [], ports
    while low <= high:
        size = low & -low or 1 << 16
        while size > high - low + 1:
            size //= 2
        found.append((low, 0x10000 - size & 0xFFFF))
        low += size
    return tuple(found)


def selectors(source: Range, destination: Range) -> Iterator[Selector]:
    """The kernel's selectors that together hold just the packets from one range to another; none if no packet can."""
    if source.version != destination.version:
        return
    protocol = source.protocol or destination.protocol
    if destination.protocol not in (0, protocol):
        return
    family = AF_INET if source.version == 4 else AF_INET6
    for near in networks(source):
        for far in networks(destination):
            for source_port in masks(source.ports):
                for destination_port in masks(destination.ports):
                    yield Selector(
                        near.network_address,
                        far.network_address,
                        near.prefixlen,
                        far.prefixlen,
                        protocol,
                        source_port,
                        destination_port,
                        family,
                    )


def outer(source: Address, destination: Address, protocol: int) -> Selector:
    """The packets of one IP protocol between two addresses."""
    bits = source.max_prefixlen
    return Selector(source, destination, bits, bits, protocol, family=family_of(source))
