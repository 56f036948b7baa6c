"""`ikescope run --ssh H:P`: the process of SSH, started beside the router with two descriptors and nothing else."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Protocol

from ikescope.config.model import RouterConfig
from ikescope.crypto import ssh_keys
from ikescope.daemon import beside
from ikescope.daemon.paths import write_once
from ikescope.errors import LocalError

SUFFIX = ".ssh"
BACKLOG = 256
"""Connections that wait in the kernel: a burst is refused one by one, not by silence."""
_OCTETS = 16384


class Admitted(Protocol):
    """What is needed of a router that serves."""

    def admit(self, connected: socket.socket, host_key: bytes, port: int) -> None:
        """Let those in who prove to be users, by the process at the other end of a connected socket."""


def host_key(place: str | None, configuration: str | None) -> bytes:
    """The host key at `place`, or beside the configuration; made where it is not there. LocalError where it cannot be
    had, or others can read it.
    """
    if place is None and configuration is None:
        raise LocalError("--ssh: wanted --ssh-host-key FILE, for the configuration is no file that it could lie beside")
    path = Path(place) if place is not None else Path(f"{configuration}{SUFFIX}").resolve()
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise LocalError(f"host key {path}: {error.strerror}") from error
    try:
        with contextlib.suppress(FileExistsError):
            write_once(path, ssh_keys.new_host_key())
        return _read(path)
    except OSError as error:
        raise LocalError(f"host key {path}: {error.strerror}; choose another place with --ssh-host-key") from error


def warnings(config: RouterConfig) -> list[str]:
    """What to say of a configuration that lets nobody in."""
    if any(user.secret is not None or user.keys for user in config.users.values()):
        return []
    return ["--ssh: nobody can log in (write: username NAME privilege 15 secret PASSWORD)"]


def start(router: Admitted, listening: socket.socket, running: beside.Beside, key: bytes) -> str:
    """Start SSH of a router that serves; where it listens and its host key's fingerprint. `listening` goes to it."""
    host, port = listening.getsockname()[:2]
    listening.listen(BACKLOG)
    ours, theirs = socket.socketpair()
    running.start("ikescope.ssh", [str(theirs.fileno()), str(listening.fileno())], [theirs, listening])
    router.admit(ours, key, port)
    return f"{f'[{host}]' if ':' in host else host}:{port}, host key {ssh_keys.fingerprint(key)}"


def _read(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        mode = os.fstat(fd).st_mode & 0o777
        key = file.read(_OCTETS)
    if mode & 0o077:
        raise LocalError(f"host key {path}: had mode {mode:04o}, wanted 0600: chmod 600 {path}")
    try:
        ssh_keys.fingerprint(key)
    except ValueError as error:
        raise LocalError(f"host key {path}: wanted a private key of OpenSSH without a passphrase") from error
    return key
