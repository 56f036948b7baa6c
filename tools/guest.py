"""Runs a command in a guest kernel that has ESP: `python -m tools.guest [--seconds N] COMMAND...`.

The guest is user-mode-linux out of .peers/ (`make peers`), a Linux kernel that is a process of this machine, or, with
`--machine qemu`, what `tools.guest_qemu` describes. Its root is this machine's, read-only; /mnt, /run and what tempfile
gives are its own and gone afterwards. What it prints passes through. The exit status is that of COMMAND; 124 where time
was up, 125 where the guest did not come to its end.

`--output DIR` receives what COMMAND writes to /mnt/out, and what it left in temporary files where it failed.
`--guests N` boots as many at once, each with a number of DIR/1 to DIR/N; in IKESCOPE_SHARE COMMAND finds which it is
("1/2"). The first one's output passes through, the others' follows at the end.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeAlias

from tools import guest_qemu

ROOT = Path(__file__).resolve().parents[1]
FILES = ROOT / ".peers" / "root" / "usr"
KERNEL, MODULES = FILES / "bin" / "linux.uml", FILES / "lib" / "uml" / "modules"
MEMORY = 1 << 30
"""Octets that the guest takes for its memory; only those that it uses are ever there."""
SHUTDOWN = 30.0
"""Seconds beyond the command's own in which the guest has to boot and to end."""
UP, FAILED = 124, 125
PASSED_ON = ("IKESCOPE_", "PYTHON", "COLUMNS", "LANG", "LC_", "PY_COLORS")

Machine: TypeAlias = tuple[Path, Callable[[Path, Path], list[str]], Callable[[], dict[str, str]], str]


def memory_directory() -> str:
    """Where the file lies that is the guest's memory: in memory, where there is room for it."""
    shared = "/dev/shm"
    if os.path.isdir(shared) and shutil.disk_usage(shared).free >= MEMORY:
        return shared
    return tempfile.gettempdir()


def uml(output: Path, scratch: Path) -> list[str]:
    """The command line of user-mode-linux; what follows `--` are the words that its first process gets."""
    options = (
        f"mem={MEMORY >> 20}M",
        f"uml_dir={scratch}/",
        *("rootfstype=hostfs", "rootflags=/", "ro", "con=null", "con0=null,fd:1"),
        *("quiet", "loglevel=1", "panic=-1"),
        f"init={sys.executable}",
    )
    init = (str(ROOT / "tools" / "guest_init.py"), str(output), "hostfs", str(MODULES))
    return [str(KERNEL), *options, "--", *init]


MACHINES: dict[str, Machine] = {
    "uml": (KERNEL, uml, dict, "make peers"),
    "qemu": (guest_qemu.BUSYBOX, guest_qemu.command, guest_qemu.environment, "make peers-qemu"),
}
"""Each with a file without which there is none, its command line and its environment, and what brings it here."""


def boot(machine: Machine, output: Path, seconds: float, console: IO[bytes] | None) -> bool:
    """Run the guest to its end, or to the end of its time; whether it ended by itself."""
    _, command, environment, _ = machine
    with tempfile.TemporaryDirectory(prefix="guest-") as scratch:
        guest = subprocess.Popen(
            command(output, Path(scratch)),
            stdin=subprocess.DEVNULL,
            stdout=console,
            env={**os.environ, **environment(), "TMPDIR": memory_directory(), "HOME": scratch},
            start_new_session=True,
        )
        try:
            guest.wait(seconds + SHUTDOWN)
        except subprocess.TimeoutExpired:
            return False
        finally:
            # The guest's processes are processes here: all of them are in the session begun above.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(guest.pid, signal.SIGKILL)
            guest.wait()
    return True


def run(
    machine: Machine,
    command: list[str],
    output: Path,
    seconds: float,
    share: str = "",
    console: IO[bytes] | None = None,
) -> int:
    """Run a command in a guest of its own; its exit status, or why there is none. What it prints goes to `console`."""
    output.mkdir(parents=True, exist_ok=True)
    status = output / "status"
    status.unlink(missing_ok=True)
    kept = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    kept |= {"PYTHONUNBUFFERED": "1"} | ({} if sys.stdout.isatty() else {"PY_COLORS": "0"})
    kept |= {"IKESCOPE_SHARE": share} if share else {}
    order = {"command": command, "environment": kept, "seconds": seconds}
    (output / "order").write_text(json.dumps(order))
    ended = boot(machine, output, seconds, console)
    if not ended:
        return UP
    return int(status.read_text()) if status.exists() else FAILED


def run_all(machine: Machine, command: list[str], output: Path, seconds: float, guests: int) -> int:
    """Run a command in so many guests at once; the first exit status that is not zero."""
    outputs = [output / str(number) for number in range(1, guests + 1)]
    for each in outputs:
        each.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        consoles = [None, *(stack.enter_context((each / "console").open("wb")) for each in outputs[1:])]
        pool = stack.enter_context(ThreadPoolExecutor(guests))
        running = [
            pool.submit(run, machine, command, each, seconds, f"{number}/{guests}", console)
            for number, (each, console) in enumerate(zip(outputs, consoles, strict=True), 1)
        ]
        statuses = [each.result() for each in running]
    for each in outputs[1:]:
        print((each / "console").read_text(errors="replace"), end="")
    return next((status for status in statuses if status), 0)


def main() -> int:
    """Run the command that the command line names, in a guest; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", choices=MACHINES, default="uml", help="which guest (uml)")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long it may take (600)")
    parser.add_argument("--output", type=Path, help="a directory for what it writes to /mnt/out")
    parser.add_argument("--guests", type=int, default=1, help="how many at once (1)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what runs in the guest, at the top of the checkout")
    options = parser.parse_args()
    machine = MACHINES[options.machine]
    if not machine[0].exists():
        print(f"guest: no kernel to boot (run `{machine[3]}`)", file=sys.stderr)
        return FAILED
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="guest-out-") as scratch:
        output = (options.output or Path(scratch)).absolute()
        if options.guests == 1:
            status = run(machine, options.command, output, options.seconds)
        else:
            status = run_all(machine, options.command, output, options.seconds, options.guests)
    what = {UP: "its time was up", FAILED: "it did not come to its command's end"}.get(status, f"exit status {status}")
    print(f"guest: ended after {time.monotonic() - started:.1f} s: {what}")
    return status


if __name__ == "__main__":
    sys.exit(main())
