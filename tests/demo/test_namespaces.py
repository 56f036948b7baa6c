"""The tour on real packets: as root, as nobody, without TUN, interrupted; nothing of it is left on the host."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from tests.demo.tours import Tour, flat
from tests.support.process import Process, wait_until

import ikescope
from ikescope.demo import namespaces

pytestmark = [pytest.mark.netns, pytest.mark.tun]
NOBODY = 65534
REAL = "R1 and R2 are two processes here, each in a network namespace of its own."
_AS_NOBODY = """
set -e
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/python /mnt/packages /mnt/src /mnt/out
mount --bind "$1" /mnt/python
mount --bind "$2" /mnt/packages
mount --bind "$3" /mnt/src
mount --bind "$4" /mnt/out
mount -t tmpfs -o mode=755 tmpfs /dev/net
mknod /dev/net/tun c 10 200
chmod "$5" /dev/net/tun
python="/mnt/python/bin/$6"
shift 6
exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all \
  env -i PATH="$PATH" HOME=/nonexistent PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH=/mnt/python/lib \
  PYTHONPATH=/mnt/src:/mnt/packages "$python" -m ikescope demo --output /mnt/out "$@"
"""
"""Run the tour as a user without any privilege: what it runs lies where that user may read, TUN as the test wants."""


def as_root(directory: Path, *arguments: str) -> Process:
    """The tour as this user."""
    command = [sys.executable, "-m", "ikescope", "demo", "--output", str(directory / "out"), *arguments]
    home = str(Path(ikescope.__file__).parents[1])
    return Process(command, directory, "demo", env={"PYTHONPATH": home})


def as_nobody(directory: Path, tun_mode: str, *arguments: str) -> Process:
    """The tour as uid 65534 in a mount namespace of its own; `tun_mode` are the permissions of /dev/net/tun there."""
    out = directory / "out"
    out.mkdir(parents=True)
    os.chown(out, NOBODY, NOBODY)
    packages = Path(msgspec.__file__).parents[1]
    places = (sys.base_prefix, str(packages), str(Path(ikescope.__file__).parents[1]), str(out))
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    command = ["unshare", "-m", "sh", "-c", _AS_NOBODY, "sh", *places, tun_mode, python]
    return Process([*command, *arguments], directory, "demo")


def running(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def routers(parent: int) -> set[int]:
    """The processes that a tour started and that still run."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.add(int(stat.parent.name))
    return found


Begun = dict[str, tuple[Process, Path]]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """The whole tour as root and as nobody, both begun; other tests run in the meantime."""
    found: Begun = {}
    try:
        directory = tmp_path_factory.mktemp("root")
        found["root"] = as_root(directory), directory / "out"
        directory = tmp_path_factory.mktemp("nobody")
        found["nobody"] = as_nobody(directory, "666", "--write-keys"), directory / "out"
        yield found
    finally:
        for process, _ in found.values():
            process.stop()


@pytest.fixture(scope="module")
def tours(begun: Begun) -> dict[str, Tour]:
    """Both tours, ended."""
    return {
        name: Tour(process.wait(120.0), process.stdout + process.stderr, directory)
        for name, (process, directory) in begun.items()
    }


@pytest.mark.usefixtures("begun")
def test_without_tun_the_first_line_says_so(tmp_path: Path) -> None:
    """As nobody, with a TUN device that is root's alone, the tour runs in memory and says why in its first line."""
    with as_nobody(tmp_path, "600", "--break", "psk") as process:
        assert process.wait(60.0) == 0, process.account()
        assert process.stdout.startswith("No TUN device for this user: the two routers run in memory.\n")
        assert "/dev/net/tun is not open to this user" in flat(process.stdout)


@pytest.mark.usefixtures("begun")
def test_an_interrupted_tour_leaves_no_process(tmp_path: Path) -> None:
    """Ctrl-C, SIGTERM and even SIGKILL: both routers end with the tour."""
    signs = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    with ExitStack() as stack:
        processes = [stack.enter_context(as_root(tmp_path / sign.name)) for sign in signs]
        for process, sign in zip(processes, signs, strict=True):
            process.wait_for("^-- 6", 60.0)
            children = routers(process.pid)
            assert len(children) == 2
            status = process.stop(sign, timeout=15.0)
            wait_until("both routers ended", lambda pids=children: not any(map(running, pids)))  # type: ignore[misc]
            if sign != signal.SIGKILL:
                assert status == 130
                assert "interrupted; both routers were ended" in process.stderr
                assert "Traceback" not in process.stderr


@pytest.mark.usefixtures("begun")
def test_keep_leaves_both_up_until_told_otherwise(tmp_path: Path) -> None:
    """`--keep` tells how to reach both routers; Ctrl-C ends them with status 0 and removes their control sockets."""
    home, runtime = str(Path(ikescope.__file__).parents[1]), tmp_path / "run"
    runtime.mkdir()
    script = (
        "import sys; from pathlib import Path; from ikescope import cli; from ikescope.daemon import paths;"
        "runtime = Path(sys.argv.pop(1)); paths.default_directory = lambda: runtime; sys.exit(cli.main())"
    )
    command = [sys.executable, "-c", script, str(runtime), "demo", "--keep", "--break", "psk"]
    with Process([*command, "--output", str(tmp_path / "out")], tmp_path, "demo", env={"PYTHONPATH": home}) as process:
        process.wait_for("Ctrl-C ends both", 60.0)
        assert sorted(path.name for path in runtime.iterdir()) == ["R1.sock", "R2.sock"]
        assert "ikescope console R1" in process.stdout
        assert process.stop(signal.SIGINT, timeout=15.0) == 0, process.account()
        assert list(runtime.iterdir()) == []


def test_this_user_meets_no_obstacle() -> None:
    """Root with a TUN device plays on real packets; looking for obstacles leaves this process where it was."""
    before = os.readlink("/proc/self/ns/net")
    assert namespaces.obstacle() is None
    assert os.readlink("/proc/self/ns/net") == before


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_the_whole_tour_on_real_packets(tours: dict[str, Tour], user: str) -> None:
    """Root or not, where TUN is to be had the routers are processes, the parts come in order and every claim holds."""
    tour = tours[user]
    assert tour.text.splitlines()[0] == REAL, tour.text[-2000:]
    assert tour.status == 0, tour.text[-2000:]
    assert tour.parts == [1, 2, 3, 4, 5, 6, 7, 8]
    assert "\nNO " not in tour.text
    assert " 0 lost" in tour.text
    assert not any(b"ike-scope-tour" in path.read_bytes() for path in tour.directory.rglob("*") if path.is_file())


def test_keys_without_root_are_the_users(tours: dict[str, Tour]) -> None:
    """What an unprivileged tour writes belongs to its user; the keys are for their owner only."""
    directory = tours["nobody"].directory
    for path in directory.rglob("*"):
        assert path.stat().st_uid == NOBODY
    assert (directory / "keys" / "esp_sa").stat().st_mode & 0o777 == 0o600
