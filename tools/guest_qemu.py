"""The guest whose processor is emulated: Debian's own kernel, with XFRM interfaces and two processors, under qemu.

Its root is this machine's, read-only, by 9p; a small initramfs holds what mounts that. Out of .peers-qemu/
(`make peers-qemu`). Everything in it takes many times as long as in user-mode-linux.
"""

import gzip
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = ROOT / ".peers-qemu" / "root"
MEMORY = "1536"
BUSYBOX, KMOD = FILES / "usr/bin/busybox", FILES / "usr/bin/kmod"
NEEDED = ("virtio_pci", "9pnet_virtio", "9p")
"""Modules without which the kernel finds no root."""

INIT = """#!/busybox sh
/busybox mkdir -p /proc /sys /dev /host
/busybox mount -t proc proc /proc
/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /busybox insmod "$module" || echo "no $module"; done
/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro root /host || /busybox poweroff -f
/busybox mount -t devtmpfs dev /host/dev
exec /busybox switch_root /host {python} {init} out 9p {modules}
"""


def kernel() -> Path:
    """The kernel image, of the one kernel that was unpacked."""
    return next(iter(sorted((FILES / "boot").glob("vmlinuz-*"))), FILES / "boot" / "vmlinuz")


def modules() -> Path:
    """Where the directories of modules are, one a kernel."""
    return FILES / "usr/lib/modules"


def environment() -> dict[str, str]:
    """What a program out of .peers-qemu/ needs to find its own libraries."""
    return {**os.environ, "LD_LIBRARY_PATH": str(FILES / "usr" / "lib" / f"{platform.machine()}-linux-gnu")}


def command(output: Path, scratch: Path) -> list[str]:
    """The command line of the guest, with an initramfs made for it in `scratch`."""
    archive = scratch / "initramfs"
    archive.write_bytes(gzip.compress(b"".join(_archive()), 1))
    share = "security_model=none,multidevs=remap"
    return [
        str(FILES / "usr/bin/qemu-system-x86_64"),
        *(word for name in ("qemu", "seabios") for word in ("-L", str(FILES / "usr/share" / name))),
        *("-L", str(FILES / "usr/lib/ipxe/qemu")),
        *("-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", MEMORY),
        *("-nodefaults", "-no-reboot", "-nographic", "-serial", "stdio"),
        *("-kernel", str(kernel()), "-initrd", str(archive)),
        *("-append", "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off"),
        *("-fsdev", f"local,id=root,path=/,readonly=on,{share}"),
        *("-device", "virtio-9p-pci,fsdev=root,mount_tag=root"),
        *("-fsdev", f"local,id=out,path={output},{share}"),
        *("-device", "virtio-9p-pci,fsdev=out,mount_tag=out"),
    ]


def _archive() -> Iterator[bytes]:
    """A cpio archive (newc) of busybox, the modules in their order, and the first program."""
    init = INIT.format(python=sys.executable, init=ROOT / "tools" / "guest_init.py", modules=modules())
    yield _entry("busybox", 0o100755, BUSYBOX.read_bytes())
    yield _entry("modules", 0o040755, b"")
    for number, path in enumerate(_needed()):
        yield _entry(f"modules/{number:02d}-{path.name}", 0o100644, path.read_bytes())
    yield _entry("init", 0o100755, init.encode())
    yield _entry("TRAILER!!!", 0, b"")


def _needed() -> list[Path]:
    """The files of the modules needed, each after those that it leans on."""
    release = kernel().name.removeprefix("vmlinuz-")
    done = subprocess.run(
        ["modprobe", "--dirname", str(modules().parents[1]), "--set-version", release, "--show-depends", "-a", *NEEDED],
        executable=KMOD,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("insmod ")]
    return [Path(path) for path in dict.fromkeys(paths)]


def _entry(name: str, mode: int, octets: bytes) -> bytes:
    """One file of a cpio archive: thirteen numbers in hex, its name, its octets, each padded to four."""
    path = name.encode() + b"\0"
    numbers = (0, mode, 0, 0, 1, 0, len(octets), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + "".join(f"{number:08X}" for number in numbers).encode() + path
    return head + bytes(-len(head) % 4) + octets + bytes(-len(octets) % 4)
