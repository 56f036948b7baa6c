"""`ikescope run --web H:P`: the page's process, started beside the router with two descriptors and nothing else."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from typing import Any, Protocol

import msgspec

from ikescope.daemon import beside

WHO = "page"


class Looked(Protocol):
    """What is needed of a router that serves."""

    hostname: str

    def look(self, connected: socket.socket, who: str) -> None:
        """Let the other end of a connected socket look, until it hangs up."""


def settings(hostname: str, listening: socket.socket) -> dict[str, Any]:
    """What the page's process is told: on a loopback address the names it answers to, on any other a token."""
    host, port = listening.getsockname()[:2]
    if not ipaddress.ip_address(host).is_loopback:
        return {"hostname": hostname, "port": port, "token": secrets.token_urlsafe(24)}
    names = dict.fromkeys(("localhost", "127.0.0.1", "[::1]", _bracketed(host)))
    return {"hostname": hostname, "port": port, "hosts": [_with_port(name, port) for name in names]}


def address(told: dict[str, Any], host: str) -> str:
    """Where a browser finds the page; the token is in it where one is wanted."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else _bracketed(host)
    token = f"?token={told['token']}" if "token" in told else ""
    return f"http://{_with_port(name, told['port'])}/{token}"


def start(router: Looked, listening: socket.socket, running: beside.Beside) -> str:
    """Start the page of a router that serves; its address. `listening` goes to the page's process."""
    told = settings(router.hostname, listening)
    where = address(told, listening.getsockname()[0])
    ours, theirs = socket.socketpair()
    ours.sendall(msgspec.json.encode(told) + b"\n")
    running.start("ikescope.web", [str(theirs.fileno()), str(listening.fileno())], [theirs, listening])
    router.look(ours, WHO)
    return where


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _with_port(name: str, port: int) -> str:
    return name if port == 80 else f"{name}:{port}"
