"""What the lines of an ASA tell that IOS does not print, or prints otherwise: one row a text, in a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ikescope.events import UNSET, Event, IdentityFact, ProposalFact, life, message, negotiation, router
from ikescope.events.base import UNKNOWN, Tried
from ikescope.ios import words
from ikescope.ios.asa_dump import Packet, known, spelled
from ikescope.ios.asa_lines import KILLED, METHOD_MISMATCH, MISSES
from ikescope.ios.asa_state import Sa, Sas, event_of
from ikescope.ios.catalogue_fields import names_of, transforms_of
from ikescope.ios.debug_internal import NAT_FOUND, nat_checked
from ikescope.wire.registry import ExchangeType, TransformType

INIT, AUTH = int(ExchangeType.IKE_SA_INIT), int(ExchangeType.IKE_AUTH)
IKE, ESP = 1, 3
_POLICY_LINE = re.compile(r"(?:(?P<label>ESP|AH|IKE): )?Proposal (?P<number>\d{1,3}):\s+(?P<names>.{1,2000})")
_POLICY_TEXTS = ("Failed to find a matching policy", "Received Policies:", "Expected Policies:")
_VERIFYING = ("Failed to verify the proposed policies",)
_PFKEY = re.compile(
    r"Received PFKEY (?P<what>[\w ]{1,40}?)(?: for SPI 0x(?P<spi>[0-9A-Fa-f]{1,8}))?,? error (?P<error>TRUE|FALSE)"
)

_MOST_POLICIES = 64
_APART = 3
"""Lines that part two attempts."""


class Tell(Protocol):
    """Takes an event of the line at hand, or of an earlier one."""

    def __call__(self, event: Event, sa: Sa | None = None, *, line: int | None = None) -> None:
        """Keep the event."""


class Teller:
    """Turns ASA's own lines into events; what it needs of earlier lines is in the `Sa` they belong to."""

    def __init__(self, tell: Tell, sas: Sas) -> None:
        self.tell, self._sas = tell, sas
        self.debugged = False
        self.callback = ""
        self.at = 0
        self.wanted = self.found = ""
        self._turned: tuple[str, int] = "", 0
        self._refusing: Sa | None = None
        self._begun = 0

    @property
    def refusing(self) -> bool:
        """Whether the block of a refused proposal is open."""
        return self._refusing is not None

    def pause(self) -> None:
        """A line that is none of these comes: a block that is open ends."""
        if self._refusing is not None:
            self._refused()

    def line(self, kind: str, sa: Sa | None, text: str) -> bool:
        """Whether a line is one of these; its events are told."""
        if self._policy(kind, sa, text):
            return True
        whose = sa or self._sas.last
        if whose is not None:
            _heard(whose, text)
        for pattern, tell in _ROWS:
            found = pattern.fullmatch(text)
            if found is not None:
                tell(self, whose, found)
                return True
        return False

    def _policy(self, kind: str, sa: Sa | None, text: str) -> bool:
        """The block of a refused proposal: what was received, what was expected."""
        refusing = self._refusing
        if kind and text in _POLICY_TEXTS:
            whose = sa or self._sas.last
            if whose is None:
                return True
            if text == "Received Policies:":
                self._refused()
                self._refusing, whose.received, whose.expected = whose, (), None
                self._begun = self.at
            elif text == "Expected Policies:" and refusing is not None:
                refusing.expected = ()
            return True
        if refusing is None or (kind and text in _VERIFYING):
            return False
        if not kind and (found := _POLICY_LINE.match(text)):
            if len(refusing.expected or refusing.received or ()) >= _MOST_POLICIES:
                return True
            protocol = {"ESP": ESP, "AH": 2}.get(found["label"] or "", IKE)
            made = transforms_of(found["names"].strip(), protocol)
            fact = ProposalFact(int(found["number"]), protocol, UNKNOWN, made)
            if refusing.expected is not None:
                refusing.expected = (*refusing.expected, fact)
            else:
                refusing.received = (*(refusing.received or ()), fact)
            return True
        if kind:
            self._refused()
        return False

    def _refused(self) -> None:
        """The block ended: IKE or ESP proposals that have nothing in common, or no entry of the crypto map."""
        sa, self._refusing = self._refusing, None
        if sa is None or sa.received is None:
            return
        received, expected = sa.received, sa.expected or ()
        sa.received = sa.expected = None
        protocol = received[0].protocol if received else (ESP if sa.exchange == AUTH else IKE)
        if protocol != IKE and not expected:
            self.unmatched(sa)
            return
        nearest = nearest_of(received, expected)
        event = event_of(
            negotiation.ProposalRefused,
            protocol=protocol,
            received=spelled(received),
            expected=spelled(expected),
            **nearest,
        )
        self.tell(event, sa, line=self._begun)

    def unmatched(self, sa: Sa) -> None:
        """No entry of the crypto map speaks for what the peer asks: a selector problem, whatever the notify says."""
        if not sa.once("selectors refused", sa.facts.get("message_id")):
            return
        tried = tuple(sa.missed) or (Tried("crypto map", False, "no entry speaks for these selectors"),)
        at, sa.missed_at = sa.missed_at or self._begun or self.at, 0
        sa.missed.clear()
        remote, local = sa.proposed or (UNSET, UNSET)
        facts: dict[str, Any] = {"proposed_local": local, "proposed_remote": remote, "tried": tried}
        self.tell(event_of(negotiation.SelectorsRefused, tunnel=tried[0].name, **facts), sa, line=at)

    def packet(self, sa: Sa, packet: Packet) -> None:
        """A message's head was read: which exchange runs, how often its request went out."""
        if packet.way == "sent" and packet.response is False:
            again = sa.exchange == packet.exchange and sa.facts.get("message_id") == packet.message_id
            sa.sends = sa.sends + 1 if again else 1
            if packet.exchange == INIT and not sa.inbound:
                sa.inbound, self.callback = self.callback, ""
        if packet.way == "sent" and packet.exchange == INIT:
            self.nat(sa)
        sa.exchange = packet.exchange
        sa.facts["message_id"] = packet.message_id

    def nat(self, sa: Sa) -> None:
        """A responder compares the hashes of IKE_SA_INIT before it answers, and prints no other line of it."""
        found, sa.nat = sa.nat, None
        if found is not None and sa.initiator is False:
            self.tell(nat_checked(found), sa)

    def trace(self, sa: Sa, state: str, event: str) -> None:
        """A step of the state machine: a sign that may be the only one."""
        if event == "EV_CHK_CONFIG_MODE":
            self.nat(sa)
        if event in SIGNS:
            sa.hints.setdefault(event, state)
        if state == "EXIT" or event in ("EV_FREE_SA", "EV_ABORT"):
            self.signs(sa)

    def signs(self, sa: Sa) -> None:
        """What the state machine's steps say and no other line did."""
        hints, sa.hints = sa.hints, {}
        for event, state in hints.items():
            SIGNS[event](self, sa, state)

    def failed(self, sa: Sa | None, exchange: int, why: str = "") -> None:
        """An exchange failed; the same is printed up to three times."""
        if sa is None or sa.once("failed", exchange, sa.facts.get("spi_i")):
            facts: dict[str, Any] = {"why": why or UNSET}
            self.tell(event_of(negotiation.ExchangeFailed, exchange=exchange, **facts), sa)

    def exhausted(self, sa: Sa | None) -> None:
        """The peer never answered."""
        exchange: Any = sa.exchange if sa is not None and sa.exchange is not None else UNSET
        if sa is None or sa.once("failed", exchange, sa.facts.get("spi_i")):
            sends: Any = sa.sends if sa is not None and sa.sends else UNSET
            self.tell(event_of(message.RetransmissionsExhausted, exchange=exchange, sends=sends), sa)

    def turned_away(self, peer: str) -> bool:
        """Whether an attempt that has no policy is a new one: the same is said in several lines."""
        before, at = self._turned
        self._turned = peer, self.at
        return before != peer or self.at - at > _APART

    def end(self) -> None:
        """The text ended."""
        self._refused()
        for sa in self._sas.all():
            self.signs(sa)


