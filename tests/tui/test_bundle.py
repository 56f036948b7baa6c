"""`ikescope bundle`: one file with everything a bug report needs and nothing of whose it is."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from tests.daemon.routers import KEY, R1, R2, start
from tests.support.netns import HOST_A, HOST_B, WAN_A, WAN_B, topology
from tests.support_records import Made

from ikescope.cli import main
from ikescope.events import encode
from ikescope.views.read import read

FILES = {"README.txt", "recording.jsonl", "summary.txt", "versions.json"}


def unpacked(path: Path) -> dict[str, bytes]:
    """The files of a bundle."""
    with tarfile.open(path) as archive:
        found = {}
        for entry in archive:
            file = archive.extractfile(entry)
            assert file is not None and (entry.uid, entry.gid, entry.uname) == (0, 0, "")
            found[entry.name.removeprefix("ikescope-bundle/")] = file.read()
        return found


def test_a_recording_with_its_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Recording, summary, configuration and versions, replaced alike in all of them; the recording can be read."""
    recording = tmp_path / "secretive.jsonl"
    recording.write_bytes(b"".join(encode(record) + b"\n" for record in Made().up().records))
    config = tmp_path / "R1.cfg"
    config.write_text(R1.replace("10.99.0.2", "192.0.2.2"))
    output = tmp_path / "bundle.tar.gz"
    assert main(["bundle", str(recording), "--configuration", str(config), "--output", str(output)]) == 0
    files = unpacked(output)
    assert set(files) == {*FILES, "configuration.cfg"}
    whole = b"".join(files.values())
    for gone in (KEY, "192.0.2.", "secretive", "a1a2a3a4a5a6a7a8", "OTHER", str(tmp_path)):
        assert gone.encode() not in whole
    assert b"pre-shared-key <removed>" in files["configuration.cfg"]
    assert len(read(files["recording.jsonl"], "r")) == len(Made().up().records)
    peer = next(line.split()[-1] for line in files["configuration.cfg"].decode().splitlines() if "destination" in line)
    assert peer.encode() in files["summary.txt"]
    assert json.loads(files["versions.json"])["ikescope"]
    assert output.stat().st_mode & 0o777 == 0o600
    assert "look it through before you post it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere-at-all"], "no router nowhere-at-all here"),
        (["--configuration", "x.cfg"], "--configuration: only with a FILE"),
    ],
)
def test_what_cannot_be_bundled_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """No such router, or a configuration without a file: exit status 2, one line, no file."""
    output = tmp_path / "b.tar.gz"
    assert main(["bundle", *arguments, "--output", str(output)]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1
    assert not output.exists()


@pytest.mark.netns
@pytest.mark.tun
def test_a_running_router_is_bundled(tmp_path: Path) -> None:
    """What its flight recorder holds and its running configuration, without its names, addresses and keys."""
    output = tmp_path / "live.tar.gz"
    with topology("bu") as net, start(net.gw_b, R2, tmp_path, "R2"), start(net.gw_a, R1, tmp_path, "R1"):
        assert net.host_a.ping(HOST_B, count=1).lost == 0
        assert main(["bundle", str(tmp_path / "R1.sock"), "--output", str(output)]) == 0
    files = unpacked(output)
    assert set(files) == {*FILES, "configuration.cfg"}
    whole = b"".join(files.values())
    for gone in (KEY, WAN_A, WAN_B, HOST_A, HOST_B):
        assert gone.encode() not in whole
    assert b"IKE_AUTH" in files["summary.txt"] and b"router-1" in files["summary.txt"]
    assert b"hostname router-1" in files["configuration.cfg"]
