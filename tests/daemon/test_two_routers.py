"""Two routers as processes in namespaces of their own, over real UDP and TUN devices."""

import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.daemon.routers import KEY, PYTHON, R1, R2, ikescope, start
from tests.support.netns import HOST_B, Topology, topology
from tests.support.process import Process, wait_until

from ikescope.daemon.client import Client
from ikescope.events import decode

pytestmark = [pytest.mark.netns, pytest.mark.tun]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two running routers with their namespaces and files."""

    net: Topology
    directory: Path
    one: Process
    two: Process

    def console(self, name: str) -> Client:
        """A connection to one of them."""
        return Client(self.directory / f"{name}.sock")

    def show(self, name: str, command: str) -> str:
        """What a command prints there."""
        with self.console(name) as client:
            return "\n".join(client.command(command)["output"])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """R1 and R2, up, with recording and keys of R1, and a tunnel that a ping brought up."""
    directory = tmp_path_factory.mktemp("pair")
    options = ("--record", str(directory / "record"), "--write-keys", str(directory / "keys"), "--lab-timers")
    with (
        topology("dm") as net,
        start(net.gw_b, R2, directory, "R2") as two,
        start(net.gw_a, R1, directory, "R1", *options) as one,
    ):
        yield Pair(net, directory, one, two)


def test_a_ping_brings_the_tunnel_up_and_loses_nothing(pair: Pair) -> None:
    """Traffic for a tunnel starts the negotiation, waits for it and is answered through ESP."""
    assert pair.show("R1", "show crypto ikev2 sa") == ""
    result = pair.net.host_a.ping(HOST_B, count=3)
    assert (result.sent, result.lost) == (3, 0)
    assert "READY" in pair.show("R1", "show crypto ikev2 sa")
    assert "#pkts encaps: 3" in pair.show("R1", "show crypto ipsec sa")
    assert "Session status: UP-ACTIVE" in pair.show("R2", "show crypto session")


def test_debug_and_events_reach_those_who_subscribed(pair: Pair) -> None:
    """A rekey that the console asks for appears in its debug lines and, as records, with whoever follows the events."""
    heard: list[str] = []
    tags: list[str] = []
    with (
        Client(pair.directory / "R1.sock", lambda said: heard.extend(said.get("debug", []))) as console,
        Client(pair.directory / "R1.sock", lambda said: tags.append(said["event"]["event"])) as follower,
    ):
        console.ask({"subscribe": "console"})
        follower.ask({"subscribe": "events", "since": 0})
        assert console.command("debug crypto ikev2")["output"] == ["IKEv2 default debugging is on"]
        assert console.command("test crypto ikev2 rekey child")["output"] == []
        wait_until("the rekey is heard of", lambda: "child.rekeyed" in tags)
        wait_until("the rekey is printed", lambda: any("CREATE_CHILD_SA" in line for line in heard))
        assert console.command("undebug all")["output"] == ["All possible debugging has been turned off"]
    assert tags[0] == "router.started"
    assert pair.net.host_a.ping(HOST_B, count=1).lost == 0


def test_a_lowered_lifetime_acts_on_the_running_sa(pair: Pair) -> None:
    """`lifetime` typed in `configure terminal` rekeys the IKE SA that stands, when its time has come."""
    with pair.console("R1") as client:
        before = client.ask({"status": True})["status"]["ike"][0]
        for line in ("configure terminal", "crypto ikev2 profile default", "lifetime 120", "end"):
            reply = client.command(line)
            assert "refused" not in reply, reply
        assert reply["prompt"] == "R1#"
        after = client.ask({"status": True})["status"]["ike"][0]
    assert (before["lifetime"], after["lifetime"]) == (86400, 120)
    assert after["rekey_in"] < 120


def test_clear_tells_the_peer_and_traffic_brings_the_tunnel_back(pair: Pair) -> None:
    """`clear crypto ikev2 sa` deletes at both ends; the next packet negotiates anew."""
    with pair.console("R1") as one, pair.console("R2") as two:
        one.command("clear crypto ikev2 sa")
        for name, client in (("R1", one), ("R2", two)):
            wait_until(f"{name} has no IKE SA", lambda: not client.ask({"status": True})["status"]["ike"])  # noqa: B023
    assert pair.net.host_a.ping(HOST_B, count=2).lost == 0


def test_a_router_pings_through_its_tunnel(pair: Pair) -> None:
    """`ping` at the prompt sends the router's own echo requests, unprivileged as it is, and says what came back."""
    with pair.console("R1") as client:
        said = client.command("ping 172.16.0.2 source Tunnel0 repeat 3")["output"]
    assert said[1:4] == [
        "Sending 3, 100-byte ICMP Echos to 172.16.0.2, timeout is 2 seconds:",
        "Packet sent with a source address of 172.16.0.1 ",
        "!!!",
    ]
    assert said[4].startswith("Success rate is 100 percent (3/3), round-trip min/avg/max = ")


