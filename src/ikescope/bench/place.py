"""A responder in a network namespace of its own, joined to ours by a veth pair.

Run as a module inside the new namespace: waits for its end of the pair, gives it an address, becomes the command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from ipaddress import ip_interface

from ikescope.errors import LocalError

OURS, THEIRS = "bench0", "bench1"
PREFIX = 30


def _configure(name: str, address: str) -> bool:
    """Give a link its address and bring it up; False while it is not there."""
    from pyroute2 import IPRoute

    with IPRoute() as route:
        found = list(route.link_lookup(ifname=name))
        if not found:
            return False
        route.link("set", index=1, state="up")
        if name == THEIRS:
            # strongSwan's userland ESP wants an address of its own inside its traffic selector.
            route.addr("add", index=1, address="10.2.0.1", prefixlen=32)
        route.addr("add", index=found[0], address=address, prefixlen=PREFIX)
        route.link("set", index=found[0], state="up")
        if name == THEIRS:
            route.route("add", dst="default", gateway=_other(address))
        return True


def _other(address: str) -> str:
    """The other end of the pair."""
    hosts = ip_interface(f"{address}/{PREFIX}").network.hosts()
    return next(str(host) for host in hosts if str(host) != address)


def start(
    address: str, own: str, command: list[str], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a command in a namespace of its own at `address`; this namespace gets `own` on the other end."""
    from pyroute2 import IPRoute

    inside = [sys.executable, "-m", "ikescope.bench.place", address, *command]
    process = subprocess.Popen(
        ["unshare", "--net", *inside], env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    ours = os.stat("/proc/self/ns/net").st_ino
    while os.stat(f"/proc/{process.pid}/ns/net").st_ino == ours:
        if process.poll() is not None:
            raise LocalError("bench: no network namespace could be made for the responder")
        time.sleep(0.01)
    with IPRoute() as route:
        route.link("add", ifname=OURS, kind="veth", peer={"ifname": THEIRS, "net_ns_pid": process.pid})
    _configure(OURS, own)
    return process


def main(arguments: list[str]) -> None:
    """Become the command once the link is there."""
    address, command = arguments[0], arguments[1:]
    while not _configure(THEIRS, address):
        time.sleep(0.02)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
