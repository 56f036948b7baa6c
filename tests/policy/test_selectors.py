"""Traffic selectors: a tunnel's own, the wire's, and narrowing between them."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.samples import GRE_TUNNEL, R1, R2, entry, router

from ikescope.config.model import AccessList, RouterConfig, Tunnel
from ikescope.errors import LocalError
from ikescope.events.base import SelectorFact
from ikescope.policy.ranges import of_fact, overlap
from ikescope.policy.selectors import (
    Narrowed,
    SelectorError,
    SelectorRefusal,
    Selectors,
    from_wire,
    matches,
    narrow,
    subset,
    text,
    to_wire,
    tunnel_selectors,
)
from ikescope.wire import TrafficSelector
from ikescope.wire.registry import TsType

ANY = SelectorFact("0.0.0.0", "255.255.255.255")
ANY6 = SelectorFact("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")


def fact(start: str, end: str = "", protocol: int = 0, ports: tuple[int, int] = (0, 65535)) -> SelectorFact:
    """A selector; one host where no end is given."""
    return SelectorFact(start, end or start, protocol, *ports)


LAN1, LAN2, LAN3 = fact("10.1.0.0", "10.1.0.255"), fact("10.2.0.0", "10.2.0.255"), fact("10.3.0.0", "10.3.0.255")
VTI = msgspec.structs.replace(GRE_TUNNEL, mode="ipsec ipv4")
BY_ACL = msgspec.structs.replace(VTI, policy_acl="LANS")


def acl_router(*entries: object) -> RouterConfig:
    """A router whose tunnel's policy is this access-list."""
    return router(BY_ACL, access_lists=(AccessList(name="LANS", entries=entries, line=40),))  # type: ignore[arg-type]


def test_a_gre_tunnel_protects_gre_between_its_ends() -> None:
    """One pair: source to destination, protocol 47."""
    (pair,) = tunnel_selectors(router(), GRE_TUNNEL)
    assert pair == Selectors((fact("192.0.2.1", protocol=47),), (fact("192.0.2.2", protocol=47),))


@pytest.mark.parametrize(("mode", "anything"), [("ipsec ipv4", ANY), ("ipsec ipv6", ANY6)])
def test_an_ipsec_tunnel_protects_all_of_its_family(mode: str, anything: SelectorFact) -> None:
    """`tunnel mode ipsec` without a policy: any to any."""
    tunnel = msgspec.structs.replace(GRE_TUNNEL, mode=mode)
    assert tunnel_selectors(router(), tunnel) == (Selectors((anything,), (anything,)),)


def test_each_permit_line_is_one_pair() -> None:
    """Deny lines are no selectors; source is local, destination remote, protocol on both."""
    config = acl_router(
        entry("10.1.0.0/24", "10.2.0.0/24"),
        entry("10.1.0.0/24", "10.9.0.0/24", permit=False),
        entry("10.1.0.0/24", "10.3.0.0/24", protocol=17),
    )
    udp = fact("10.1.0.0", "10.1.0.255", 17), fact("10.3.0.0", "10.3.0.255", 17)
    assert tunnel_selectors(config, BY_ACL) == (Selectors((LAN1,), (LAN2,)), Selectors((udp[0],), (udp[1],)))


@pytest.mark.parametrize(
    ("config", "tunnel", "words"),
    [
        (router(BY_ACL), BY_ACL, "no access-list LANS"),
        (acl_router(entry("10.1.0.0/24", "10.2.0.0/24", permit=False)), BY_ACL, "no permit line"),
        (router(), msgspec.structs.replace(GRE_TUNNEL, source_address=None), "tunnel source"),
        (router(), msgspec.structs.replace(GRE_TUNNEL, destination=None), "tunnel destination"),
    ],
)
def test_what_is_missing_is_said_with_its_line(config: RouterConfig, tunnel: Tunnel, words: str) -> None:
    """A tunnel whose selectors cannot be told is one clear line."""
    with pytest.raises(LocalError, match=words) as caught:
        tunnel_selectors(config, tunnel)
    assert "(line " in str(caught.value)
    assert "\n" not in str(caught.value)


