"""Findings on proposals: IKE, ESP, PFS, and the key exchange method that was guessed wrong."""

from __future__ import annotations

from collections.abc import Iterator

from ikescope.events import ProposalFact, Record
from ikescope.events.life import ChildRefused, ChildSaCreated
from ikescope.events.message import InvalidKeAnswered, RequestRefused, ResponseRefused
from ikescope.events.negotiation import GroupRefused, ProposalRefused, ProposalSent, SelectorsRefused, SelectorsSent
from ikescope.explain import words
from ikescope.explain.findings import lines
from ikescope.explain.findings.case import Case, View, message_shown, shown
from ikescope.explain.findings.draft import (
    IPSEC_PROFILE,
    TRANSFORM_SET,
    Draft,
    far,
    ios,
    policy_name,
    proposal_name,
    side_of,
    side_opposite,
    swanctl,
)
from ikescope.explain.findings.draft import text as in_words
from ikescope.explain.findings.model import Evidence, Remedy
from ikescope.wire.registry import ExchangeType, NotifyType, ProtocolId, TransformType

INIT, AUTH, CREATE = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA
NO_PROPOSAL = NotifyType.NO_PROPOSAL_CHOSEN
NEW = "FROM-PEER"
"""What a proposal that only repeats the peer's is called."""

#: A refusal by a router that has the peer's list: its view, record and event.
Knower = tuple[View, Record, ProposalRefused]


def ike_proposal(case: Case) -> Iterator[Draft]:
    """NO_PROPOSAL_CHOSEN to IKE_SA_INIT, or to a rekey of the IKE SA."""
    refused = [one for one in case.all(ProposalRefused) if _protocol(one[2]) == ProtocolId.IKE]
    if refused:
        yield _ike_known(case, refused[-1])
        return
    evidence = _told_refusal(case, INIT)
    if not evidence:
        return
    view, items = evidence
    offered = _offered(view, ProtocolId.IKE)
    said = f"({NO_PROPOSAL} to IKE_SA_INIT)"
    cause = f"{case.other(view)} found nothing acceptable in the IKE proposal of {case.name(view)} {said}"
    yield _blind(case, view, items, offered, cause, _ike_offer(case, view, offered))


def _protocol(event: ProposalRefused) -> int:
    if isinstance(event.protocol, int):
        return event.protocol
    kinds = {one.type for fact in event.received or () for one in fact.transforms}
    return ProtocolId.IKE if TransformType.PRF in kinds else ProtocolId.ESP


def _facts(value: object) -> tuple[ProposalFact, ...]:
    found = value if isinstance(value, tuple) else ()
    return tuple(one for one in found if isinstance(one, ProposalFact) and isinstance(one.transforms, tuple))


def _difference(theirs: ProposalFact, ours: ProposalFact, axes: tuple[int, ...], names: tuple[str, str]) -> str:
    """`for encryption R1 offers AES-CBC-256 and R2 wants AES-GCM-128; for ...`."""
    told = []
    for axis in axes:
        kind = words.KINDS.get(TransformType.of(axis), TransformType.of(axis).label)
        told.append(
            f"for {kind}, {names[0]} offers {_of(theirs, axis)} and {names[1]} wants {_of(ours, axis)}",
        )
    return "; ".join(told)


def _kinds(axes: tuple[int, ...]) -> str:
    return words.listed(words.KINDS.get(TransformType.of(one), TransformType.of(one).label) for one in axes)


def _of(fact: ProposalFact, axis: int) -> str:
    found = lines.of_type(fact, axis)
    told = ", ".join(words.transform(one) for one in found) or "none"
    return f"group {told}" if axis == TransformType.KE and found else told


