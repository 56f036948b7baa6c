"""What runs beside a router: metrics, traces and syslog of two routers as processes, and what those processes hold."""

import json
from pathlib import Path

import pytest
from tests.daemon.routers import R1, R2, ikescope, start
from tests.support.netns import HOST_B, Namespace, topology
from tests.support.process import Process, wait_until

from ikescope.daemon import beside
from ikescope.errors import LocalError

GET = "import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1], timeout=20).read())"


def scrape(namespace: Namespace) -> str:
    """What Prometheus would read, from within the router's namespace."""
    python = ikescope()[0]
    return namespace.run(python, "-c", GET, "http://127.0.0.1:9600/metrics").stdout


def children(process: Process) -> dict[str, int]:
    """The processes that a router started: the module of each and its process id."""
    tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    found = {}
    for pid in tasks:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        if "-m" in words and words[words.index("-m") + 1] != "ikescope":  # the keeper of files is a fork of the router
            found[words[words.index("-m") + 1]] = int(pid)
    return found


def status(pid: int, name: str) -> str:
    """A line of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


@pytest.mark.netns
@pytest.mark.tun
def test_metrics_and_traces_come_from_processes_without_a_capability(tmp_path: Path) -> None:
    """A scrape tells of the tunnel that is up; the trace file of its exchanges; neither process holds a capability,
    and both end with the router.
    """
    spans = tmp_path / "spans.jsonl"
    options = ("--metrics", "127.0.0.1:9600", "--otel", str(spans), "--syslog", "127.0.0.1:1514")
    with (
        topology("db") as net,
        start(net.gw_b, R2, tmp_path, "R2"),
        start(net.gw_a, R1, tmp_path, "R1", *options) as one,
    ):
        assert net.host_a.ping(HOST_B, count=2).lost == 0
        wait_until("the scrape tells of the tunnel", lambda: 'tunnel_up{tunnel="Tunnel0"} 1.0' in scrape(net.gw_a))
        text = scrape(net.gw_a)
        assert 'ikescope_handshakes_total{result="completed",role="initiator"} 1.0' in text
        assert 'ikescope_tunnel_packets_total{direction="out",tunnel="Tunnel0"} 2.0' in text
        beside_it = {"ikescope.daemon.metrics", "ikescope.daemon.otel", "ikescope.planes.worker"}
        wait_until("all three run", lambda: set(children(one)) == beside_it)
        running = children(one)
        for pid in running.values():
            wait_until("it gave its privileges up", lambda pid=pid: status(pid, "NoNewPrivs") == "1")  # type: ignore[misc]
            assert {status(pid, "CapEff"), status(pid, "CapPrm")} == {"0" * 16}
        assert one.stop() == 0
        left = [name for name, pid in running.items() if Path(f"/proc/{pid}").exists()]
        assert not left
    told = [
        json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for line in spans.read_text().splitlines()
    ]
    assert {"IKE SA", "IKE_SA_INIT", "IKE_AUTH", "INFORMATIONAL", "AUTH verified"} <= {span["name"] for span in told}
    assert len({span["traceId"] for span in told}) == 1
    took = [int(one["endTimeUnixNano"]) - int(one["startTimeUnixNano"]) for one in told if "secret" in one["name"]]
    assert took and min(took) > 0, "what was computed took time"
    assert spans.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("place", ["9600", "127.0.0.1:", "127.0.0.1:99999", "203.0.113.77:9600"])
def test_a_place_that_cannot_be_had_is_one_line(place: str) -> None:
    """No port, a strange one, or an address of somebody else's: LocalError before the router starts."""
    with pytest.raises(LocalError, match="--metrics"):
        beside.listen("--metrics", place)


def test_a_missing_extra_is_told_with_the_command_that_installs_it() -> None:
    """One line with pip's command, before anything is opened."""
    with pytest.raises(LocalError, match=r"pip install 'ikescope\[metrics\]'"):
        beside.needs("metrics", "a_module_that_is_nowhere")
