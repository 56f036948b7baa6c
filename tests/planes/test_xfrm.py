"""XFRM messages: what the kernel takes from us and what iproute2 then shows, and our decoders under any octets."""

import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.netns import Namespace, ip

from ikescope.crypto.suites import INTEGRITIES, EspSuite, encryption
from ikescope.errors import LocalError
from ikescope.planes import xfrm_notices
from ikescope.planes.xfrm_policy import (
    Action,
    Direction,
    Policy,
    PolicyKey,
    Template,
    decode_policy,
    masks,
    networks,
    outer,
    selectors,
)
from ikescope.planes.xfrm_socket import Listener, Xfrm, XfrmRefused
from ikescope.planes.xfrm_state import Algorithm, Replay, State, algorithms, allocation, decode_state, moved, which
from ikescope.planes.xfrm_wire import (
    AF_INET,
    AF_INET6,
    Attribute,
    Group,
    Limits,
    Message,
    Mode,
    Received,
    Selector,
    XfrmError,
    attributes,
    message,
    messages,
)
from ikescope.policy.ranges import OPAQUE, Range

A, B = ip_address("10.99.0.1"), ip_address("10.99.0.2")
A6, B6 = ip_address("2001:db8::1"), ip_address("2001:db8::2")
REQID = 0x6B000001
_CLONE_NEWNET = 0x40000000


