"""Which policies and states the kernel plane keeps: make-before-break, narrowing, moves, and what is refused."""

import errno
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest
from tests.planes.fakexfrm import FAR, NEAR, A, B, C, FakeXfrm, fact, install, path

from ikescope.config.model import DfBit
from ikescope.engine.commands import Destination, UpdatePath
from ikescope.errors import LocalError
from ikescope.esp.tunnel import TunnelPath
from ikescope.planes import kernel_host, kernel_sas, kernel_words
from ikescope.planes.kernel_spd import BLOCK, KernelTunnel, first_of, numbered, ours, selectors_of, sole
from ikescope.planes.kernel_spis import KernelSpis
from ikescope.planes.kernel_strangers import program
from ikescope.planes.kernel_table import Table
from ikescope.planes.steering import Instruction
from ikescope.planes.xfrm_policy import Action, Direction, Policy, PolicyKey
from ikescope.planes.xfrm_state import FLAG_NO_DF
from ikescope.planes.xfrm_wire import INFINITE, Mode
from ikescope.policy.selectors import Selectors

SLOT = 5
FIRST = BLOCK | SLOT << 16


def table(*tunnels: TunnelPath) -> tuple[Table, FakeXfrm, dict[str, KernelTunnel]]:
    """A router's table over a kernel in memory, its policies up."""
    xfrm = FakeXfrm()
    named, first = numbered(tunnels or (path(),), SLOT)
    made = Table(xfrm, named, SLOT, first)
    made.guard()
    return made, xfrm, named


def of(xfrm: FakeXfrm, direction: Direction) -> list[tuple[str, Policy]]:
    """The policies of one direction: selector as text, content; the one that wins first."""
    found = [(key, policy) for key, policy in xfrm.spd.items() if key.direction == direction]
    return [(text(key), policy) for key, policy in sorted(found, key=lambda each: each[1].priority)]


def text(key: PolicyKey) -> str:
    """A selector, shortly."""
    one = key.selector
    return f"{one.source}/{one.source_prefix}>{one.destination}/{one.destination_prefix} {one.protocol}"


def reqids(xfrm: FakeXfrm, direction: Direction) -> list[tuple[str, int]]:
    """Selectors of one direction and the reqid's number in the slot."""
    return [(name, each.template.reqid - FIRST) for name, each in of(xfrm, direction) if each.template is not None]


LANS, BACK = "10.1.0.0/24>10.2.0.0/24 0", "10.2.0.0/24>10.1.0.0/24 0"


def test_a_numbers_slot_is_read_back() -> None:
    """What is ours says whose it is, and somebody else's numbers are nobody's."""
    assert first_of(SLOT) == FIRST
    assert ours(FIRST + 7) == SLOT
    assert ours(7) is None
    assert ours(0x7B000001) is None


def test_traffic_moves_in_one_message_and_back() -> None:
    """Before an SA a policy asks for one; a switch changes its reqid, a second switch again; at the end it asks."""
    made, xfrm, _ = table()
    assert reqids(xfrm, Direction.OUT) == [(LANS, 1)]
    assert of(xfrm, Direction.IN) == []
    made.install(install(0x101, "in"))
    made.install(install(0x201, "out"))
    assert reqids(xfrm, Direction.IN) == reqids(xfrm, Direction.FORWARD) == [(BACK, 1)]
    assert reqids(xfrm, Direction.OUT) == [(LANS, 1)], "an outbound SA carries nothing until it is switched to"
    made.switch("Tunnel0", 0x201)
    assert reqids(xfrm, Direction.OUT) == [(LANS, 2)]
    made.install(install(0x102, "in", reqid=2))
    made.install(install(0x202, "out", reqid=2))
    assert reqids(xfrm, Direction.OUT) == [(LANS, 2)]
    xfrm.log.clear()
    made.switch("Tunnel0", 0x202)
    assert xfrm.log == ["update policy"]
    assert reqids(xfrm, Direction.OUT) == [(LANS, 3)]
    for way, spi in (("out", 0x201), ("in", 0x101)):
        made.remove((way, "Tunnel0", spi))  # type: ignore[arg-type]  # a word of the table
    assert reqids(xfrm, Direction.OUT) == [(LANS, 3)]
    assert reqids(xfrm, Direction.IN) == [(BACK, 1)], "the newer one is still there"
    made.remove(("out", "Tunnel0", 0x202))
    made.remove(("in", "Tunnel0", 0x102))
    assert reqids(xfrm, Direction.OUT) == [(LANS, 1)]
    assert of(xfrm, Direction.IN) == []
    assert xfrm.held == {}
    made.clear()
    assert xfrm.spd == {}


