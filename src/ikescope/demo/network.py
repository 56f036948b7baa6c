"""The stage on real packets: each router a process in a network namespace, joined by veth."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ikescope
from ikescope.daemon.client import Client
from ikescope.demo import namespaces
from ikescope.demo.lab import WAN, Lab
from ikescope.demo.plan import Plan
from ikescope.demo.stage import ROUTERS, Echoed, Frame, Said
from ikescope.demo.wire import Capture, Pinger
from ikescope.errors import LocalError
from ikescope.events import Record, decode

INTERVAL = 0.2
_READY = 10.0
_LEAVE = 5.0


class _Router:
    """One `ikescope run`, and the two connections to it: one is a console, one tells events."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], socket: Path, errors: Path) -> None:
        self.name, self.process, self.socket, self.errors = name, process, socket, errors
        self.prompt = f"{name}#"
        self.console: Client | None = None
        self.events: Client | None = None

    def wait(self, heard: Callable[[dict[str, Any]], None]) -> None:
        """Wait until it answers; LocalError with its own words where it ended."""
        end = time.monotonic() + _READY
        while True:
            if self.process.poll() is not None:
                raise LocalError(f"{self.name} did not start: {self.said()}")
            with suppress(LocalError):
                self._connect(heard)
                return
            if time.monotonic() > end:
                raise LocalError(f"{self.name} did not start within {_READY:g} s: {self.said()}")
            time.sleep(0.02)

    def _connect(self, heard: Callable[[dict[str, Any]], None]) -> None:
        """Reach it by its control socket, which is there a little before it answers, or before it fails."""
        events = Client(self.socket, heard)
        try:
            events.ask({"subscribe": "events", "since": 0})
            self.console = Client(self.socket)
        except LocalError:
            events.close()
            raise
        self.events = events

    def said(self) -> str:
        """The last line that it wrote for people."""
        lines = self.errors.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"

    def end(self) -> None:
        """Ask it to end, wait, and do not wait for ever."""
        self.process.terminate()
        try:
            self.process.wait(_LEAVE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for client in (self.events, self.console):
            if client is not None:
                client.close()


class NetworkStage:
    """Two daemons and a veth pair. `control`: where their control sockets lie, a directory of our own without it."""

    def __init__(self, plan: Plan, *, keys: Path | None = None, control: Path | None = None) -> None:
        self.first_lines: tuple[str, ...] = (
            "R1 and R2 are two processes here, each in a network namespace of its own.",
            "Every packet is real; the host's own network is not touched.",
        )
        self._keys, self._control = keys, control
        self._folder = tempfile.TemporaryDirectory(prefix="ikescope-demo-")
        self._heard: queue.SimpleQueue[Record] = queue.SimpleQueue()
        self._misheard: LocalError | None = None
        self.records: list[Record] = []
        self._routers: dict[str, _Router] = {}
        self._capture: Capture | None = None
        self._pinger: Pinger | None = None
        self._lab = Lab(plan)
        self.root = os.getuid() == 0

    def open(self) -> None:
        """Leave the host's network and wire up our own; Unavailable where that fails."""
        namespaces.enter()
        self._lab.build()
        self._capture = Capture(self._lab.networks["R1"], WAN)

    def start(self, configurations: Mapping[str, str]) -> None:
        """Start both processes and wait until they answer."""
        for name in ROUTERS:
            self._routers[name] = self._launch(name, configurations[name])
        for name, router in self._routers.items():
            router.wait(self._take)
            (Path(self._folder.name) / f"{name}.cfg").unlink()  # the key in it is not needed any more

    def _launch(self, name: str, text: str) -> _Router:
        folder = Path(self._folder.name)
        path, errors = folder / f"{name}.cfg", folder / f"{name}.log"
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        control = (self._control or folder) / f"{name}.sock"
        command = [sys.executable, "-m", "ikescope", "run", str(path), "--control", str(control), "--lab-timers"]
        if self._keys is not None and name == "R1":
            command += ["--write-keys", str(self._keys)]
        home = str(Path(ikescope.__file__).parents[1])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))}
        environment.pop("SSH_CONNECTION", None)
        with namespaces.inside(self._lab.networks[name]), errors.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                preexec_fn=namespaces.end_with_parent,
            )
        return _Router(name, process, control, errors)

    def _take(self, said: dict[str, Any]) -> None:
        if "event" in said:
            try:
                self._heard.put(decode(json.dumps(said)))
            except LocalError as error:
                self._misheard = error

    def _collect(self) -> None:
        while not self._heard.empty():
            self.records.append(self._heard.get())
        if self._misheard is not None:
            raise self._misheard
        for router in self._routers.values():
            if router.process.poll() is not None:
                raise LocalError(f"{router.name} ended by itself: {router.said()}")

    def end_routers(self) -> None:
        """Both end; their last words are heard."""
        routers, self._routers = self._routers, {}
        for router in routers.values():
            router.end()
        self._collect()

    def ping(self, source: str, destination: str, count: int, patience: float) -> list[Echoed]:
        """Echo requests, `INTERVAL` apart."""
        pinger = Pinger(
            self._lab.networks["H1"], source, destination, interval=INTERVAL, count=count, patience=patience
        )
        self.until(lambda: pinger.done, count * INTERVAL + patience + 1.0)
        return pinger.end()

    def ping_on(self, source: str, destination: str) -> None:
        """Ping until `ping_off`."""
        self._pinger = Pinger(self._lab.networks["H1"], source, destination, interval=INTERVAL)

    def ping_off(self) -> list[Echoed]:
        """No more of them."""
        pinger, self._pinger = self._pinger, None
        return pinger.end() if pinger is not None else []

    def type(self, router: str, line: str) -> Said:
        """Type a line into the console of a router."""
        at = self._routers[router]
        assert at.console is not None
        reply = at.console.command(line)
        prompt, at.prompt = at.prompt, str(reply["prompt"])
        return Said(prompt, line, tuple(reply["output"]), bool(reply.get("refused")))

    def until(self, done: Callable[[], bool], limit: float) -> bool:
        """Wait until something holds."""
        end = time.monotonic() + limit
        while True:
            self._collect()
            if done():
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.01)

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        self.until(lambda: False, seconds)

    def frames(self) -> Sequence[Frame]:
        """What passed the wire so far."""
        return tuple(self._capture.frames) if self._capture is not None else ()

    @property
    def pids(self) -> dict[str, int]:
        """The processes of the routers."""
        return {name: router.process.pid for name, router in self._routers.items()}

    def close(self) -> None:
        """End what was started, whatever of it there is."""
        if self._pinger is not None:
            self._pinger.end()
            self._pinger = None
        for router in self._routers.values():
            router.end()
        self._routers = {}
        if self._capture is not None:
            self._capture.close()
        self._folder.cleanup()
