"""The typed values of the command grammar: what `?` calls them, how a token becomes one, what is wanted instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from typing import Any

from ikescope.config.model import Address

#: IP protocols by the names that IOS accepts and prints in an access-list.
PROTOCOL_NAMES = {
    "ip": 0,
    "icmp": 1,
    "igmp": 2,
    "ipinip": 4,
    "tcp": 6,
    "udp": 17,
    "gre": 47,
    "esp": 50,
    "ahp": 51,
    "eigrp": 88,
    "ospf": 89,
    "nos": 94,
    "pim": 103,
    "pcp": 108,
    "sctp": 132,
}

#: TCP and UDP ports by the names that IOS accepts in an access-list; it prints numbers back as numbers or names alike.
PORT_NAMES = {
    "echo": 7,
    "discard": 9,
    "daytime": 13,
    "chargen": 19,
    "ftp-data": 20,
    "ftp": 21,
    "telnet": 23,
    "smtp": 25,
    "time": 37,
    "nameserver": 42,
    "whois": 43,
    "tacacs": 49,
    "domain": 53,
    "bootps": 67,
    "bootpc": 68,
    "tftp": 69,
    "gopher": 70,
    "finger": 79,
    "www": 80,
    "hostname": 101,
    "pop2": 109,
    "pop3": 110,
    "sunrpc": 111,
    "ident": 113,
    "nntp": 119,
    "ntp": 123,
    "netbios-ns": 137,
    "netbios-dgm": 138,
    "netbios-ss": 139,
    "snmp": 161,
    "snmptrap": 162,
    "xdmcp": 177,
    "bgp": 179,
    "irc": 194,
    "dnsix": 195,
    "mobile-ip": 434,
    "pim-auto-rp": 496,
    "isakmp": 500,
    "exec": 512,
    "biff": 512,
    "login": 513,
    "who": 513,
    "syslog": 514,
    "cmd": 514,
    "lpd": 515,
    "talk": 517,
    "rip": 520,
    "uucp": 540,
    "klogin": 543,
    "kshell": 544,
    "non500-isakmp": 4500,
}

#: Interface types; the first that an abbreviation begins wins.
INTERFACE_TYPES = (
    "GigabitEthernet",
    "Tunnel",
    "Loopback",
    "FastEthernet",
    "Ethernet",
    "TenGigabitEthernet",
    "TwoGigabitEthernet",
    "TwentyFiveGigE",
    "FiveGigabitEthernet",
    "FortyGigabitEthernet",
    "HundredGigE",
    "AppGigabitEthernet",
    "Serial",
    "Vlan",
    "Port-channel",
    "BDI",
    "BVI",
    "Dialer",
    "Cellular",
    "Multilink",
    "Null",
    "ATM",
    "Async",
    "NVI",
    "nve",
)
_INTERFACE = re.compile(r"([A-Za-z][A-Za-z-]*)(\d+(?:[/.:]\d+)*)\Z")
_UNIT = re.compile(r"\d+(?:[/.:]\d+)*\Z")


def interface_type(word: str) -> str | None:
    """The interface type that a word spells or abbreviates, None where it is none."""
    low = word.lower()
    return next((name for name in INTERFACE_TYPES if name.lower().startswith(low)), None)


def is_split_interface(word: str, unit: str) -> bool:
    """Whether two tokens (`Tunnel 0`, `gi 0/1`) name one interface."""
    return len(word) > 1 and word.replace("-", "").isalpha() and bool(_UNIT.match(unit)) and bool(interface_type(word))


def interface_name(text: str) -> str:
    """The full name of an interface (`gi1` is GigabitEthernet1); ValueError where it is none."""
    found = _INTERFACE.match(text)
    kind = interface_type(found[1]) if found else None
    if found is None or kind is None:
        raise ValueError(f"had {text}, wanted an interface such as GigabitEthernet1 or Tunnel0")
    return kind + found[2]


@dataclass(frozen=True, slots=True)
class Value:
    """A kind of value: `label` as `?` prints it, `parse` raises ValueError("had ..., wanted ...").

    `rest`: takes the whole rest of the line. `secret`: no message may repeat it.
    """

    label: str
    help: str
    parse: Callable[[str], Any]
    rest: bool = False
    secret: bool = False


def _ipv4(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise ValueError(f"had {text}, wanted an IPv4 address A.B.C.D") from None


def _ipv6(text: str) -> IPv6Address:
    try:
        return IPv6Address(text)
    except ValueError:
        raise ValueError(f"had {text}, wanted an IPv6 address X:X:X:X::X") from None


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError(f"had {text}, wanted an IP address") from None


def _mask(text: str) -> int:
    bits = int(_ipv4(text))
    length = bits.bit_count()
    if bits != (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF:
        raise ValueError(f"had {text}, wanted a mask of ones and then zeros such as 255.255.255.0")
    return length


def _wildcard(text: str) -> int:
    try:
        return _mask(str(IPv4Address(int(_ipv4(text)) ^ 0xFFFFFFFF)))
    except ValueError:
        raise ValueError(f"had {text}, wanted a wildcard mask of zeros and then ones such as 0.0.0.255") from None


def _prefix4(text: str) -> IPv4Interface:
    try:
        if "/" not in text:
            raise ValueError
        return IPv4Interface(text)
    except ValueError:
        raise ValueError(f"had {text}, wanted A.B.C.D/length") from None


def _prefix6(text: str) -> IPv6Interface:
    try:
        if "/" not in text:
            raise ValueError
        return IPv6Interface(text)
    except ValueError:
        raise ValueError(f"had {text}, wanted X:X:X:X::X/length") from None


def _hex(text: str) -> bytes:
    try:
        if not text or " " in text:
            raise ValueError
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise ValueError(f"had {len(text)} characters, wanted an even number of hexadecimal digits") from None


def _md5(text: str) -> bytes:
    octets = _hex(text)
    if len(octets) != 16:
        raise ValueError(f"had {len(octets)} octets, wanted the 16 of an MD5")
    return octets


def _named(names: dict[str, int], top: int, what: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if text.lower() in names:
            return names[text.lower()]
        if text.isdecimal() and int(text) <= top:
            return int(text)
        raise ValueError(f"had {text}, wanted {what}")

    return parse


def _text(text: str) -> str:
    return text


VALUES = {
    "word": Value("WORD", "a name", _text),
    "line": Value("LINE", "text to the end of the line", _text, rest=True),
    "key": Value("LINE", "the key in clear", _text, rest=True, secret=True),
    "password": Value("LINE", "the secret, in clear or as the type before it says", _text, rest=True, secret=True),
    "hex": Value("Hex-data", "the key in hexadecimal digits", _hex, rest=True, secret=True),
    "md5": Value("WORD", "MD5 of the key in hexadecimal digits", _md5),
    "ipv4": Value("A.B.C.D", "IPv4 address", _ipv4),
    "mask": Value("A.B.C.D", "network mask", _mask),
    "wildcard": Value("A.B.C.D", "wildcard bits", _wildcard),
    "ipv6": Value("X:X:X:X::X", "IPv6 address", _ipv6),
    "address": Value("A.B.C.D or X:X:X:X::X", "IP address", _address),
    "prefix4": Value("A.B.C.D/nn", "IPv4 address and prefix length", _prefix4),
    "prefix6": Value("X:X:X:X::X/<0-128>", "IPv6 address and prefix length", _prefix6),
    "interface": Value("INTERFACE", "interface name", interface_name),
    "protocol": Value("<0-255>", "IP protocol by name or number", _named(PROTOCOL_NAMES, 255, "an IP protocol, 0-255")),
    "port": Value("<0-65535>", "port by name or number", _named(PORT_NAMES, 65535, "a port, 0-65535")),
}

_RANGE = re.compile(r"(\d+)-(\d+)(?:/(\d+))?\Z")


def value_of(spec: str) -> Value:
    """The Value of a spec: a name of VALUES, `LOW-HIGH`, or `LOW-HIGH/FROM` where the handler decides below LOW."""
    found = _RANGE.match(spec)
    if not found:
        return VALUES[spec]
    low, high, lowest = int(found[1]), int(found[2]), int(found[3] or found[1])

    def parse(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= high:
            raise ValueError(f"had {text}, wanted {low}-{high}")
        return int(text)

    return Value(f"<{low}-{high}>", "number", parse)
