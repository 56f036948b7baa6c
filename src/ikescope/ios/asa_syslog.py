"""The syslog messages of ASA and FTD that speak of IKEv2 and its IPsec SAs, each a row: what it says as an event."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ikescope.events import UNSET, Event, SelectorFact, life, message, negotiation, router
from ikescope.events.base import Tried
from ikescope.ios.asa_lines import KILLED
from ikescope.ios.asa_state import Sa, event_of
from ikescope.ios.asa_told import Teller, identity_of

#: Families of numbers that belong to VPN sessions: known, even where their text tells no event of ours.
_FAMILIES = re.compile(
    r"750\d{3}|751\d{3}|752\d{3}|753\d{3}|713\d{3}|715\d{3}|60230\d|4021\d\d|11301\d|722\d{3}|746\d{3}"
)
_ENDS = re.compile(
    r"(?i)Local: ?(\S{1,50}?):(\d{1,5}),? Remote: ?(\S{1,50}?):(\d{1,5})(?:,? Username: ?(\S{1,120}))?,? ?"
)
_RANGE = re.compile(
    r"(local|remote) traffic selector = Address Range: (\S{1,45}?)-(\S{1,45}?) Protocol: (\d{1,3}) "
    r"Port Range: (\d{1,5})-(\d{1,5})"
)
_TS = re.compile(r"(remote|local) traffic selector (\S{1,45}?)/(\S{1,45}?)/(\d{1,5})/(\d{1,5})/(\d{1,3})(?=[\s!]|$)")

_Row = Callable[[Teller, Sa, re.Match[str]], None]


def syslog(tag: str, text: str, teller: Teller) -> bool:
    """Whether a message is known; its events are told."""
    number = tag.rpartition("-")[2]
    if not _FAMILIES.fullmatch(number):
        return False
    sa = Sa()
    ends = _ENDS.search(text)
    if ends:
        sa.facts = {"local": f"{ends[1]}:{ends[2]}".lower(), "peer": f"{ends[3]}:{ends[4]}".lower()}
    for wanted, pattern, tell in _ROWS:
        if re.fullmatch(wanted, number) and (found := pattern.search(text)):
            tell(teller, sa, found)
            break
    return True


def _aborted(teller: Teller, sa: Sa, found: re.Match[str]) -> None:
    why = found[1].strip()
    exchange: Any = next((number for text, number in _EXCHANGES if text in why), UNSET)
    kind, facts = next(((kind, facts) for text, kind, facts in _REASONS if text in why), (None, {}))
    if kind is not None:
        teller.tell(event_of(kind, **facts), sa)
    if kind is not message.RetransmissionsExhausted:
        teller.tell(event_of(negotiation.ExchangeFailed, exchange=exchange, why=why), sa)


_UNTOLD: dict[str, Any] = {"identity": UNSET}
_CRYPTO_MAP = (Tried("crypto map", False, "no entry speaks for these selectors"),)
_REASONS: tuple[tuple[str, type[Event], dict[str, Any]], ...] = (
    (
        "no IPSEC policy found for received TS",
        negotiation.SelectorsRefused,
        {"proposed_local": UNSET, "proposed_remote": UNSET, "tried": _CRYPTO_MAP},
    ),
    ("Maximum number of retransmissions", message.RetransmissionsExhausted, {}),
    ("Failed to authenticate the IKE SA", negotiation.AuthRefused, _UNTOLD),
    ("Failed to find a matching policy", negotiation.ProposalRefused, {"protocol": 1}),
    ("Received no proposal chosen notify", message.ResponseRefused, {"exchange": 34, "notify": 14}),
    ("wrong DH group", message.RequestRefused, {"exchange": 34, "notify": 17}),
    ("Failed to locate an item in the database", negotiation.ProfileNotFound, {**_UNTOLD, "tried": ()}),
)
"""Why a negotiation was aborted, and what that is as an event."""
_EXCHANGES = (("Auth", 35), ("AUTH", 35), ("authenticat", 35), ("received TS", 35), ("Initial exchange", 34))


def _up(teller: Teller, sa: Sa, found: re.Match[str]) -> None:
    del found
    teller.tell(event_of(life.SessionUp), sa)


def _down(teller: Teller, sa: Sa, found: re.Match[str]) -> None:
    reason = found[1].strip()
    cause: Any = next((kind for text, kind in KILLED.items() if text.lower() in reason.lower()), UNSET)
    teller.tell(event_of(life.SessionDown, reason=reason, cause=cause), sa)


def _asked(teller: Teller, sa: Sa, found: re.Match[str]) -> None:
    sides: dict[str, Any] = {"local": UNSET, "remote": UNSET}
    for one in _RANGE.finditer(found.string):
        sides[one[1]] = (SelectorFact(one[2].lower(), one[3].lower(), int(one[4]), int(one[5]), int(one[6])),)
    teller.tell(event_of(router.TrafficMatched, local=sides["local"], remote=sides["remote"]), sa)


def _unmatched(teller: Teller, sa: Sa, found: re.Match[str]) -> None:
    sides: dict[str, Any] = {"local": UNSET, "remote": UNSET}
    for one in _TS.finditer(found.string):
        sides[one[1]] = (SelectorFact(one[2].lower(), one[3].lower(), int(one[6]), int(one[4]), int(one[5])),)
    tried = (Tried("crypto map", False, "no entry speaks for these selectors"),)
    event = event_of(
        negotiation.SelectorsRefused, proposed_local=sides["local"], proposed_remote=sides["remote"], tried=tried
    )
    teller.tell(event, sa)


def _no_profile(teller: Teller, sa: Sa, found: re.Match[str]) -> None:
    ends = _ENDS.search(found.string)
    identity = identity_of(ends[5] if ends else None)
    teller.tell(
        event_of(negotiation.ProfileNotFound, identity=identity, tried=(Tried("tunnel-group", False, found[0]),)), sa
    )


def _no_key(which: Any) -> _Row:
    def tell(teller: Teller, sa: Sa, found: re.Match[str]) -> None:
        group = found[1] if found.re.groups else ""
        peer = str(sa.facts.get("peer", "")).rpartition(":")[0] or group or ""
        if peer and "peer" not in sa.facts:
            sa.facts = {"peer": peer}
        event = event_of(negotiation.KeyNotFound, which=which, profile=group or "", keyring="", peer=peer, tried=())
        teller.tell(event, sa)

    return tell


def _failed(teller: Teller, sa: Sa, found: re.Match[str]) -> None:
    teller.tell(event_of(negotiation.ExchangeFailed, exchange=35, why=found[0].strip()), sa)


def _received(teller: Teller, sa: Sa, found: re.Match[str]) -> None:
    del found
    if teller.debugged:
        return
    facts: dict[str, Any] = {"local": sa.facts.get("local", UNSET), "remote": sa.facts.get("peer", UNSET)}
    sa.facts["initiator"] = False
    teller.tell(event_of(message.MessageReceived, exchange=34, response=False, **facts), sa)


def _created(teller: Teller, sa: Sa, found: re.Match[str]) -> None:
    way = "out" if found[1].lower() == "outbound" else "in"
    spi = found[2].lower().zfill(8)
    unknown: Any = UNSET
    if found[3] == "created":
        teller.tell(event_of(router.EspInstalled, spi=spi, direction=way, tunnel=unknown), sa)
    else:
        teller.tell(event_of(router.EspRemoved, spi=spi, direction=way, packets=unknown, octets=unknown), sa)


def _moved(teller: Teller, sa: Sa, found: re.Match[str]) -> None:
    facts: dict[str, Any] = {"local_before": UNSET, "remote_before": found[1], "local": UNSET, "remote": found[2]}
    teller.tell(event_of(life.PathChanged, followed=True, **facts), sa)


def _dropped(teller: Teller, sa: Sa, found: re.Match[str]) -> None:
    facts: dict[str, Any] = {"spi": UNSET, "source": UNSET, "destination": UNSET, "count": 1}
    spi = re.search(r"(?i)SPI[ =]+0x([0-9a-f]{1,8})", found.string)
    if spi:
        facts["spi"] = spi[1].lower().zfill(8)
    teller.tell(event_of(router.EspDropped, reason=found[0].strip(), **facts), sa)


def _row(number: str, pattern: str, tell: _Row) -> tuple[str, re.Pattern[str], _Row]:
    return number, re.compile(pattern), tell


_ROWS: tuple[tuple[str, re.Pattern[str], _Row], ...] = (
    _row("750001", r"Received request to \w+", _asked),
    _row("750002", r"Received a IKE_\w*INIT\w* request|Received a IKE_INIT_SA request", _received),
    _row("750003|750014", r"(?:aborted due to ERROR|aborted\. Reason): (.{1,400})", _aborted),
    _row("750006", r"SA UP\. Reason: (.{1,200})", _up),
    _row("750007", r"SA DOWN\. Reason: (.{1,200})", _down),
    _row("750008|750009", r"SA (?:request )?rejected .{1,300}", _failed),
    _row("750013", r"Peer Moved: Previous \S* ?(\S+?:\d+).* Updated \S* ?(\S+?:\d+)", _moved),
    _row("751002", r"(?i)No pre-?shared key .* in tunnel group (\S+)", _no_key("local")),
    _row("751004", r"No remote authentication method .* in tunnel group (\S+)", _no_key("remote")),
    _row("751009|751010", r"(?:Unable to|No crypto map setting).{1,200}", _no_profile),
    _row(
        "751001|751006|751008|75101[1-9]|751020",
        r"(?:Failed|Failure|Certificate|Configuration|Tunnel rejected|SA request|L2L peer|Terminating|An IKE).{1,300}",
        _failed,
    ),
    _row("751022", r"Crypto Map Policy not found", _unmatched),
    _row(
        "60230[34]",
        r"An? (inbound|outbound) .*?SA \(SPI ?= ?0x([0-9A-Fa-f]{1,8})\).* has been (created|deleted)",
        _created,
    ),
    _row("4021\\d\\d", r"IPSEC: .{1,300}", _dropped),
)