def nearest_of(received: Sequence[ProposalFact], expected: Sequence[ProposalFact]) -> dict[str, Any]:
    """The pair with the most types in common, and the first type that parts the two."""
    best: tuple[int, dict[str, Any]] | None = None
    for theirs in received:
        for ours in expected:
            if not (known(theirs.transforms) and known(ours.transforms)):
                continue
            apart = [kind for kind in _kinds(theirs, ours) if not _common(theirs, ours, kind)]
            if apart and (best is None or len(apart) < best[0]):
                axis = apart[0]
                found, wanted = (_names(one, axis) for one in (theirs, ours))
                facts = {"nearest": theirs.number, "axis": axis, "found": found, "wanted": wanted}
                best = len(apart), facts
    return best[1] if best is not None else {}


def _kinds(theirs: ProposalFact, ours: ProposalFact) -> list[int]:
    return sorted({one.type for one in (*theirs.transforms, *ours.transforms)})


def _common(theirs: ProposalFact, ours: ProposalFact, kind: int) -> bool:
    mine = [(one.id, one.key_length or None) for one in ours.transforms if one.type == kind]
    return any((one.id, one.key_length or None) in mine for one in theirs.transforms if one.type == kind)


def _names(one: ProposalFact, kind: int) -> str:
    some = [each for each in one.transforms if each.type == kind]
    return names_of(some, kind == TransformType.ENCR and all(known(each.key_length) for each in some), ", ") or "none"


