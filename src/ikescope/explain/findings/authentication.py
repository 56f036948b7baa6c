"""Findings on who is who: keys, identities, methods, certificates."""

from __future__ import annotations

from collections.abc import Iterator

from ikescope.events import UNSET, IdentityFact, Record, Tried
from ikescope.events.message import RequestRefused, ResponseRefused
from ikescope.events.negotiation import (
    AuthNearMiss,
    AuthRefused,
    AuthVerified,
    ExchangeFailed,
    IdentitySent,
    KeyNotFound,
    PeerIdentified,
    ProfileNotFound,
)
from ikescope.explain import words
from ikescope.explain.findings import lines
from ikescope.explain.findings.case import Case, View, message_shown, shown
from ikescope.explain.findings.draft import (
    Draft,
    asa,
    far,
    ios,
    keyring_names,
    profile_name,
    side_of,
    side_opposite,
    swanctl,
)
from ikescope.explain.findings.draft import text as in_words
from ikescope.explain.findings.model import Evidence, Remedy
from ikescope.explain.near_keys import slip
from ikescope.wire.registry import AuthMethod, ExchangeType, NotifyType

FAILED = NotifyType.AUTHENTICATION_FAILED
SHARED = AuthMethod.SHARED_KEY_MIC
_CHANGED = "Nothing else enters AUTH but the key, the identity and the octets of IKE_SA_INIT (RFC 7296 section 2.15)."


def _is_other_method(event: AuthRefused) -> bool:
    return isinstance(event.wanted, int) and event.wanted != event.method


def _is_signature(event: AuthRefused) -> bool:
    return isinstance(event.method, int) and event.method != SHARED


def psk(case: Case) -> Iterator[Draft]:
    """An AUTH value that does not verify with the pre-shared key, or no key at all."""
    missing = case.all(KeyNotFound)
    if missing:
        yield _no_key(case, *missing[0])
        return
    found = [one for one in case.all(AuthRefused) if not _is_other_method(one[2]) and not _is_signature(one[2])]
    if found:
        yield _psk_known(case, *found[0])
        return
    if case.all(ProfileNotFound, AuthRefused):
        return
    told = _told(case)
    if told is None:
        return
    view, evidence = told
    other = case.other(view)
    fits = [one for one in case.all(AuthVerified) if one[0] is not view and one[1].stamp.point is not UNSET]
    if fits:
        yield _fits_here(case, view, fits[0][1], evidence)
        return
    yield Draft(
        cause=f"{other} did not accept the identity or AUTH of {case.name(view)} ({FAILED} to IKE_AUTH)",
        change="the pre-shared keys first (both ends must hold the same), then the identities in its profile",
        side="unknown",
        confidence="likely",
        because=(
            "The answer says no more on purpose: not which key, not which identity (RFC 7296 section 2.21.2).",
            f"The log of {other} tells a wrong key from an identity or a method that it does not expect.",
        ),
        evidence=evidence,
        remedy=_key_remedies(case, view),
        instead=("identity-mismatch", "auth-method-mismatch"),
    )


_IN_FILE = "The key of --psk gives"


def _fits_here(case: Case, view: View, verified: Record, evidence: tuple[Evidence, ...]) -> Draft:
    """A capture: the AUTH that was refused is made with the key at hand."""
    me, other = case.name(view), case.other(view)
    return Draft(
        cause=f"{other} has another key than {me}: it refused an AUTH of {me} that is made with the key of --psk",
        change=f"the pre-shared key of {other}, if that in the file is right, or the identity that it expects",
        side=side_opposite(case, view),
        confidence="likely",
        because=(f"{_IN_FILE} the AUTH value of {me}, so {me} has that key (RFC 7296 section 2.15).",),
        evidence=(shown(verified, f"the AUTH of {me} verifies with --psk"), *evidence),
        remedy=_key_remedies(case, view),
        instead=("identity-mismatch", "auth-method-mismatch"),
    )


def _differs_here(case: Case, view: View, record: Record, event: AuthRefused) -> Draft:
    """A capture: the AUTH that was refused is not made with the key at hand."""
    me, other = case.name(view), case.other(view)
    slips, near = _slips(case, view)
    return Draft(
        cause=f"{other} has another key than that of --psk: {me} refused its AUTH, which that key does not give",
        change=f"the pre-shared key of {other}, if that in the file is the right one",
        side=side_opposite(case, view),
        confidence="likely",
        because=(*slips, f"{_IN_FILE} another AUTH value than {other} sent, and {me} refused what it sent.", _CHANGED),
        evidence=(shown(record, f"the AUTH of {other} does not verify with --psk"), *near),
        remedy=_key_remedies(case, view),
    )


