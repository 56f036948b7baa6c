"""Which algorithms protect an SA: the offer, the choice, and whether the choice is from the offer (RFC 7296 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from ikescope.config import model
from ikescope.crypto.suites import GROUPS, encryption, supported
from ikescope.errors import PeerError
from ikescope.events.base import Tried
from ikescope.policy.names import axis_text, facts, transform_text, transforms_text
from ikescope.wire import Proposal, Transform, transform
from ikescope.wire.registry import NotifyType, ProtocolId, TransformType

__all__ = [
    "ACCEPTED_GROUPS",
    "Choice",
    "ChosenMismatch",
    "Refusal",
    "check_chosen",
    "choose_esp",
    "choose_ike",
    "facts",
    "offer_esp",
    "offer_ike",
    "transform_text",
]

_ENCR, _PRF, _INTEG, _KE, _ESN = (
    TransformType.ENCR,
    TransformType.PRF,
    TransformType.INTEG,
    TransformType.KE,
    TransformType.ESN,
)
_NONE = 0

ACCEPTED_GROUPS = frozenset(GROUPS) - {2}
"""The groups that a peer may choose for PFS where we configured none: all that we implement, but 1024-bit MODP."""

_VALID_TYPES: dict[int, tuple[int, ...]] = {
    ProtocolId.IKE: (_ENCR, _PRF, _INTEG, _KE),
    ProtocolId.ESP: (_ENCR, _INTEG, _KE, _ESN),
}
"""RFC 7296 section 3.3.3: the transform types of each protocol, in the order we compare them."""


class ChosenMismatch(PeerError):
    """The responder's choice is not one of those that we offered (INVALID_SYNTAX: a value is out of range).

    `facts`: `what` parts the two, `found`, `wanted`, and `axis`, the transform type where it is one.
    """

    notify = NotifyType.INVALID_SYNTAX
    section = "RFC 7296 section 3.3.6"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen: `proposal` has one transform of each type and the peer's number and SPI; `ours` is the name of
    the configured proposal or transform-set that admits it. `tried` holds every pair that was looked at.
    """

    proposal: Proposal
    ours: str
    why: str
    tried: tuple[Tried, ...] = ()

    def answer(self, spi: bytes = b"") -> Proposal:
        """The proposal as the response carries it: with our own SPI (4 octets for ESP, 8 for IKE, none initially)."""
        return msgspec.structs.replace(self.proposal, spi=spi)


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing received is acceptable (NO_PROPOSAL_CHOSEN).

    `nearest` is the number of the received proposal that came closest and `ours` the name of what it was compared with;
    `axis` is the transform type that parts the two, `found` theirs and `wanted` ours. All None or empty where nothing
    could be compared.
    """

    nearest: int | None
    axis: int | None
    found: str
    wanted: str
    why: str
    ours: str = ""
    tried: tuple[Tried, ...] = ()


class _Own(msgspec.Struct, frozen=True):
    """One thing that we admit: transforms of each type in our order; all encryptions AEAD, or none of them."""

    name: str
    aead: bool
    admitted: dict[int, tuple[Transform, ...]]
    line: int = 0


class _Miss(msgspec.Struct, frozen=True):
    """Why a received proposal is not admitted by one of ours; `agreed` counts the transform types that agree."""

    number: int
    ours: str
    agreed: int
    axis: int | None
    found: str
    wanted: str


_KeRule = Literal["match", "ignore", "theirs"]
"""How key exchange is compared: against ours, not at all (IKE_AUTH), or by what we implement (PFS not configured)."""


def _is_aead(choice: model.TransformChoice) -> bool:
    row = encryption(choice.id, choice.key_length)
    return row is not None and row.aead


def _spoken(transforms: Sequence[Transform]) -> tuple[Transform, ...]:
    return tuple(one for one in transforms if supported(one))


def _split(proposal: model.Proposal) -> tuple[_Own, ...]:
    """One config proposal as one or two, AEAD encryption apart from the rest, in the order of their first.

    ##= rfc7296#section-2.7
    ##% If an initiator proposes both normal ciphers with integrity
    ##% protection as well as combined-mode ciphers, then two proposals are
    ##% needed.
    """
    found: list[_Own] = []
    for aead in dict.fromkeys(map(_is_aead, proposal.encryption)):
        encr = [transform(_ENCR, one.id, one.key_length) for one in proposal.encryption if _is_aead(one) == aead]
        admitted = {
            int(_ENCR): _spoken(encr),
            int(_PRF): _spoken([transform(_PRF, one) for one in proposal.prf]),
            int(_INTEG): ()
            if aead
            else _spoken([transform(_INTEG, one) for one in proposal.integrity if one != _NONE]),
            int(_KE): _spoken([transform(_KE, one) for one in proposal.groups]),
        }
        if all(admitted[type] for type in admitted if not (aead and type == _INTEG)):
            found.append(_Own(proposal.name, aead, admitted, proposal.line))
    return tuple(found)


def _own_esp(one: model.TransformSet, pfs_group: int | None) -> _Own:
    chosen = (transform(_ENCR, one.encryption.id, one.encryption.key_length),)
    integrity = () if one.integrity is None else (transform(_INTEG, one.integrity),)
    group = () if pfs_group is None else (transform(_KE, pfs_group),)
    esn = (transform(_ESN, int(one.esn)),)
    admitted: dict[int, tuple[Transform, ...]]
    admitted = {int(_ENCR): chosen, int(_INTEG): integrity, int(_KE): group, int(_ESN): esn}
    return _Own(one.name, _is_aead(one.encryption), admitted, one.line)


def _offer(own: Sequence[_Own], protocol: ProtocolId, spi: bytes) -> tuple[Proposal, ...]:
    ##= rfc7296#section-3.3.1
    ##% When a proposal is made, the first
    ##% proposal in an SA payload MUST be 1, and subsequent proposals MUST
    ##% be one more than the previous proposal
    return tuple(
        Proposal(number, protocol, spi, tuple(each for group in one.admitted.values() for each in group))
        for number, one in enumerate(own, 1)
    )


def offer_ike(
    proposals: Sequence[model.Proposal], spi: bytes = b"", first_group: int | None = None
) -> tuple[Proposal, ...]:
    """The proposals of an IKE SA in wire form: one for each of ours, two where it mixes AEAD and other encryption.

    Transforms stand in the order ENCR, PRF, INTEG, KE, each as configured; what we do not implement is left out. `spi`
    is 8 octets in a rekey and empty initially. `first_group`, the one in the KE payload, comes first where a proposal
    holds it (after INVALID_KE_PAYLOAD); the full set is offered in any case.
    """
    own = [part for one in proposals for part in _split(one)]
    ##= rfc7296#section-3.3.6
    ##% It SHOULD, however, continue to propose
    ##% its full supported set of groups in order to prevent a
    ##% man-in-the-middle downgrade attack.
    return _offer([_group_first(part, first_group) for part in own], ProtocolId.IKE, spi)


def _group_first(own: _Own, group: int | None) -> _Own:
    groups = tuple(sorted(own.admitted[int(_KE)], key=lambda one: one.id != group))
    return msgspec.structs.replace(own, admitted={**own.admitted, int(_KE): groups})


def offer_esp(sets: Sequence[model.TransformSet], spi: bytes, pfs_group: int | None = None) -> tuple[Proposal, ...]:
    """The proposals of a Child SA in wire form: one for each transform-set, ENCR, INTEG, KE (with PFS), ESN.

    `spi` is our inbound one, 4 octets. In IKE_AUTH `pfs_group` is None.
    """
    return _offer([_own_esp(one, pfs_group) for one in sets], ProtocolId.ESP, spi)


def choose_ike(
    received: Sequence[Proposal], ours: Sequence[model.Proposal], *, spi_octets: int | None = None
) -> Choice | Refusal:
    """The responder's choice for an IKE SA out of the overlap, by the initiator's order.

    The first received proposal that one of ours admits is taken, and in it the first transform of each type that this
    one of ours admits. `spi_octets`: how long its SPI must be (0 initially, 8 in a rekey); None: not looked at.
    """
    own = [part for one in ours for part in _split(one)]
    return _choose(received, own, ProtocolId.IKE, "match", spi_octets)


def choose_esp(
    received: Sequence[Proposal],
    sets: Sequence[model.TransformSet],
    pfs_group: int | None = None,
    with_ke: bool = False,
    *,
    spi_octets: int | None = 4,
) -> Choice | Refusal:
    """The responder's choice for a Child SA, by the initiator's order.

    `with_ke` is False in IKE_AUTH, where no key exchange can be negotiated. Otherwise the peer's group must be
    `pfs_group`; where none is configured, one of ACCEPTED_GROUPS or none is taken as the peer likes it, as IOS does.
    """
    rule: _KeRule = "match" if pfs_group is not None else "theirs"
    own = [_own_esp(one, pfs_group if with_ke else None) for one in sets]
    return _choose(received, own, ProtocolId.ESP, rule if with_ke else "ignore", spi_octets)


def _choose(
    received: Sequence[Proposal], own: Sequence[_Own], protocol: ProtocolId, rule: _KeRule, spi_octets: int | None
) -> Choice | Refusal:
    tried: list[Tried] = []
    misses: list[_Miss] = []
    for theirs in received:
        for ours in own:
            pair = f"proposal {theirs.number} with {ours.name}"
            result = _unfit(theirs, ours, protocol, spi_octets) or _compare(theirs, ours, protocol, rule)
            if isinstance(result, _Miss):
                misses.append(result)
                tried.append(Tried(pair, False, _miss_text(result), ours.line))
                continue
            chosen = msgspec.structs.replace(theirs, transforms=result, reserved=0)
            why = (
                f"proposal {theirs.number} is the first of the initiator's that ours ({ours.name}) admits, and"
                f" {transforms_text(result)} are the first of each type there that it admits."
            )
            return Choice(proposal=chosen, ours=ours.name, why=why, tried=(*tried, Tried(pair, True, why, ours.line)))
    if not misses:
        side = "the peer offered no proposal" if own else "no proposal is configured"
        return Refusal(nearest=None, axis=None, found="none", wanted="at least one proposal", why=f"{side}.")
    nearest = max(misses, key=lambda miss: miss.agreed)
    return Refusal(
        nearest=nearest.number,
        axis=nearest.axis,
        found=nearest.found,
        wanted=nearest.wanted,
        why=f"The nearest is proposal {nearest.number} with {nearest.ours}: {_miss_text(nearest)}.",
        ours=nearest.ours,
        tried=tuple(tried),
    )


def _miss_text(miss: _Miss) -> str:
    axis = "protocol" if miss.axis is None else axis_text(miss.axis)
    return f"{axis} had {miss.found}, wanted {miss.wanted}"


def _unfit(theirs: Proposal, ours: _Own, protocol: ProtocolId, spi_octets: int | None) -> _Miss | None:
    """What makes a proposal unacceptable before its transforms are compared, None if nothing does."""
    if theirs.protocol != protocol:
        return _Miss(theirs.number, ours.name, -2, None, str(theirs.protocol), str(protocol))
    if spi_octets is not None and len(theirs.spi) != spi_octets:
        return _Miss(theirs.number, ours.name, -1, None, f"an SPI of {len(theirs.spi)}", f"{spi_octets} octets")
    ##= rfc7296#section-3.3.6
    ##% If the responder receives a proposal that contains a Transform Type
    ##% it does not understand, or a proposal that is missing a mandatory
    ##% Transform Type, it MUST consider this proposal unacceptable; however,
    ##% other proposals in the same SA payload are processed as usual.
    for one in theirs.transforms:
        if one.type not in _VALID_TYPES[protocol]:
            found, wanted = transforms_text(theirs.of(one.type)), f"no such type for {protocol.label}"
            return _Miss(theirs.number, ours.name, _agreement(theirs, ours), int(one.type), found, wanted)
    return None


def _agreement(theirs: Proposal, ours: _Own) -> int:
    """How many of our transform types the received proposal meets: what a proposal of an unknown type is worth."""
    return sum(
        any(_same(each, mine) for each in theirs.transforms for mine in group) for group in ours.admitted.values()
    )


def _same(theirs: Transform, mine: Transform) -> bool:
    ##= rfc7296#section-3.3.6
    ##% if the responder receives a transform that it does not
    ##% understand, or one that contains a Transform Attribute it does not
    ##% understand, it MUST consider this transform unacceptable; other
    ##% transforms with the same Transform Type are processed as usual.
    return (
        theirs.type == mine.type and theirs.id == mine.id and theirs.key_length == mine.key_length and theirs.understood
    )


def _compare(theirs: Proposal, ours: _Own, protocol: ProtocolId, rule: _KeRule) -> tuple[Transform, ...] | _Miss:
    """One transform of each received type that ours admits, or the first type where there is none."""
    chosen: list[Transform] = []
    misses: list[tuple[int, str]] = []
    agreed = 0
    for type in _VALID_TYPES[protocol]:
        offered = theirs.of(TransformType.of(type))
        picker = _PICKERS.get((type, rule)) or _PICKERS.get((type, "")) or _pick_admitted
        picked, wanted = picker(offered, ours, type)
        if wanted is not None:
            misses.append((int(type), wanted))
        else:
            agreed += 1
            chosen += [] if picked is None else [picked]
    if not misses:
        ordered = sorted(chosen, key=theirs.transforms.index)
        return tuple(msgspec.structs.replace(one, reserved=b"\0\0") for one in ordered)
    type, wanted = misses[0]
    return _Miss(theirs.number, ours.name, agreed, type, transforms_text(theirs.of(TransformType.of(type))), wanted)


_Picked = tuple[Transform | None, str | None]
"""The transform to take (None: none is needed), and what was wanted where none fits."""


def _pick_admitted(offered: Sequence[Transform], ours: _Own, type: int) -> _Picked:
    """The initiator's first that is ours; a type that is missing here is mandatory."""
    admitted = ours.admitted.get(type, ())
    for one in offered:
        if any(_same(one, mine) for mine in admitted):
            return one, None
    return None, transforms_text(admitted)


