"""The one process around a Node: its sockets, its data plane, its timer, its clients."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from ikescope.config.model import RouterConfig
from ikescope.daemon import dataplane, paths
from ikescope.daemon.changes import Changes
from ikescope.daemon.console import Console
from ikescope.daemon.control import ControlServer
from ikescope.daemon.keeper import Keeper
from ikescope.daemon.keyfile import KeyFiles
from ikescope.daemon.logins import Logins
from ikescope.daemon.ping import pinged
from ikescope.daemon.recording import Recording
from ikescope.daemon.sockets import Sockets
from ikescope.daemon.startup import DiskArchive, StartupFile
from ikescope.daemon.syslog import SyslogSender
from ikescope.daemon.verifier import Verifier
from ikescope.engine.commands import Destination, Intent, Send
from ikescope.errors import LocalError
from ikescope.esp.paths import carried
from ikescope.events import Event, Record, Recorder
from ikescope.events.router import PlaneFailed, RecordingEnded, RecordingStarted
from ikescope.ios.configuration import load
from ikescope.ios.exec_changes import consequences, made_at_host
from ikescope.ios.exec_ping import Echo, PingOrder
from ikescope.ios.sealing import Sealer
from ikescope.node.driver import Driver
from ikescope.node.router import Node
from ikescope.node.status import Counters, NodeStatus, Operator
from ikescope.planes import privileges, tun
from ikescope.planes.tun import open_clone

TICK = 1.0
"""Seconds between two looks of the data plane at its counters."""
_LOADED_LATE = ("cryptography.hazmat.primitives.asymmetric.dh", "encodings.ascii", "encodings.idna", "traceback")
"""What is first wanted after the router gave its user up, who may have no way to where Python lies (/root)."""
PATIENCE = 1.0
"""Seconds that a stopping router waits for the answers to its Deletes."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What `ikescope run` was asked for beside the configuration."""

    data_plane: str = "auto"
    workers: int | None = None
    """Processes that carry packets, 0 for none but the router's own; None as many as are good here."""
    control: str | None = None
    record: str | None = None
    write_keys: str | None = None
    syslog: str | None = None
    interfaces: dict[str, str] = {}
    lab_timers: bool = False
    console: bool = False
    generation: str | None = None
    """`--ios-defaults`, for a reload too."""
    user: str = "root"
    """Who the router becomes once all is open, where root started it; `root` stays."""
    startup: str | None = None
    """The file that it was started with: its startup configuration."""
    sealer: Sealer | None = None
    """What seals keys that are shown and kept; None: they are neither."""


