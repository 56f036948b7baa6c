"""A running router goes on with its changed file."""

import subprocess
from pathlib import Path

import pytest
from tests.daemon.routers import KEY, PYTHON, R1, R2, ikescope, start
from tests.support.machine import ROOT
from tests.support.netns import HOST_B, topology

from ikescope.daemon.client import Client

pytestmark = [pytest.mark.netns, pytest.mark.tun]


def reload(file: Path) -> subprocess.CompletedProcess[str]:
    """`ikescope reload FILE`, the control socket beside it."""
    command = ikescope("reload", str(file), "--control", str(file.with_suffix(".sock")))
    return subprocess.run(command, env=PYTHON, cwd=ROOT, capture_output=True, text=True, check=False)


def sas(file: Path) -> tuple[list[str], str]:
    """The SPIs of the Child SAs of a router, and its running configuration."""
    with Client(file.with_suffix(".sock")) as client:
        shown = client.command("show crypto ipsec sa")["output"]
        running = client.command("show running-config")["output"]
    return [line for line in shown if "current outbound spi" in line], "\n".join(running)


def test_a_reload_acts_and_drops_no_sa(tmp_path: Path) -> None:
    """A lifetime, a further peer and a key act at once; the SAs stay what they are and carry on; what is made at the
    start alone is said. A file with a mistake, and another router's, change nothing and say why.
    """
    with (
        topology("dl") as net,
        start(net.gw_b, R2, tmp_path, "R2"),
        start(net.gw_a, R1, tmp_path, "R1"),
    ):
        assert net.host_a.ping(HOST_B, count=1).lost == 0
        file = tmp_path / "R1.cfg"
        before, _ = sas(file)
        assert before
        more = R1.replace(
            f"  pre-shared-key {KEY}\n",
            f"  pre-shared-key {KEY}\n peer THIRD\n  address 203.0.113.9\n  pre-shared-key another-secret-3\n",
        )
        file.write_text(more.replace(" keyring local KR\n", " keyring local KR\n lifetime 7200\n", 1))
        done = reload(file)
        assert (done.returncode, done.stderr) == (0, "") and done.stdout.endswith("R1: what the file says acts now\n")
        after, running = sas(file)
        assert after == before and "lifetime 7200" in running and "peer THIRD" in running
        assert net.host_a.ping(HOST_B, count=2).lost == 0
        file.write_text(more + "ip route 10.77.0.0 255.255.0.0 Tunnel0\n")
        assert reload(file).stdout == "R1: what the file says acts now\n"
        assert "10.77.0.0/16 dev Tunnel0 proto 250" in net.gw_a.ip("route")
        file.write_text(more.replace("keyring local KR", "keyring local NOWHERE"))
        assert (refused := reload(file)).returncode == 1 and "NOWHERE" in refused.stderr
        file.write_text(more.replace("hostname R1", "hostname R7"))
        assert (other := reload(file)).returncode == 2 and "wanted R1" in other.stderr
        assert sas(file)[0] == before
