"""The rules as a table, what explains what, and the one function that applies them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec.structs import replace

from ikescope.explain.findings import authentication, life, nat, other, path, proposals, selectors, traffic
from ikescope.explain.findings.case import Case, case_of, cases
from ikescope.explain.findings.draft import Draft
from ikescope.explain.findings.model import CONFIDENCES, SEVERITIES, Finding, Severity
from ikescope.timeline import IkeSa, Timeline


class Rule(msgspec.Struct, frozen=True):
    """One row: a stable id, how bad it is, the RFC section that it follows, a title, and the function that looks."""

    id: str
    severity: Severity
    section: str
    title: str
    look: Callable[[Case], Iterable[Draft]]


def _half_open(case: Case) -> Iterator[Draft]:
    """An IKE SA or ESP SA that one end alone holds."""
    for look in (life.half_open, traffic.leftover, life.limit):
        yield from look(case)


def _no_response(case: Case) -> Iterator[Draft]:
    """Requests that nobody answers, whether the source holds them or not."""
    yield from path.no_response(case)
    yield from (draft for id, draft in other.gave_up(case) if id == "no-response")


def _port_4500(case: Case) -> Iterator[Draft]:
    yield from path.port_4500(case)
    yield from (draft for id, draft in other.gave_up(case) if id == "port-4500-blocked")


def _dead(case: Case) -> Iterator[Draft]:
    """A peer that was there and fell silent, likewise."""
    yield from path.dead(case)
    yield from (draft for id, draft in other.gave_up(case) if id == "peer-dead")
    yield from other.lost(case)


RULES: tuple[Rule, ...] = (
    Rule("http-url-cert", "error", "RFC 7296 section 3.6", "Certificate by URL", other.http_url),
    Rule("ike-proposal-mismatch", "error", "RFC 7296 section 2.7", "No common IKE proposal", proposals.ike_proposal),
    Rule("esp-proposal-mismatch", "error", "RFC 7296 section 2.7", "No common ESP proposal", proposals.esp_proposal),
    Rule("wrong-dh-group-retry", "note", "RFC 7296 section 1.3", "A guess too many", proposals.wrong_group),
    Rule("psk-mismatch", "error", "RFC 7296 section 2.15", "Pre-shared keys differ", authentication.psk),
    Rule("identity-mismatch", "error", "RFC 7296 section 3.5", "Identity not expected", authentication.identity),
    Rule("auth-method-mismatch", "error", "RFC 7296 section 2.15", "Methods differ", authentication.method),
    Rule("certificate-chain", "error", "RFC 7296 section 3.6", "Certificate not trusted", authentication.certificate),
    Rule("ts-mismatch", "error", "RFC 7296 section 2.9", "Selectors do not meet", selectors.mismatch),
    Rule("pfs-mismatch", "error", "RFC 7296 section 1.3.1", "PFS of one end only", proposals.pfs),
    Rule("no-response", "error", "RFC 7296 section 2.1", "No answer", _no_response),
    Rule("response-lost", "error", "RFC 7296 section 2.1", "Answers are lost", path.response_lost),
    Rule("port-4500-blocked", "error", "RFC 7296 section 2.23", "UDP 4500 does not pass", _port_4500),
    Rule("large-messages-lost", "error", "RFC 7383 section 2.5.1", "Large messages are lost", path.large),
    Rule("nat-one-sided", "warning", "RFC 7296 section 2.23", "A NAT that one end sees", nat.one_sided),
    Rule("nat-rebinding", "note", "RFC 7296 section 2.23", "The peer's address changed", nat.rebinding),
    Rule("peer-dead", "error", "RFC 7296 section 2.4", "The peer fell silent", _dead),
    Rule("peer-deleted", "note", "RFC 7296 section 1.4.1", "The peer deleted the SA", life.deleted),
    Rule("rekey-collision", "warning", "RFC 7296 section 2.8.1", "Rekeys crossed badly", life.collision),
    Rule("half-open-leak", "error", "RFC 7296 section 2.4", "An SA of one end only", _half_open),
    Rule("replay-after-restart", "error", "RFC 4303 section 3.4.3", "Counted anew", traffic.replay),
    Rule("mtu-hole", "error", "RFC 4301 section 8", "Large packets are lost", traffic.mtu),
    Rule("up-no-traffic", "error", "RFC 4301 section 4.4", "Up, and nothing passes", traffic.nothing),
    Rule("sa-strength", "note", "RFC 4301 section 4.1", "IKE weaker than ESP", life.strength),
    Rule("profile-not-found-noise", "note", "RFC 7296 section 3.15", "Noise of the log", life.noise),
    Rule("data-plane-refused", "error", "RFC 4301 section 4.4", "The host refused", other.plane),
    Rule("exchange-refused", "error", "RFC 7296 section 2.21", "An error notify", other.refused),
    Rule("exchange-failed", "error", "RFC 7296 section 2.21", "Failed, and no reason told", other.unnamed),
)
"""Every rule, in the order of a negotiation."""

_PATH = ("no-response", "response-lost", "port-4500-blocked", "large-messages-lost", "peer-dead")
_END = ("peer-deleted", "half-open-leak", "up-no-traffic", "exchange-refused", "exchange-failed")
_NOISE = "profile-not-found-noise"
EXPLAINS: dict[str, frozenset[str]] = {
    "http-url-cert": frozenset({*_PATH, *_END, "certificate-chain", "psk-mismatch", "identity-mismatch"}),
    "ike-proposal-mismatch": frozenset({*_PATH, *_END, "wrong-dh-group-retry"}),
    "wrong-dh-group-retry": frozenset({"exchange-failed"}),
    "esp-proposal-mismatch": frozenset({*_PATH, *_END, "rekey-collision", _NOISE}),
    "psk-mismatch": frozenset({*_PATH, *_END, "esp-proposal-mismatch", _NOISE}),
    "identity-mismatch": frozenset({*_PATH, *_END, "psk-mismatch", _NOISE}),
    "auth-method-mismatch": frozenset({*_PATH, *_END, "psk-mismatch", "certificate-chain", _NOISE}),
    "certificate-chain": frozenset({*_PATH, *_END, "psk-mismatch", "identity-mismatch", "esp-proposal-mismatch"}),
    "ts-mismatch": frozenset({*_PATH, *_END, "esp-proposal-mismatch", "rekey-collision", _NOISE}),
    "pfs-mismatch": frozenset({*_END, "peer-dead", "esp-proposal-mismatch", "rekey-collision"}),
    "no-response": frozenset({"exchange-failed", "up-no-traffic"}),
    "response-lost": frozenset({"exchange-failed", "up-no-traffic", "half-open-leak", "peer-deleted"}),
    "port-4500-blocked": frozenset({"exchange-failed", "up-no-traffic"}),
    "large-messages-lost": frozenset({"exchange-failed", "up-no-traffic"}),
    "nat-one-sided": frozenset({*_PATH, "up-no-traffic", "exchange-failed"}),
    "peer-dead": frozenset({*_END, "mtu-hole", "rekey-collision"}),
    "rekey-collision": frozenset({"up-no-traffic", "peer-deleted"}),
    "half-open-leak": frozenset({"up-no-traffic", "peer-deleted"}),
    "replay-after-restart": frozenset({"up-no-traffic", "mtu-hole"}),
    "mtu-hole": frozenset({"up-no-traffic"}),
    "data-plane-refused": frozenset({*_END, "esp-proposal-mismatch", "ts-mismatch"}),
    "exchange-refused": frozenset({"exchange-failed", "peer-deleted"}),
}
"""Root cause -> what follows from it within the same attempt, and is not told beside it."""

OUTLIVES: dict[str, frozenset[str]] = {"peer-dead": frozenset({"no-response"})}
"""Root cause -> what becomes of later attempts with the same peer, and is not told beside it."""


def findings(timeline: Timeline, router: str | None = None) -> list[Finding]:
    """What is wrong between the routers of a timeline, the worst first, each cause once with its count.

    `router` names the side to judge from; without it each case is judged from the first router that tells of it.
    """
    found: dict[tuple[str, ...], Finding] = {}
    several = cases(timeline, router)
    alike: dict[tuple[str, str], list[Case]] = {}
    for case in several:
        alike.setdefault(case.key, []).append(case)
    told_of = {id(case): _rooted(list(_of(case))) for case in several}
    for case in several:
        for one in told_of[id(case)]:
            # An attempt of which the same is told came up in name only.
            clean = [
                other
                for other in alike[case.key]
                if not any(each.id == one.id and each.severity != "note" for each in told_of[id(other)])
            ]
            one = _only_a_note(one) if _came_up_later(case, clean) else one
            key = (one.id, one.severity, one.router, one.peer, one.side, one.change or one.cause)
            before = found.get(key)
            # The latest of several tells what is so now.
            found[key] = one if before is None else replace(one, count=before.count + one.count)
    told = [one for one in found.values() if one.id != _UNNAMED or not _named(one, found.values())]
    lasting = {(one.router, one.peer, id) for one in told for id in OUTLIVES.get(one.id, ()) if one.severity != "note"}
    return sorted((one for one in told if (one.router, one.peer, one.id) not in lasting), key=_rank)


_UNNAMED = "exchange-failed"


def _named(one: Finding, others: Iterable[Finding]) -> bool:
    """Whether another attempt with the same peer failed and says why: this one, which does not, is another try."""
    return any(
        other.severity == "error" and (other.router, other.peer) == (one.router, one.peer)
        for other in others
        if _UNNAMED in EXPLAINS.get(other.id, frozenset())
    )


def findings_of(timeline: Timeline, sa: IkeSa) -> list[Finding]:
    """What is wrong with one IKE SA and those of its family, the worst first; without a look at other attempts."""
    return sorted(_rooted(list(_of(case_of(timeline, sa)))), key=_rank)


def _came_up_later(case: Case, alike: list[Case]) -> bool:
    """Whether another attempt of the same two brought the tunnel up after this one, or stands when this one is over."""
    others = [one for one in alike if one is not case and one.up]
    if case.standing:
        return any(one.standing and one.begun > case.begun for one in others)
    return any(one.standing or one.begun >= case.begun for one in others)


def _only_a_note(one: Finding) -> Finding:
    if one.severity == "note":
        return one
    return replace(one, severity="note", because=(*one.because, "A later attempt came up: it is over."))


def _rank(one: Finding) -> tuple[int, int]:
    return SEVERITIES.index(one.severity), CONFIDENCES.index(one.confidence)


def _of(case: Case) -> Iterator[Finding]:
    inferred = any(view.inferred for view in case.views)
    for rule in RULES:
        for draft in rule.look(case):
            if inferred and draft.confidence == "certain":
                draft = replace(draft, confidence="likely")
            yield Finding(
                id=rule.id,
                severity=draft.severity or rule.severity,
                side=draft.side,
                confidence=draft.confidence,
                cause=draft.cause,
                because=draft.because,
                evidence=draft.evidence,
                remedy=draft.remedy,
                change=draft.change,
                router=case.here.router,
                peer=case.here.peer,
                spi_i=case.spi_i,
                section=rule.section,
                title=rule.title,
                instead=draft.instead,
            )


def _rooted(found: list[Finding]) -> list[Finding]:
    """Without what another finding of the same attempt explains; each id once, by the first rule that finds it."""
    explained: set[str] = set()
    for one in found:
        # What is itself only a consequence explains nothing.
        if one.id not in explained:
            explained |= EXPLAINS.get(one.id, frozenset())
    first: dict[str, Finding] = {}
    for one in found:
        first.setdefault(one.id, one)
    return [one for one in first.values() if one.id not in explained]