class Service:
    """One running router. `open` takes what it needs of the host (LocalError: nothing is kept), `serve` runs it until
    `stop`, `close` gives everything back.
    """

    def __init__(self, config: RouterConfig, options: Options) -> None:
        self.hostname = config.hostname
        self._options = options
        self._wanted = config
        self._startup = None if options.startup is None else StartupFile(Path(options.startup))
        self.archive = DiskArchive(config.source, options.sealer, self._startup)
        self._stack = ExitStack()
        self._verifier = Verifier()
        self._logins: Logins | None = None
        self._recorder = Recorder()
        self._console = Console() if options.console else None
        self._recording: Recording | None = None
        self._syslog: SyslogSender | None = None
        self._control: ControlServer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tick_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched: set[int] = set()
        self._stopping: asyncio.Event | None = None
        self._gone: asyncio.Event | None = None

    def open(self) -> None:
        """Take control socket, data plane, UDP sockets and files; on a LocalError all of it is given back."""
        with self._stack as stack:
            becomes = self._becomes()
            self.control_path = paths.socket_path(self.hostname, self._options.control)
            self._listening = paths.listen(self.control_path, self.hostname)
            stack.callback(self._remove_control)
            self._open_recording(stack)
            opener = self._keep_files(stack) if becomes is not None else open_clone
            chosen, self._lacks = dataplane.choose(self._options.data_plane, self._wanted)
            plane, config = dataplane.make(
                self._wanted,
                chosen,
                self._options.interfaces,
                send_udp=self._send_esp,
                port=lambda: self._sockets,
                workers=self._options.workers,
                account=becomes,
                opener=opener,
            )
            stack.callback(plane.close)
            self._plane = plane
            self._ticks = plane.name != "none"
            self._changes = Changes(plane, self._watch, lambda event, now: self._node.emit(event, now))
            self._open_sockets(stack)
            keys = self._open_files(stack)
            plane.open()
            self._sockets.patience = 0.0  # from now on nobody is kept waiting
            now, wall = time.monotonic(), time.time()
            self._node = Node(
                config,
                random=os.urandom,
                now=now,
                wall=wall,
                spis=dataplane.spis_of(plane),
                plane=plane.name,
                clock=time.monotonic,
            )
            self._driver = Driver(
                self._node, plane, self._send, self._sink, keys, installs_later=dataplane.workers_of(plane) > 0
            )
            self._stack = stack.pop_all()

    def _open_sockets(self, stack: ExitStack) -> None:
        """None yet: the data plane asks for them when its Loopbacks are there."""
        self._sockets = Sockets(
            (),
            ike=self._receive,
            esp=self._receive_esp,
            keepalive=self._receive,
            answer=self._answer,
            group=dataplane.group_of(self._plane),
        )
        stack.callback(self._sockets.close)
        if self._plane.name == "kernel":
            self._sockets.leave_esp()

    def _open_recording(self, stack: ExitStack) -> None:
        if self._options.record is not None:
            started = datetime.now().astimezone()
            self._recording = Recording(Path(self._options.record), self.hostname, started)
            stack.callback(self._recording.close)

    def _becomes(self) -> privileges.Account | None:
        """Who this router is going to be, None for who started it; LocalError before anything is open."""
        user = self._options.user
        self._account = privileges.account(user) if user != "root" and os.geteuid() == 0 else None
        return self._account

    def _keep_files(self, stack: ExitStack) -> tun.Opener:
        """Have files kept for us; /dev/net/tun may be closed to who we are going to be."""
        recording = self._recording
        keeper = Keeper(self.control_path, recording.open_part if recording is not None else None, self._startup)
        self.archive.by(keeper)
        if recording is not None:
            recording.opens = keeper.open_part
        stack.callback(keeper.close)

        def opener() -> int:
            try:
                return tun.open_clone()
            except PermissionError:
                return keeper.open_tun()

        return opener

    def give_up(self) -> str:
        """Be an unprivileged user from now on with the capabilities that the data plane wants; who that is, empty where
        nothing changed. To be called when all is open, what runs beside the router too.
        """
        if self._account is None:
            return ""
        for name in _LOADED_LATE:
            importlib.import_module(name)
        keep = [privileges.CAP_NET_BIND_SERVICE]  # a tunnel that is configured later may have a source of its own
        if self._plane.name != "none":
            keep += [privileges.CAP_NET_ADMIN, privileges.CAP_NET_RAW]
        return str(self._account) if privileges.become(self._account, keep) else ""

    def _open_files(self, stack: ExitStack) -> Callable[[Any], None] | None:
        if self._options.syslog is not None:
            self._syslog = SyslogSender(self._options.syslog, self.hostname)
            stack.callback(self._syslog.close)
        if self._options.write_keys is None:
            return None
        files = KeyFiles(Path(self._options.write_keys))
        stack.callback(files.close)
        return files.add

    def _remove_control(self) -> None:
        self._listening.close()
        with contextlib.suppress(PermissionError):  # then the keeper has removed it, or will
            self.control_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give everything back."""
        self._stack.close()

    def __enter__(self) -> Service:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ready(self) -> str:
        """The line that says so."""
        names = ", ".join(tunnel.name for tunnel in carried(self.config)) or "none yet"
        plane = f"plane {self._plane.name}" + (f" (not the kernel's: {self._lacks})" if self._lacks else "")
        return f"{self.hostname} is ready: tunnels {names}; {plane}; control {self.control_path}"

    async def serve(self, on_ready: Callable[[], None]) -> None:
        """Run until `stop`; then take leave of the peers."""
        loop = asyncio.get_running_loop()
        self._stopping, self._gone = asyncio.Event(), asyncio.Event()
        loop.set_exception_handler(self._defect)
        self._control = ControlServer(self._listening, self, self._options.lab_timers)
        await self._control.start()
        self._loop = loop
        self._watch()
        self._step(self._node.start)
        if self._recording is not None:
            self.note(RecordingStarted(file=self._recording.path.name))
        on_ready()
        try:
            await self._stopping.wait()
            await self._take_leave(self._gone)
        finally:
            if self._logins is not None:
                self._logins.close()
            await self._control.stop()
            if self._timer is not None:
                self._timer.cancel()
            for fd in self._watched:
                loop.remove_reader(fd)
            self._loop = None

    def _watch(self) -> None:
        """Have the event loop look at the descriptors that there are now."""
        if self._loop is None:
            return
        wanted = dict.fromkeys(self._sockets.filenos(), self._socket_ready)
        wanted |= dict.fromkeys(self._plane.filenos(), self._plane_ready)
        for fd in self._watched - wanted.keys():
            self._loop.remove_reader(fd)
        for fd in wanted.keys() - self._watched:
            self._loop.add_reader(fd, wanted[fd], fd)
        self._watched = set(wanted)

    async def _take_leave(self, gone: asyncio.Event) -> None:
        self._step(lambda now: self._node.stop(now, "the operator stopped it"))
        try:
            await asyncio.wait_for(gone.wait(), PATIENCE)
        except TimeoutError:
            return

    def stop(self) -> None:
        """Ask a serving router to end; asked again it waits for nobody."""
        assert self._stopping is not None
        assert self._gone is not None
        if self._stopping.is_set():
            self._gone.set()
        self._stopping.set()

    def _step(self, action: Callable[[float], None], not_before: float = 0.0) -> None:
        """Let something act on the node, carry out what comes of it, set the timer anew."""
        now = max(time.monotonic(), not_before)
        action(now)
        self._settle(now)

    def _settle(self, now: float) -> None:
        self._driver.drain(now)
        if self._changes.unfinished:
            self._changes.finish(self._node.local_addresses(), now)
        self._arm()
        if (
            self._stopping is not None
            and self._gone is not None
            and self._stopping.is_set()
            and not self._node.status(now).ike
        ):
            self._gone.set()

    def _arm(self) -> None:
        deadlines = [self._node.deadline(), self._tick_at if self._ticks else None]
        when = min((each for each in deadlines if each is not None), default=None)
        if self._timer is not None:
            if when is not None and self._timer.when() == when and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = None if when is None else asyncio.get_running_loop().call_at(when, self._wake, when)

    def _wake(self, when: float) -> None:
        self._timer = None
        now = max(time.monotonic(), when)
        if self._ticks and now >= self._tick_at:
            self._tick_at = now + TICK
            self._plane.tick(now)
        self._node.wake(now)
        self._settle(now)

    def _socket_ready(self, fd: int) -> None:
        try:
            self._sockets.read_ready(fd)
        finally:
            self._settle(time.monotonic())

    def _receive(self, octets: bytes, path: Destination) -> None:
        now = time.monotonic()
        self._node.receive(octets, path, now)
        self._driver.drain(now)

    def _receive_esp(self, octets: bytes, path: Destination, ecn: int) -> None:
        self._plane.esp_from_udp(octets, path.local, path.remote, path.remote_port, time.monotonic(), ecn)

    def _answer(self, octets: bytes, remote: str, port: int) -> bytes | None:
        return self._node.answer(octets, remote, port, time.monotonic())

    def _plane_ready(self, fd: int) -> None:
        now = time.monotonic()
        self._plane.read_ready(fd, now)
        self._settle(now)

    def _send(self, message: Send) -> None:
        why = self._sockets.send(message)
        if why:
            event = PlaneFailed(what=f"send to {message.path.remote}:{message.path.remote_port}", why=why)
            self._node.emit(event, time.monotonic())

    def _send_esp(self, octets: bytes, path: Destination, ecn: int) -> None:
        self._sockets.send_esp(octets, path, ecn)

    def _sink(self, record: Record) -> None:
        self._recorder.add(record)
        if self._console is not None:
            self._console.add(record, self.config.logging.console)
        if self._syslog is not None:
            self._syslog.add(record)
        if self._recording is not None:
            self._recording.add(record)
            if self._recording.ended:
                why, self._recording = self._recording.ended, None
                self._warn(f"the recording ended: {why}")
                self._node.emit(RecordingEnded(why=why), record.stamp.mono)
        if self._control is not None:
            self._control.publish(record)

    def _warn(self, text: str) -> None:
        with contextlib.suppress(OSError):
            print(f"{self.hostname}: {text}", file=sys.stderr, flush=True)

    def attend(self, connected: socket.socket, operator: Operator, gone: Callable[[], None]) -> None:
        """Let an operator in at the other end of a connected socket, until they hang up."""
        assert self._control is not None
        self._control.attend(connected, operator, gone)

    def admit(self, connected: socket.socket, host_key: bytes, port: int) -> None:
        """Let those in who prove to be users, by the process of SSH at the other end of a connected socket."""
        self._logins = Logins(self, connected, self._verifier, port, lambda: self._ended("SSH"))
        self._logins.begin(self.hostname, host_key)

    def _ended(self, who: str) -> None:
        if self._stopping is not None and not self._stopping.is_set():
            self._warn(f"the {who} ended; the router goes on without it")

    def look(self, connected: socket.socket, who: str) -> None:
        """Let the other end of a connected socket look at this router and do no more, until it hangs up."""
        assert self._control is not None
        self._control.look(connected, who, lambda: self._ended(who))

    def _defect(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback failed for a reason of ours: say so, go on."""
        error = context.get("exception")
        self._warn(f"a defect of ikescope was passed over ({type(error).__name__}: {error}); please report it")
        if os.environ.get("IKESCOPE_DEBUG") and isinstance(error, BaseException):
            traceback.print_exception(error, file=sys.stderr)

    # What the exec mode needs of a router (ios.exec.Router).

    @property
    def config(self) -> RouterConfig:
        """The configuration that runs."""
        return self._node.config

    def status(self) -> NodeStatus:
        """The data behind the shows, as it is now."""
        status = self._node.status(time.monotonic(), self._counters)
        held = tuple(msgspec.structs.replace(each, held=self._plane.held(each.name)) for each in status.tunnels)
        operators = self._control.operators() if self._control is not None else ()
        port = self._logins.port if self._logins is not None else None
        return msgspec.structs.replace(status, tunnels=held, operators=operators, ssh_port=port)

    def _counters(self, spi: int, direction: str) -> Counters:
        found = self._plane.counters(spi, "in" if direction == "in" else "out")
        return Counters() if found is None else Counters(found.packets, found.octets, found.dropped)

    def request(self, intent: Intent) -> None:
        """Ask the engine for something; it begins at once."""
        self._step(lambda now: self._node.request(intent, now))

    def configure(self, config: RouterConfig, lines: tuple[str, ...]) -> None:
        """Run another configuration from now on; `lines` are those typed, secrets replaced.

        LocalError where the host does not have what it needs: then nothing changed.
        """
        now, changes = time.monotonic(), self._changes
        change = changes.begin(config, now) if made_at_host(self.config) != made_at_host(config) else None
        after = dataplane.resolved(config, self._plane.sources)
        self._step(lambda now: self._node.configure(after, now, lines))
        if change is not None:
            changes.end(change, now)
            self._settle(now)
        if self._logins is not None:
            self._logins.configured()

    def reload(self, text: str, name: str) -> list[str]:
        """Go on with another configuration of this router; what is left for the operator to do.

        ConfigurationError where a line cannot act, LocalError for another router's file: nothing changed then.
        """
        found = load(
            text,
            name=name,
            generation=self._options.generation,
            lab_timers=self._options.lab_timers,
            opener=self._options.sealer,
        )
        if found.hostname != self.hostname:
            raise LocalError(f"{name}: had hostname {found.hostname}, wanted {self.hostname}: it cannot change")
        worst = next((each for each in found.findings if each.severity == "error"), None)
        if worst is not None:
            raise LocalError(f"{name}:{worst.line}: {worst.text}; nothing was changed")
        told = consequences(self.config, found, self.status())
        self.configure(found, (f"reload of {name}",))
        return told

    def records(self) -> Iterable[Record]:
        """What the flight recorder holds, oldest first."""
        return self._recorder

    def note(self, event: Event) -> None:
        """Put an event into the stream."""
        self._step(lambda now: self._node.emit(event, now))

    def ping(self, order: PingOrder, each: Callable[[Echo], None], ended: Callable[[str], None]) -> Callable[[], None]:
        """Send echo requests (ios.exec_ping.Pinger)."""
        return pinged(order, each, ended)

    def enable_guarded(self) -> bool:
        """Whether there is an enable secret."""
        return self.config.enable_secret is not None

    def verify_enable(self, password: str, answer: Callable[[bool], None]) -> None:
        """Tell `answer` whether this is the enable secret, once a thread has found out."""
        self._verifier.verify(self.config.enable_secret, password, answer)
