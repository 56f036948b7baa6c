"""Rekeys of ours and of strongSwan's cross, again and again, while a ping runs: nothing of it is lost."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.ikescope import Ikescope
from tests.support.netns import HOST_B, Topology
from tests.support.peering import OURS, Peer, Run, Start, Wire, settled
from tests.support.process import wait_until
from tests.support.strongswan import Strongswan

from ikescope.events.life import RekeyReceived, RekeyStarted

SECONDS = float(os.environ.get("IKESCOPE_CROSSING_SECONDS", "60"))
LIFETIME = 10
"""Seconds, at both ends: strongSwan rekeys within the same second as we do."""


def cross(ours: Ikescope, peer: Strongswan, pool: ThreadPoolExecutor, what: str) -> None:
    """Let both ends begin a rekey of the same SA: ours hears of the peer's only together with its own order."""
    ours.process.pause()
    theirs = pool.submit(peer.rekey, **({"child": "net"} if what == "child" else {"ike": "peer"}))
    order = pool.submit(ours.command, f"test crypto ikev2 rekey {what}")
    theirs.result(10.0)
    time.sleep(0.02)
    ours.process.resume()
    order.result(10.0)


def crossings(ours: Ikescope) -> dict[str, int]:
    """How many SAs, of each kind, both ends began to rekey."""
    started = {(event.kind, event.spi_a) for event in ours.events(RekeyStarted)}
    received = {(event.kind, event.spi_a) for event in ours.events(RekeyReceived)}
    return {kind: sum(found == kind for found, _ in started & received) for kind in ("child", "ike")}


@pytest.mark.slow
def test_crossing_rekeys_lose_no_packet(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire, tmp_path: Path
) -> None:
    """Equal lifetimes, and both ends told to rekey at once: one SA of each kind remains and no ping is lost."""
    theirs = site("b")
    child = replace(theirs.children[0], rekey_time="8s", options={"rand_time": "0", "life_time": f"{LIFETIME}"})
    connection = replace(theirs, children=(child,), rekey_time="0")
    peer = charon(net.gw_b, settings="  delete_rekeyed_delay = 1\n")
    peer.load(connection)
    lifetimes = (f"set security-association lifetime seconds {LIFETIME}",)
    with wire():
        ours = router(replace(OURS, ipsec=lifetimes))
        with net.host_a.pinging(HOST_B, directory=tmp_path, interval=0.1) as ping, ThreadPoolExecutor(2) as pool:
            wait_until("the tunnel stands", lambda: settled(ours, peer))
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                for what in ("child", "ike"):
                    cross(ours, peer, pool, what)
                    wait_until(f"one {what} stands", lambda: settled(ours, peer), 20.0)
        assert ping.lost == 0
        assert ping.received > SECONDS * 5
        crossed = crossings(ours)
        assert min(crossed.values()) >= 1, crossed
        (tmp_path / "figures").write_text(f"{crossed} {ping.received} replies\n")
