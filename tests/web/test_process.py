"""The page's process beside a router: what it holds, where it listens, how the two end."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.daemon.routers import PYTHON, ikescope
from tests.daemon.test_beside import children, status
from tests.support.process import Process, wait_until

from ikescope.daemon import beside, page
from ikescope.planes import privileges

SITE = """hostname R1
crypto ikev2 keyring KR
 peer R2
  address 127.9.{net}.2
  pre-shared-key a-key-that-no-page-holds
crypto ikev2 profile default
 match identity remote address 127.9.{net}.2 255.255.255.255
 authentication remote pre-share
 authentication local pre-share
 keyring local KR
crypto ipsec profile default
 set ikev2-profile default
interface Tunnel0
 ip address 10.0.0.1 255.255.255.252
 tunnel source 127.9.{net}.1
 tunnel destination 127.9.{net}.2
 tunnel protection ipsec profile default
"""


@contextmanager
def serving(directory: Path, net: int) -> Iterator[tuple[Process, str, int]]:
    """A router with its page on a loopback address of its own: process, the page's address, the page's process id."""
    file = directory / "R1.cfg"
    file.write_text(SITE.format(net=net))
    options = ("--data-plane", "none", "--control", str(directory), "--web", "127.0.0.1:0", str(file))
    with Process(ikescope("run", *options), directory, "R1", env=PYTHON) as router:
        address = router.wait_for(r"the page of R1: (\S+)$", 60.0)[1]
        # A process has its new name a moment after its exec is known to have worked.
        wait_until("the page's process is there", lambda: "ikescope.web" in children(router))
        pid = children(router)["ikescope.web"]
        wait_until("the page answers", lambda: get(address) != "")
        yield router, address, pid


def get(address: str) -> str:
    """What stands at an address; empty while nobody answers."""
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            text: str = answer.read().decode()
            return text
    except (urllib.error.URLError, ConnectionError):
        return ""


@pytest.mark.netns
def test_the_page_holds_no_key_no_capability_and_no_way_to_the_router_but_one(tmp_path: Path) -> None:
    """Its user is nobody, its capabilities are none and stay none; it has two sockets and no file of the router; the
    pre-shared key is not in its memory.
    """
    with serving(tmp_path, 20) as (router, address, pid):
        assert "<title>R1, live</title>" in get(address)
        caps = {status(pid, name) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
        assert caps == {"0" * 16} and status(pid, "NoNewPrivs") == "1"
        assert set(status(pid, "Uid").split()) == {str(privileges.NOBODY)} and status(pid, "Groups") == ""
        opened = {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()}
        files = {name for name in opened if name.startswith("/")} - {"/dev/null"}
        assert files == {str(tmp_path / "R1.out"), str(tmp_path / "R1.err")}
        assert b"a-key-that-no-page-holds" not in memory(pid)
        assert b"a-key-that-no-page-holds" in memory(router.pid), "the search finds what is there"


def memory(pid: int) -> bytes:
    """All that a process can write to and read of itself."""
    found = bytearray()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as mem:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if not rights.startswith("rw") or "[v" in line:
                continue
            start, end = (int(part, 16) for part in place.split("-"))
            mem.seek(start)
            found += mem.read(end - start) or b""
    return bytes(found)


@pytest.mark.netns
def test_the_page_dies_with_the_router_and_the_router_lives_without_the_page(tmp_path: Path) -> None:
    """A killed page is one line of the router; a router that is killed outright leaves no page behind."""
    with serving(tmp_path, 21) as (router, _, pid):
        os.kill(pid, signal.SIGKILL)
        router.wait_for("the page ended; the router goes on without it")
        assert router.returncode is None
    with serving(tmp_path, 22) as (router, _, pid):
        router.stop(signal.SIGKILL)
        wait_until("the page ended", lambda: not Path(f"/proc/{pid}").exists())


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("127.0.0.1:0", ["localhost", "127.0.0.1", "[::1]"]),
        (":0", ["localhost", "127.0.0.1", "[::1]"]),
        ("127.9.23.1:0", ["localhost", "127.0.0.1", "[::1]", "127.9.23.1"]),
    ],
)
def test_a_loopback_page_answers_to_its_own_names(place: str, names: list[str]) -> None:
    """Without a host the page is on 127.0.0.1; it wants no token and knows each name with its port."""
    with beside.listen("--web", place) as listening:
        told = page.settings("R1", listening)
        port = listening.getsockname()[1]
        assert told["hosts"] == [f"{name}:{port}" for name in names] and "token" not in told
        assert page.address(told, "127.0.0.1") == f"http://127.0.0.1:{port}/"


def test_beyond_loopback_there_is_a_token_in_the_address() -> None:
    """On every interface the address names this host and holds a token of 24 octets, another one each time."""
    with beside.listen("--web", "0.0.0.0:0") as listening:
        one, two = page.settings("R1", listening), page.settings("R1", listening)
        assert "hosts" not in one and len(one["token"]) == 32 and one["token"] != two["token"]
        assert page.address(one, "0.0.0.0").endswith(f":{one['port']}/?token={one['token']}")
