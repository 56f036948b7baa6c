"""`ikescope bench esp` beside each peer, as short as it goes."""

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize("against", ["strongswan", "wireguard-go"])
def test_a_short_run_gives_every_promised_figure(against: str) -> None:
    """One JSON object with both contenders' TCP and UDP and their ratios; nothing of it is zero."""
    command = [sys.executable, "-m", "ikescope", "bench", "esp", "--against", against, "--as", "json"]
    command += ["--brief", "--rounds", "1", "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (row["schema"], row["type"], row["against"]) == ("ikescope.bench/1", "esp", against)
    figures = ("tcp_mbit_s", "peer_tcp_mbit_s", "tcp_ratio", "udp_pps", "peer_udp_pps", "udp_ratio")
    assert all(row[name] > 0 for name in figures)
    assert row["ping_idle_lost"] == 0
