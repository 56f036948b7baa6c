"""The measurement of traffic, without sending any."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ikescope.bench import ESP, HANDSHAKES, main
from ikescope.bench.contenders import PROGRAMS, SUITES, EspSuite, Plan, running
from ikescope.bench.esp import Found, lines, ratios, steps
from ikescope.bench.handshakes import SUITES as HANDSHAKE_SUITES
from ikescope.bench.lan import Lan
from ikescope.bench.traffic import Flow, Pings, Traffic
from ikescope.cli import parser
from ikescope.errors import LocalError
from ikescope.ios.configuration import load


def arguments(*more: str) -> argparse.Namespace:
    """A command line of the bench."""
    return parser().parse_args(["bench", "esp", *more])


def test_the_command_line_names_the_suites_that_there_are() -> None:
    """What --suite lists are the rows of the tables that stay unread until they are needed."""
    assert (*SUITES, "all") == ESP
    assert tuple(HANDSHAKE_SUITES) == HANDSHAKES


def test_each_contender_has_its_programs() -> None:
    """Every peer that --against names for traffic says what of it must be there."""
    with pytest.raises(LocalError, match="--against tshark: wanted strongswan or wireguard-go"):
        main(arguments("--against", "tshark"))
    assert set(PROGRAMS) == {"strongswan", "wireguard-go"}


def test_what_a_machine_lacks_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without root, without peers, or with another measurement's suite the bench says so and starts nothing."""
    with pytest.raises(LocalError, match="--suite x25519-aes128gcm: wanted aes-gcm-128, "):
        main(arguments("--suite", "x25519-aes128gcm"))
    with pytest.raises(LocalError, match="wanted at least 1"):
        main(arguments("--seconds", "0.1"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LocalError, match="needs root"):
        main(arguments())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(LocalError, match=r"no iperf3 in .*: `make peers` unpacks it there"):
        main(arguments("--peers", str(tmp_path)))


def found(rate: float) -> Found:
    """A contender that carried so much."""
    one = Found(memory=50.0)
    for name in ("tcp", "tcp", "tcp", "udp", "udp_64", "tcp_both"):
        one.add(name, Flow(mbit_s=rate, pps=int(rate), sent_pps=9, cpu_us=1.5, cores=1.0))
        rate += 1
    one.pings["ping_idle"] = Pings(0.5, 0.9, 100, 0)
    return one


def test_ratios_are_ours_over_the_peer_s() -> None:
    """Medians of the rounds, and their quotients by the names that are promised."""
    ours, theirs = found(100.0).row(), found(49.5).row()
    assert ours["tcp_mbit_s"] == 101.0 and ours["udp_pps"] == 103
    row = {"suite": "aes-gcm-128", "encapsulation": "udp", "against": "strongswan", **ours}
    row |= {f"peer_{key}": value for key, value in theirs.items()} | ratios(row, theirs)
    assert (row["peer_tcp_mbit_s"], row["tcp_ratio"]) == (50.5, 2.0)
    assert (row["peer_udp_pps"], row["udp_ratio"]) == (52, 1.98)
    text = "\n".join(lines(row))
    assert "TCP, one stream, Mbit/s" in text and "2.0" in text and "strongswan" in text


def test_a_brief_run_measures_what_the_medians_need() -> None:
    """--brief leaves the other ways and sizes out, nothing else."""
    whole, brief = ([name for name, _ in steps(2, one)] for one in (False, True))
    assert whole[: len(brief)] == brief
    assert brief == ["idle", "TCP 1", "UDP 1", "TCP 2", "UDP 2", "ping under TCP", "memory"]


def test_pings_are_percentiles_of_what_came_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was lost is counted beside them, not among them."""
    text = "".join(f"64 bytes from 10.2.0.2: icmp_seq={n} ttl=62 time={n / 10} ms\n" for n in range(1, 101))
    script = f"print({text!r} + '110 packets transmitted, 100 received')"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert Traffic.pinged(process) == Pings(5.05, 9.901, 110, 10)


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
@pytest.mark.parametrize("udp", [True, False])
def test_our_routers_configurations_are_clean(
    suite: EspSuite, udp: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two files that a bench runs load, with the suite asked for, encapsulated where that is asked for."""

    def started(*_: object, **__: object) -> None:
        raise LocalError("stop here")

    lan = Lan(client=None, routers={}, server=None)  # type: ignore[arg-type]  # nothing is started
    monkeypatch.setattr("ikescope.bench.contenders._started", started)
    with (
        pytest.raises(LocalError, match="stop here"),
        running("ikescope", Plan(suite, udp, tmp_path, tmp_path), lan, ["ping"]),
    ):
        pass
    config = load((tmp_path / "a.cfg").read_text(), name="a")
    assert config.profiles["BENCH"].nat_force_encap == udp
    assert not [finding for finding in config.findings if finding.severity == "error"]
    assert config.tunnels["Tunnel0"].ipsec_profile == "BENCH"