def test_the_state_goes_after_its_policy_and_comes_before_it() -> None:
    """At no moment does a policy name an outbound SA that is not there."""
    made, xfrm, _ = table()
    made.install(install(0x201, "out"))
    made.switch("Tunnel0", 0x201)
    made.remove(("out", "Tunnel0", 0x201))
    assert xfrm.log[1:] == ["add state 201", "update policy", "update policy", "remove state 201"]


def test_what_was_narrowed_away_asks_still() -> None:
    """A Child SA for a part of its entry carries that part; the rest meets the policy behind it, which asks."""
    made, xfrm, _ = table()
    made.install(install(0x201, "out", remote=(fact("10.2.0.128-10.2.0.255"),)))
    made.switch("Tunnel0", 0x201)
    assert reqids(xfrm, Direction.OUT) == [("10.1.0.0/24>10.2.0.128/25 0", 2), (LANS, 1)]


def test_entries_keep_their_order() -> None:
    """The policies of an earlier entry come before all of a later one, with an SA or without (RFC 4301 4.4.1)."""
    both = (Selectors((NEAR,), (FAR,)), Selectors((NEAR,), (fact("10.0.0.0-10.255.255.255"),)))
    made, xfrm, named = table(path(selectors=both))
    made.install(install(0x202, "out", remote=both[1].remote))
    made.switch("Tunnel0", 0x202)
    assert reqids(xfrm, Direction.OUT) == [(LANS, 1), ("10.1.0.0/24>10.0.0.0/8 0", 3)]
    assert [named["Tunnel0"].index_of(FIRST + number) for number in (1, 2, 3)] == [0, 1, None]


def test_hundreds_of_sas_of_one_tunnel_do_not_move_each_other() -> None:
    """An SA for each pair of hosts: one more is one policy more, and all carry what is theirs before what asks."""
    made, xfrm, _ = table()
    for number in range(200):
        host = (fact(f"10.1.0.{number}"),)
        made.install(install(0x1000 + number, "out", local=host))
        xfrm.log.clear()
        made.switch("Tunnel0", 0x1000 + number)
        assert xfrm.log == ["add policy"]
    found = of(xfrm, Direction.OUT)
    assert len({policy.template.reqid for _, policy in found if policy.template is not None}) == 201
    assert found[-1][0] == LANS


def test_ranges_that_are_no_networks_take_several_policies() -> None:
    """A range becomes the networks that hold just it; one that takes too many is refused in words."""
    made, xfrm, _ = table()
    made.install(install(0x201, "out", remote=(fact("10.2.0.1-10.2.0.3"),)))
    made.switch("Tunnel0", 0x201)
    assert [name for name, _ in reqids(xfrm, Direction.OUT)][:2] == [
        "10.1.0.0/24>10.2.0.1/32 0",
        "10.1.0.0/24>10.2.0.2/31 0",
    ]
    odd = fact("0.0.0.1-255.255.255.254", 6, (1, 65534))
    with pytest.raises(LocalError, match="selectors take more than 1024 of the kernel's"):
        made.install(install(0x202, "out", local=(odd,), remote=(odd,)))
    assert len(selectors_of(install(1, "out"))) == 1