def _ike_known(case: Case, knower: Knower) -> Draft:
    view, record, event = knower
    names = case.other(view), case.name(view)
    miss = lines.nearest(_facts(event.received), _facts(event.expected))
    evidence = [shown(record, f"{names[1]} found nothing acceptable in the IKE proposal of {names[0]}")]
    evidence += [item for one, item in _refusals(case, INIT) if one is not view][:1]
    if miss is None or not miss[2]:
        parted = _told_axis(event, names)
        cause = f"{names[0]} and {names[1]} have no common IKE proposal{parted}"
        return Draft(
            cause=f"{cause} ({_NOTIFY} from {view.local or names[1]})",
            change=_ONE_OF_EACH.format("IKE", *names),
            side="unknown",
            confidence="likely",
            because=(_RULE,),
            evidence=tuple(evidence),
        )
    theirs, ours, axes = miss
    cause = f"no common IKE proposal: {_difference(theirs, ours, axes, names)}"
    name = event.ours if isinstance(event.ours, str) and event.ours else proposal_name(view)
    return Draft(
        cause=f"{cause} ({_NOTIFY} from {view.local or names[1]})",
        change=f"{_kinds(axes)} in the IKE proposal of {names[1]} or {names[0]}, so that both hold one of the same",
        side=side_of(case, view),
        because=(_RULE, f"The nearest of {names[0]}'s proposals and {names[1]}'s own part there and nowhere else."),
        evidence=tuple(evidence),
        remedy=(
            ios(case, view, _widened(view, name, ours, theirs, axes)),
            _other_end(case, view, ours, axes),
        ),
    )


_NOTIFY = "NO_PROPOSAL_CHOSEN"
_ONE_OF_EACH = "the {} proposals of {} and {}: one transform of each kind must be in both"
_RULE = "A suite needs one common transform of every kind (RFC 7296 section 2.7)."


def _told_axis(event: ProposalRefused, names: tuple[str, str]) -> str:
    if not (isinstance(event.axis, int) and isinstance(event.found, str) and isinstance(event.wanted, str)):
        return ""
    kind = words.KINDS.get(TransformType.of(event.axis), TransformType.of(event.axis).label)
    return f": for {kind}, {names[0]} offers {event.found} and {names[1]} wants {event.wanted}"


def _widened(view: View, name: str, ours: ProposalFact, theirs: ProposalFact, axes: tuple[int, ...]) -> tuple[str, ...]:
    if lines.is_aead(ours) != lines.is_aead(theirs):
        # IOS takes no AEAD beside other ciphers in one proposal.
        return lines.ios_proposal(NEW, theirs, policy_name(view))
    return lines.ios_widened(name, ours, theirs, axes)


def _other_end(case: Case, view: View, ours: ProposalFact, axes: tuple[int, ...]) -> Remedy:
    """What the other end would have to say to please this one: its own proposal."""
    if view.peer_is_strongswan:
        value = f"{lines.swan_proposal(lines.first_of_each(ours))}, default"
        return swanctl(case, view, lines.swan("connections", "<name>", setting="proposals", value=value))
    policy = policy_name(far(case, view))
    return ios(case, view, lines.ios_proposal(NEW, ours, policy), other=True)


def _refusals(case: Case, *exchanges: int) -> list[tuple[View, Evidence]]:
    """Where a router was told NO_PROPOSAL_CHOSEN: by events, or by the payloads of a response."""
    found: list[tuple[View, Evidence]] = []
    for view, record, event in case.all(ResponseRefused, ChildRefused):
        by_peer = not isinstance(event, ChildRefused) or event.by == "peer"
        if event.notify == NO_PROPOSAL and by_peer and event.exchange in exchanges:
            text = f"{NO_PROPOSAL} is the answer to {words.exchange(event.exchange)} of {case.name(view)}"
            found.append((view, shown(record, text)))
    if not found:
        for view in case.views:
            for exchange in exchanges:
                for one, answer in view.notified(NO_PROPOSAL, exchange=exchange):
                    text = f"{NO_PROPOSAL} is the answer to {words.exchange(one.exchange)} of {case.name(view)}"
                    found.append((view, message_shown(answer, text)))
    return found


