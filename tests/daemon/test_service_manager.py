"""Under a service manager: what it is told, and the file that it is given."""

import configparser
import socket
from pathlib import Path

import pytest
from tests.daemon.routers import PYTHON, configuration, ikescope
from tests.support.machine import ROOT
from tests.support.netns import NET_B
from tests.support.process import Process

from ikescope.cli import parser

UNIT = ROOT / "examples" / "systemd" / "ikescope@.service"


@pytest.mark.netns
def test_the_manager_is_told_when_the_router_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    """READY=1 once the sockets are open, STOPPING=1 at the end, on the socket that the environment names."""
    file = tmp_path / "R1.cfg"
    file.write_text(configuration("R1", "127.9.31.1", "127.9.31.2", "172.16.0.1", NET_B))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        argv = ikescope("run", "--data-plane", "none", "--control", str(tmp_path), str(file))
        environment = {**PYTHON, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with Process(argv, tmp_path, "R1", env=environment) as router:
            router.wait_for("is ready")
            assert manager.recv(100) == b"READY=1"
            assert router.stop() == 0
            assert manager.recv(100) == b"STOPPING=1"


def test_the_commands_of_the_service_are_commands_of_ours() -> None:
    """Each Exec line parses by our own command line; the router is started, reloaded and checked with the same file."""
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[method-assign, assignment]  # the names are case-sensitive there
    unit.read(UNIT)
    commands = [unit["Service"][name].split() for name in ("ExecStartPre", "ExecStart", "ExecReload")]
    assert [words[0] for words in commands] == ["/usr/local/bin/ikescope"] * 3
    assert [parser().parse_args(words[1:]).command_name for words in commands] == ["check", "run", "reload"]
    assert {words[2] for words in commands} == {"/etc/ikescope/%i.cfg"}
