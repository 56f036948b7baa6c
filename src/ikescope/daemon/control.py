"""The control socket of a running router: JSON lines both ways, any number of consoles and readers.

A line to the router is one object: `{"command": LINE}` carries out a line in the connection's own session and is
answered with `{"output": [...], "prompt": "R1#"}` (and `"refused": true` for a line that was not taken, `"ended":
true` after `exit`, `"secret": true` where the next line is a password, `"width"` and `"length"` where it was about
the terminal). A `?` at its end asks for help, but not with `"typed": true`. While a command is at work `{"partial":
TEXT}` may come before its answer, other requests wait, and `{"abort": true}` ends it, which has no answer of its own.
`{"interrupt": true}` leaves what a command asks back and is answered as a line is. `{"subscribe": "events", "since":
N|null}` streams records, those with a sequence above N first; `{"subscribe": "debug", "level":
"default"|"error"|"internal"|"packet"|"hexdump"|"ipsec"}` streams `{"debug": [...]}` from now on; `{"subscribe":
"console"}` streams the syslog lines, and debug lines while the session itself has debugging on; `{"status": true}`
gives `{"status": {...}}`; `{"complete": LINE}` gives `{"complete": LINE}` with its last word completed; `{"reload":
TEXT, "file": NAME}` runs that configuration from now on and is answered with `{"reload": [...]}`, what is left to do,
or why not (`"refused": true`: nothing changed). A line that is none of these is answered with `{"error": ...}`.

A restricted connection, which the page's process is handed, takes `show` commands, `status` and `subscribe` alone; one
of an operator who came by SSH takes commands of their privilege level, completions and `subscribe` to the console.
Where it is too slow it is not let go: it hears `{"behind": N}`, is subscribed to nothing, and may subscribe again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ikescope.errors import LocalError
from ikescope.events import Event, Record, encode
from ikescope.events.router import ClientLetGo, ConfigurationLeft, PrivilegeAsked
from ikescope.ios import syslog
from ikescope.ios.commands import PRIVILEGED, READ_ONLY
from ikescope.ios.configuration import ConfigurationError
from ikescope.ios.debug import LEVELS, Renderer
from ikescope.ios.exec import Reply, Router, Session
from ikescope.node.status import Operator


class Reloadable(Router, Protocol):
    """What the control socket needs of a router: what the exec mode does, and another file."""

    def reload(self, text: str, name: str) -> list[str]:
        """Go on with another configuration; what is left to do. ConfigurationError, LocalError: nothing changed."""


LINE_OCTETS = 64 << 10
RELOAD_OCTETS = 4 << 20
"""The longest line of who may change the router: a whole configuration goes through it."""
LAST_LINES = 0.5
"""Seconds that a client has to read what is left for it."""
QUEUE = 8192
"""Records that wait for one slow reader before it is let go: the router never waits for anybody."""


class _Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    command: str | None = None
    subscribe: str | None = None
    since: int | None = None
    level: str = "default"
    status: bool = False
    complete: str | None = None
    reload: str | None = None
    file: str = "the file"
    typed: bool = False
    interrupt: bool = False
    abort: bool = False


_decoder = msgspec.json.Decoder(_Request)
_encoder = msgspec.json.Encoder(enc_hook=str)


class Connection:
    """One client: its session, what it wants to hear, and what waits to be written to it."""

    def __init__(
        self,
        router: Reloadable,
        writer: asyncio.StreamWriter,
        who: str,
        lab_timers: bool = False,
        restricted: bool = False,
        operator: Operator | None = None,
    ) -> None:
        remote, level = operator is not None, PRIVILEGED if operator is None else operator.level
        self._restricted, self._remote, self._room = restricted, remote, QUEUE
        level = READ_ONLY if restricted else level
        self._operator = operator or Operator(user=who, line="con 0", level=level)
        self._heard = asyncio.get_running_loop().time()
        self._session = Session(router, who=who, lab_timers=lab_timers, level=level, remote=remote)
        self._session.tell, self._session.later = self._tell, self._later
        self._held: deque[bytes] = deque()
        self._working = False
        self._router, self._writer, self._who = router, writer, who
        self._queue: deque[bytes | Record | tuple[Renderer | None, Record]] = deque()
        self._wake = asyncio.Event()
        self._events = self._debug = self._console = False
        self._renderer = Renderer(stamps=True)
        self.closing = False

    def take(self, record: Record) -> None:
        """A record happened: queue it if this client listens; a client too slow for `QUEUE` of them is let go."""
        if self.closing or not (self._events or self._debug or self._hears):
            return
        if len(self._queue) >= self._room:
            self._queue.clear()
            if self._restricted:
                self._events = self._debug = self._console = False
                self._say({"behind": self._room})
                return
            # Not now: a record is just being handed out.
            event = ClientLetGo(who=self._who, waiting=self._room)
            asyncio.get_running_loop().call_soon(self._router.note, event)
            self._say({"error": f"too slow: {QUEUE} records waited; the router went on without you"})
            self.close()
            return
        if self._events:
            self._queue.append(record)
        renderer = self._renderer if self._debug else self._session.renderer
        if renderer is not None or self._hears:
            self._queue.append((renderer, record))
        self._wake.set()

    @property
    def operator(self) -> Operator | None:
        """Who is at its prompt; None: a program that looks."""
        if self._restricted:
            return None
        idle = asyncio.get_running_loop().time() - self._heard
        return msgspec.structs.replace(self._operator, level=self._session.level, idle=idle)

    def close(self) -> None:
        """End the connection after what is queued."""
        self.closing = True
        self._wake.set()

    def gone(self) -> None:
        """The client hung up: what is at work for it ends."""
        if self._working:
            self._held.clear()
            self._session.interrupt()

    def answer(self, line: bytes) -> None:
        """Carry out one line of the client; whatever it holds, the answer is a line, before that of the next."""
        self._heard = asyncio.get_running_loop().time()
        try:
            request = _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._say({"error": f"not a request: {error}"})
            return
        if self._working and not request.abort:
            if len(self._held) < QUEUE:
                self._held.append(line)
            else:
                self._say({"error": "too many requests wait for the command at work"})
                self.close()
            return
        try:
            said = self._act(request)
            if said is not None:
                self._say(said)
        except LocalError as error:
            self._say({"error": str(error)})
        except Exception as error:  # noqa: BLE001  # the console must not end the router, whatever a command does
            self._say({"error": f"this command failed: {type(error).__name__}: {error}"})

    def _tell(self, text: str) -> None:
        """A command at work has something to print; for nobody that reads it, it ends."""
        if len(self._queue) < QUEUE:
            self._say({"partial": text})
        else:
            asyncio.get_running_loop().call_soon(self._session.interrupt)

    def _later(self, reply: Reply) -> None:
        """The command that was at work is done."""
        self._working = False
        self._say(self._replied(reply))
        while self._held and not self._working:
            self.answer(self._held.popleft())

    def _replied(self, reply: Reply) -> dict[str, Any]:
        said: dict[str, Any] = {"output": reply.output, "prompt": reply.prompt}
        said |= {name: True for name in ("refused", "ended", "secret") if getattr(reply, name)}
        said |= {name: value for name in ("width", "length") if (value := getattr(reply, name)) is not None}
        if reply.ended:
            self.close()
        return said

    @property
    def _hears(self) -> bool:
        """Whether it is told what happens, as a console is."""
        return self._console and self._session.monitor

    def _act(self, request: _Request) -> dict[str, Any] | None:
        if self._remote and (
            request.status or request.reload is not None or request.subscribe not in (None, "console")
        ):
            return {"error": "this connection is an operator's: wanted a command, a completion or the console's lines"}
        if request.abort:
            ended = self._session.interrupt() if self._working else None
            if ended is not None:
                self._later(ended)
            return None
        if request.interrupt:
            return self._replied(self._session.give_up())
        if request.command is not None:
            if self._restricted and not _is_show(request.command):
                return {"error": f"this connection only looks: had {request.command[:40]!r}, wanted a show command"}
            reply = self._session.execute(request.command, typed=request.typed)
            self._working = reply.waiting
            return None if reply.waiting else self._replied(reply)
        if request.subscribe is not None:
            return self._subscribe(request)
        if request.status:
            return {"status": self._router.status()}
        if request.complete is not None:
            return {"complete": self._session.complete(request.complete)}
        if request.reload is not None and not self._restricted:
            return self._reload(request.reload, request.file)
        return {"error": "not a request: had no command, subscribe, status or complete"}

    def _reload(self, text: str, name: str) -> dict[str, Any]:
        try:
            return {"reload": self._router.reload(text, name)}
        except ConfigurationError as error:
            return {"reload": error.problems, "refused": True}

    def _subscribe(self, request: _Request) -> dict[str, Any]:
        kind = request.subscribe
        if kind == "events":
            if request.since is not None:
                past = [record for record in self._router.records() if record.stamp.seq > request.since]
                self._queue.extend(past)
                self._room = QUEUE + len(past)
            self._events = True
        elif kind == "debug" and request.level in LEVELS:
            self._renderer = Renderer([request.level], self._router.config.generation, stamps=True)
            self._debug = True
        elif kind == "console":
            self._console = True
        else:
            return {"error": f"subscribe: had {kind} at level {request.level}, wanted events, debug or console"}
        return {"subscribed": kind, "prompt": self._session.prompt}

    def _say(self, answer: dict[str, Any]) -> None:
        self._queue.append(_encoder.encode(answer) + b"\n")
        self._wake.set()

    async def write(self) -> None:
        """Write what is queued, as fast as the client reads, until the connection ends."""
        while True:
            while self._queue:
                self._writer.write(self._line(self._queue.popleft()))
                await self._writer.drain()
            if self.closing:
                return
            self._room = QUEUE
            self._wake.clear()
            await self._wake.wait()

    def _did(self, event: Event) -> bool:
        """Whether this client's own operator just did it."""
        return isinstance(event, ConfigurationLeft | PrivilegeAsked) and event.who == self._who

    def _line(self, item: bytes | Record | tuple[Renderer | None, Record]) -> bytes:
        if isinstance(item, bytes):
            return item
        if isinstance(item, Record):
            return encode(item) + b"\n"
        renderer, record = item
        lines = renderer.lines(record) if renderer is not None else []
        if self._hears and not self._did(record.event):
            lines += syslog.lines(record)
        if not self._debug:
            levels = self._router.config.logging
            lines = syslog.up_to(levels.monitor if self._remote else levels.console, lines)
        return _encoder.encode({"debug": lines}) + b"\n" if lines else b""