def _told_refusal(case: Case, *exchanges: int) -> tuple[View, list[Evidence]] | None:
    """Whose request was refused, from its own telling or from the refuser's that says no more than that."""
    found = _refusals(case, *exchanges)
    if found:
        return found[0][0], [item for _, item in found[:2]]
    return None


def _offered(view: View, protocol: int) -> tuple[ProposalFact, ...]:
    for _, event in reversed(view.all(ProposalSent)):
        if event.protocol == protocol and event.response is not True:
            return _facts(event.proposals)
    sa = view.latest
    return _facts(sa.offered) if sa is not None and protocol == ProtocolId.IKE else ()


def _ike_offer(case: Case, view: View, offered: tuple[ProposalFact, ...]) -> tuple[Remedy, ...]:
    if not offered:
        return ()
    if view.peer_is_strongswan:
        value = f"{lines.swan_proposal(lines.first_of_each(offered[0]))}, default"
        return (swanctl(case, view, lines.swan("connections", "<name>", setting="proposals", value=value)),)
    policy = policy_name(far(case, view))
    return (ios(case, view, lines.ios_proposal(NEW, offered[0], policy), other=True),)


def _blind(
    case: Case,
    view: View,
    evidence: list[Evidence],
    offered: tuple[ProposalFact, ...],
    cause: str,
    remedy: tuple[Remedy, ...],
) -> Draft:
    """What a refused initiator can say: its own offer, and that the list of the other end is not known here."""
    told = "; ".join(f"{kind} {', '.join(names)}" for kind, names, _ in words.by_kind(offered))
    other = case.other(view)
    because = (
        *((f"{case.name(view)} offered {told}.",) if told else ()),
        f"What {other} would take is not known here: the notify carries no list (RFC 7296 section 3.10.1).",
    )
    look = in_words(
        side_opposite(case, view),
        f"The log of {other} has both lists: `Received Policies` and `Expected Policies` of debug crypto ikev2.",
        router=other,
    )
    return Draft(
        cause=cause,
        change=_ONE_OF_EACH.format("IKE" if "IKE proposal" in cause else "ESP", case.name(view), other),
        side=side_opposite(case, view),
        confidence="likely",
        because=because,
        evidence=tuple(evidence),
        remedy=(*remedy, look),
    )


def esp_proposal(case: Case) -> Iterator[Draft]:
    """NO_PROPOSAL_CHOSEN to the proposal of a Child SA, where the traffic selectors are not the reason."""
    if case.all(SelectorsRefused):
        return
    refused = [one for one in case.all(ProposalRefused) if _protocol(one[2]) != ProtocolId.IKE and not _is_pfs(one[2])]
    if refused:
        yield _esp_known(case, refused[-1])
        return
    if any(_protocol(event) != ProtocolId.IKE for _, _, event in case.all(ProposalRefused)):
        return
    evidence = _told_refusal(case, AUTH) or (None if _had_child(case) else _told_refusal(case, CREATE))
    if evidence is None:
        return
    view, items = evidence
    offered = _offered(view, ProtocolId.ESP)
    cause = f"{case.other(view)} found nothing acceptable in the ESP proposal of {case.name(view)} ({NO_PROPOSAL})"
    remedy = _esp_lines(case, view, offered[0], other=True) if offered else None
    draft = _blind(case, view, items, offered, cause, () if remedy is None else (remedy,))
    because = "The IKE SA was authenticated all the same: proposal, keys and identities of IKE are not what is wrong."
    asa = "An ASA says NO_PROPOSAL_CHOSEN also where no crypto map entry fits the traffic selectors."
    yield Draft(
        cause=draft.cause,
        change=draft.change,
        side=draft.side,
        confidence=draft.confidence,
        because=(*draft.because, because, asa),
        evidence=draft.evidence,
        remedy=draft.remedy,
        instead=("ts-mismatch",),
    )


def _had_child(case: Case) -> bool:
    return any(view.children or view.one(ChildSaCreated) for view in case.views)