def _told(case: Case) -> tuple[View, tuple[Evidence, ...]] | None:
    """Whose AUTH was refused, where nobody says why: by events, or by the payloads of a response."""
    for view, record, event in case.all(ResponseRefused):
        if event.notify == FAILED:
            text = f"{FAILED} is the answer to {words.exchange(ExchangeType.IKE_AUTH)} of {case.name(view)}"
            return view, (shown(record, text),)
    for view in case.views:
        for exchange, answer in view.notified(FAILED):
            text = f"{FAILED} is the answer to {words.exchange(exchange.exchange)} of {case.name(view)}"
            return view, (message_shown(answer, text),)
    for view, record, event in case.all(RequestRefused):
        if event.notify == FAILED:
            return far(case, view) or view, (shown(record, f"{case.name(view)} answers {FAILED}"),)
    return None


def _psk_known(case: Case, view: View, record: Record, event: AuthRefused) -> Draft:
    if record.stamp.point is not UNSET:
        return _differs_here(case, view, record, event)
    me = case.name(view)
    claimed = event.identity.value if isinstance(event.identity, IdentityFact) else case.other(view)
    who = f" of {words.identity(event.identity)}" if isinstance(event.identity, IdentityFact) else ""
    evidence = [shown(record, f"{case.name(view)} cannot verify the AUTH{who}")]
    evidence += [
        shown(other, f"{FAILED} is the answer to {case.name(one)}")
        for one, other, refusal in case.all(ResponseRefused)
        if one is not view and refusal.notify == FAILED
    ][:1]
    length = f" ({event.key_length} characters in the keyring here)" if isinstance(event.key_length, int) else ""
    slips, near = _slips(case, view)
    return Draft(
        cause=f"the pre-shared keys differ (AUTHENTICATION_FAILED from {view.local or me}: {me} cannot verify the AUTH "
        f"of {claimed})",
        change=f"the pre-shared key of {view.peer or case.other(view)} in the keyring of {me}, or the other end's: "
        "both must be the same",
        side="unknown",
        because=(
            f"{case.name(view)} opened the message, so the key exchange agrees, but AUTH{who} is not what its own key "
            f"gives{length}.",
            *(slips or (_CHANGED,)),
        ),
        evidence=(*evidence, *near),
        remedy=_key_remedies(case, view),
    )


def _slips(case: Case, view: View) -> tuple[tuple[str, ...], tuple[Evidence, ...]]:
    """By which slip of the hand the keys differ, where a key near to the one here fits the peer's AUTH."""
    for record, event in view.all(AuthNearMiss):
        here = "the file of --psk" if record.stamp.point is not UNSET else case.name(view)
        text = slip(event, here, case.other(view))
        if text:
            return (f"{text[0].upper()}{text[1:]}.",), (shown(record, "a key near to the one here fits that AUTH"),)
    return (), ()


def _key_remedies(case: Case, view: View) -> tuple[Remedy, ...]:
    """Both ends' keys, on either side: which of the two is wrong nobody can see."""
    if view.peer_is_strongswan:
        found = (
            "secrets {",
            "  ike-<name> {",
            f"    id = {view.local or '<the address of the other end>'}",
            f'    secret = "{lines.KEY}"',
            "  }",
            "}",
        )
        other = swanctl(case, view, found, both=True)
    else:
        names = keyring_names(far(case, view))
        other = ios(case, view, _key_lines(*names), other=True, both=True)
    return ios(case, view, _key_lines(*keyring_names(view)), both=True), other


def _key_lines(keyring: str, block: str, *more: str) -> tuple[str, ...]:
    return (f"crypto ikev2 keyring {keyring}", f" peer {block}", *more, f"  pre-shared-key {lines.KEY}")


def _no_key(case: Case, view: View, record: Record, event: KeyNotFound) -> Draft:
    peer = event.peer if isinstance(event.peer, str) else case.other(view)
    keyring, _ = keyring_names(view)
    ring = event.keyring if isinstance(event.keyring, str) and event.keyring else keyring
    whose = "itself" if event.which == "local" else peer
    tried = event.tried if isinstance(event.tried, tuple) else ()
    host = words.host(peer) if ":" in peer and "." in peer else peer
    return Draft(
        cause=f"{case.name(view)} has no pre-shared key for {peer}",
        change=f"a peer block for {peer} in keyring {ring} of {case.name(view)}",
        side=side_of(case, view),
        because=(
            f"No key of keyring {ring} authenticates {whose}.",
            *(f"{one.name}: {one.why}." for one in tried[:3]),
        ),
        evidence=(shown(record, f"{case.name(view)} finds no key for {peer}"),),
        remedy=(ios(case, view, _key_lines(ring, "FROM-PEER", f"  address {host}")),),
    )