_Row = Callable[[Teller, Sa | None, re.Match[str]], None]


def _heard(sa: Sa, text: str) -> None:
    """What a line of another event tells that its event does not hold."""
    if found := _METHOD.fullmatch(text):
        sa.method = words.method_number(found[1])
    elif found := _ADMITTED.fullmatch(text):
        sa.admitted = int(found[1])
    elif text == METHOD_MISMATCH:
        sa.mismatch = True


_METHOD = re.compile(r"Peer's authentication method is '(.{1,40})'")
_ADMITTED = re.compile(r"supported_peers_auth_method = (\d{1,3})")


def _missed(why: str) -> _Row:
    def tell(teller: Teller, sa: Sa | None, found: re.Match[str]) -> None:
        if sa is not None and len(sa.missed) < 64:
            sa.missed.append(Tried(f"crypto map {found[1]} {found[2]}", False, why))
            sa.missed_at = sa.missed_at or teller.at

    return tell


def _matched(_: Teller, sa: Sa | None, found: re.Match[str]) -> None:
    if sa is not None:
        sa.map = f"crypto map {found[1]} {found[2]}"
        sa.missed.clear()
        sa.missed_at = 0


def _group(teller: Teller, sa: Sa | None, found: re.Match[str]) -> None:
    if sa is not None and sa.number is not None:
        sa.group = found[1]
        teller.tell(event_of(negotiation.ProfileMatched, profile=found[1], tried=()), sa)


def _looked(teller: Teller, _: Sa | None, found: re.Match[str]) -> None:
    """For whose address a tunnel-group is looked up: there is no SA yet."""
    teller.wanted, teller.found = found[1], ""


def _found(teller: Teller, _: Sa | None, found: re.Match[str]) -> None:
    teller.found = found[1]


def _no_policy(teller: Teller, sa: Sa | None, found: re.Match[str]) -> None:
    """No tunnel-group for an address, or one that holds no key: no IKE SA begins."""
    peer, group = found.groupdict().get("peer") or teller.wanted, teller.found
    whose = Sa(facts={"peer": peer, "initiator": True}) if peer else sa
    if whose is None or not teller.turned_away(peer):
        return
    if group and "peer" not in found.groupdict():
        facts: dict[str, Any] = {"which": "local", "profile": group, "keyring": "", "peer": peer, "tried": ()}
        teller.tell(event_of(negotiation.KeyNotFound, **facts), whose)
    else:
        tried = (Tried("tunnel-group", False, f"there is no tunnel-group {peer}"),)
        teller.tell(event_of(negotiation.ProfileNotFound, identity=UNSET, tried=tried), whose)


def _no_group(teller: Teller, sa: Sa | None, found: re.Match[str]) -> None:
    identity: Any = sa.identity if sa is not None and sa.identity is not None else UNSET
    group, remarks = (sa.group, tuple(sa.remarks)) if sa is not None else ("", ())
    tried = (Tried(group, False, "; ".join(remarks) or found[0]),)
    if sa is None or sa.once("no profile"):
        teller.tell(event_of(negotiation.ProfileNotFound, identity=identity, tried=tried), sa)


def _remark(_: Teller, sa: Sa | None, found: re.Match[str]) -> None:
    if sa is not None and len(sa.remarks) < 16:
        sa.remarks.append(found[0])


