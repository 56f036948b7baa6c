"""A program started by a test: wait for a line of it, read what it said, stop it by its process id."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

POLL = 0.02
"""Seconds between two looks at a file or a condition."""


class Process:
    """One running program; its output goes to two files, so it never blocks on a pipe nobody reads.

    `directory` receives NAME.out and NAME.err. Used as a context manager it is stopped at the end.
    """

    def __init__(
        self,
        argv: Sequence[str],
        directory: Path,
        name: str,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.argv = tuple(argv)
        self._out = directory / f"{name}.out"
        self._err = directory / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id: of the program itself, since `ip netns exec` and `unshare` execute it in their place."""
        return self._popen.pid

    @property
    def stdout(self) -> str:
        """What it has written to standard output so far."""
        return self._out.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it has written to standard error so far."""
        return self._err.read_text(errors="replace")

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    def wait_for(self, pattern: str, timeout: float = 15.0) -> re.Match[str]:
        """The first match of `pattern` (multi-line) in either output; AssertionError with both when it never comes."""
        deadline = time.monotonic() + timeout
        while True:
            ended = self.returncode is not None
            for text in (self.stdout, self.stderr):
                if match := re.search(pattern, text, re.MULTILINE):
                    return match
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{self.name} never said {pattern!r}; {self.account()}")
            time.sleep(POLL)

    def wait(self, timeout: float = 15.0) -> int:
        """Wait for it to end by itself; its exit status."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} had not ended after {timeout} s; {self.account()}") from None

    def pause(self) -> None:
        """Let it stand still: it takes nothing and answers nothing until `resume`."""
        self._popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._popen.send_signal(signal.SIGCONT)

    def stop(self, sign: signal.Signals = signal.SIGTERM, timeout: float = 5.0) -> int:
        """Send `sign`, after `timeout` seconds SIGKILL; its exit status."""
        if self._popen.poll() is None:
            self._popen.send_signal(sign)
            self.resume()
            try:
                self._popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self._popen.kill()
        return self._popen.wait()

    def account(self) -> str:
        """Its state and the end of its output, for a failure's message."""
        state = "still runs" if self.returncode is None else f"exit status {self.returncode}"
        return f"{state}\n--- stdout\n{self.stdout[-3000:]}\n--- stderr\n{self.stderr[-3000:]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def wait_until(condition: str, holds: Callable[[], object], timeout: float = 15.0) -> None:
    """Look until `holds()` is true; AssertionError naming `condition` when it never is."""
    deadline = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s still not: {condition}")
        time.sleep(POLL)


def wait_until_settled(path: Path, quiet: float = 0.15, timeout: float = 2.0) -> None:
    """Look until a file has not grown for `quiet` seconds, `timeout` seconds at most."""
    size, since = -1, time.monotonic()
    deadline = since + timeout
    while time.monotonic() - since < quiet and time.monotonic() < deadline:
        if (now := path.stat().st_size) != size:
            size, since = now, time.monotonic()
        time.sleep(POLL)
