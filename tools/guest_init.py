"""The first process of the guest kernel: mounts, modules, one command, its exit status in a file, power off.

Started by `tools.guest` as `guest_init.py OUT KIND MODULES`. OUT is a directory of the host, the one thing of it that
the guest may write to, KIND the file system that it is mounted by. It holds `order`, a JSON object: the `command`, its
`environment`, the `seconds` it may take; `status` is written there, its exit status. MODULES holds directories of
modules, one a kernel.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".peers" / "root"
BUILT = ROOT / ".peers" / "xfrm_interface.ko"
"""The module that `tools/guest_module.sh` builds for user-mode-linux, which has all the others."""

MOUNTS = (
    ("proc", "proc", "/proc"),
    ("sysfs", "sysfs", "/sys"),
    ("tmpfs", "tmpfs", "/dev/shm"),
    ("tmpfs", "tmpfs", "/run"),
    ("tmpfs", "tmpfs", "/mnt"),
)
"""Source, file system, place; the kernel itself mounts /dev. Everything else is the host's, read-only."""

OUT = Path("/mnt/out")
TEMPORARY = Path("/mnt/tmp")
"""Not in /run, of which every foreign daemon gets one of its own."""
KERNEL = Path("/mnt/kernel")
"""Where modprobe looks for lib/modules."""

MODULES = (
    *("xfrm_user", "esp4", "esp6", "af_key", "ip_gre", "ip6_gre", "veth", "tun", "dummy", "overlay", "vrf"),
    *("af_packet", "ip_tables", "iptable_nat", "iptable_filter", "xt_conntrack", "xt_MASQUERADE"),
    *(
        "xfrm4_tunnel",
        "xfrm6_tunnel",
        "authenc",
        "echainiv",
        "seqiv",
        "gcm",
        "cbc",
        "ctr",
        "ccm",
        "chacha20poly1305",
        "hmac",
        "cmac",
    ),
)
"""What daemons take for granted that the kernel has. The rest comes when the kernel asks for it, and what it has built
in modprobe passes over."""

MODPROBE = """#!/bin/sh
LD_LIBRARY_PATH={libraries} exec {kernel}/modprobe -d {kernel} "$@"
"""
UP, TO_TELL = 124, 15.0
"""The exit status where time was up, and seconds that a command has then to tell what it knows."""
POWER_OFF = 0x4321FEDC
"""LINUX_REBOOT_CMD_POWER_OFF of reboot(2)."""


def say(text: str) -> None:
    """One line on the console, with the seconds since the guest's start."""
    print(f"guest: {Path('/proc/uptime').read_text().split()[0]} s: {text}", flush=True)


def mount(source: str, kind: str, place: str, *options: str) -> None:
    """Mount a file system; CalledProcessError where the kernel does not have it."""
    subprocess.run(["mount", "-t", kind, *options, source, place], check=True, timeout=10)


def prepare(out: str, kind: str, modules: str) -> None:
    """Mount everything, make modules loadable by us and by the kernel itself, and bring the loopback up."""
    for source, file_system, place in MOUNTS:
        Path(place).mkdir(exist_ok=True)
        mount(source, file_system, place)
    for directory in (OUT, TEMPORARY, KERNEL / "lib"):
        directory.mkdir(parents=True)
    if kind == "hostfs":
        mount("none", "hostfs", str(OUT), "-o", out)
    else:
        mount(out, "9p", str(OUT), "-o", "trans=virtio,version=9p2000.L,msize=512000")
    (KERNEL / "lib" / "modules").symlink_to(modules)
    for name in ("modprobe", "insmod"):
        (KERNEL / name).symlink_to(PEERS / "usr/bin/kmod")
    wrapper = KERNEL / "load"
    libraries = next((PEERS / "usr/lib").glob("*-linux-gnu"))
    wrapper.write_text(MODPROBE.format(libraries=libraries, kernel=KERNEL))
    wrapper.chmod(0o755)
    Path("/proc/sys/kernel/modprobe").write_text(f"{wrapper}\n")
    found = subprocess.run([wrapper, "--all", *MODULES], capture_output=True, text=True, check=False, timeout=120)
    if found.stderr:
        say(found.stderr.strip())
    if kind == "hostfs" and BUILT.exists():
        subprocess.run([KERNEL / "insmod", BUILT], check=True, timeout=10)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)


def run(command: list[str], environment: dict[str, str], seconds: float) -> int:
    """Run the command to its end, reaping what it left to us; its exit status, 124 where time was up."""
    own = {"PATH": os.environ["PATH"], "HOME": str(TEMPORARY), "TMPDIR": str(TEMPORARY)}
    child = subprocess.Popen(command, cwd=ROOT, env={**environment, **own}, stdin=subprocess.DEVNULL)
    status = _wait(child.pid, seconds)
    if status is None:
        say(f"had not ended after {seconds:.0f} s")
        child.send_signal(signal.SIGINT)  # so that it tells what it has found until now
        _wait(child.pid, TO_TELL)
        os.kill(-1, signal.SIGKILL)
    return UP if status is None else status


def _wait(child: int, seconds: float) -> int | None:
    """The exit status of a child; None where it still runs after so long. Others that end are reaped."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            return os.waitstatus_to_exitcode(status)
        if pid == 0:
            time.sleep(0.05)
    return None


def keep() -> None:
    """Hand out the temporary files of a command that failed: logs, recordings, captures."""
    kept = OUT / "temporary"
    shutil.rmtree(kept, ignore_errors=True)
    for path in sorted(TEMPORARY.rglob("*")):
        if path.is_file() and not path.is_symlink():
            place = kept / path.relative_to(TEMPORARY)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def main() -> None:
    """Prepare, run, tell, power off; whatever happens, the machine goes off."""
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    try:
        prepare(*sys.argv[1:4])
        say(f"Linux {os.uname().release}")
        status = run(**json.loads((OUT / "order").read_text()))
        if status:
            keep()
        (OUT / "status").write_text(f"{status}\n")
        say(f"exit status {status}")
    except BaseException:
        traceback.print_exc()  # the machine is off before anybody else could
        raise
    finally:
        os.sync()
        sys.stdout.flush()
        ctypes.CDLL(None).reboot(ctypes.c_int(POWER_OFF))


if __name__ == "__main__":
    main()
