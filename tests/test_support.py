"""The helpers of the tests: what they promise to the tests that lean on them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import charonkeys, machine, vici
from tests.support.netns import HOST_A, HOST_B, LAN_A, WAN_B, topology
from tests.support.ping import ECHO_REPLY, checksum, echo_request, reply_sequence
from tests.support.process import Process, wait_until

OUTSIDE = """
import pytest

def test_runs() -> None:
    pass

def test_leaves() -> None:
    pytest.skip("no reason at all")

@pytest.mark.netns
def test_needs_namespaces() -> None:
    pass
"""


def run_outside(tmp_path: Path, strict: str, before: str = "") -> str:
    """Run three tests (one skips itself, one needs namespaces) under the project's conftest; pytest's output."""
    (tmp_path / "conftest.py").write_text(f"{before}\nfrom tests.conftest import *\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  netns: needs namespaces\n")
    (tmp_path / "test_outside.py").write_text(OUTSIDE)
    environment = {**os.environ, "IKESCOPE_STRICT": strict, "PYTHONPATH": str(machine.ROOT)}
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)]
    done = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout


WITHOUT_NAMESPACES = (
    "from tests.support import machine\nmachine.NEEDS = {'netns': lambda: 'namespaces are out of stock'}"
)


def test_what_a_machine_lacks_is_left_out_and_said(tmp_path: Path) -> None:
    """A test whose marker names something missing does not run, and the end of the report says which and why."""
    out = run_outside(tmp_path, "", WITHOUT_NAMESPACES)
    assert "1 passed, 1 skipped, 1 deselected" in out
    assert "not run on this machine: tests marked netns: namespaces are out of stock" in out


def test_strict_leaves_nothing_out(tmp_path: Path) -> None:
    """Under IKESCOPE_STRICT=1 a test that skips itself has failed and none is deselected."""
    out = run_outside(tmp_path, "1", WITHOUT_NAMESPACES)
    assert "1 failed, 2 passed" in out
    assert "test_leaves was skipped" in out


def test_a_vici_message_survives_both_ways() -> None:
    """A tree of sections, lists and values reads back as it was written."""
    tree = {"peer": {"version": "2", "proposals": ["a", "b"], "children": {"net": {"mode": "tunnel", "empty": []}}}}
    assert vici.decode(vici.encode(tree)) == tree


def test_an_echo_request_carries_a_right_checksum() -> None:
    """RFC 1071: the checksum over a message that holds its checksum is zero."""
    assert checksum(echo_request(0x1234, 70000, 57)) == 0


def test_only_our_own_reply_counts() -> None:
    """A reply to another ping and a request are not taken for a reply to ours."""
    request = echo_request(7, 3, 8)
    reply = bytes([ECHO_REPLY]) + request[1:]
    header = bytes([0x45]) + bytes(19)
    assert reply_sequence(header + reply, 7) == 3
    assert reply_sequence(header + reply, 8) is None
    assert reply_sequence(header + request, 7) is None
    assert reply_sequence(header, 7) is None


def test_a_process_is_awaited_and_stopped(tmp_path: Path) -> None:
    """A line that comes is found with its groups; one that cannot come any more fails at once and shows the output."""
    program = "import sys, signal; print('ready 42', flush=True); print('gone', file=sys.stderr); signal.pause()"
    with Process([sys.executable, "-u", "-c", program], tmp_path, "waiter") as process:
        assert process.wait_for(r"^ready (\d+)$")[1] == "42"
        process.wait_for("^gone$")
        assert process.returncode is None
        assert process.stop() == -15
    with pytest.raises(AssertionError, match="gone"):
        process.wait_for("never")


def test_a_dump_in_charons_log_is_one_entry() -> None:
    """The rows of octets under a named dump join to its hex digits; other lines stay text."""
    log = (
        "14:26:00.691 05[CHD]   using AES_GCM_16 for encryption\n"
        "14:26:00.691 05[CHD] encryption initiator key => 20 bytes @ 0x7f1e78002d60\n"
        "14:26:00.691 05[CHD]    0: 87 47 30 DB D6 56 FD F5 02 DC 0B 8D 9F A5 EF 72  .G0..V.........r\n"
        "14:26:00.691 05[CHD]   16: B5 56 2B C5                                      .V+.\n"
        "14:26:00.691 05[CHD] adding inbound ESP SA\n"
    )
    assert list(charonkeys.entries(log)) == [
        ("  using AES_GCM_16 for encryption", ""),
        ("encryption initiator key", "874730dbd656fdf502dc0b8d9fa5ef72b5562bc5"),
        ("adding inbound ESP SA", ""),
    ]


@pytest.mark.netns
def test_two_sites_are_joined_only_by_a_tunnel() -> None:
    """Neighbours reach each other; the hosts do not, until something carries their packets; all is gone at the end."""
    with topology() as net:
        names = {namespace.name for namespace in net.namespaces}
        assert net.host_a.ping(LAN_A, count=1).lost == 0
        assert net.gw_a.ping(WAN_B, count=1).lost == 0
        assert net.host_a.ping(HOST_B, count=1, wait=0.2).lost == 1
        assert net.host_b.ping(HOST_A, count=1, wait=0.2).lost == 1
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert not names & set(left.split())


@pytest.mark.netns
def test_a_namespace_goes_with_what_runs_inside(tmp_path: Path) -> None:
    """A program that a failed test left running ends with its namespace."""
    with topology() as net:
        process = net.gw_a.start("sleep", "600", directory=tmp_path, name="sleeper")
        wait_until("it is in the namespace", lambda: net.gw_a.pids() == [process.pid])
    assert process.wait() == -9
