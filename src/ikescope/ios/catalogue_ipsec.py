"""The catalogue of `debug crypto ipsec`: what the engine asks of the data plane, and what that did.

No transcript of it was to be had: the words are IOS's as they are remembered, none is sourced.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import Any

from ikescope.events import Event, SelectorFact, Stamp, negotiation, router
from ikescope.ios.catalogue import Field, Line, Row
from ikescope.ios.catalogue_fields import ADDRESS, FIELDS, text_field


def _networks(one: SelectorFact) -> list[IPv4Network] | list[IPv6Network]:
    """The one network that a selector is; none where it is a range that no mask writes."""
    first, last = ip_address(one.start), ip_address(one.end)
    some: list[IPv4Network] | list[IPv6Network] = []
    if isinstance(first, IPv4Address) and isinstance(last, IPv4Address) and first <= last:  # noqa: SIM114
        some = list(summarize_address_range(first, last))
    elif isinstance(first, IPv6Address) and isinstance(last, IPv6Address) and first <= last:
        some = list(summarize_address_range(first, last))
    return some if len(some) == 1 else []


def _proxy(one: SelectorFact) -> str:
    """A selector as IOS writes a proxy: address/mask/protocol/port; a range that no mask writes as first-last."""
    port = one.start_port if one.start_port == one.end_port else 0
    for net in _networks(one):
        return f"{net.network_address}/{net.netmask}/{one.protocol}/{port}"
    return f"{one.start}-{one.end}/{one.protocol}/{port}"


def _selector(text: str) -> SelectorFact | None:
    head, protocol, port = text.rsplit("/", 2)
    first, dash, last = head.partition("-")
    if not dash:
        address, _, mask = head.partition("/")
        try:
            net = ip_network(f"{address}/{int(ip_address(mask)).bit_count()}")
        except ValueError:
            return None
        first, last = str(net[0]), str(net[-1])
    number = int(port)
    ends = (number, number) if number else (0, 65535)
    return SelectorFact(first, last, int(protocol), *ends)


def _proxies(name: str) -> Field:
    def render(event: Any, _: Stamp) -> str | None:
        some: Sequence[SelectorFact] = getattr(event, name)
        return ",".join(_proxy(one) for one in some) if some else None

    def read(text: str, facts: dict[str, Any], _: dict[str, Any]) -> None:
        made = [_selector(part) for part in text.split(",")]
        if all(one is not None for one in made):
            facts[name] = tuple(made)

    return Field(r"\S+", render, read)


def _spi(name: str) -> Field:
    def render(event: Any, _: Stamp) -> str | None:
        text = getattr(event, name)
        return f"0x{int(text, 16):X}({int(text, 16)})" if isinstance(text, str) and text else None

    def read(text: str, facts: dict[str, Any], _: dict[str, Any]) -> None:
        facts[name] = f"{int(text.partition('(')[0], 16):08x}"

    return Field(r"0x[0-9A-Fa-f]+\(\d+\)", render, read)


def _whole(name: str) -> Field:
    def render(event: Any, _: Stamp) -> str | None:
        value = getattr(event, name)
        return str(value) if isinstance(value, int) else None

    def read(text: str, facts: dict[str, Any], _: dict[str, Any]) -> None:
        facts[name] = int(text)

    return Field(r"\d+", render, read)


_FIELDS: dict[str, Field] = {
    "local_proxy": _proxies("local"),
    "remote_proxy": _proxies("remote"),
    "refused_local": _proxies("proposed_local"),
    "refused_remote": _proxies("proposed_remote"),
    "spi": _spi("spi"),
    "source": text_field("packet_source", ADDRESS),
    "destination": text_field("packet_destination", ADDRESS),
    "ip_protocol": _whole("packet_protocol"),
    "direction": text_field("direction", "in|out"),
    "packets": _whole("packets"),
    "sent": _whole("octets"),
    "tunnel": FIELDS["tunnel"],
    "why": FIELDS["why"],
    "what": text_field("what", r".+?"),
}


def _row(event: type[Event], *texts: str, principal: int = 0) -> Row:
    lines = tuple(Line("none" if text.startswith(" ") else "ipsec", text) for text in texts)
    return Row(event, lines, "unsourced", "", principal=principal, fields=_FIELDS)


IPSEC: tuple[Row, ...] = (
    _row(
        router.TrafficMatched,
        "IPSEC(sa_request): ,",
        "  (key eng. msg.) OUTBOUND packet= {source} -> {destination}/{ip_protocol}, tunnel= {tunnel},",
        "    local_proxy= {local_proxy},",
        "    remote_proxy= {remote_proxy}",
        principal=1,
    ),
    _row(
        router.EspInstalled,
        "IPSEC(create_sa): sa created,",
        "  (sa) direction= {direction}, sa_proto= 50, sa_spi= {spi}, tunnel= {tunnel}",
        principal=1,
    ),
    _row(
        router.EspRemoved,
        "IPSEC(delete_sa): deleting SA,",
        "  (sa) direction= {direction}, sa_proto= 50, sa_spi= {spi}, packets= {packets}, octets= {sent}",
        principal=1,
    ),
    _row(router.EspSwitched, "IPSEC(update_current_outbound_sa): updated {tunnel} current outbound sa to SPI {spi}"),
    _row(
        negotiation.SelectorsRefused,
        "IPSEC(ipsec_process_proposal): proxy identities not supported",
        "    local_proxy= {refused_local},",
        "    remote_proxy= {refused_remote}",
    ),
    _row(router.PlaneFailed, "IPSEC(key_engine): {what}: {why}"),
)
"""Every row of `debug crypto ipsec`."""


@cache
def _by_event() -> dict[type[Event], Row]:
    return {row.event: row for row in IPSEC}


def find_ipsec(event: Event, stamp: Stamp) -> Row | None:
    """The row of `debug crypto ipsec` that speaks of an event; None for most."""
    return _by_event().get(type(event))
