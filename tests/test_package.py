"""What `pip install .` alone gives: read, check, rehearse and the demo in memory, on a machine that has little else."""

import ast
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
EXTRAS = (
    *("pyroute2", "numpy", "textual", "starlette", "uvicorn", "prometheus_client", "opentelemetry", "asyncssh"),
    *("scapy", "pytest", "hypothesis", "playwright"),
)
"""What the extras bring: none of it is there."""
UNIX = ("fcntl", "termios", "resource", "pwd", "grp", "tty", "pty", "curses", "readline", "posix_ipc", "_posixshmem")
"""Modules that Windows, or a Python built small, has not."""
ELSEWHERE = """
import builtins, importlib.abc, json, os, signal, socket, sys, time
extras, unix, commands = json.loads(sys.argv[1])


class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in (*extras, *unix):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


for name in (*extras, *unix):
    sys.modules[name] = None
sys.meta_path.insert(0, Absent())
for module, names in (
    (os, ("geteuid", "getuid", "getgid", "fork", "setuid", "getpgid", "killpg", "register_at_fork")),
    (signal, ("SIGHUP", "SIGUSR1", "SIGALRM", "pthread_sigmask", "sigwait", "setitimer")),
    (socket, ("AF_UNIX", "AF_NETLINK", "AF_PACKET", "SCM_RIGHTS", "recv_fds", "send_fds")),
):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)


def refuse(*arguments, **options):
    raise AssertionError("a socket was asked for")


socket.socket.__init__ = refuse
truly = os.open
os.open = lambda path, *more, **options: refuse() if "/dev/net" in str(path) else truly(path, *more, **options)
time.sleep = lambda seconds: None
sys.platform = "win32" if "--windows" in sys.argv else sys.platform

from ikescope.cli import main

for command in commands:
    status = main(command)
    print(f"== {command[0]} ended with {status}", flush=True)
"""


def elsewhere(*commands: list[str], directory: Path) -> str:
    """What a fresh interpreter without extras, Unix modules and sockets says to commands, one after the other."""
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, json.dumps([EXTRAS, UNIX, commands])],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "100", "IKESCOPE_DEBUG": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and not done.stderr, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def test_read_check_and_rehearse_need_nothing_but_the_core(tmp_path: Path) -> None:
    """No extra, no Unix module, no socket: each command does all of its work and ends with its own status."""
    debug = str(EXAMPLES / "R2-debug-wrong-key.txt")
    files = [str(EXAMPLES / name) for name in ("R1.cfg", "R2.cfg")]
    said = elsewhere(
        ["check", *files],
        ["read", debug],
        ["read", debug, "--as", "json"],
        ["read", debug, "--as", "html", "--output", "page.html"],
        ["rehearse", *files, "--days", "0.05", "--with-debug"],
        directory=tmp_path,
    )
    ends = [line for line in said.splitlines() if line.startswith("== ")]
    assert ends[0] == "== check ended with 0"
    assert [line.split()[1] for line in ends] == ["check", "read", "read", "read", "rehearse"]
    assert ends[-1] == "== rehearse ended with 0"
    assert (tmp_path / "page.html").stat().st_size > 1000


def test_the_demo_runs_in_memory_without_anything_of_the_host(tmp_path: Path) -> None:
    """Without namespaces, TUN, netlink and root the tour plays in memory to its end, and what it claims holds."""
    said = elsewhere(["demo", "--output", "out"], ["read", "out/capture.pcapng"], directory=tmp_path)
    assert "== demo ended with 0" in said
    assert "in memory" in said
    assert "== read ended with 0" in said
    assert "IKE_SA_INIT" in said


def test_the_core_depends_on_three_packages() -> None:
    """cryptography, msgspec and rich; every other import of the package stands in an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [one.partition(">")[0] for one in project["dependencies"]] == ["cryptography", "msgspec", "rich"]


CORE = ("wire", "crypto", "config", "policy", "events", "engine", "esp", "node", "sim", "timeline", "ios", "capture")
"""With explain and views: the pure packages."""


@pytest.mark.parametrize("package", [*CORE, "explain", "views"])
def test_pure_packages_import_no_extra(package: str) -> None:
    """Not even lazily: an extra belongs to what does I/O."""
    found = []
    for path in sorted((ROOT / "src" / "ikescope" / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            found += [f"{path.name}: {name}" for name in names if name.partition(".")[0] in (*EXTRAS, *UNIX)]
    assert found == []