def _pick_integrity(offered: Sequence[Transform], ours: _Own, type: int) -> _Picked:
    """With an AEAD none, or NONE where it is offered; otherwise the first that is ours.

    ##= rfc7296#section-3.3
    ##% Combined-mode ciphers include
    ##% both integrity and encryption in a single encryption algorithm, and
    ##% MUST either offer no integrity algorithm or a single integrity
    ##% algorithm of "NONE"
    """
    if not ours.aead:
        return _pick_admitted(offered, ours, type)
    return _pick_absent(offered, ours, type)


def _pick_absent(offered: Sequence[Transform], ours: _Own, type: int) -> _Picked:
    none = next((one for one in offered if one.id == _NONE and one.understood), None)
    if none is None and offered:
        return None, transform_text(type, _NONE)
    return none, None


def _pick_no_ke(offered: Sequence[Transform], ours: _Own, type: int) -> _Picked:
    """In IKE_AUTH a group is not negotiable: it is passed over, only NONE is answered with NONE.

    ##= rfc7296#section-1.2
    ##% Thus, the SA payloads in the IKE_AUTH exchange cannot contain Transform
    ##% Type 4 (Diffie-Hellman group) with any value other than NONE.
    """
    return next((one for one in offered if one.id == _NONE), None), None


def _pick_their_group(offered: Sequence[Transform], ours: _Own, type: int) -> _Picked:
    for one in offered:
        if one.understood and (one.id == _NONE or (int(one.id) in ACCEPTED_GROUPS and supported(one))):
            return one, None
    wanted = "no key exchange or one of the groups " + ", ".join(map(str, sorted(ACCEPTED_GROUPS)))
    return None, wanted if offered else None