def _is_pfs(event: ProposalRefused) -> bool:
    """Whether only the key exchange method parts the two."""
    miss = lines.nearest(_facts(event.received), _facts(event.expected))
    if miss is not None:
        return miss[2] == (TransformType.KE,)
    return event.axis == TransformType.KE and _protocol(event) != ProtocolId.IKE


def _esp_known(case: Case, knower: Knower) -> Draft:
    view, record, event = knower
    names = case.other(view), case.name(view)
    miss = lines.nearest(_facts(event.received), _facts(event.expected))
    evidence = [shown(record, f"{names[1]} found nothing acceptable in the ESP proposal of {names[0]}")]
    evidence += [item for one, item in _refusals(case, AUTH, CREATE) if one is not view][:1]
    if miss is None or not miss[2]:
        parted = _told_axis(event, names)
        cause = f"{names[0]} and {names[1]} have no common ESP proposal{parted}"
        return Draft(
            cause=cause,
            change=_ONE_OF_EACH.format("ESP", *names),
            side="unknown",
            confidence="likely",
            because=(_RULE,),
            evidence=tuple(evidence),
        )
    theirs, ours, axes = miss
    name = event.ours if isinstance(event.ours, str) and event.ours else TRANSFORM_SET
    mine = ios(case, view, lines.ios_transform_set(name, theirs, _transport(case)))
    return Draft(
        cause=f"no common ESP proposal: {_difference(theirs, ours, axes, names)} ({_NOTIFY} from "
        f"{view.local or names[1]})",
        change=f"{_kinds(axes)} in the ESP proposal of {names[1]} or {names[0]}, so that both hold one of the same",
        side=side_of(case, view),
        because=(_RULE, "The IKE SA was authenticated all the same: its proposal, keys and identities are in order."),
        evidence=tuple(evidence),
        remedy=(mine, _esp_lines(case, view, ours, other=True)),
    )


def _esp_lines(case: Case, view: View, wanted: ProposalFact, *, other: bool) -> Remedy:
    if other and view.peer_is_strongswan:
        value = f"{lines.swan_proposal(lines.first_of_each(wanted))}, default"
        path = ("connections", "<name>", "children", "<child>")
        return swanctl(case, view, lines.swan(*path, setting="esp_proposals", value=value))
    found = lines.ios_transform_set(TRANSFORM_SET, wanted, _transport(case))
    return ios(case, view, found, other=other)


def _transport(case: Case) -> bool | None:
    """Whether transport mode is asked for, as far as anybody tells."""
    for _, _, event in case.all(SelectorsSent):
        if isinstance(event.transport, bool):
            return event.transport
    for view in case.views:
        for one in view.exchanges:
            inner = one.request.inner if one.request is not None else None
            if one.exchange == AUTH and isinstance(inner, tuple) and "TSi" in inner:
                return any("USE_TRANSPORT_MODE" in name for name in inner)
    return None


def pfs(case: Case) -> Iterator[Draft]:
    """A Child SA whose rekey fails for the key exchange alone: one end wants PFS, the other another group or none."""
    for knower in case.all(ProposalRefused):
        if _protocol(knower[2]) != ProtocolId.IKE and _is_pfs(knower[2]):
            yield _pfs_known(case, knower)
            return
    if not _had_child(case) or any(_protocol(one[2]) != ProtocolId.IKE for one in case.all(ProposalRefused)):
        return
    evidence = _told_refusal(case, CREATE)
    if evidence is None:
        return
    view, items = evidence
    offered = _offered(view, ProtocolId.ESP)
    if not offered:
        return
    groups = [one for fact in offered for one in lines.of_type(fact, TransformType.KE)]
    mine = f"group {groups[0].id}" if groups else "no PFS"
    other = case.other(view)
    yield Draft(
        cause=f"{other} refuses to rekey the Child SA: {case.name(view)} asks for {mine}, {other} wants another group "
        "or none",
        change=f"`set pfs` in the ipsec profile of {case.name(view)} or {other}, so that both have the same",
        side=side_opposite(case, view),
        confidence="likely",
        because=(
            "The first Child SA took the same algorithms: in IKE_AUTH no group is negotiated, in a rekey it is "
            "(RFC 7296 section 1.3.1).",
            f"What {other} wants is not known here: the notify carries no list.",
        ),
        evidence=tuple(items),
        remedy=(_pfs_remedy(case, view, groups[0].id if groups else None, other=True),),
        instead=("esp-proposal-mismatch",),
    )