def _killed(teller: Teller, sa: Sa | None, found: re.Match[str]) -> None:
    cause: Any = KILLED.get(found[1].strip(), UNSET)
    teller.tell(event_of(life.SessionDown, reason=found[1].strip(), cause=cause), sa)


def _failed(exchange: int, why: str = "") -> _Row:
    def tell(teller: Teller, sa: Sa | None, found: re.Match[str]) -> None:
        teller.failed(sa, exchange, why or (found[1].strip() if found.re.groups and found[1] else ""))

    return tell


def _exhausted(teller: Teller, sa: Sa | None, _: re.Match[str]) -> None:
    teller.exhausted(sa)


def _selectors(teller: Teller, sa: Sa | None, _: re.Match[str]) -> None:
    if sa is not None:
        teller.unmatched(sa)


def _weaker(teller: Teller, sa: Sa | None, found: re.Match[str]) -> None:
    """The only line that has the keys' lengths: what was chosen is told again, with that of IKE."""
    mine, esp = (transforms_of(found[name], ESP) for name in ("ike", "esp"))
    bits = next((one.key_length for one in esp or () if isinstance(one.key_length, int)), None)
    if sa is None or not mine or bits is None:
        return
    sa.esp_bits = bits
    before = sa.chosen.get(IKE)
    others = before.transforms if before is not None and isinstance(before.transforms, tuple) else ()
    rest = tuple(one for one in others if one.type != TransformType.ENCR)
    chosen = ProposalFact(1, IKE, "", (*mine[:1], *rest))
    teller.tell(event_of(negotiation.ProposalChosen, protocol=IKE, chosen=chosen), sa)


def _certificate(teller: Teller, sa: Sa | None, found: re.Match[str] | None = None) -> None:
    """A certificate that does not verify is a refused AUTH, whose method the lines before name."""
    if sa is not None and not sa.once("certificate"):
        return
    facts: dict[str, Any] = {}
    if sa is not None and sa.method is not None:
        facts["method"] = sa.method
    if sa is not None and sa.identity is not None:
        facts["identity"] = sa.identity
    teller.tell(event_of(negotiation.AuthRefused, **facts), sa)
    why = "the peer's certificate does not verify"
    teller.failed(sa, AUTH, f"{why}: {found[0]}" if found else why)


def _refusal(teller: Teller, sa: Sa | None, found: re.Match[str]) -> None:
    number = {"no proposal chosen": 14, "authentication failure": 24, "ts unacceptable": 38}[found[1].lower()]
    exchange: Any = sa.exchange if sa is not None and sa.exchange is not None else UNSET
    if sa is None or sa.once("refused", exchange, number):
        teller.tell(event_of(message.ResponseRefused, exchange=exchange, notify=number), sa)


def _pfkey(teller: Teller, sa: Sa | None, found: re.Match[str]) -> None:
    what, spi = found["what"], (found["spi"] or "").lower().zfill(8)
    if found["error"] == "TRUE":
        teller.tell(event_of(router.PlaneFailed, what=f"PFKEY {what}", why="error TRUE"), sa)
    if what == "SPI callback":
        teller.callback = spi
    if sa is None or found["error"] == "TRUE":
        return
    if what == "SPI callback" and sa.initiator is False and sa.exchange == AUTH:
        sa.inbound = spi
    elif what in ("add SA", "update SA"):
        way = "out" if what == "add SA" else "in"
        tunnel: Any = sa.map or UNSET
        teller.tell(event_of(router.EspInstalled, spi=spi, direction=way, tunnel=tunnel), sa)
        sa.told.add(("installed", spi))
    elif what == "delete SA" and ("installed", spi) in sa.told:
        sa.told.discard(("installed", spi))
        teller.tell(
            event_of(router.EspRemoved, spi=spi, direction="in" if spi == sa.inbound else "out", **_NO_COUNTERS), sa
        )


_NO_COUNTERS: dict[str, Any] = {"packets": UNSET, "octets": UNSET}


def _row(pattern: str, tell: _Row) -> tuple[re.Pattern[str], _Row]:
    return re.compile(pattern), tell


def _nat(_: Teller, sa: Sa | None, found: re.Match[str]) -> None:
    if sa is not None:
        sa.nat = (sa.nat or set()) | {NAT_FOUND[found[0]]}


