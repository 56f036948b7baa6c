"""The syslog messages that IOS writes without any debug, from events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from ikescope.config.model import DEBUGGING
from ikescope.events import UNSET, Event, IdentityFact, Record, Stamp, UnsetType, life, message, negotiation, router
from ikescope.ios import words
from ikescope.ios.debug import stamp_text
from ikescope.wire.registry import ExchangeType

#: The shape of `%CRYPTO-5-IKEV2_SESSION_STATUS`, which `crypto logging ikev2` switches on.
_SESSION = "%CRYPTO-5-IKEV2_SESSION_STATUS: Crypto tunnel v2 is {state}.  Peer {peer}       Id: {identity}"

RELOAD = "reload of "
"""What the one line of a changed configuration begins with where a whole file was loaded."""

#: Named in Cisco's message guide; no real line was to be had, so the peer stands at its end, in our manner.
_ABORTED = "%IKEV2-3-NEG_ABORT: Negotiation aborted due to ERROR: {why}; peer {peer}"

#: A word of the reason for which ESP was dropped -> IOS's message for it.
ESP_REASONS = {
    "SPI": "RECVD_PKT_INV_SPI: decaps: rec'd IPSEC packet has invalid spi",
    "replay": "PKT_REPLAY_ERR: decrypt: replay check failed",
    "integrity": "RECVD_PKT_MAC_ERR: decrypt: mac verify failed",
}


def lines(record: Record, *, stamps: bool = True) -> list[str]:
    """The syslog lines of one record; empty for most. With `stamps` each begins with IOS's time stamp."""
    make = _TABLE.get(type(record.event))
    if make is None:
        return []
    head = stamp_text(record.stamp.wall) if stamps else ""
    return [head + text for text in make(record.event, record.stamp)]


def up_to(severity: int | None, told: Iterable[str]) -> list[str]:
    """Those of the lines, debug lines among them, that `logging` lets through: None for none, else 0 to 7."""
    if severity is None:
        return []
    return [line for line in told if severity == DEBUGGING or severity_of(line) <= severity]


def severity_of(line: str) -> int:
    """The severity in a line's message name; a debug line has the least."""
    found = _SEVERITY.search(line)
    return int(found[1]) if found else DEBUGGING


FACILITY = 23
"""local7, what IOS uses unless `logging facility` says otherwise."""
PACKET_OCTETS = 1024
"""RFC 3164 section 4.1: no packet is longer."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SEVERITY = re.compile(r"%[A-Z0-9_]+-([0-7])-")
_INFORMATIONAL = 6


def packet(line: str, *, hostname: str, number: int, wall: float) -> bytes:
    """One syslog line (without its time stamp) as RFC 3164 has it: priority, UTC time, host, IOS's number, text.

    At most 1,024 octets of printable ASCII; what is not printable is written as an escape.
    """
    found = _SEVERITY.search(line)
    severity = int(found[1]) if found else _INFORMATIONAL
    at = datetime.fromtimestamp(wall, UTC)
    stamp = f"{_MONTHS[at.month - 1]} {at.day:2} {at:%H:%M:%S}"
    safe = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in line)
    text = f"<{FACILITY * 8 + severity}>{stamp} {hostname.split()[0]} {number}: {safe}"
    return text.encode("ascii", "backslashreplace")[:PACKET_OCTETS]


def _peer(stamp: Stamp) -> str:
    return words.address(stamp.peer) if stamp.peer is not UNSET else "unknown"


def _session(state: str, identity: IdentityFact | UnsetType, stamp: Stamp) -> list[str]:
    peer = _peer(stamp)
    name = words.identity(identity) if identity is not UNSET else "unknown"
    return [_SESSION.format(state=state, peer=peer, identity=name)]


def _up(event: life.SessionUp, stamp: Stamp) -> list[str]:
    return _session("UP", event.remote, stamp)


def _down(event: life.SessionDown, stamp: Stamp) -> list[str]:
    return _session("DOWN", event.remote, stamp)


def _interface_up(event: router.InterfaceUp, _: Stamp) -> list[str]:
    return [f"%LINEPROTO-5-UPDOWN: Line protocol on Interface {event.interface}, changed state to up"]


def _interface_down(event: router.InterfaceDown, _: Stamp) -> list[str]:
    return [f"%LINEPROTO-5-UPDOWN: Line protocol on Interface {event.interface}, changed state to down"]


def _esp(event: router.EspDropped, _: Stamp) -> list[str]:
    """The words of IOS for the reason, ours in its manner where it has none that we know of."""
    text = next((text for part, text in ESP_REASONS.items() if part in event.reason), None)
    number = int(event.spi, 16) if event.spi else 0
    count = f", {event.count} packets" if event.count > 1 else ""
    if text is None or not event.destination:  # a kernel that carries ESP counts some without saying whose
        ends = f", destaddr={event.destination}, srcaddr={event.source}" if event.destination else ""
        return [f"%CRYPTO-4-IKESCOPE_ESP_DROP: {event.reason}{ends}{count}"]
    spi = f"spi=0x{number:08X}({number})"
    return [f"%CRYPTO-4-{text} for destaddr={event.destination}, prot=50, {spi}, srcaddr={event.source}{count}"]


def _loaded(event: router.ConfigurationChanged, _: Stamp) -> list[str]:
    """A file's lines; those typed are told when the operator leaves the mode."""
    name = event.lines[0].removeprefix(RELOAD) if event.lines and event.lines[0].startswith(RELOAD) else ""
    return [f"%SYS-5-CONFIG_I: Configured from {name} by console"] if name else []


