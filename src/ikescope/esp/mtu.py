"""How large an inner packet may be for its ESP packet to fit the path."""

from __future__ import annotations

from ikescope.crypto.suites import EspSuite
from ikescope.esp import gre as gre_format

_IP = {False: 20, True: 40}  # IPv4, IPv6
_UDP = 8
_ESP_HEADER = 8
_ESP_TRAILER = 2


def overhead_fixed(suite: EspSuite, *, udp: bool, ipv6: bool = False) -> int:
    """Octets of an ESP packet outside the padded plaintext, with its outer IP and UDP headers."""
    icv = suite.encryption.icv_octets or (suite.integrity.icv_octets if suite.integrity else 0)
    return _IP[ipv6] + _UDP * udp + _ESP_HEADER + suite.encryption.iv_octets + icv


def tunnel_mtu(path_mtu: int, suite: EspSuite, *, udp: bool, gre: bool, transport: bool, ipv6: bool = False) -> int:
    """The largest inner packet whose ESP packet is at most `path_mtu` octets long.

    `gre`: the inner packet travels in GRE, which in tunnel mode has an IP header of its own; `ipv6`: the outer path
    and that header are IPv6. All in octets, each with its IP header.
    """
    room = path_mtu - overhead_fixed(suite, udp=udp, ipv6=ipv6)
    alignment = suite.encryption.esp_alignment
    payload = room // alignment * alignment - _ESP_TRAILER
    if gre:
        payload -= gre_format.HEADER_OCTETS + (0 if transport else _IP[ipv6])
    return payload