def identity(case: Case) -> Iterator[Draft]:
    """No IKEv2 profile speaks to the identity that the peer claims."""
    for view, record, event in case.all(ProfileNotFound):
        if view.created and not _ended_badly(view):
            continue
        yield _identity(case, view, record, event)
        return


def _ended_badly(view: View) -> bool:
    """Whether authentication failed after all: an end of the responder's READY says nothing yet of the initiator."""
    return bool(view.all(ExchangeFailed)) or not any(sa.state == "READY" for sa in view.sas)


def _identity(case: Case, view: View, record: Record, event: ProfileNotFound) -> Draft:
    me, other = case.name(view), case.other(view)
    claimed = event.identity
    if not isinstance(claimed, IdentityFact) and (said := view.last(PeerIdentified)) is not None:
        claimed = said[1].identity
    if view.is_asa:
        return _tunnel_group(case, view, record, event)
    if not isinstance(claimed, IdentityFact):
        return Draft(
            cause=f"no IKEv2 profile of {me} matches the identity of {other}",
            change=f"`match identity remote` at {me}, or `identity local` at {other}",
            side=side_of(case, view),
            confidence="likely",
            because=("The source does not tell which identity the peer claimed.",),
            evidence=(shown(record, f"{me} finds no profile"),),
            remedy=(in_words(side_of(case, view), "`match identity remote` must name what the peer sends", router=me),),
        )
    tried = event.tried if isinstance(event.tried, tuple) else ()
    profile = tried[0].name if tried else profile_name(view)
    match = lines.identity_words(claimed, match=True)
    mine = (
        ios(case, view, (f"crypto ikev2 profile {profile}", f" match identity remote {match}"))
        if match
        else in_words(side_of(case, view), f"match the identity {words.identity(claimed)}", router=me)
    )
    evidence = [shown(record, f"{other} claims to be {words.identity(claimed)}: no profile of {me} matches")]
    evidence += [
        shown(sent, f"{other} sends {words.identity(said.identity)}")
        for one, sent, said in case.all(IdentitySent)
        if one is not view and isinstance(said.identity, IdentityFact)
    ][:1]
    return Draft(
        cause=f"no IKEv2 profile of {me} matches the identity {words.identity(claimed)} that {other} claims",
        change=f"`match identity remote` at {me}, or `identity local` at {other}",
        side=side_of(case, view),
        because=tuple(f"Profile {one.name}: {one.why}." for one in tried[:4]),
        evidence=tuple(evidence),
        remedy=(mine, *_their_identity(case, view, tried)),
    )


def _tunnel_group(case: Case, view: View, record: Record, event: ProfileNotFound) -> Draft:
    """What an ASA has instead of profiles: the peer's tunnel-group, and a check of its identity in the certificate."""
    me, other = case.name(view), case.other(view)
    tried = event.tried if isinstance(event.tried, tuple) else ()
    checked = any("Peer ID check" in one.why for one in tried)
    group = next((one.name for one in tried if checked and one.name), "") or view.peer or other
    claimed = f" {words.identity(event.identity)}" if isinstance(event.identity, IdentityFact) else ""
    lacks = f"the certificate of {other} does not hold the identity{claimed} that it claims"
    settings: tuple[str, ...] = (f"tunnel-group {group} ipsec-attributes", " peer-id-validate nocheck")
    if not checked:
        lacks = f"no tunnel-group of {me} matches {other}{claimed and ', which claims to be' + claimed}"
        settings = (
            f"tunnel-group {group} type ipsec-l2l",
            f"tunnel-group {group} ipsec-attributes",
            f" ikev2 remote-authentication pre-shared-key {lines.KEY}",
            f" ikev2 local-authentication pre-shared-key {lines.KEY}",
        )
    address = in_words(side_opposite(case, view), "a certificate with its identity as subject alternative name")
    return Draft(
        cause=lacks,
        change=f"tunnel-group {group} of {me}",
        side=side_of(case, view),
        confidence="likely",
        because=tuple(f"{one.why}." for one in tried[:4] if one.why),
        evidence=(shown(record, lacks),),
        remedy=(asa(case, view, *settings), *((address,) if checked else ())),
    )