def test_a_second_start_of_a_running_router_is_refused(pair: Pair) -> None:
    """Whoever starts R1 twice hears that it runs, with its process id; the first goes on."""
    done = pair.net.gw_a.run(
        *ikescope("run", "--control", str(pair.directory), str(pair.directory / "R1.cfg")), check=False, env=PYTHON
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"ikescope: R1 runs already (pid {pair.one.pid}); its control socket is {pair.directory / 'R1.sock'}"
    ]
    other = pair.directory / "other"
    other.mkdir(exist_ok=True)
    argv = ikescope("run", "--data-plane", "none", "--control", str(other), str(pair.directory / "R1.cfg"))
    done = pair.net.gw_a.run(*argv, check=False, env=PYTHON)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "ikescope: UDP port 500 on 10.99.0.1 is in use (does another IKE daemon run here?)"
    ]


def test_foreign_datagrams_do_no_harm(pair: Pair) -> None:
    """What a stranger sends to 500 and 4500, keepalives and empty datagrams too, ends nothing."""
    program = (
        "import os, socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        "[s.sendto(d, ('10.99.0.1', p)) for p in (500, 4500) for d in"
        " (b'', b'\\xff', b'\\0' * 4, b'\\0' * 28, os.urandom(300), b'x' * 9000)]"
    )
    pair.net.gw_b.run(*ikescope()[:1], "-c", program)
    assert pair.net.host_a.ping(HOST_B, count=1).lost == 0
    assert pair.one.returncode is None
    assert "defect" not in pair.one.stderr


def test_the_console_command_asks_a_router(pair: Pair) -> None:
    """`ikescope console PATH -c` prints what the router says, exit 0, and 1 where a command was refused."""
    path = str(pair.directory / "R1.sock")
    done = subprocess.run(
        ikescope("console", path, "-c", "show version", "-c", "sho crypto ses"),
        env=PYTHON,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    assert "Crypto session current status" in done.stdout
    done = subprocess.run(
        ikescope("console", path), env=PYTHON, input="frobnicate\nexit\n", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "% Invalid input detected at '^' marker." in done.stdout


def test_an_end_tells_the_peer_and_leaves_nothing_behind(pair: Pair) -> None:
    """SIGTERM: the peer's SAs go, devices, routes and the control socket vanish, exit 0; no key in any output."""
    with pair.console("R1") as client:
        shown = [
            line
            for command in ("show running-config", "show logging", "show crypto ikev2 sa detailed")
            for line in client.command(command)["output"]
        ]
        for line in ("configure terminal", "crypto ikev2 keyring KR", "peer OTHER", f"pre-shar {KEY}", "end"):
            shown += client.command(line)["output"]
    assert pair.one.stop(signal.SIGTERM) == 0, pair.one.account()
    assert not (pair.directory / "R1.sock").exists()
    assert "Tunnel0" not in pair.net.gw_a.ip("link")
    assert "blackhole" not in pair.net.gw_a.ip("route")
    with pair.console("R2") as client:
        wait_until("R2 has no IKE SA", lambda: not client.ask({"status": True})["status"]["ike"])

    (recording,) = (pair.directory / "record").iterdir()
    lines = recording.read_text().splitlines()
    records = [decode(line) for line in lines]
    assert records[-1].stamp.seq >= len(records) - 1
    assert {"router.started", "child.created", "rekey.started", "router.stopped"} <= {
        json.loads(line)["event"]["event"] for line in lines
    }
    output = "\n".join([*shown, *lines, pair.one.stdout, pair.one.stderr, pair.two.stdout, pair.two.stderr])
    assert KEY not in output
    for name in ("ikev2_decryption_table", "esp_sa"):
        file = pair.directory / "keys" / name
        assert file.stat().st_mode & 0o777 == 0o600
        assert len(file.read_text().splitlines()) >= 2


def test_after_a_kill_a_start_cleans_up(tmp_path: Path) -> None:
    """A kill -9 leaves a blackhole, which the next start takes over and its end removes; the socket goes at once."""
    with topology("dk") as net:
        start(net.gw_a, R1, tmp_path, "R1").stop(signal.SIGKILL)
        wait_until("the keeper of files removed the socket", lambda: not (tmp_path / "R1.sock").exists())
        assert "blackhole 10.2.0.0/24" in net.gw_a.ip("route")
        with start(net.gw_a, R1, tmp_path, "R1") as again:
            assert again.stop() == 0
        assert "blackhole" not in net.gw_a.ip("route")
        assert not (tmp_path / "R1.sock").exists()