def test_a_state_has_the_selector_where_one_says_it_all() -> None:
    """One network to one network is the state's own selector, seen from its packets; more than one is the policies'."""
    for direction, ends in (("out", ("10.1.0.0", "10.2.0.0")), ("in", ("10.2.0.0", "10.1.0.0"))):
        found = sole(install(1, direction))
        assert found is not None
        assert (str(found.source), str(found.destination)) == ends
    assert sole(install(1, "out", local=(NEAR, FAR))) is None
    assert sole(install(1, "out", tunnel=path("gre ip"))) is None


def test_gre_speaks_of_the_packets_between_the_ends() -> None:
    """A GRE tunnel holds protocol 47 between its ends both ways from the beginning; nothing comes in clear."""
    made, xfrm, _ = table(path("gre ip"))
    assert reqids(xfrm, Direction.OUT) == [("10.99.0.1/32>10.99.0.2/32 47", 1)]
    assert reqids(xfrm, Direction.IN) == [("10.99.0.2/32>10.99.0.1/32 47", 1)]
    made.install(install(0x101, "in", tunnel=path("gre ip"), transport=False))
    made.install(install(0x201, "out", tunnel=path("gre ip"), transport=False))
    made.switch("Tunnel0", 0x201)
    for direction in (Direction.IN, Direction.OUT):
        ((_, policy),) = of(xfrm, direction)
        assert policy.template is not None
        assert policy.template.mode is Mode.TUNNEL


def test_what_cannot_be_installed_is_said_and_leaves_nothing() -> None:
    """Each refusal names its reason, and afterwards the kernel is as it was."""
    made, xfrm, _ = table()
    before = dict(xfrm.spd)
    with pytest.raises(LocalError, match="no tunnel Tunnel9 here"):
        made.install(install(1000, "in", tunnel=path(name="Tunnel9")))
    with pytest.raises(LocalError, match="transport mode for ipsec ipv4: an XFRM interface carries tunnel mode"):
        made.install(install(1000, "in", transport=True))
    made.install(install(1000, "out"))
    with pytest.raises(LocalError, match="SPI 000003e8 is installed already"):
        made.install(install(1000, "out"))
    made.remove(("out", "Tunnel0", 1000))
    for number, words in (
        (errno.ENOSYS, r"this kernel's crypto lacks one of rfc4106\(gcm\(aes\)\)"),
        (errno.EEXIST, "SPI 000003e8 to 10.99.0.1 is somebody else's"),
        (errno.EPROTONOSUPPORT, "this kernel has no ESP"),
    ):
        xfrm.broken = {"add state": number}
        with pytest.raises(LocalError, match=words):
            made.install(install(1000, "in"))
    xfrm.broken = {"add policy": errno.EEXIST}
    with pytest.raises(LocalError, match="somebody else's"):
        made.install(install(1000, "in"))
    assert (xfrm.spd, xfrm.held, made.sas) == (before, {}, {})


def test_no_keys_are_kept() -> None:
    """Once the kernel has an SA, its keys are in no object of ours."""
    made, _, _ = table()
    made.install(install(0x201, "out"))
    assert [sa.command.keys.encryption for sa in made.sas.values()] == [b""]


def moved(remote: object = B, port: int = 500, *, udp: bool = False) -> UpdatePath:
    """The peer of Child SA 1 is now there."""
    return UpdatePath(0x201, "Tunnel0", Destination(A, 4500 if udp else 500, remote, port), udp)  # type: ignore[arg-type]  # an address


def test_another_port_is_a_change_in_place() -> None:
    """Where only the port of the UDP around it changes, a state stays and gets the port; both directions."""
    made, xfrm, _ = table()
    wire = Destination(A, 4500, B, 4500)
    for spi, way in ((0x101, "in"), (0x201, "out")):
        made.install(install(spi, way, udp=True, path=wire))
    made.switch("Tunnel0", 0x201)
    xfrm.log.clear()
    made.repath(moved(B, 4501, udp=True))
    assert [word for word in xfrm.log if "state" in word] == ["update state 101", "update state 201"]
    assert xfrm.held[A, 0x101].udp == (4501, 4500)
    assert xfrm.held[B, 0x201].udp == (4500, 4501)