def _pick_esn(offered: Sequence[Transform], ours: _Own, type: int) -> _Picked:
    """Ours where it is offered; a missing ESN transform is read as no ESN, though it is mandatory."""
    if offered or ours.admitted[type][0].id:
        return _pick_admitted(offered, ours, type)
    return None, None


_PICKERS: dict[tuple[int, str], Callable[[Sequence[Transform], _Own, int], _Picked]] = {
    (_INTEG, ""): _pick_integrity,
    (_KE, "ignore"): _pick_no_ke,
    (_KE, "theirs"): _pick_their_group,
    (_ESN, ""): _pick_esn,
}


def check_chosen(offered: Sequence[Proposal], chosen: Proposal | Sequence[Proposal]) -> Proposal:
    """The responder's one proposal, once it is seen to be one that we offered; ChosenMismatch otherwise.

    ##= rfc7296#section-3.3.6
    ##% The initiator of an exchange MUST check that the
    ##% accepted offer is consistent with one of its proposals, and if not
    ##% MUST terminate the exchange.
    """
    answers = (chosen,) if isinstance(chosen, Proposal) else tuple(chosen)
    if len(answers) != 1:
        raise _mismatch("proposals", str(len(answers)), "1")
    answer = answers[0]
    ##= rfc7296#section-3.3.1
    ##% When a proposal is accepted, the proposal number
    ##% in the SA payload MUST match the number on the proposal sent that
    ##% was accepted.
    offer = next((one for one in offered if one.number == answer.number), None)
    if offer is None:
        raise _mismatch("proposal number", str(answer.number), ", ".join(str(one.number) for one in offered))
    if answer.protocol != offer.protocol:
        raise _mismatch("protocol", str(answer.protocol), str(offer.protocol))
    if len(answer.spi) != len(offer.spi):
        raise _mismatch("SPI octets", str(len(answer.spi)), str(len(offer.spi)))
    ##= rfc7296#section-2.7
    ##% The accepted cryptographic
    ##% suite MUST contain exactly one transform of each type included in the
    ##% proposal.
    for type in dict.fromkeys(one.type for one in (*offer.transforms, *answer.transforms)):
        ours, theirs = offer.of(type), answer.of(type)
        absent = not ours and len(theirs) == 1 and theirs[0].id == _NONE and type != _ESN
        if not absent and not (len(theirs) == 1 and any(_same(theirs[0], one) for one in ours)):
            raise _mismatch(axis_text(int(type)), transforms_text(theirs), f"one of {transforms_text(ours)}", int(type))
    return answer


def _mismatch(what: str, found: str, wanted: str, axis: int | None = None) -> ChosenMismatch:
    message = f"the responder's choice: {what} had {found}, wanted {wanted}"
    return ChosenMismatch(message, what=what, found=found, wanted=wanted, axis=axis)
