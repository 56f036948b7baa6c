"""The rules as a table, what explains what, and the one function that applies them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from ikescope.explain.findings import authentication, proposals, selectors
from ikescope.explain.findings.case import Case, cases
from ikescope.explain.findings.draft import Draft
from ikescope.explain.findings.model import CONFIDENCES, SEVERITIES, Finding, Severity
from ikescope.timeline import Timeline


class Rule(msgspec.Struct, frozen=True):
    """One row: a stable id, how bad it is, the RFC section that it follows, a title, and the function that looks."""

    id: str
    severity: Severity
    section: str
    title: str
    look: Callable[[Case], Iterable[Draft]]


RULES: tuple[Rule, ...] = (
    Rule("ike-proposal-mismatch", "error", "RFC 7296 section 2.7", "No common IKE proposal", proposals.ike_proposal),
    Rule("esp-proposal-mismatch", "error", "RFC 7296 section 2.7", "No common ESP proposal", proposals.esp_proposal),
    Rule("wrong-dh-group-retry", "note", "RFC 7296 section 1.3", "A guess too many", proposals.wrong_group),
    Rule("psk-mismatch", "error", "RFC 7296 section 2.15", "Pre-shared keys differ", authentication.psk),
    Rule("identity-mismatch", "error", "RFC 7296 section 3.5", "Identity not expected", authentication.identity),
    Rule("auth-method-mismatch", "error", "RFC 7296 section 2.15", "Methods differ", authentication.method),
    Rule("certificate-chain", "error", "RFC 7296 section 3.6", "Certificate not trusted", authentication.certificate),
    Rule("ts-mismatch", "error", "RFC 7296 section 2.9", "Selectors do not meet", selectors.mismatch),
    Rule("pfs-mismatch", "error", "RFC 7296 section 1.3.1", "PFS of one end only", proposals.pfs),
)
"""Every rule, in the order of a negotiation."""

EXPLAINS: dict[str, frozenset[str]] = {}
"""Root cause -> what follows from it and is not told beside it."""


def findings(timeline: Timeline, router: str | None = None) -> list[Finding]:
    """What is wrong between the routers of a timeline, the worst first, each cause once with its count.

    `router` names the side to judge from; without it each case is judged from the first router that tells of it.
    """
    found: dict[tuple[str, ...], Finding] = {}
    for case in cases(timeline, router):
        for one in _of(case):
            key = (one.id, one.router, one.peer, one.side, one.cause)
            before = found.get(key)
            found[key] = one if before is None else msgspec.structs.replace(before, count=before.count + one.count)
    return sorted(_rooted(found.values()), key=_rank)


def _rank(one: Finding) -> tuple[int, int]:
    return SEVERITIES.index(one.severity), CONFIDENCES.index(one.confidence)


def _of(case: Case) -> Iterator[Finding]:
    for rule in RULES:
        for draft in rule.look(case):
            yield Finding(
                id=rule.id,
                severity=draft.severity or rule.severity,
                side=draft.side,
                confidence=draft.confidence,
                cause=draft.cause,
                because=draft.because,
                evidence=draft.evidence,
                remedy=draft.remedy,
                router=case.here.router,
                peer=case.here.peer,
                spi_i=case.spi_i,
                section=rule.section,
                title=rule.title,
                instead=draft.instead,
            )


def _rooted(found: Iterable[Finding]) -> list[Finding]:
    """Without what another finding between the same two ends explains."""
    told = list(found)
    explained = {
        (one.router, one.peer, consequence) for one in told for consequence in EXPLAINS.get(one.id, frozenset())
    }
    return [one for one in told if (one.router, one.peer, one.id) not in explained]