def test_another_address_is_a_state_added_again() -> None:
    """The state moves with its numbers, some left out; while it is away its policy blocks, and leads there at last."""
    made, xfrm, _ = table()
    for spi, way in ((0x101, "in"), (0x201, "out")):
        made.install(install(spi, way))
    made.switch("Tunnel0", 0x201)
    xfrm.log.clear()
    made.repath(moved(C))
    assert xfrm.log == [
        *("remove state 101", "add state 101"),
        *("update policy", "remove state 201", "add state 201", "update policy"),
    ]
    ((_, policy),) = of(xfrm, Direction.OUT)
    assert policy.template is not None
    assert (policy.action, policy.template.destination) == (Action.ALLOW, C)
    assert set(xfrm.held) == {(A, 0x101), (C, 0x201)}
    assert xfrm.held[A, 0x101].source == C
    made.remove(("out", "Tunnel0", 0x201))
    assert set(xfrm.held) == {(A, 0x101)}


def test_a_gre_device_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the peer's address the GRE device's other end changes, and the policies with it."""
    led: list[str] = []
    monkeypatch.setattr(kernel_host, "lead_device", lambda tunnel, remote: led.append(str(remote)))
    made, xfrm, _ = table(path("gre ip"))
    made.install(install(0x201, "out", tunnel=path("gre ip")))
    made.switch("Tunnel0", 0x201)
    made.repath(moved(C))
    assert led == ["10.99.0.3"]
    assert reqids(xfrm, Direction.OUT) == [("10.99.0.1/32>10.99.0.3/32 47", 2)]


def test_limits_are_those_of_the_configuration_and_of_sequence_numbers() -> None:
    """Octets as configured, soft at nine tenths; packets up to the last sequence number, without one with ESN."""
    found = kernel_sas.limits(install(1, "out", lifetime_kilobytes=10, lifetime_seconds=60))
    assert (found.soft_octets, found.hard_octets) == (9216, 10240)
    assert (found.soft_packets, found.hard_packets) == (3865470565, 0xFFFFFFFF)
    assert found.hard_added == 60 + kernel_sas.GRACE
    assert kernel_sas.limits(install(1, "in")).hard_packets == INFINITE


@pytest.mark.parametrize(
    ("direction", "esn", "window", "wanted"),
    [
        ("in", False, 64, 64),
        ("in", True, 1024, 1024),
        ("in", False, 9999, 4096),
        ("in", False, 0, None),
        ("in", True, 0, 64),
        ("out", False, 64, None),
        ("out", True, 64, 1),
    ],
)
def test_the_window_is_the_inbound_ones(direction: str, esn: bool, window: int, wanted: int | None) -> None:
    """An inbound SA has the configured window, ESN always one; an outbound SA needs its number alone."""
    suite = install(1, direction).suite
    command = install(1, direction, replay_window=window, suite=type(suite)(suite.encryption, None, esn, None))
    replay = kernel_sas.replay(command)
    assert (None if replay is None else replay.window) == wanted


def test_spis_are_kept_at_every_address_of_ours() -> None:
    """A SPI in use at one of our addresses is not given out; release frees what is kept, and no SA of anybody."""
    xfrm = FakeXfrm()
    spis = KernelSpis(xfrm, (A, B), FIRST)
    xfrm.allocate(None, B, 1, 0x1000, 0x1000)
    assert spis.allocate() == 0x1001
    assert set(xfrm.held) == {(B, 0x1000), (A, 0x1001), (B, 0x1001)}
    spis.release(0x1001)
    spis.release(0x1000)
    assert set(xfrm.held) == {(B, 0x1000)}
    made, over, _ = table()
    spis = KernelSpis(over, (A, B), FIRST)
    spi = spis.allocate()
    made.install(install(spi, "in"))
    spis.release(spi)
    assert set(over.held) == {(A, spi)}
    assert over.held[A, spi].reqid == FIRST + 1


def test_outbound_numbers_are_used_again_only_when_free() -> None:
    """Outbound SAs get one number after the other; at the slot's end those that are free."""
    made, xfrm, _ = table()
    made.install(install(0x201, "out"))
    made._next = FIRST + 0xFFFF
    for spi in (0x202, 0x203):
        made.install(install(spi, "out"))
    assert [xfrm.held[B, spi].reqid - FIRST for spi in (0x201, 0x202, 0x203)] == [2, 0xFFFF, 3]


