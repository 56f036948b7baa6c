"""Fixtures of the tests against foreign peers: two sites in namespaces, charons in the gateways."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.netns import NET_A, NET_B, WAN_A, WAN_B, Namespace, Topology, topology
from tests.support.strongswan import Child, Connection, Strongswan

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this directory needs the foreign peers."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.peers)


@pytest.fixture
def net() -> Iterator[Topology]:
    """host_a -- gw_a == gw_b -- host_b, made for one test and deleted with all that still runs inside."""
    with topology() as made:
        yield made


@pytest.fixture
def charon(net: Topology) -> Iterator[Callable[..., Strongswan]]:
    """Starts a charon in a namespace (`charon(net.gw_b)`, with Strongswan's options); stopped after the test."""
    with ExitStack() as stack:

        def start(namespace: Namespace, *, log_keys: bool = False, settings: str = "") -> Strongswan:
            return stack.enter_context(Strongswan(namespace, log_keys=log_keys, settings=settings))

        yield start


@pytest.fixture
def site() -> Callable[..., Connection]:
    """A connection of site "a" or "b" over the whole LANs: `site("b", ike="aes128gcm16-prfsha256-x25519", psk=...)`."""

    def make(
        which: str, *, ike: str = "aes256-sha512-ecp256", esp: str = "aes128gcm16", psk: str = "a shared key"
    ) -> Connection:
        ends = {"a": (WAN_A, WAN_B, NET_A, NET_B), "b": (WAN_B, WAN_A, NET_B, NET_A)}
        local, remote, local_net, remote_net = ends[which]
        child = Child(local_ts=(local_net,), remote_ts=(remote_net,), esp_proposals=(esp,))
        return Connection(local, remote, psk, (child,), proposals=(ike,))

    return make
