"""Where the control sockets of running routers lie: one directory a user, one socket a hostname."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import struct
import tempfile
from pathlib import Path

from ikescope.errors import LocalError

SUFFIX = ".sock"
_PATH_OCTETS = 107
_PEER_CREDENTIALS = struct.Struct("3i")


def default_directory() -> Path:
    """`/run/ikescope` for root, `$XDG_RUNTIME_DIR/ikescope` for others, a directory of one's own in /tmp without it.

    Root of a user namespace, whom /run does not belong to, counts among the others.
    """
    if os.geteuid() == 0 and os.access("/run", os.W_OK):
        return Path("/run/ikescope")
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(runtime, "ikescope") if runtime else Path(tempfile.gettempdir(), f"ikescope-{os.geteuid()}")


def socket_path(hostname: str, control: str | None = None) -> Path:
    """The control socket of a hostname: `control`, or in `control` if that is a directory, or in the default one."""
    name = re.sub(r"[^\w.-]", "_", hostname) + SUFFIX
    if control is None:
        path = default_directory() / name
    else:
        path = Path(control)
        if path.is_dir():
            path = path / name
    if len(os.fsencode(path)) > _PATH_OCTETS:
        raise LocalError(f"control socket {path}: had {len(os.fsencode(path))} octets, wanted at most {_PATH_OCTETS}")
    return path


def running(directory: Path | None = None) -> dict[str, Path]:
    """The routers that run: hostname -> socket, those only that somebody listens on."""
    found = {}
    for path in sorted((directory or default_directory()).glob(f"*{SUFFIX}")):
        if listener(path) is not None:
            found[path.name.removesuffix(SUFFIX)] = path
    return found


def listener(path: Path) -> int | None:
    """The process id of who listens on a socket (0 where it cannot be told); None where nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except PermissionError:
            return 0
        except OSError:
            return None
        credentials = getattr(socket, "SO_PEERCRED", None)
        if credentials is None:
            return 0
        raw = probe.getsockopt(socket.SOL_SOCKET, credentials, _PEER_CREDENTIALS.size)
        return int(_PEER_CREDENTIALS.unpack(raw)[0])


def listen(path: Path, hostname: str) -> socket.socket:
    """A listening control socket of mode 0600; a dead one is replaced, a live one refused (LocalError)."""
    try:
        make_directory(path.parent)
    except LocalError as error:
        raise LocalError(f"{error}; choose another place for the control socket with --control") from error
    if path.exists() or path.is_symlink():
        _clear_the_way(path, hostname)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        control.bind(str(path))
        control.listen(16)
    except OSError as error:
        control.close()
        raise LocalError(f"control socket {path}: {error.strerror}; choose another place with --control") from error
    finally:
        os.umask(mask)
    control.setblocking(False)
    return control


def _clear_the_way(path: Path, hostname: str) -> None:
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise LocalError(f"control socket {path}: something else lies there; choose another place with --control")
    pid = listener(path)
    if pid is not None:
        raise LocalError(f"{hostname} runs already (pid {pid}); its control socket is {path}")
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise LocalError(f"control socket {path}: a dead one cannot be removed: {error.strerror}") from error


def make_directory(directory: Path) -> None:
    """A directory for its owner's eyes (0700) unless it is there; LocalError where it cannot be, or is another's."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = directory.stat().st_uid
    except OSError as error:
        raise LocalError(f"directory {directory}: {error.strerror}") from error
    if directory == Path(tempfile.gettempdir(), f"ikescope-{os.geteuid()}") and owner != os.geteuid():
        raise LocalError(f"directory {directory} belongs to another user; choose another place with --control")


def write_once(path: Path, octets: bytes) -> None:
    """Make a file of mode 0600, on the disk, all of it or nothing; FileExistsError where somebody was first."""
    half = path.with_name(f"{path.name}.{os.getpid()}.new")
    with contextlib.suppress(FileNotFoundError):
        half.unlink()
    try:
        fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(fd)
        os.link(half, path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        with contextlib.suppress(FileNotFoundError):
            half.unlink()
