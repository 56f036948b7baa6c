"""Findings on network address translation: a mapping that is forgotten, a NAT that one end alone sees."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from ikescope.events import IdentityFact, Record
from ikescope.events.life import PathChanged
from ikescope.events.negotiation import NatChecked, PeerIdentified
from ikescope.explain import words
from ikescope.explain.findings.case import Case, View, shown
from ikescope.explain.findings.draft import Draft, ios, profile_name, side_opposite, text
from ikescope.explain.findings.model import Remedy
from ikescope.wire.registry import IdType


def rebinding(case: Case) -> Iterator[Draft]:
    """The peer's address or port changed under way: a NAT box forgot its mapping, or the peer moved."""
    found = [one for one in case.all(PathChanged) if not _floats(one[2])]
    if not found:
        return
    view, record, event = found[0]
    other = case.other(view)
    moved = f"from {event.remote_before} to {event.remote}" if _both(event) else ""
    what = f"{other} is heard from another address or port {moved}".rstrip()
    if event.followed is False:
        what += ", which is not followed"
    yield Draft(
        cause=what,
        side="path",
        because=("Verified messages are followed to where they come from (RFC 7296 section 2.23).",),
        evidence=(shown(record, what),),
        remedy=(
            ios(case, view, ("crypto ikev2 nat keepalive 20",), other=True),
            text("path", "a longer UDP timeout in the NAT box keeps its mapping"),
        ),
    )


def _floats(event: PathChanged) -> bool:
    """Whether it is only the move to port 4500 that NAT traversal asks for."""
    if not _both(event):
        return False
    before, after = str(event.remote_before), str(event.remote)
    return words.host(before) == words.host(after) and (words.port(before), words.port(after)) == ("500", "4500")


def _both(event: PathChanged) -> bool:
    return isinstance(event.remote_before, str) and isinstance(event.remote, str)


def one_sided(case: Case) -> Iterator[Draft]:
    """One end takes the other to be behind a NAT, and the other does not; or a NAT that nobody looked for."""
    checks = [(view, found[0], found[1]) for view in case.views if (found := view.last(NatChecked)) is not None]
    if len(checks) == 2:
        yield from _contradiction(case, checks)
        return
    for view, record, event in checks:
        said = view.last(PeerIdentified)
        if event.supported is not False or said is None or not isinstance(said[1].identity, IdentityFact):
            continue
        identity = said[1].identity
        if identity.type == IdType.ID_IPV4_ADDR and _translated(identity.value, view.peer):
            yield _undetected(case, view, record, identity.value)


def _translated(inside: str, outside: str) -> bool:
    try:
        return ip_address(inside).is_private and not ip_address(outside).is_private
    except ValueError:
        return False


_DETECT = "Without NAT detection ESP goes without UDP around it, and a NAT that knows ports only drops it (RFC 3948)."


def _undetected(case: Case, view: View, record: Record, inside: str) -> Draft:
    other = case.other(view)
    return Draft(
        cause=f"{other} is {inside} behind a NAT, and NAT traversal was not negotiated",
        side=side_opposite(case, view),
        confidence="likely",
        because=(_DETECT,),
        evidence=(shown(record, "no NAT detection"),),
        remedy=(ios(case, view, ("crypto ipsec nat-transparency udp-encapsulation",), other=True),),
    )


def _contradiction(case: Case, checks: list[tuple[View, Record, NatChecked]]) -> Iterator[Draft]:
    (_, first, mine), (_, second, theirs) = checks
    if mine.forced is True or theirs.forced is True:
        return
    told = (mine.local_behind, mine.remote_behind, theirs.local_behind, theirs.remote_behind)
    if not all(isinstance(one, bool) for one in told):
        return
    agree = (mine.local_behind, mine.remote_behind) == (theirs.remote_behind, theirs.local_behind)
    # A text says what was found and not that NAT detection is there: that is no contradiction.
    if agree and {mine.supported, theirs.supported} != {True, False}:
        return
    yield Draft(
        cause=f"{case.router} and {case.peer} do not see the same NAT: one sends through UDP, the other does not",
        side="path",
        because=(_DETECT, "A box that rewrites packets in one direction only, or drops the detection, does this."),
        evidence=(shown(first, _behind(case.router, mine)), shown(second, _behind(case.peer, theirs))),
        remedy=(
            *_encapsulated(case),
            text("path", "let the box translate both directions alike, or none"),
        ),
    )


def _encapsulated(case: Case) -> Iterator[Remedy]:
    """UDP at both ends, each under the profile that it names."""
    for view in case.views:
        yield ios(case, view, (f"crypto ikev2 profile {profile_name(view)}", " nat force-encap"), both=True)


def _behind(name: str, event: NatChecked) -> str:
    if event.supported is False:
        return f"{name} finds no NAT detection"
    sides = [word for word, so in (("itself", event.local_behind), ("its peer", event.remote_behind)) if so]
    return f"{name} finds {words.listed(sides) if sides else 'nobody'} behind a NAT"
