"""The process that does what is left to do with files once the router gave its user up."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ikescope.daemon.keeper import Keeper
from ikescope.daemon.recording import Recording
from ikescope.events import Record, Stamp, decode
from ikescope.events.router import InterfaceUp
from ikescope.planes import tun

STARTED = datetime(2024, 1, 31, 12, 0, 0, tzinfo=UTC)


def control(directory: Path) -> Path:
    """A control socket that nobody listens on."""
    path = directory / "R1.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    return path


def test_the_next_parts_of_a_recording_are_opened_for_the_router(tmp_path: Path) -> None:
    """Each part is a file of its own for its owner's eyes, the oldest are removed, no record is lost between them."""
    recording = Recording(tmp_path, "R1", STARTED, part_octets=400, parts=3)
    keeper = Keeper(control(tmp_path), recording.open_part)
    recording.opens = keeper.open_part
    for seq in range(40):
        recording.add(Record(Stamp(seq=seq, mono=0.0, wall=0.0, router="R1"), InterfaceUp(interface="Tunnel0")))
    assert not recording.ended
    recording.close()
    keeper.close()
    files = sorted(tmp_path.glob("*.jsonl"), key=lambda path: int(path.name.split(".")[1]))
    assert len(files) == 3 and {path.stat().st_mode & 0o777 for path in files} == {0o600}
    kept = [decode(line).stamp.seq for path in files for line in path.read_bytes().splitlines()]
    assert kept == list(range(kept[0], 40))


@pytest.mark.tun
def test_it_opens_what_a_tunnel_device_is_made_of(tmp_path: Path) -> None:
    """A router that may not open /dev/net/tun itself is handed a descriptor of it, which is no device yet."""
    keeper = Keeper(control(tmp_path), None)
    fd = keeper.open_tun()
    assert os.readlink(f"/proc/self/fd/{fd}") == tun.DEVICE and not tun.has_vnet(fd)
    os.close(fd)
    keeper.close()


def test_it_opens_nothing_else_and_says_why_not(tmp_path: Path) -> None:
    """Without a recording, and for one whose directory is gone, the router hears the reason as an OSError."""
    none = Keeper(control(tmp_path), None)
    with pytest.raises(PermissionError):
        none.open_part(2)
    none.close()
    directory = tmp_path / "gone"
    recording = Recording(directory, "R1", STARTED)
    keeper = Keeper(control(tmp_path), recording.open_part)
    recording.path.unlink()
    directory.rmdir()
    with pytest.raises(FileNotFoundError):
        keeper.open_part(2)
    keeper.close()
    recording.close()


def test_it_removes_the_router_s_own_control_socket_alone(tmp_path: Path) -> None:
    """When the router is gone its socket goes; one that another router put there since stays."""
    path = control(tmp_path)
    Keeper(path, None).close()
    assert not path.exists()
    keeper = Keeper(control(tmp_path), None)
    path.rename(tmp_path / "kept.sock")  # so that the inode is not given out again
    later = control(tmp_path)
    keeper.close()
    assert later.exists()


def test_it_holds_nothing_of_the_router_s(tmp_path: Path) -> None:
    """No descriptor but its end of the pair and /dev/null, and no capability over the network."""
    keeper = Keeper(control(tmp_path), None)
    with pytest.raises(PermissionError):
        keeper.open_part(1)  # it has settled
    opened = {os.readlink(each) for each in Path(f"/proc/{keeper.pid}/fd").iterdir()}
    assert {name.partition(":")[0] for name in opened} == {"/dev/null", "socket"}
    assert sum(name.startswith("socket") for name in opened) == 1
    lines = Path(f"/proc/{keeper.pid}/status").read_text().splitlines()
    held = int(next(line.split()[1] for line in lines if line.startswith("CapEff")), 16)
    assert not held & ~(1 << 1)
    keeper.close()