def _their_identity(case: Case, view: View, tried: tuple[Tried, ...]) -> Iterator[Remedy]:
    """What the peer would have to claim, where a profile of ours says it in so many words."""
    told = (line.text for one in tried for line in one.lines if line.text.startswith("match identity remote "))
    wanted = next((_claim(text.removeprefix("match identity remote ")) for text in told), "")
    if not wanted:
        return
    if view.peer_is_strongswan:
        path = ("connections", "<name>", "local")
        yield swanctl(case, view, lines.swan(*path, setting="id", value=wanted.split(" ", 1)[1]))
        return
    name = profile_name(far(case, view))
    yield ios(case, view, (f"crypto ikev2 profile {name}", f" identity local {wanted}"), other=True)


def _claim(match: str) -> str:
    """The identity that a `match identity remote` asks for; empty where it asks for many."""
    kind, _, value = match.partition(" ")
    if kind == "address":
        host, _, length = value.partition("/")
        return f"address {host}" if length in ("", "32", "128") and " " not in host else ""
    return f"{kind} {value}" if kind in ("fqdn", "email", "key-id") and not value.startswith("domain ") else ""


def method(case: Case) -> Iterator[Draft]:
    """The peer authenticates otherwise than the profile wants."""
    for view, record, event in case.all(AuthRefused):
        if not _is_other_method(event) or not isinstance(event.wanted, int) or not isinstance(event.method, int):
            continue
        me, other = case.name(view), case.other(view)
        had, wanted = lines.METHODS.get(event.method, ""), lines.METHODS.get(event.wanted, "")
        name = event.profile if isinstance(event.profile, str) else profile_name(view)
        yield Draft(
            cause=f"{other} authenticates by {words.method(event.method)}, {me} wants {words.method(event.wanted)}",
            change=f"`authentication remote` in the profile of {me}, or `authentication local` at {other}",
            side=side_of(case, view),
            because=(
                "Each end says in its profile how it proves itself and how the peer must (RFC 7296 section 2.15).",
            ),
            evidence=(shown(record, f"{me} wants {words.method(event.wanted)}"),),
            remedy=tuple(_method_remedies(case, view, name, had, wanted)),
        )
        return
    for view, record, failed in case.all(ExchangeFailed):
        if isinstance(failed.why, str) and _METHODS in failed.why:
            me, other = case.name(view), case.other(view)
            yield Draft(
                cause=f"{other} authenticates by another method than {me} wants",
                change=f"`authentication remote` in the profile of {me}, or `authentication local` at {other}",
                side=side_of(case, view),
                confidence="likely",
                because=("The source does not tell which two methods.",),
                evidence=(shown(record, failed.why),),
                remedy=(in_words(side_of(case, view), "accept the method by which the peer proves itself", router=me),),
            )
            return


_METHODS = "authentication method configured is mismatching"


def _method_remedies(case: Case, view: View, name: str, had: str, wanted: str) -> Iterator[Remedy]:
    if had:
        yield ios(case, view, (f"crypto ikev2 profile {name}", f" authentication remote {had}"))
    if wanted and view.peer_is_strongswan:
        path = ("connections", "<name>", "local")
        yield swanctl(case, view, lines.swan(*path, setting="auth", value=lines.SWAN_METHODS[wanted]))
    elif wanted:
        other = profile_name(far(case, view))
        yield ios(case, view, (f"crypto ikev2 profile {other}", f" authentication local {wanted}"), other=True)


def certificate(case: Case) -> Iterator[Draft]:
    """A certificate or signature of the peer that does not verify."""
    for view, record, event in case.all(AuthRefused):
        if _is_other_method(event) or not _is_signature(event):
            continue
        me, other = case.name(view), case.other(view)
        yield Draft(
            cause=f"{me} cannot verify the certificate or signature of {other}",
            change=f"the certificate of {other}, or what {me} trusts",
            side=side_of(case, view),
            confidence="likely",
            because=("The chain from the peer's certificate to a trusted CA must be known to the end that checks it.",),
            evidence=(shown(record, f"{me} refuses a {words.method(event.method)}"),),
            remedy=(_trust(case, view), in_words(side_opposite(case, view), _SEND_CHAIN, router=other)),
        )
        return


_SEND_CHAIN = "send the intermediate CA certificates too, with a certificate that is valid now"


def _trust(case: Case, view: View) -> Remedy:
    profile = profile_name(view)
    found = (
        "crypto pki trustpoint PEER-CA",
        " enrollment terminal",
        " revocation-check none",
        "crypto pki authenticate PEER-CA",
        f"crypto ikev2 profile {profile}",
        " pki trustpoint PEER-CA verify",
    )
    return ios(case, view, found)
