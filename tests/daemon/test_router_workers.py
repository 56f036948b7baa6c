"""A router whose packets are carried by workers, and what their end costs."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.routers import R1, R2, start
from tests.support.netns import HOST_B, Topology, topology
from tests.support.process import Process, wait_until

from ikescope.daemon.client import Client

pytestmark = [pytest.mark.netns, pytest.mark.tun]


@pytest.fixture(scope="module")
def net() -> Iterator[Topology]:
    """Two sites."""
    with topology("rw") as made:
        yield made


def workers(net: Topology) -> list[int]:
    """The workers of router A, by their names."""
    found = []
    for pid in net.gw_a.pids():
        with contextlib.suppress(FileNotFoundError):  # it has ended since
            if Path(f"/proc/{pid}/comm").read_text().startswith("ikescope-"):
                found.append(pid)
    return found


def show(directory: Path, command: str) -> str:
    """What R1 prints."""
    with Client(directory / "R1.sock") as client:
        return "\n".join(client.command(command)["output"])


@pytest.fixture
def pair(net: Topology, tmp_path: Path) -> Iterator[tuple[Process, Process]]:
    """R1 with two workers and R2 with none, up."""
    with (
        start(net.gw_b, R2, tmp_path, "R2", "--workers", "0") as two,
        start(net.gw_a, R1, tmp_path, "R1", "--workers", "2", "--record", str(tmp_path / "record")) as one,
    ):
        assert net.host_a.ping(HOST_B, count=3, interval=0.05).lost == 0
        yield one, two


def test_the_tunnel_comes_back_after_its_worker_was_killed(
    net: Topology, tmp_path: Path, pair: tuple[Process, Process]
) -> None:
    """Each worker killed in turn: the router says so, gives its Child SAs up and makes new ones; IKE goes on."""
    assert "#pkts encaps: 3" in show(tmp_path, "show crypto ipsec sa")
    assert "#pkts decaps: 3" in show(tmp_path, "show crypto ipsec sa")
    before = show(tmp_path, "show crypto ikev2 sa")
    assert len(workers(net)) == 2
    for pid in workers(net):
        os.kill(pid, signal.SIGKILL)
        wait_until("another is there", lambda: len(workers(net)) == 2)
    # What is on its way while a Child SA is deleted at one end only is lost.
    wait_until("packets pass again", lambda: net.host_a.ping(HOST_B, count=1, wait=1.0).lost == 0)
    assert net.host_a.ping(HOST_B, count=3).lost == 0
    assert show(tmp_path, "show crypto ikev2 sa").split()[8:12] == before.split()[8:12]
    (recording,) = (tmp_path / "record").iterdir()
    failed = [line for line in recording.read_text().splitlines() if '"plane.failed"' in line]
    assert len(failed) == 2
    assert all("it ended: killed by SIGKILL, started again" in line for line in failed)


def test_no_worker_outlives_its_router(net: Topology, tmp_path: Path, pair: tuple[Process, Process]) -> None:
    """After kill -9 of the router its workers and with them its devices are gone."""
    assert workers(net)
    os.kill(pair[0].pid, signal.SIGKILL)
    wait_until("all of its processes are gone", lambda: net.gw_a.pids() == [])
    wait_until("the device is gone", lambda: "Tunnel0" not in net.gw_a.ip("link"))
