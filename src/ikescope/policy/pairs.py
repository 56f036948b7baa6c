"""What two configurations of the two ends of one tunnel disagree on, before either is applied."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ikescope.config.model import Finding, RouterConfig, Tunnel
from ikescope.errors import LocalError
from ikescope.policy.identity import identity_text, local_identity
from ikescope.policy.peers import Connection, admits, connection, find_key
from ikescope.policy.proposals import Refusal, choose_esp, choose_ike, offer_esp, offer_ike
from ikescope.wire.registry import IdType

_SPI = bytes(4)
_WORDS = {int(IdType.ID_FQDN): "fqdn", int(IdType.ID_RFC822_ADDR): "email", int(IdType.ID_KEY_ID): "key-id"}


class PairFinding(msgspec.Struct, frozen=True):
    """A finding about one end (`at`: its place in the pair, 0 or 1), found beside the other."""

    at: int
    finding: Finding


def pair_findings(left: RouterConfig, right: RouterConfig) -> tuple[PairFinding, ...]:
    """The findings about each two tunnels that go to each other's source address; none where no two do."""
    found: list[PairFinding] = []
    for one in left.tunnels.values():
        for other in right.tunnels.values():
            if _meet(one, other):
                found += _between((left, right), (one, other))
    return tuple(found)


def _meet(one: Tunnel, other: Tunnel) -> bool:
    ends = (one.source_address, one.destination, other.source_address, other.destination)
    alike = one.mode == other.mode or one.mode.split()[0] == other.mode.split()[0]
    return None not in ends and alike and ends[:2] == (ends[3], ends[2])


def _between(configs: tuple[RouterConfig, RouterConfig], tunnels: tuple[Tunnel, Tunnel]) -> Iterator[PairFinding]:
    try:
        ends = (connection(configs[0], tunnels[0].name), connection(configs[1], tunnels[1].name))
    except LocalError:
        return  # each file's own check says what is missing
    if tunnels[0].mode != tunnels[1].mode:
        text = f"tunnel mode {tunnels[0].mode}, and {_of(configs[1], ends[1])} has {tunnels[1].mode}"
        yield _told(0, ends[0], "error", tunnels[0].line, text, "the same tunnel mode in both")
    yield from _forward_secrecy(configs, ends)
    for at in (0, 1):
        yield from _identity(configs, ends, at)
    yield from _keys(configs, ends)
    yield from _algorithms(configs, ends)


def _of(config: RouterConfig, end: Connection) -> str:
    return f"{config.hostname} {end.tunnel.name}"


def _told(at: int, end: Connection, severity: str, line: int, text: str, remedy: str) -> PairFinding:
    said = f"interface {end.tunnel.name}: {text}"
    return PairFinding(
        at, Finding(severity="error" if severity == "error" else "warning", line=line, text=said, remedy=remedy)
    )


def _forward_secrecy(
    configs: tuple[RouterConfig, RouterConfig], ends: tuple[Connection, Connection]
) -> Iterator[PairFinding]:
    groups = (ends[0].ipsec.pfs_group, ends[1].ipsec.pfs_group)
    if groups[0] == groups[1]:
        return
    at = 1 if groups[0] is None else 0
    end, other = ends[at], ends[1 - at]
    whom, theirs = _of(configs[1 - at], other), groups[1 - at]
    when = f"a rekey of a Child SA that {whom} begins is refused" if theirs is None else "no Child SA is rekeyed"
    there = "no PFS" if theirs is None else f"group{theirs}"
    text = f"set pfs group{groups[at]}, and {whom} has {there}: the tunnel comes up, and {when}"
    yield _told(at, end, "warning", end.ipsec.line, text, f"set pfs group{groups[at]} in both")


def _identity(
    configs: tuple[RouterConfig, RouterConfig], ends: tuple[Connection, Connection], at: int
) -> Iterator[PairFinding]:
    """Whether the profile of one end admits who the other says it is."""
    end, other = ends[at], ends[1 - at]
    who = local_identity(other.profile, other.local)
    if not admits(end.profile, who, end.local, end.remote).taken:
        text = f"profile {end.profile.name} does not admit {identity_text(who)}, who {_of(configs[1 - at], other)} is"
        yield _told(
            at,
            end,
            "error",
            end.profile.line,
            text,
            f"match identity remote {_WORDS.get(who.type, 'address')} {who.value}",
        )


def _keys(configs: tuple[RouterConfig, RouterConfig], ends: tuple[Connection, Connection]) -> Iterator[PairFinding]:
    for at in (0, 1):
        end, other = ends[at], ends[1 - at]
        me, peer = local_identity(end.profile, end.local), local_identity(other.profile, other.local)
        mine = find_key(configs[at], end.profile, end.remote, peer, "local")
        theirs = find_key(configs[1 - at], other.profile, other.remote, me, "remote")
        if mine is not None and theirs is not None and mine.secret != theirs.secret:
            text = f"its local key is not the remote key of {_of(configs[1 - at], other)}"
            yield _told(at, end, "error", end.profile.line, text, "the same pre-shared-key in both")


def _algorithms(
    configs: tuple[RouterConfig, RouterConfig], ends: tuple[Connection, Connection]
) -> Iterator[PairFinding]:
    whom = _of(configs[1], ends[1])
    ike = choose_ike(offer_ike(ends[0].proposals), ends[1].proposals)
    if isinstance(ike, Refusal):
        text = f"no IKEv2 proposal in common with {whom}: {ike.why}"
        yield _told(0, ends[0], "error", ends[0].tunnel.line, text, "one proposal in both")
    esp = choose_esp(offer_esp(ends[0].sets, _SPI), ends[1].sets)
    if isinstance(esp, Refusal):
        text = f"no transform-set in common with {whom}: {esp.why}"
        yield _told(0, ends[0], "error", ends[0].ipsec.line, text, "one transform-set in both")