class ControlServer:
    """Listens on the control socket; `publish` hands a record to every client that wants it."""

    def __init__(self, listening: socket.socket, router: Reloadable, lab_timers: bool = False) -> None:
        self._listening, self._router, self._lab_timers = listening, router, lab_timers
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._talking = 0
        self._server: asyncio.Server | None = None
        self._count = 0

    async def start(self) -> None:
        """Begin to accept clients."""
        self._server = await asyncio.start_unix_server(self._serve, sock=self._listening, limit=RELOAD_OCTETS)

    def publish(self, record: Record) -> None:
        """A record happened."""
        for connection in tuple(self._connections):
            connection.take(record)

    def look(self, connected: socket.socket, who: str, gone: Callable[[], None]) -> None:
        """Serve a connected socket that may only look; `gone` is called when its other end hangs up."""
        task = asyncio.get_running_loop().create_task(self._look(connected, who, gone))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def operators(self) -> tuple[Operator, ...]:
        """Who is at a prompt now."""
        return tuple(each.operator for each in self._connections if each.operator is not None)

    def attend(self, connected: socket.socket, operator: Operator, gone: Callable[[], None]) -> None:
        """Serve an operator of that privilege level who came over the network; `gone` is called when they hang up."""
        task = asyncio.get_running_loop().create_task(self._attend(connected, operator, gone))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, connected: socket.socket, operator: Operator, gone: Callable[[], None]) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connected, limit=LINE_OCTETS)
        connection = Connection(self._router, writer, operator.who, self._lab_timers, operator=operator)
        try:
            await self._talk(reader, writer, connection)
        finally:
            gone()

    async def _look(self, connected: socket.socket, who: str, gone: Callable[[], None]) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connected, limit=LINE_OCTETS)
        await self._talk(reader, writer, Connection(self._router, writer, who, restricted=True))
        gone()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        connection = Connection(self._router, writer, f"console {self._count}", self._lab_timers)
        await self._talk(reader, writer, connection)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection) -> None:
        self._connections.add(connection)
        self._talking += 1
        writing = asyncio.create_task(connection.write())
        reading = asyncio.create_task(_read(reader, connection.answer))
        self._tasks |= {writing, reading}
        try:
            await asyncio.wait({writing, reading}, return_when=asyncio.FIRST_COMPLETED)
            connection.close()
            if not writing.done():
                await asyncio.wait({writing}, timeout=5.0)
        finally:
            self._connections.discard(connection)
            connection.gone()
            for task in (writing, reading):
                task.cancel()
                self._tasks.discard(task)
            await asyncio.gather(writing, reading, return_exceptions=True)
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), LAST_LINES)
            writer.transport.abort()
            self._talking -= 1

    async def stop(self) -> None:
        """Let every client go, with half a second for its last lines."""
        for connection in self._connections:
            connection.close()
        if self._server is not None:
            self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_LINES)
        for task in (left := tuple(self._tasks)):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        # What reads beside the router ends when its socket closes, which takes two rounds of the loop.
        while self._talking:
            await asyncio.sleep(0.005)


def _is_show(line: str) -> bool:
    words = line.split()
    return bool(words) and len(words[0]) >= 2 and "show".startswith(words[0].lower())


async def _read(reader: asyncio.StreamReader, answer: Callable[[bytes], None]) -> None:
    """Take lines until the client goes; one that is too long ends the connection after an answer."""
    try:
        while line := await reader.readline():
            if line.strip():
                answer(line)
    except ValueError:
        answer(b"a line longer than any request")
    except ConnectionError:
        return