@contextmanager
def inside(namespace: Namespace) -> Iterator[None]:
    """Put the thread into a network namespace, and back."""
    with open("/proc/self/ns/net", "rb") as home, open(f"/run/netns/{namespace.name}", "rb") as there:
        _setns(there.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


def _setns(fd: int) -> None:
    import ctypes

    assert ctypes.CDLL(None, use_errno=True).setns(fd, _CLONE_NEWNET) == 0


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    """A network namespace of its own."""
    name = f"xf{os.getpid()}"
    ip("netns", "add", name)
    yield Namespace(name)
    ip("netns", "del", name)


@pytest.fixture
def xfrm(namespace: Namespace) -> Iterator[Xfrm]:
    """Requests to the kernel about that namespace."""
    with inside(namespace):
        made = Xfrm()
    yield made
    namespace.ip("xfrm", "policy", "flush")
    namespace.ip("xfrm", "state", "flush")
    made.close()


def shown(namespace: Namespace, what: str) -> str:
    """What iproute2 shows, with single blanks."""
    return re.sub(r"\s+", " ", namespace.ip("-d", "xfrm", what)).strip()


POLICIES = [
    pytest.param(
        PolicyKey(Direction.OUT, outer(A, B, 47)),
        Policy(256, Template(REQID, Mode.TRANSPORT, A, B)),
        "src 10.99.0.1/32 dst 10.99.0.2/32 proto gre dir out priority 256 ptype main "
        "tmpl src 10.99.0.1 dst 10.99.0.2 proto esp reqid 1795162113 mode transport",
        id="gre",
    ),
    pytest.param(
        PolicyKey(Direction.IN, outer(A6, B6, 47)),
        Policy(0xFFFFFFFF, Template(REQID, Mode.TUNNEL, None, None, family=AF_INET6)),
        "src 2001:db8::1/128 dst 2001:db8::2/128 proto gre dir in priority 4294967295 ptype main "
        "tmpl src :: dst :: proto esp reqid 1795162113 mode tunnel",
        id="any-path",
    ),
    pytest.param(
        PolicyKey(
            Direction.FORWARD,
            Selector(ip_address("10.1.0.0"), ip_address("10.2.0.0"), 16, 24, 6, (1024, 0xFC00), (80, 0xFFFF), AF_INET),
            7,
        ),
        Policy(1, None, Action.BLOCK),
        "src 10.1.0.0/16 dst 10.2.0.0/24 proto tcp sport 1024 dport 80 dir fwd action block priority 1 ptype main "
        "if_id 0x7",
        id="block",
    ),
    pytest.param(
        PolicyKey(Direction.OUT, Selector(ip_address("0.0.0.0"), ip_address("0.0.0.0"), family=AF_INET), 0x6B000001),
        Policy(2, Template(REQID, Mode.TUNNEL, A6, B6, 0x1234, AF_INET6)),
        "src 0.0.0.0/0 dst 0.0.0.0/0 dir out priority 2 ptype main "
        "tmpl src 2001:db8::1 dst 2001:db8::2 proto esp spi 0x00001234 reqid 1795162113 mode tunnel if_id 0x6b000001",
        id="interface",
    ),
]


@pytest.mark.netns
@pytest.mark.parametrize(("key", "policy", "words"), POLICIES)
def test_a_policy_is_what_iproute2_shows(
    namespace: Namespace, xfrm: Xfrm, key: PolicyKey, policy: Policy, words: str
) -> None:
    """The kernel's list holds a policy just as we meant it, for iproute2 and for our own decoder, and then no more."""
    xfrm.add_policy(key, policy)
    assert shown(namespace, "policy") == words
    (seen,) = xfrm.policies()
    assert (seen.key, seen.priority, seen.action, seen.template) == (
        *(key, policy.priority, policy.action),
        policy.template,
    )
    assert xfrm.remove_policy(key)
    assert not xfrm.remove_policy(key)
    assert shown(namespace, "policy") == ""


@pytest.mark.netns
def test_somebody_elses_policy_is_not_taken(namespace: Namespace, xfrm: Xfrm) -> None:
    """A selector that has a policy already is refused when it is added, in one line; a change replaces it."""
    key = PolicyKey(Direction.OUT, outer(A, B, 47))
    namespace.ip("xfrm", "policy", "add", "src", f"{A}/32", "dst", f"{B}/32", "proto", "gre", "dir", "out")
    with pytest.raises(LocalError, match="cannot add the policy: there is one already, somebody else's"):
        xfrm.add_policy(key, Policy(1, None, Action.BLOCK))
    xfrm.update_policy(key, Policy(1, None, Action.BLOCK))
    assert "action block priority 1" in shown(namespace, "policy")


def test_a_system_without_netlink_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Linux the reason is one line, so that `auto` goes on to what there is."""
    monkeypatch.delattr("socket.AF_NETLINK")
    with pytest.raises(LocalError, match="this system has no netlink"):
        Xfrm()


@pytest.mark.netns
def test_an_allocated_spi_is_kept(namespace: Namespace, xfrm: Xfrm) -> None:
    """ALLOCSPI gives a SPI of the range, iproute2 shows who waits for it, and nobody gets it twice."""
    assert xfrm.allocate(None, A, REQID, 0x1000, 0x1000) == 0x1000
    assert "src 0.0.0.0 dst 10.99.0.1 proto esp spi 0x00001000 reqid 1795162113 mode tunnel" in shown(
        namespace, "state"
    )
    with pytest.raises(XfrmRefused):
        xfrm.allocate(None, A, REQID, 0x1000, 0x1000)
    assert 0x1001 <= xfrm.allocate(A6, B6, REQID, 0x1001, 0xFFFFFFFF, interface=9) <= 0xFFFFFFFF
    assert {each.spi for each in xfrm.states()} >= {0x1000}
    assert xfrm.state(A, 0x1000) is not None
    assert xfrm.remove_state(A, 0x1000)
    assert xfrm.state(A, 0x1000) is None


@pytest.mark.netns
def test_an_acquire_tells_packet_and_policy(namespace: Namespace, xfrm: Xfrm) -> None:
    """A packet that meets a policy without a state is told with its own ends, the policy, and what waits for it."""
    namespace.ip("link", "add", "near", "type", "veth", "peer", "name", "far")
    namespace.ip("address", "add", f"{A}/24", "dev", "near")
    namespace.ip("link", "set", "near", "up")
    everything = Selector(ip_address("0.0.0.0"), ip_address("10.99.0.2"), 0, 32, 17, family=AF_INET)
    key = PolicyKey(Direction.OUT, everything)
    with inside(namespace):
        listener = Listener([Group.ACQUIRE, Group.SA])
        xfrm.add_policy(key, Policy(3, Template(REQID, Mode.TUNNEL, A, B)))
        namespace.run("python3", "-c", SEND, check=False)
    received, lost = listener.take()
    assert not lost
    (acquired,) = [xfrm_notices.decode(each) for each in received]
    assert isinstance(acquired, xfrm_notices.Acquired)
    assert (acquired.policy.key, acquired.policy.priority) == (key, 3)
    assert (acquired.source, acquired.destination) == (A, B)
    assert (acquired.selector.destination, acquired.selector.destination_port) == (B, (9, 0xFFFF))
    (waiting,) = xfrm.states()
    assert waiting.sequence == acquired.sequence
    assert xfrm.allocate(A, B, REQID, 0x2000, 0x2000, sequence=acquired.sequence) == 0x2000
    assert xfrm.remove_state(B, 0x2000)
    assert xfrm.states() == []
    (deleted,) = [xfrm_notices.decode(each) for each in listener.take()[0]]
    assert deleted == xfrm_notices.Deleted(B, 0x2000)
    listener.close()


SEND = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('10.99.0.2', 9))"


def suite(number: int, bits: int, integrity: int | None, *, esn: bool = False) -> EspSuite:
    """A suite out of the tables."""
    row = encryption(number, bits)
    assert row is not None
    return EspSuite(row, None if integrity is None else INTEGRITIES[integrity], esn, None)


@pytest.mark.parametrize(
    ("chosen", "names", "octets"),
    [
        (suite(20, 256, None), ("rfc4106(gcm(aes))", ""), (36, 128, 0)),
        (suite(28, 0, None), ("rfc7539esp(chacha20,poly1305)", ""), (36, 128, 0)),
        (suite(12, 128, 2), ("cbc(aes)", "hmac(sha1)"), (16, 0, 96)),
        (suite(12, 256, 13), ("cbc(aes)", "hmac(sha384)"), (32, 0, 192)),
        (suite(11, 0, 14), ("ecb(cipher_null)", "hmac(sha512)"), (0, 0, 256)),
    ],
)
def test_every_suite_has_the_kernels_names(chosen: EspSuite, names: tuple[str, str], octets: tuple[int, ...]) -> None:
    """Cipher and MAC have the names, keys and ICV lengths that linux/xfrm.h wants; no key is in a repr."""
    keys = bytes(chosen.encryption.keymat_octets), bytes(chosen.integrity.key_octets if chosen.integrity else 0)
    cipher, mac, aead = algorithms(chosen, *keys)
    assert (cipher.name, mac.name if mac else "") == names
    assert (len(cipher.key), cipher.icv_bits, mac.icv_bits if mac else 0) == octets
    assert aead == chosen.encryption.aead
    assert "key" not in repr(cipher)


def state(**changed: object) -> State:
    """An ESP SA with everything in it."""
    values: dict[str, object] = {
        "source": A,
        "destination": B,
        "spi": 0x1001,
        "mode": Mode.TUNNEL,
        "reqid": REQID,
        "cipher": Algorithm("rfc4106(gcm(aes))", bytes(range(20)), 128),
        "aead": True,
        "esn": True,
        "replay": Replay(1024, 5, 1 << 32 | 7, (1,) * 32),
        "udp": (4500, 40001),
        "limits": Limits(1, 2, 3, 4, 5, 6, 7, 8),
        "interface": 9,
    }
    return State(**{**values, **changed})  # type: ignore[arg-type]  # field by field, as the cases have them


def test_a_state_reads_back() -> None:
    """What we write of a state is what we read: ends, limits, window with its numbers, UDP ports, interface."""
    seen = decode_state(state().encode())
    assert (seen.source, seen.destination, seen.spi, seen.protocol, seen.reqid) == (A, B, 0x1001, 50, REQID)
    assert seen.limits == Limits(1, 2, 3, 4, 5, 6, 7, 8)
    assert seen.replay == Replay(1024, 5, 1 << 32 | 7, (1,) * 32)
    assert (seen.udp, seen.interface, seen.mode) == ((4500, 40001), 9, Mode.TUNNEL)
    assert seen.flags == 128 | 32  # ESN; either IP version inside
    assert "000102" not in repr(seen)


def test_a_moved_state_keeps_keys_and_numbers() -> None:
    """A state under another path, and with other limits, has the same algorithms, sequence numbers and window."""
    before = decode_state(state().encode())
    after = decode_state(moved(before, A6, B6, (4500, 7), Limits(hard_added=9)))
    assert after.udp == (4500, 7)
    assert after.limits == Limits(hard_added=9)
    assert (after.replay, after.spi, after.interface) == (before.replay, before.spi, before.interface)
    assert after.raw[Attribute.ALG_AEAD] == before.raw[Attribute.ALG_AEAD]
    assert after.raw[Attribute.LTIME_VAL] == before.current.encode()
    further = decode_state(moved(before, A, B, None, skipped=1 << 32)).replay
    assert further == Replay(1024, (1 << 32) + 5, 1 << 32 | 7, (1,) * 32)
    assert Attribute.ENCAP not in decode_state(moved(before, A, B, None)).raw


RANGES = st.builds(
    lambda first, size, protocol, ports: Range(4, first, first + size, protocol, ports),
    st.integers(0, 1 << 31),
    st.integers(0, 1 << 12),
    st.sampled_from([0, 6, 17]),
    st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda pair: (min(pair), max(pair))),
)


@settings(max_examples=60, deadline=None)
@given(RANGES, st.integers(-3, 1 << 12), st.integers(0, 65535))
def test_networks_and_masks_hold_just_the_range(one: Range, offset: int, port: int) -> None:
    """Prefixes and port masks together admit an address and a port exactly where the range does."""
    address = one.first + offset
    inside_networks = sum(address in range(int(each[0]), int(each[-1]) + 1) for each in networks(one))
    assert inside_networks == (one.first <= address <= one.last)
    covered = sum(port & mask == value for value, mask in masks(one.ports))
    assert covered == (one.ports == OPAQUE or one.ports[0] <= port <= one.ports[1])


def test_selectors_are_all_pairs_that_a_packet_can_have() -> None:
    """Two ranges make a selector for each pair of networks; other IP versions and other protocols make none."""
    near, far = Range(4, 1, 2, 6, (0, 65535)), Range(4, 8, 11, 0, (80, 81))
    found = list(selectors(near, far))
    assert [(str(each.source), each.source_prefix, str(each.destination), each.protocol) for each in found] == [
        ("0.0.0.1", 32, "0.0.0.8", 6),
        ("0.0.0.2", 32, "0.0.0.8", 6),
    ]
    assert {each.destination_port for each in found} == {(80, 0xFFFE)}
    assert list(selectors(near, Range(6, 8, 11, 0, (0, 65535)))) == []
    assert list(selectors(near, Range(4, 8, 11, 17, (0, 65535)))) == []


@pytest.mark.parametrize(("source", "destination", "family"), [(A, B, AF_INET), (A6, B6, AF_INET6)])
def test_bodies_read_back(source: IPv4Address | IPv6Address, destination: IPv4Address, family: int) -> None:
    """Selector, template and policy of either IP version read back as they were written."""
    key = PolicyKey(Direction.OUT, outer(source, destination, 47), 3)
    template = Template(REQID, Mode.TUNNEL, source, destination, 0x99, family)
    seen = decode_policy(Policy(5, template).encode(key))
    assert (seen.key, seen.template, seen.priority) == (key, template, 5)
    assert len(which(destination, 1)) == 24
    assert len(allocation(None, destination, 1, 2, 3)) == 232


def test_messages_are_told_apart() -> None:
    """Messages of one datagram come one by one, and a length that cannot be is an error with both numbers."""
    one = message(Message.GETSA, b"12345", flags=0, sequence=7)
    octets = one + bytes(-len(one) % 4) + message(Message.DELSA, b"", flags=0, sequence=8)
    assert [(each.kind, each.sequence, each.body) for each in messages(octets)] == [
        (Message.GETSA, 7, b"12345"),
        (Message.DELSA, 8, b""),
    ]
    with pytest.raises(XfrmError, match="message 18: had 99, wanted 16 to 21"):
        list(messages(struct.pack("=I", 99) + one[4:]))
    with pytest.raises(XfrmError, match="attribute 5: had 3, wanted 4 to 8"):
        attributes(struct.pack("=HHI", 3, 5, 0))


GOOD = {
    Message.ACQUIRE: bytes(280),
    Message.EXPIRE: state().encode()[:224] + bytes(8),
    Message.DELSA: which(A, 5),
    Message.MAPPING: which(A, 5) + bytes(40),
    Message.NEWSA: state().encode(),
}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.integers(0, 300), st.binary(max_size=24), st.integers(0, 260))
def test_no_octets_harm_the_decoders(kind: Message, at: int, put: bytes, cut: int) -> None:
    """Whatever the octets are, they are read or refused with a reason; nothing else happens."""
    octets = GOOD[kind]
    octets = (octets[:at] + put + octets[at + len(put) :])[: len(octets) - cut if cut < 250 else len(octets)]
    for reader in (lambda: xfrm_notices.decode(Received(kind, 0, octets)), lambda: decode_state(octets)):
        try:
            reader()
        except XfrmError:
            continue
