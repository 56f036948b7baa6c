"""What a process is left with after it gave up: in processes of their own, for there is no way back."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from ikescope.errors import LocalError
from ikescope.planes import privileges, seccomp

_BEGIN = """
import json, os, socket
from ikescope.planes import privileges, seccomp
def attempt(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"
parent, secret = os.getppid(), {secret!r}
"""
_STATUS = """
lines = dict(line.split(":", 1) for line in open("/proc/thread-self/status"))
names = ("Uid", "Gid", "Groups", "CapEff", "CapPrm", "CapInh", "CapBnd", "NoNewPrivs")
told = {name: lines[name].split() for name in names}
"""


def run(body: str, secret: Path) -> dict[str, object]:
    """What the body left in `told`, printed as JSON by a Python of its own."""
    text = _BEGIN.format(secret=str(secret)) + body + "\nprint(json.dumps(told))\n"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A configuration that only its owner reads."""
    file = tmp_path / "R1.cfg"
    file.write_text("pre-shared-key a-key-of-the-host\n")
    file.chmod(0o600)
    return file


@pytest.mark.netns
def test_the_router_keeps_two_capabilities_and_another_user(secret: Path) -> None:
    """Another user and group, no further group, exactly the capabilities asked for, none that a program inherits."""
    told = run("privileges.become(privileges.Account('x', 61790, 61790), (12, 13))" + _STATUS, secret)
    assert told["Uid"] == ["61790"] * 4 and told["Gid"] == ["61790"] * 4 and told["Groups"] == []
    assert told["CapEff"] == told["CapPrm"] == [f"{1 << 12 | 1 << 13:016x}"]
    assert told["CapInh"] == told["CapBnd"] == ["0" * 16] and told["NoNewPrivs"] == ["1"]


@pytest.mark.netns
def test_the_router_still_changes_its_network_and_reads_nobody_s_file(secret: Path) -> None:
    """CAP_NET_ADMIN in a namespace of its own brings a link up; a file of root's stays closed."""
    told = run(
        "os.unshare(0x40000000) if hasattr(os, 'unshare') else __import__('ctypes').CDLL(None).unshare(0x40000000)\n"
        "from pyroute2 import IPRoute\n"
        "privileges.become(privileges.Account('x', 61790, 61790), (12,))\n"
        "with IPRoute() as route:\n"
        "    route.link('set', index=1, state='up')\n"
        "    told = {'up': route.get_links(1)[0]['flags'] & 1}\n"
        "told['file'] = attempt(lambda: open(secret))\n"
        "told['raw'] = attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 50))\n",
        secret,
    )
    assert told == {"up": 1, "file": "PermissionError", "raw": "PermissionError"}


@pytest.mark.netns
def test_code_of_an_attacker_in_the_page_s_process_reaches_no_key_and_no_netlink_socket(secret: Path) -> None:
    """After what `python -m ikescope.web` does first: no file of the router, none of its memory, no socket of any kind,
    no program, no other process.
    """
    told = run(
        "privileges.drop()\nprivileges.end_with_parent()\nassert seccomp.confine()\n"
        "import ctypes\n"
        "system = ctypes.CDLL(None, use_errno=True)\n"
        "told = {\n"
        "    'configuration': attempt(lambda: open(secret)),\n"
        "    'memory': attempt(lambda: open(f'/proc/{parent}/mem', 'rb')),\n"
        "    'environment': attempt(lambda: open(f'/proc/{parent}/environ', 'rb')),\n"
        "    'descriptors': attempt(lambda: os.listdir(f'/proc/{parent}/fd')),\n"
        "    'netlink': attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 6)),\n"
        "    'packet': attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)),\n"
        "    'udp': attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),\n"
        "    'program': attempt(lambda: os.execv('/bin/true', ['true'])),\n"
        "    'trace': system.ptrace(16, parent, 0, 0),\n"
        "    'namespace': system.unshare(0x10000000),\n"
        "    'root': attempt(lambda: os.setuid(0)),\n"
        "}\n",
        secret,
    )
    assert told == {
        **dict.fromkeys(
            ("configuration", "memory", "environment", "descriptors", "netlink", "packet", "udp", "program", "root"),
            "PermissionError",
        ),
        **dict.fromkeys(("trace", "namespace"), -1),
    }


def test_the_user_is_found_by_name_or_made_up() -> None:
    """A host's own account by its name; `ikescope` is a free number above every account where the host has none."""
    assert privileges.account("root") == privileges.Account("root", 0, 0)
    assert privileges.account("ikescope").uid not in (0, privileges.NOBODY)
    with pytest.raises(LocalError, match="no such user"):
        privileges.account("nobody-of-that-name")


def test_the_filter_s_jumps_end_where_they_should() -> None:
    """Run by hand: each refused number, another architecture's and x32's end in EPERM, the rest pass."""
    lines: list[tuple[int, int, int, int]] = list(struct.iter_unpack("=HBBI", seccomp.program(7, [41, 59, 101])))

    def verdict(architecture: int, number: int) -> int:
        at, value = 0, 0
        while True:
            code, yes, no, k = lines[at]
            at += 1
            match code:
                case 0x20:
                    value = architecture if k == 4 else number
                case 0x15:
                    at += yes if value == k else no
                case 0x35:
                    at += yes if value >= k else no
                case _:
                    return k

    assert {verdict(7, number) for number in (41, 59, 101, 1 << 30, (1 << 30) + 41)} == {0x00050001}
    assert verdict(8, 1) == 0x00050001
    assert {verdict(7, number) for number in (0, 40, 42, 60, 102)} == {0x7FFF0000}