TEXTS = {
    "10.1.0.0/24": LAN1,
    "0.0.0.0/0": ANY,
    "::/0": ANY6,
    "host 192.0.2.1 protocol 47 (GRE)": fact("192.0.2.1", protocol=47),
    "10.0.0.5-10.0.0.9 port 500": fact("10.0.0.5", "10.0.0.9", ports=(500, 500)),
    "10.1.0.0/24 protocol 17 (UDP) ports 1000-2000": fact("10.1.0.0", "10.1.0.255", 17, (1000, 2000)),
    "host 10.0.0.1 protocol 200 ports OPAQUE": fact("10.0.0.1", protocol=200, ports=(65535, 0)),
    "2001:db8::/32": fact("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
}


@pytest.mark.parametrize(("words", "one"), TEXTS.items())
def test_a_selector_reads_as_an_operator_writes_it(words: str, one: SelectorFact) -> None:
    """A prefix where the range is one, otherwise both ends; protocol and ports where they are not any."""
    assert text(one) == words


def test_wire_form_and_back() -> None:
    """Both families, protocol and ports survive; the type follows the address."""
    ##= rfc7296#section-3.13.1 type=test
    ##% For protocols for which port is undefined (including protocol 0), or if all ports are allowed, this field
    ##% MUST be zero.
    several = (LAN1, ANY6, fact("192.0.2.1", protocol=47), fact("10.0.0.1", protocol=17, ports=(65535, 0)))
    wire = to_wire(several)
    assert [one.ts_type for one in wire] == [7, 8, 7, 7]
    assert from_wire(wire) == several


def test_a_selector_of_an_unknown_type_is_ignored() -> None:
    """It is neither an error nor in the result.

    ##= rfc7296#section-2.9
    ##= type=test
    ##% If the type of Traffic Selector proposed is unknown, the responder
    ##% ignores that Traffic Selector, so that the unknown type is not
    ##% returned in the narrowed set.
    """
    unknown = TrafficSelector(TsType.of(9), opaque=b"\0" * 8)
    assert from_wire((unknown, *to_wire((LAN1,)))) == (LAN1,)


@pytest.mark.parametrize("bad", [fact("10.0.0.9", "10.0.0.5"), fact("10.0.0.1", ports=(9, 5))])
def test_a_range_upside_down_is_invalid_syntax(bad: SelectorFact) -> None:
    """Addresses or ports that end before they start are refused; 65535-0 is OPAQUE and is not."""
    with pytest.raises(SelectorError) as caught:
        from_wire(to_wire((bad,)))
    assert caught.value.notify == 7


def pair(local: SelectorFact, remote: SelectorFact) -> Selectors:
    """A pair of one selector each."""
    return Selectors((local,), (remote,))


PACKET = fact("10.1.0.5", protocol=1), fact("10.2.0.9", protocol=1)
NARROWINGS: dict[str, tuple[list[SelectorFact], list[SelectorFact], list[Selectors], int, Selectors]] = {
    "equal": ([LAN1], [LAN2], [pair(LAN1, LAN2)], 0, pair(LAN1, LAN2)),
    "equal before wider": ([LAN1], [LAN2], [pair(ANY, ANY), pair(LAN1, LAN2)], 1, pair(LAN1, LAN2)),
    "the tightest that holds all": (
        [fact("10.1.0.5")], [LAN2], [pair(ANY, ANY), pair(LAN1, LAN2)], 1, pair(fact("10.1.0.5"), LAN2)
    ),
    "the earlier of two equals": ([LAN1], [LAN2], [pair(LAN1, LAN2), pair(LAN1, LAN2)], 0, pair(LAN1, LAN2)),
    "any proposed, ours tighter": ([ANY], [ANY], [pair(LAN1, LAN2)], 0, pair(LAN1, LAN2)),
    "the packet decides among ours": (
        [PACKET[0], ANY], [PACKET[1], ANY], [pair(LAN1, LAN3), pair(LAN1, LAN2)], 1, pair(LAN1, LAN2)
    ),
    "the packet decides over size": (
        [PACKET[0], ANY],
        [PACKET[1], ANY],
        [pair(ANY, fact("11.0.0.0", "255.255.255.255")), pair(LAN1, LAN2)],
        1,
        pair(LAN1, LAN2),
    ),
    "the packet's protocol decides": (
        [fact("10.1.0.5", protocol=17), LAN1],
        [fact("10.2.0.9", protocol=17), LAN2],
        [
            pair(fact("10.1.0.0", "10.1.0.255", 6), fact("10.2.0.0", "10.2.0.255", 6)),
            pair(fact("10.1.0.0", "10.1.0.255", 17), fact("10.2.0.0", "10.2.0.255", 17)),
        ],
        1,
        pair(fact("10.1.0.0", "10.1.0.255", 17), fact("10.2.0.0", "10.2.0.255", 17)),
    ),
    "first selectors not ours: what is left": (
        [fact("10.9.0.1"), LAN1], [LAN2], [pair(LAN1, LAN2)], 0, pair(LAN1, LAN2)
    ),
    "a range that is no prefix": (
        [fact("10.1.0.200", "10.1.1.10")], [LAN2], [pair(LAN1, LAN2)], 0, pair(fact("10.1.0.200", "10.1.0.255"), LAN2)
    ),
    "ports are cut": (
        [fact("10.1.0.5", protocol=17, ports=(400, 600))],
        [LAN2],
        [pair(fact("10.1.0.0", "10.1.0.255", 17, (500, 4500)), LAN2)],
        0,
        pair(fact("10.1.0.5", protocol=17, ports=(500, 600)), LAN2),
    ),
    "OPAQUE lies in ANY": (
        [fact("10.1.0.5", ports=(65535, 0))], [LAN2], [pair(LAN1, LAN2)], 0,
        pair(fact("10.1.0.5", ports=(65535, 0)), LAN2),
    ),
    "several of ours in one pair": (
        [ANY], [LAN2], [Selectors((LAN1, LAN3), (LAN2,))], 0, Selectors((LAN1, LAN3), (LAN2,))
    ),
    "GRE in transport mode": (
        [fact("192.0.2.1", protocol=47)], [fact("192.0.2.2", protocol=47)],
        [pair(fact("192.0.2.1", protocol=47), fact("192.0.2.2", protocol=47))], 0,
        pair(fact("192.0.2.1", protocol=47), fact("192.0.2.2", protocol=47)),
    ),
    "IPv6": ([ANY6], [ANY6], [pair(ANY, ANY), pair(ANY6, ANY6)], 1, pair(ANY6, ANY6)),
}  # fmt: skip


@pytest.mark.parametrize(("local", "remote", "own", "index", "agreed"), NARROWINGS.values(), ids=NARROWINGS)
def test_narrowing(
    local: list[SelectorFact], remote: list[SelectorFact], own: list[Selectors], index: int, agreed: Selectors
) -> None:
    """The intersection with the own pair that fits best, and a reason for each pair of ours."""
    ##= rfc7296#section-2.9 type=test
    ##% Because of this, if only some parts of the TSi and TSr proposed by the initiator are acceptable to the
    ##% responder, responders SHOULD narrow the selectors to an acceptable subset rather than use
    ##% SINGLE_PAIR_REQUIRED.
    result = narrow(local, remote, own)
    assert isinstance(result, Narrowed)
    assert (result.index, result.selectors) == (index, agreed)
    assert [look.taken for look in result.tried] == [at == index for at in range(len(own))]
    assert all(look.why for look in result.tried)


def test_narrowing_says_whether_it_narrowed_and_whether_more_is_possible() -> None:
    """Nothing is narrowed where ours holds all; ADDITIONAL_TS_POSSIBLE where another pair would take a part."""
    own = [pair(LAN1, LAN2), pair(LAN1, LAN3)]
    whole = narrow([LAN1], [LAN2], own)
    part = narrow([LAN1], [ANY], own)
    alone = narrow([LAN1], [ANY], own[:1])
    assert [(one.narrowed, one.additional) for one in (whole, part, alone) if isinstance(one, Narrowed)] == [
        (False, False),
        (True, True),
        (True, False),
    ]


REFUSALS: dict[str, tuple[SelectorFact, SelectorFact, int, str, str]] = {
    "remote": (LAN1, LAN3, 0, "remote", "addresses had 10.3.0.0/24, wanted 10.2.0.0/24"),
    "local": (LAN3, LAN2, 0, "local", "addresses had 10.3.0.0/24, wanted 10.1.0.0/24"),
    "both": (LAN3, LAN3, 0, "local", "addresses had 10.3.0.0/24"),
    "family": (ANY6, ANY6, 0, "local", "address family had ::/0, wanted 10.1.0.0/24"),
    "protocol": (
        fact("10.7.0.1", protocol=6), LAN3, 1, "local",
        "protocol had host 10.7.0.1 protocol 6 (TCP), wanted host 10.7.0.1 protocol 47 (GRE)",
    ),
    "ports": (
        fact("10.8.0.1", protocol=17, ports=(53, 53)), LAN3, 2, "local",
        "ports had host 10.8.0.1 protocol 17 (UDP) port 53, wanted host 10.8.0.1 protocol 17 (UDP) port 500",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("local", "remote", "nearest", "axis", "words"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_the_nearest_miss(
    local: SelectorFact, remote: SelectorFact, nearest: int, axis: str, words: str
) -> None:
    """Which of our pairs came closest, on which side nothing is common, and by what they part there."""
    own = [
        pair(LAN1, LAN2),
        pair(fact("10.7.0.1", protocol=47), LAN2),
        pair(fact("10.8.0.1", protocol=17, ports=(500, 500)), LAN2),
    ]
    result = narrow([local], [remote], own)
    assert isinstance(result, SelectorRefusal)
    assert (result.nearest, result.axis) == (nearest, axis)
    assert words in result.why
    assert result.expected == own[nearest]
    assert len(result.tried) == len(own)


def test_without_selectors_of_our_own_or_of_theirs_there_is_a_refusal() -> None:
    """Nothing configured, and nothing proposed that we can read, end in a reason, not in an error."""
    nothing = narrow([LAN1], [LAN2], [])
    assert isinstance(nothing, SelectorRefusal)
    assert nothing.nearest is None
    unread = narrow([], [LAN2], [pair(LAN1, LAN2)])
    assert isinstance(unread, SelectorRefusal)
    assert (unread.axis, unread.found) == ("local", "none")


def test_an_initiator_takes_only_a_subset() -> None:
    """A response may narrow; more than was asked, another protocol, or nothing at all is no subset."""
    assert subset([LAN1], [ANY])
    assert subset([fact("10.1.0.5", protocol=1)], [PACKET[0], LAN1])
    assert not subset([ANY], [LAN1])
    assert not subset([fact("10.1.0.5")], [fact("10.1.0.5", protocol=1)])
    assert not subset([LAN1, LAN3], [LAN1])
    assert not subset([], [LAN1])


@pytest.mark.parametrize(
    ("source", "destination", "protocol", "ports", "covered"),
    [
        ("10.1.0.5", "10.2.0.9", 17, (1000, 500), True),
        ("10.1.0.5", "10.2.0.9", 17, (1000, 501), False),
        ("10.1.0.5", "10.2.0.9", 6, (1000, 500), False),
        ("10.1.1.5", "10.2.0.9", 17, (1000, 500), False),
        ("10.2.0.9", "10.1.0.5", 17, (500, 1000), False),
        ("10.1.0.5", "10.2.0.9", 17, (None, None), False),
        ("2001:db8::1", "10.2.0.9", 17, (1000, 500), False),
    ],
)
def test_a_packet_is_covered_by_both_sides(
    source: str, destination: str, protocol: int, ports: tuple[int | None, int | None], covered: bool
) -> None:
    """Source by local, destination by remote, with protocol and ports; a port not seen is covered only by any."""
    udp = pair(fact("10.1.0.0", "10.1.0.255", 17), fact("10.2.0.0", "10.2.0.255", 17, (500, 500)))
    assert matches(udp, ip_address(source), ip_address(destination), protocol, *ports) == covered


def test_the_packets_of_a_gre_tunnel_are_covered() -> None:
    """GRE shows no ports, and needs none."""
    (gre,) = tunnel_selectors(router(), GRE_TUNNEL)
    assert matches(gre, R1, R2, 47)
    assert not matches(gre, R1, R2, 1)


ADDRESSES = st.integers(0, 40).map(lambda number: str(IPv4Address(0x0A000000 + number)))
PORTS = st.sampled_from([(0, 65535), (65535, 0), (500, 500), (400, 600), (550, 900)])


@st.composite
def facts(draw: st.DrawFn) -> SelectorFact:
    """Any selector within a few addresses, so that they often meet."""
    first, last = sorted((draw(ADDRESSES), draw(ADDRESSES)), key=IPv4Address)
    return SelectorFact(first, last, draw(st.sampled_from([0, 0, 17, 47])), *draw(PORTS))


SIDES = st.lists(facts(), min_size=1, max_size=3)
PAIRS = st.builds(lambda local, remote: Selectors(tuple(local), tuple(remote)), SIDES, SIDES)


def meet(some: list[SelectorFact], others: tuple[SelectorFact, ...]) -> bool:
    """Whether any two of them have something in common."""
    return any(overlap(of_fact(one), of_fact(other)) for one in some for other in others)


@given(local=SIDES, remote=SIDES, own=st.lists(PAIRS, max_size=4))
def test_narrowing_gives_a_subset_of_both_and_only_where_they_meet(
    local: list[SelectorFact], remote: list[SelectorFact], own: list[Selectors]
) -> None:
    """What is agreed lies in the proposal and in our own pair; there is agreement if and only if some pair meets it."""
    result = narrow(local, remote, own)
    assert isinstance(result, Narrowed) == any(meet(local, one.local) and meet(remote, one.remote) for one in own)
    if isinstance(result, Narrowed):
        assert subset(result.selectors.local, local) and subset(result.selectors.remote, remote)
        mine = own[result.index]
        assert subset(result.selectors.local, mine.local) and subset(result.selectors.remote, mine.remote)


@given(local=SIDES, remote=SIDES, own=st.lists(PAIRS, min_size=1, max_size=4))
def test_the_first_selectors_are_kept_where_ours_admit_them(
    local: list[SelectorFact], remote: list[SelectorFact], own: list[Selectors]
) -> None:
    """Whatever else we have: a pair that holds the packet's own selectors gives an SA that carries the packet.

    ##= rfc7296#section-2.9
    ##= type=test
    ##% If the responder's policy allows it to accept the first selector
    ##% of TSi and TSr, then the responder MUST narrow the Traffic
    ##% Selectors to a subset that includes the initiator's first choices.
    """
    admitting = Selectors((local[0], own[0].local[0]), (own[0].remote[0], remote[0]))
    result = narrow(local, remote, [*own, admitting])
    assert isinstance(result, Narrowed)
    assert subset(local[:1], result.selectors.local) and subset(remote[:1], result.selectors.remote)


@given(some=st.lists(facts(), max_size=4))
def test_any_selectors_survive_the_wire(some: list[SelectorFact]) -> None:
    """To the wire and back is the same."""
    assert from_wire(to_wire(some)) == tuple(some)
