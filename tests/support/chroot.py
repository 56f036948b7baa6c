"""The newer peers out of .peers-new/: each in a chroot of its own, with the C library that came with it."""

import tempfile
from pathlib import Path

from tests.support.libreswan import Libreswan
from tests.support.machine import NEW_PEERS
from tests.support.strongswan import Strongswan

INTO_ROOT = """
root=$1 && scratch=$2 && shift 2 &&
mkdir -p "$root$scratch" && mount --rbind "$root" "$root" && mount -o remount,bind,ro "$root" &&
mount --rbind /dev "$root/dev" && mount -t proc proc "$root/proc" && mount --rbind /sys "$root/sys" &&
mount --rbind "$scratch" "$root$scratch" && mount -t tmpfs tmpfs "$root/run" && exec chroot "$root" "$@"
"""
"""The unpacked root is read-only in there; the directory of temporary files is at its own path, for configurations,
logs and control sockets. All of it is in a mount namespace that ends with the daemon."""


def in_root(name: str, *command: str) -> list[str]:
    """The command line that runs `command` in the chroot of a peer; its process id is that of `command`."""
    shell = ["unshare", "--mount", "--propagation", "private", "sh", "-c", INTO_ROOT, "sh"]
    return [*shell, str(NEW_PEERS / name), tempfile.gettempdir(), *command]


def in_strongswan(*command: str) -> list[str]:
    """The command line that runs a program of the newer strongSwan."""
    return in_root("strongswan", *command)


def in_libreswan(*command: str) -> list[str]:
    """The command line that runs a program of the newer Libreswan."""
    return in_root("libreswan", *command)


def versions() -> dict[str, str]:
    """Debian's package -> its version, of the two that were fetched."""
    return dict(line.split() for line in (NEW_PEERS / "versions").read_text().splitlines())


class NewStrongswan(Strongswan):
    """One charon of strongSwan 6."""

    within = staticmethod(in_strongswan)


class NewLibreswan(Libreswan):
    """One pluto of Libreswan 5."""

    within = staticmethod(in_libreswan)
    library = Path("/usr/lib/fake_xfrm.so")
    words = {"ike": "--rekey-ike", "child": "--rekey-child"}
