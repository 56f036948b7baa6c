"""A flood of forged requests, as small as a test may be: `ikescope bench flood` brings its honest tunnels up."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.netns]


def test_honest_tunnels_come_up_through_a_flood() -> None:
    """While forged IKE_SA_INIT requests arrive by the thousand, an honest peer returns its cookie and comes up."""
    command = [sys.executable, "-m", "ikescope", "bench", "flood", "--as", "json", "--suite", "x25519-aes128gcm"]
    small = ["--count", "5", "--rate", "2000", "--seconds", "3", "--rest", "0"]
    done = subprocess.run([*command, *small], env=dict(os.environ), capture_output=True, text=True, timeout=120)
    result = json.loads(done.stdout)
    assert result["handshakes"] == 5
    assert result["within_patience"] > 0
    assert result["sent_per_second"] > 100
    assert result["rss_peak_kib"] - result["rss_before_kib"] < 50 * 1024
