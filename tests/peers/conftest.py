"""Fixtures of the tests against foreign peers: two sites in namespaces, charons in the gateways."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.support.chroot import NewStrongswan
from tests.support.ikescope import PSK, Ikescope, Site, keys_of
from tests.support.netns import NET_A, NET_B, WAN_A, WAN_B, Namespace, Topology, topology
from tests.support.strongswan import Child, Connection, Strongswan
from tests.support.tshark import Packet, assert_clean, capturing, decode, unopened

PASSING = "udp or esp or proto gre or icmp[icmptype] = icmp-echo or icmp[icmptype] = icmp-echoreply"
"""What a test of ikescope captures: all but the ICMP errors of a host whose daemon was killed, which quote a part."""

HERE = Path(__file__).parent

STRONGSWANS = [
    pytest.param(Strongswan, id="strongswan-5"),
    pytest.param(NewStrongswan, id="strongswan-6", marks=pytest.mark.new_peers),
]
"""Debian 12's, and that of Debian's newer releases: every test is for both."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this directory needs foreign peers: those of `make peers`, or of `make peers-new`."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("new_peers") is None:
            item.add_marker(pytest.mark.peers)


@pytest.fixture
def net() -> Iterator[Topology]:
    """host_a -- gw_a == gw_b -- host_b, made for one test and deleted with all that still runs inside."""
    with topology() as made:
        yield made


@pytest.fixture(params=STRONGSWANS)
def charon(request: pytest.FixtureRequest, net: Topology) -> Iterator[Callable[..., Strongswan]]:
    """Starts a charon in a namespace (`charon(net.gw_b)`, with Strongswan's options); stopped after the test."""
    with ExitStack() as stack:

        def start(namespace: Namespace, *, log_keys: bool = False, settings: str = "") -> Strongswan:
            running: Strongswan = stack.enter_context(request.param(namespace, log_keys=log_keys, settings=settings))
            return running

        yield start


@pytest.fixture
def site() -> Callable[..., Connection]:
    """A connection of site "a" or "b" over the whole LANs: `site("b", ike="aes128gcm16-prfsha256-x25519", psk=...)`."""

    def make(which: str, *, ike: str = "aes256-sha512-ecp256", esp: str = "aes128gcm16", psk: str = PSK) -> Connection:
        ends = {"a": (WAN_A, WAN_B, NET_A, NET_B), "b": (WAN_B, WAN_A, NET_B, NET_A)}
        local, remote, local_net, remote_net = ends[which]
        child = Child(local_ts=(local_net,), remote_ts=(remote_net,), esp_proposals=(esp,))
        return Connection(local, remote, psk, (child,), proposals=(ike,))

    return make


@pytest.fixture
def router(net: Topology, tmp_path: Path) -> Iterator[Callable[[Site], Ikescope]]:
    """Starts ikescope in the gateway of a site (`router(Site(which="a"))`); stopped after the test."""
    with ExitStack() as stack:

        def start(site: Site) -> Ikescope:
            namespace = {"a": net.gw_a, "b": net.gw_b}[site.which]
            return stack.enter_context(Ikescope(namespace, site.text, tmp_path, site.which))

        yield start


@pytest.fixture
def wire(net: Topology, tmp_path: Path) -> Callable[[], AbstractContextManager[list[Packet]]]:
    """What passes between the gateways while the block lasts; the list is filled at its end.

    tshark decodes all of it without a malformed mark and opens all of it, with correct ICVs, with R-a's own key tables;
    no ping passes in clear.
    """

    @contextmanager
    def watch() -> Iterator[list[Packet]]:
        packets: list[Packet] = []
        with capturing(net.gw_b, tmp_path / "wire.pcap", expression=PASSING) as capture:
            yield packets
        packets += decode(capture, tables=keys_of(tmp_path))
        assert packets, "nothing passed the wire"
        assert_clean(packets)
        assert unopened(packets) == []
        assert not [packet.number for packet in packets if "icmp" in packet.protocols and "esp" not in packet.protocols]

    return watch
