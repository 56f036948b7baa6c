"""What a rule hands back, before the table gives it its id; and what rules share."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ikescope.events import UNSET
from ikescope.events.negotiation import KeyringSearched, PolicySearched, ProfileMatched, ProfileNotFound
from ikescope.explain.findings.asa import in_asa_words
from ikescope.explain.findings.case import Case, View
from ikescope.explain.findings.model import Confidence, Evidence, Remedy, Severity, Side

PROPOSAL, POLICY = "<the proposal of the policy>", "<the policy in use>"
PROFILE, KEYRING, BLOCK = "<the profile of this peer>", "<the keyring of the profile>", "<the peer block>"
IPSEC_PROFILE, TRANSFORM_SET = "<the ipsec profile of the tunnel>", "<the transform-set of the ipsec profile>"
TUNNEL = "Tunnel<number>"
"""What stands for a name that nobody tells; `ikescope.explain.findings.fill` puts a configuration's own there."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A finding in the making; fields as in Finding. `severity` None: that of its rule."""

    cause: str
    side: Side
    confidence: Confidence = "certain"
    because: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    remedy: tuple[Remedy, ...] = ()
    severity: Severity | None = None
    change: str = ""
    instead: tuple[str, ...] = ()


def side_of(case: Case, view: View) -> Side:
    """The side of a view as the viewpoint sees it."""
    return "local" if view is case.here else "peer"


def side_opposite(case: Case, view: View) -> Side:
    """The side at the other end of a view."""
    return "peer" if view is case.here else "local"


def ios(case: Case, view: View, lines: Iterable[str], *, other: bool = False, both: bool = False) -> Remedy:
    """IOS lines for the router of a view, or (`other`) for its other end; as ASA has them where that is an ASA."""
    side = side_opposite(case, view) if other else side_of(case, view)
    router = case.other(view) if other else case.name(view)
    whose = far(case, view) if other else view
    if whose is not None and whose.is_asa:
        told = in_asa_words(tuple(lines), whose.peer, _entry(whose))
        return Remedy(side=side, syntax="asa", lines=told, router=router, both=both)
    return Remedy(side=side, syntax="ios", lines=tuple(lines), router=router, both=both)


def asa(case: Case, view: View, *lines: str) -> Remedy:
    """Lines of ASA's own for the router of a view."""
    return Remedy(side=side_of(case, view), syntax="asa", lines=lines, router=case.name(view))


def _entry(view: View) -> str:
    """The crypto map and the sequence of its entry that a router speaks of; empty where it names none."""
    told = (getattr(record.event, "tunnel", "") for record in view.records)
    found = (one for one in told if isinstance(one, str) and one.startswith("crypto map "))
    return next(found, "").removeprefix("crypto map ").strip()


def swanctl(case: Case, view: View, lines: Iterable[str], *, both: bool = False) -> Remedy:
    """Lines of swanctl.conf for the other end of a view."""
    return Remedy(
        side=side_opposite(case, view), syntax="swanctl", lines=tuple(lines), router=case.other(view), both=both
    )


def text(side: Side, *lines: str, router: str = "") -> Remedy:
    """What to do in words."""
    return Remedy(side=side, syntax="text", lines=lines, router=router)


def proposal_name(view: View) -> str:
    """The `crypto ikev2 proposal` that a router offers, as far as it tells."""
    found = view.around(PolicySearched)
    names = found.proposals if found is not None and isinstance(found.proposals, tuple) else ()
    return names[0] if names else PROPOSAL


def policy_name(view: View | None) -> str:
    """The `crypto ikev2 policy` that a router uses, as far as it tells."""
    found = None if view is None else view.around(PolicySearched)
    name = found.policy if found is not None else None
    return name if isinstance(name, str) and name != "default" else POLICY


def profile_name(view: View | None) -> str:
    """The `crypto ikev2 profile` that a router took, or tried, as far as it tells."""
    if view is None:
        return PROFILE
    for kind in (ProfileMatched, KeyringSearched):
        found = view.around(kind)
        name = getattr(found, "profile", UNSET)
        if isinstance(name, str) and name:
            return name
    missed = view.around(ProfileNotFound)
    tried = missed.tried if missed is not None and isinstance(missed.tried, tuple) else ()
    return tried[0].name if tried else PROFILE


def keyring_names(view: View | None) -> tuple[str, str]:
    """The keyring that a router searched and the peer block that it found, as far as it tells."""
    found = None if view is None else view.around(KeyringSearched)
    keyring = getattr(found, "keyring", UNSET)
    block = getattr(found, "block", UNSET)
    return (
        keyring if isinstance(keyring, str) and keyring else KEYRING,
        block if isinstance(block, str) and block else BLOCK,
    )


def far(case: Case, view: View) -> View | None:
    """The other view, None where only this one tells."""
    return case.there if view is case.here else case.here