def _pfs_known(case: Case, knower: Knower) -> Draft:
    view, record, event = knower
    miss = lines.nearest(_facts(event.received), _facts(event.expected))
    theirs = [one.id for one in lines.of_type(miss[0], TransformType.KE)] if miss is not None else []
    ours = [one.id for one in lines.of_type(miss[1], TransformType.KE)] if miss is not None else []
    names = case.other(view), case.name(view)
    said = [f"group {group[0]}" if group else "no PFS" for group in (theirs, ours)]
    evidence = [shown(record, f"{names[1]} refuses the rekey: had {said[0]}, wanted {said[1]}")]
    evidence += [item for one, item in _refusals(case, CREATE) if one is not view][:1]
    return Draft(
        cause=f"the Child SA cannot be rekeyed: {names[0]} has {said[0]}, {names[1]} {said[1]}",
        change=f"`set pfs` in the ipsec profile of {names[1]} or {names[0]}, so that both have the same",
        side=side_of(case, view),
        because=("In IKE_AUTH no group is negotiated, so it shows at the first rekey only (RFC 7296 section 1.3.1).",),
        evidence=tuple(evidence),
        remedy=(
            _pfs_remedy(case, view, theirs[0] if theirs else None, other=False),
            _pfs_remedy(case, view, ours[0] if ours else None, other=True),
        ),
    )


def _pfs_remedy(case: Case, view: View, group: int | None, *, other: bool) -> Remedy:
    if other and view.peer_is_strongswan:
        suite = _offered(view, ProtocolId.ESP)
        base = lines.swan_proposal(lines.first_of_each(suite[0])) if suite else "aes256-sha256"
        path = ("connections", "<name>", "children", "<child>")
        return swanctl(case, view, lines.swan(*path, setting="esp_proposals", value=base))
    setting = " no set pfs" if group is None else f" set pfs group{group}"
    return ios(case, view, (f"crypto ipsec profile {IPSEC_PROFILE}", setting), other=other)


def wrong_group(case: Case) -> Iterator[Draft]:
    """INVALID_KE_PAYLOAD and the request once more: one round trip, no harm."""
    seen = case.all(InvalidKeAnswered)
    found = seen or [one for one in case.all(GroupRefused, RequestRefused) if _is_group(one[2])]
    if not found:
        return
    view, record, event = found[0]
    offered, wanted = getattr(event, "offered", getattr(event, "found", None)), getattr(event, "wanted", None)
    asked, wants = (case.name(view), case.other(view)) if seen else (case.other(view), case.name(view))
    both = isinstance(offered, int) and isinstance(wanted, int)
    told = f" (group {int(offered or 0)} was guessed, group {int(wanted or 0)} is wanted)" if both else ""
    put_first = f"put group {int(wanted)} first" if isinstance(wanted, int) else "put the wanted group first"
    yield Draft(
        cause=f"the key exchange took one round more: {asked} guessed a group that {wants} does not want{told}",
        side=side_of(case, view) if seen else side_opposite(case, view),
        because=("This is the protocol at work, not a fault (RFC 7296 section 1.3).",),
        evidence=(shown(record, f"{wants} asks for another group than the one guessed"),),
        remedy=(in_words("unknown", f"Nothing needs to change; to spare the round trip, {put_first} at {asked}"),),
    )


def _is_group(event: object) -> bool:
    if isinstance(event, GroupRefused):
        return event.by == "local"
    return isinstance(event, RequestRefused) and event.notify == NotifyType.INVALID_KE_PAYLOAD