def _nat_done(teller: Teller, sa: Sa | None, _: re.Match[str]) -> None:
    """The old releases' one line of it, whose result is in the remarks before."""
    if sa is not None and sa.nat is not None:
        found, sa.nat = sa.nat, None
        teller.tell(nat_checked(found), sa)


def _status(teller: Teller, sa: Sa | None, found: re.Match[str]) -> None:
    """The platform's word for it; the protocol's says more."""
    if teller.debugged:
        return
    whose = sa if sa is not None and sa.facts.get("peer") == found[1].lower() else Sa(facts={"peer": found[1].lower()})
    if whose.once("up"):
        teller.tell(event_of(life.SessionUp, remote=identity_of(found[2])), whose)


def identity_of(text: str | None) -> Any:
    """An identity as ASA writes it; UNSET for none. Of a name the text does not tell which type it has."""
    plain = (text or "").strip("'\"")
    if not plain or plain.lower() == "unknown":
        return UNSET
    kind: Any = 1 if plain.count(".") == 3 and plain.replace(".", "").isdigit() else UNSET
    return IdentityFact(kind, plain)


#: A message that pages break after `requested`.
HTTP_URL = (
    "Unsupported cert encoding found or Peer requested HTTP URL but never sent HTTP_LOOKUP_SUPPORTED Notification"
)
_ROWS: tuple[tuple[re.Pattern[str], _Row], ...] = (
    _row("|".join(NAT_FOUND), _nat),
    _row(r"Check NAT discovery", _nat_done),
    _row(r"CONNECTION STATUS: UP\.\.\. peer: (\S+), phase1_id: (.*)", _status),
    _row(r"PROXY MATCH on crypto map (\S+) seq (\d+).*", _matched),
    *((pattern, _missed(why)) for pattern, why in MISSES),
    _row(r"mapped to tunnel group (\S+) using phase 1 ID", _group),
    _row(r"attempting to find tunnel group for IP: (\S+)", _looked),
    _row(r"mapped to tunnel group (\S+) using peer IP", _found),
    _row(r"(?i)can't find tunnel group for peer (?P<peer>\S+?)\.?", _no_policy),
    _row(r"Failed to set P1 auth to build policy|unable to set self auth method\..*", _no_policy),
    _row(r"(?i)(?:unable to find|no|failed to find|could not find|failed to map to) tunnel[ -]group.*", _no_group),
    _row(r"Failed to locate an item in the database", _no_group),
    _row(r"Peer ID check: failed to .*|Peer ID check failed", _remark),
    _row(r"session manager killed ikev2 tunnel\. Reason: (.*)", _killed),
    _row(r"Failed SA init exchange|Initial exchange failed(?:: .*)?", _failed(INIT)),
    _row(r"Auth exchange failed", _failed(AUTH)),
    _row(
        r"Failed to receive the AUTH msg before the timer expired",
        _failed(AUTH, "the IKE_AUTH request did not come in time"),
    ),
    _row(r"Create child exchange failed", _failed(36)),
    _row(r"Unsupported cert encoding found or Peer requested.*", _failed(AUTH, HTTP_URL)),
    _row(r"Maximum number of retransmissions reached", _exhausted),
    _row(r"There was no IPSEC policy found for received TS", _selectors),
    _row(r"Verify cert failed|Certificate (?:authentication|validation) failed.*", _certificate),
    _row(r"Received (no proposal chosen|authentication failure|TS unacceptable) notify", _refusal),
    _row(
        r"Selected IKEv2 encryption algorithm \((?P<ike>\S+)\) is not strong enough to secure proposed IPs?[eE][cC] "
        r"encryption algorithm \((?P<esp>\S+)\)\.?",
        _weaker,
    ),
    (_PFKEY, _pfkey),
)


#: Steps of the state machine that this reader tells itself, where no line does.
SIGNS: dict[str, Callable[[Teller, Sa, str], None]] = {
    "EV_RE_XMT_EXCEED": lambda teller, sa, _: teller.exhausted(sa),
    "EV_CERT_FAIL": lambda teller, sa, _: _certificate(teller, sa),
    "EV_AUTH_FAIL": lambda teller, sa, _: teller.failed(sa, AUTH),
    "EV_FAIL": lambda teller, sa, state: teller.failed(sa, INIT) if state == "INIT_DONE" else None,
}

__all__ = ["AUTH", "INIT", "SIGNS", "Tell", "Teller"]