def test_counters_in_words() -> None:
    """What rose is told in words, what SAs counted themselves is left out, a new kernel's counter has its name."""
    before = kernel_words.read("XfrmInNoStates          \t3\nXfrmInStateSeqError \t1\nnonsense\n")
    after = kernel_words.read("XfrmInNoStates\t5\nXfrmInStateSeqError\t4\nXfrmOutNoStates\t9\nXfrmNew\t1\n")
    assert before == {"XfrmInNoStates": 3, "XfrmInStateSeqError": 1}
    assert dict(kernel_words.risen(before, after, {"XfrmInStateSeqError": 2})) == {
        "no SA has this SPI": 2,
        "sequence number replayed or outside the window": 1,
        "the kernel counts XfrmNew": 1,
    }


def test_clear_is_what_a_state_can_be_told_of_df() -> None:
    """`crypto ipsec df-bit clear` is NOPMTUDISC in a state's flags; it copies DF otherwise."""
    wanted: dict[DfBit, int] = {"clear": FLAG_NO_DF, "copy": 0, "set": 0}
    for df, told in wanted.items():
        made, xfrm, _ = table(replace(path("ipsec ipv4"), df=df))
        made.install(install(0x1001, "out"))
        (state,) = xfrm.states()
        assert state.flags & FLAG_NO_DF == told


def test_every_ipv6_tunnel_has_its_family() -> None:
    """Templates of a tunnel over IPv6 say so, whatever travels inside."""
    near, far = ip_address("2001:db8::1"), ip_address("2001:db8::2")
    six = TunnelPath(name="Tunnel0", mode="ipsec ipv4", source=near, destination=far, selectors=path().selectors)
    _, xfrm, _ = table(six)
    ((_, policy),) = of(xfrm, Direction.OUT)
    assert policy.template is not None
    assert policy.template.family == 10


def test_the_filter_passes_headers_of_strangers_alone() -> None:
    """A packet of ours passes nothing, another its first octets, what is too short for ESP nothing."""
    for version, header in ((4, 20), (6, 0)):
        steps = program([0x101, 0x102], version)
        for spi, octets, passed in ((0x101, 100, 0), (0x102, 100, 0), (0x103, 100, 68), (0x103, 7, 0)):
            packet = bytes((0x45, *bytes(header - 1))) if header else b""
            assert run(steps, packet + spi.to_bytes(4, "big") + bytes(octets - 4), header) == passed


def run(steps: Sequence[Instruction], packet: bytes, header: int) -> int:
    """What a classic BPF program of these few instructions returns."""
    at, a, x = 0, 0, 0
    while True:
        code, yes, no, k = steps[at]
        at += 1
        match code:
            case 0xB1:
                x = (packet[k] & 15) * 4
            case 0x80:
                a = len(packet)
            case 0x1C:
                a -= x
            case 0x40 | 0x20:
                a = int.from_bytes(packet[k + (header if code == 0x40 else 0) :][:4], "big")
            case 0x35:
                at += yes if a >= k else no
            case 0x15:
                at += yes if a == k else no
            case _:
                return k
