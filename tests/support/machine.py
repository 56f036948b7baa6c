"""What this machine can run of the tests, and why it cannot run the rest.

`python -m tests.support.machine` says it in a line each; `tests/conftest.py` leaves out what is missing, or, with
IKESCOPE_STRICT=1 (continuous integration), leaves out nothing.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".peers"
NEW_PEERS = ROOT / ".peers-new"


def strict() -> bool:
    """Whether a test that does not run counts as failed."""
    return os.environ.get("IKESCOPE_STRICT", "") not in ("", "0")


def _without_namespaces() -> str:
    """Why no network namespace can be made here; empty when one can."""
    if os.geteuid() != 0:
        return "network namespaces of their own need root"
    if shutil.which("ip") is None:
        return "no `ip` command (apt install iproute2)"
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "no `unshare` and `nsenter` commands (apt install util-linux)"
    return ""


def _without_tun() -> str:
    """Why no TUN device can be made here; empty when one can."""
    if os.geteuid() != 0:
        return "TUN devices need root"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"/dev/net/tun: {error.strerror}"
    return ""


def _without_peers() -> str:
    """Why no foreign peer runs here; empty when they do."""
    if not (PEERS / "complete").is_file():
        return "no foreign peers (run `make peers`)"
    return _without_namespaces() or _without_tun()


def _without_new_peers() -> str:
    """Why the newer peers do not run here; empty when they do. Their tests watch the wire with tshark of the others."""
    if not (NEW_PEERS / "complete").is_file():
        return "no newer peers (run `make peers-new`)"
    return _without_peers()


ESP_STATE = (
    "ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x100 mode transport"
    " aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128"
)


def _without_kernel() -> str:
    """Why this kernel carries no ESP, as one SA in a namespace of its own shows; empty when it does."""
    if why := _without_namespaces():
        return why
    done = subprocess.run(
        ["unshare", "--net", *ESP_STATE.split()], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        return f"this kernel carries no ESP ({done.stderr.strip()}); `make test-kernel` boots one that does"
    return ""


def _without_xfrm_interfaces() -> str:
    """Why this kernel makes no XFRM interface; empty when it does."""
    if why := _without_kernel():
        return why
    words = "unshare --net ip link add x type xfrm dev lo if_id 1"
    done = subprocess.run(words.split(), capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        return f"this kernel has no XFRM interfaces ({done.stderr.strip()})"
    return ""


def _without_browser() -> str:
    """Why no browser runs here; empty when one does."""
    if not (PEERS / "root" / "usr" / "lib" / "chromium" / "chromium").is_file():
        return "no Chromium (run `make peers`; Ubuntu has no package of it)"
    return ""


NEEDS: dict[str, Callable[[], str]] = {
    "netns": _without_namespaces,
    "tun": _without_tun,
    "peers": _without_peers,
    "browser": _without_browser,
    "new_peers": _without_new_peers,
    "kernel": _without_kernel,
    "xfrm_interface": _without_xfrm_interfaces,
}
"""Marker of a test -> the check that says why such a test cannot run here (empty: it can)."""


def missing() -> dict[str, str]:
    """Markers whose tests cannot run on this machine, each with the reason."""
    reasons = {marker: check() for marker, check in NEEDS.items()}
    return {marker: reason for marker, reason in reasons.items() if reason}


def report() -> list[str]:
    """One line for each kind of test that this machine cannot run, or one line that it runs all."""
    lines = [f"not run on this machine: tests marked {marker}: {reason}" for marker, reason in missing().items()]
    return lines or ["this machine can run every test"]


if __name__ == "__main__":
    sys.stdout.write("\n".join(report()) + "\n")
