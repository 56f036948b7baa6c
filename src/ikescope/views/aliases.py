"""What stands for what: addresses, names, identities and SPIs, each replaced by the same thing wherever it stands.

First everything is met (`meet_*`), then `settle` chooses the replacements, then they are asked for. IPv4 addresses go
to 240.0.0.0/4 and IPv6 addresses to 3ff0::/12 (as long as there is room) in their old order, networks stay networks,
ranges stay ranges: 0 and 255 (ffff) stay in each place, the other numbers of a place are counted anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from ikescope.wire.registry import IdType

Address = IPv4Address | IPv6Address
IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)(?![\w])")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
#: Names that say nothing of anybody: IOS's own words, and interfaces by their kind and number.
COMMON = frozenset(("", "default", "any", "global", "none", "Router", "Switch"))
INTERFACE = re.compile(
    r"(?:Tunnel|Loopback|\w*Ethernet|Serial|Dialer|Vlan|Port-channel|BDI|Null|Virtual-Template)\d[\d/.:]*"
)
FIRST_IPV4, FIRST_IPV6 = tuple(range(240, 255)), tuple(range(0x3FF0, 0x4000))
ZERO_SPI = "0" * 16


def kept(address: Address) -> bool:
    """Whether an address identifies nobody: unspecified, loopback, multicast, masks and wildcards."""
    if isinstance(address, IPv4Address):
        return address.packed[0] in (0, 127) or address.packed[0] == 255 or address.is_multicast
    return address.is_unspecified or address.is_loopback or address.is_multicast or int(address) == (1 << 128) - 1


def in_order(values: Iterable[int], bits: int) -> dict[int, int]:
    """New numbers for old ones of so many bits, in their order, with as many zeros (or ones) at the end.

    So a network's first and last address stay what they are. No new number is above the old one.
    """
    found, before = {}, 0
    for value in sorted(set(values)):
        if value in (0, (1 << bits) - 1):
            found[value] = value
            continue
        # An even number ends in zeros, an odd one in ones: the step that keeps that many of them.
        tail = (value & -value) if value % 2 == 0 else ((value + 1) & -(value + 1))
        step, rest = (tail, 0) if value % 2 == 0 else (tail, tail - 1)
        before += (rest - before) % step or step
        found[value] = before
    return found


def firsts(values: Iterable[int], pool: Iterable[int], bits: int) -> dict[int, int]:
    """New first numbers of addresses, none of them an old one as long as there is room."""
    old = sorted(set(values))
    free = [number for number in pool if number not in old]
    if len(free) < len(old):
        free = [number for number in range(1, (1 << bits) - 1) if number not in old]
    if len(free) < len(old):
        free = list(range(1, (1 << bits) - 1))
    return dict(zip(old, free, strict=False))


class Tree:
    """The places of addresses (octets of IPv4, groups of IPv6) and the numbers met in each below its prefix."""

    def __init__(self, pool: tuple[int, ...], bits: int) -> None:
        self._pool, self._bits = pool, bits
        self._met: dict[tuple[int, ...], set[int]] = {}
        self._new: dict[tuple[int, ...], dict[int, int]] = {}

    def meet(self, places: tuple[int, ...]) -> None:
        """An address that is to be replaced."""
        for index, number in enumerate(places):
            self._met.setdefault(places[:index], set()).add(number)

    def settle(self) -> None:
        """Choose the new numbers."""
        for prefix, numbers in self._met.items():
            chosen = in_order(numbers, self._bits) if prefix else firsts(numbers, self._pool, self._bits)
            self._new[prefix] = chosen

    def replaced(self, places: tuple[int, ...]) -> tuple[int, ...]:
        """The new address; a number that was never met becomes 0."""
        return tuple(self._new.get(places[:index], {}).get(number, 0) for index, number in enumerate(places))


def _places(address: Address) -> tuple[int, ...]:
    packed = address.packed
    if len(packed) == 4:
        return tuple(packed)
    return tuple(int.from_bytes(packed[at : at + 2], "big") for at in range(0, 16, 2))


class Aliases:
    """All replacements of one anonymised whole (a recording, a bundle)."""

    def __init__(self) -> None:
        self._trees = {4: Tree(FIRST_IPV4, 8), 6: Tree(FIRST_IPV6, 16)}
        self._names: dict[str, str] = {}
        self._kinds: dict[str, str] = {}
        self._spis: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    # First: what there is.

    def meet_address(self, text: str) -> None:
        """An address as text; what is none is passed over."""
        address = _address(text)
        if address is not None and not kept(address):
            self._trees[address.version].meet(_places(address))

    def meet_name(self, name: str, kind: str = "name") -> None:
        """A name of somebody's; `kind` is what it is replaced by, with a number."""
        if name not in COMMON and not INTERFACE.fullmatch(name) and not name.isdigit():
            self._kinds.setdefault(name, kind)

    def meet_identity(self, kind: int, value: str) -> None:
        """An identity (RFC 7296 section 3.5); of a name with a domain, the domains above it too."""
        if kind in (IdType.ID_IPV4_ADDR, IdType.ID_IPV6_ADDR):
            self.meet_address(value)
            return
        self.meet_name(value, IDENTITIES.get(kind, "identity"))
        domain = value.rpartition("@")[2]
        if "@" in value and "." in domain:
            self.meet_name(domain, "host")
        while domain.count(".") > 1:
            domain = domain.partition(".")[2]
            self.meet_name(domain, "domain")

    def meet_spi(self, spi: str) -> None:
        """An SPI of 8 or 16 hexadecimal digits."""
        if spi.strip("0"):
            self._spis.setdefault(spi.lower(), "")

    def meet_text(self, text: str) -> None:
        """Whatever a text holds that looks like an address."""
        for pattern in (IPV4, IPV6):
            for found in pattern.finditer(text):
                self.meet_address(found[0])

    # Then: what stands for it.

    def settle(self) -> None:
        """Choose all replacements; none of them is anything that was met."""
        for tree in self._trees.values():
            tree.settle()
        counts: dict[str, int] = {}
        for name, kind in self._kinds.items():
            while True:
                counts[kind] = counts.get(kind, 0) + 1
                self._names[name] = FORMS.get(kind, "{kind}-{number}").format(kind=kind, number=counts[kind])
                if self._names[name] not in self._kinds:
                    break
        for length, first in ((16, 0xA5 << 56), (8, 0xE5 << 24)):
            number = first
            for spi in [one for one in self._spis if len(one) == length]:
                number += 1
                while f"{number:0{length}x}" in self._spis:
                    number += 1
                self._spis[spi] = f"{number:0{length}x}"
        self._pattern = self._compiled()

    def _compiled(self) -> re.Pattern[str]:
        """Every known name and SPI, longest first, then whatever looks like an address."""
        spis = [form for spi in self._spis for form in {spi, spi.upper()}]
        known = sorted({*self._names, *spis}, key=len, reverse=True)
        whole = "|".join(re.escape(one) for one in known)
        known_part = rf"(?:(?<![A-Za-z0-9])|(?<=\b0x))(?:{whole})(?![A-Za-z0-9])|" if known else ""
        return re.compile(f"{known_part}{IPV4.pattern}|{IPV6.pattern}")

    def address(self, address: Address) -> Address:
        """What stands for an address."""
        if kept(address):
            return address
        places = self._trees[address.version].replaced(_places(address))
        width = 1 if address.version == 4 else 2
        return ip_address(b"".join(number.to_bytes(width, "big") for number in places))

    def name(self, name: str) -> str:
        """What stands for a name; one that was not met is a text."""
        return self._names.get(name) or self.text(name)

    def spi(self, spi: str) -> str:
        """What stands for an SPI, in lower case; zeros stay."""
        return self._spis.get(spi.lower()) or "0" * len(spi)

    def identity(self, kind: int, value: str) -> str:
        """What stands for an identity."""
        if kind in (IdType.ID_IPV4_ADDR, IdType.ID_IPV6_ADDR):
            address = _address(value)
            return str(self.address(address)) if address is not None else "unreadable"
        return self._names.get(value, "identity")

    def text(self, text: str) -> str:
        """A text with all that is known of replaced."""
        assert self._pattern is not None, "settle comes first"
        return self._pattern.sub(self._one, text)

    def _one(self, found: re.Match[str]) -> str:
        text = found[0]
        if text in self._names:
            return self._names[text]
        if text.lower() in self._spis:
            new = self._spis[text.lower()]
            return new.upper() if text != text.lower() else new
        address = _address(text)
        return text if address is None else str(self.address(address))


IDENTITIES: dict[int, str] = {
    IdType.ID_FQDN: "host",
    IdType.ID_RFC822_ADDR: "user",
    IdType.ID_KEY_ID: "key-id",
}
FORMS = {
    "host": "host-{number}.invalid",
    "domain": "domain-{number}.invalid",
    "user": "user-{number}@users.invalid",
}


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