def _configured(event: router.ConfigurationLeft, _: Stamp) -> list[str]:
    return [f"%SYS-5-CONFIG_I: Configured from console by {_named(event.who)}"]


def _privileged(event: router.PrivilegeAsked, _: Stamp) -> list[str]:
    if event.granted:
        return [f"%SYS-5-PRIV_AUTH_PASS: Privilege level set to {event.privilege} by {_named(event.who)}"]
    return [f"%SYS-5-PRIV_AUTH_FAIL: Authentication to Privilege level {event.privilege} failed by {_named(event.who)}"]


def _named(who: str) -> str:
    return "console" if who.startswith("console") else who


def _failed(event: router.PlaneFailed, _: Stamp) -> list[str]:
    return [f"%CRYPTO-3-IKESCOPE_PLANE: {event.what}: {event.why}"]


def _on(_: router.RouterStarted, __: Stamp) -> list[str]:
    return ["%CRYPTO-6-ISAKMP_ON_OFF: ISAKMP is ON"]


def _silent(event: message.RetransmissionsExhausted, stamp: Stamp) -> list[str]:
    sent = f"{words.exchange(event.exchange)} sent {event.sends} times in {event.seconds:.0f} s"
    return [_ABORTED.format(why=f"Maximum number of retransmissions reached ({sent})", peer=_peer(stamp))]


def _aborted(event: negotiation.ExchangeFailed, stamp: Stamp) -> list[str]:
    # What a stranger's IKE_SA_INIT failed at is in the debug: nobody may fill a console from afar.
    known = stamp.initiator is True or event.exchange != ExchangeType.IKE_SA_INIT
    return [_ABORTED.format(why=event.why, peer=_peer(stamp))] if known else []


def _at(stamp: Stamp) -> str:
    return f"{datetime.fromtimestamp(stamp.wall, UTC):%H:%M:%S UTC %a %b %d %Y}"


def _came(event: router.LoginSucceeded, stamp: Stamp) -> list[str]:
    ends = f"[user: {event.who}] [Source: {event.address}] [localport: {event.port}]"
    return [f"%SEC_LOGIN-5-LOGIN_SUCCESS: Login Success {ends} at {_at(stamp)}"]


def _kept_out(event: router.LoginFailed, stamp: Stamp) -> list[str]:
    ends = f"[user: {event.who}] [Source: {event.address}] [localport: {event.port}]"
    count = f" ({event.count} logins)" if event.count > 1 else ""
    return [f"%SEC_LOGIN-4-LOGIN_FAILED: Login failed {ends} [Reason: {event.why}] at {_at(stamp)}{count}"]


def _left(event: router.LoginEnded, _: Stamp) -> list[str]:
    return [f"%SYS-6-LOGOUT: User {event.who} has exited tty session {event.line}({event.address})"]


def _off(_: router.RouterStopped, __: Stamp) -> list[str]:
    return ["%CRYPTO-6-ISAKMP_ON_OFF: ISAKMP is OFF"]


_TABLE: dict[type[Event], Callable[[Any, Stamp], list[str]]] = {
    message.RetransmissionsExhausted: _silent,
    negotiation.ExchangeFailed: _aborted,
    life.SessionUp: _up,
    life.SessionDown: _down,
    router.InterfaceUp: _interface_up,
    router.InterfaceDown: _interface_down,
    router.EspDropped: _esp,
    router.ConfigurationChanged: _loaded,
    router.ConfigurationLeft: _configured,
    router.PrivilegeAsked: _privileged,
    router.PlaneFailed: _failed,
    router.RouterStarted: _on,
    router.RouterStopped: _off,
    router.LoginSucceeded: _came,
    router.LoginFailed: _kept_out,
    router.LoginEnded: _left,
}
