"""The control socket: who may listen on it, what it answers, whom it lets go."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.test_exec import Stub, ike_sa

from ikescope.daemon import control, paths
from ikescope.daemon.client import Client, find
from ikescope.daemon.control import ControlServer
from ikescope.errors import LocalError
from ikescope.events import Record, Stamp
from ikescope.events.life import StateChanged
from ikescope.events.router import InterfaceUp
from ikescope.ios.exec_ping import Echo
from ikescope.node.status import Operator


def record(seq: int) -> Record:
    """A record that syslog prints and debug does not."""
    return Record(Stamp(seq=seq, mono=0.0, wall=0.0, router="R1"), InterfaceUp(interface="Tunnel0"))


class Talk:
    """One client of a server in the same loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def say(self, line: bytes | dict[str, Any]) -> None:
        """Send a line."""
        self._writer.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")

    async def ask(self, line: bytes | dict[str, Any]) -> Any:
        """Send a line; the next line that comes."""
        self.say(line)
        return await self.hear()

    async def hear(self) -> Any:
        """The next line, None at the end."""
        line = await asyncio.wait_for(self._reader.readline(), 5.0)
        return json.loads(line) if line else None

    async def hang_up(self) -> None:
        """Go without a word."""
        self._writer.close()


def talk(directory: Path, router: Stub, body: Callable[[ControlServer, Callable[[], Awaitable[Talk]]], Any]) -> None:
    """Run a server over a stub of a router, and `body` with it and a way to connect."""

    async def whole() -> None:
        path = directory / "R1.sock"
        server = ControlServer(paths.listen(path, "R1"), router)
        await server.start()

        async def connect() -> Talk:
            return Talk(*await asyncio.open_unix_connection(str(path), limit=1 << 22))

        try:
            await body(server, connect)
        finally:
            await server.stop()

    asyncio.run(whole())


def test_commands_keep_their_mode_within_a_connection(tmp_path: Path) -> None:
    """Each connection is a session of its own: `configure terminal` in one does not move the other."""

    async def body(_: ControlServer, connect: Callable[[], Awaitable[Talk]]) -> None:
        one, two = await connect(), await connect()
        said = await one.ask({"command": "configure terminal"})
        assert said == {
            "output": ["Enter configuration commands, one per line.  End with CNTL/Z."],
            "prompt": "R1(config)#",
        }
        assert (await two.ask({"command": ""}))["prompt"] == "R1#"
        assert (await one.ask({"command": "nonsense"}))["refused"] is True
        assert (await one.ask({"command": "end"}))["prompt"] == "R1#"
        assert (await one.ask({"command": "exit"}))["ended"] is True
        assert await one.hear() is None
        assert await two.ask({"complete": "sh"}) == {"complete": "show "}

    talk(tmp_path, Stub(), body)


def test_malformed_lines_get_an_error_and_end_nothing(tmp_path: Path) -> None:
    """Whatever a client sends, it gets a line with `error`, and the server serves on."""

    async def body(_: ControlServer, connect: Callable[[], Awaitable[Talk]]) -> None:
        client = await connect()
        for line in (b"{", b"[]", b"\xff\xfe", b"{}", b'{"command": 1}', b'{"nonsense": true}', b"[" * 5000, b"null"):
            assert "error" in await client.ask(line), line
        for subscription in ({"subscribe": "weather"}, {"subscribe": "debug", "level": "loud"}):
            assert "error" in await client.ask(subscription)
        assert "error" in await client.ask(b"x" * (control.RELOAD_OCTETS + 1))
        assert await client.hear() is None, "a line without an end ends its connection"
        assert (await (await connect()).ask({"command": ""}))["prompt"] == "R1#"

    talk(tmp_path, Stub(), body)


def test_a_failing_command_is_told_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in a command reaches the operator as one line; the connection stays."""

    async def body(_: ControlServer, connect: Callable[[], Awaitable[Talk]]) -> None:
        router = Stub()
        client = await connect()
        monkeypatch.setattr(Stub, "status", lambda self: 1 // 0)
        said = await client.ask({"status": True})
        assert said == {"error": "this command failed: ZeroDivisionError: integer division or modulo by zero"}
        assert (await client.ask({"command": ""}))["prompt"] == f"{router.config.hostname}#"

    talk(tmp_path, Stub(), body)


def test_events_come_from_the_past_and_as_they_happen(tmp_path: Path) -> None:
    """A late subscriber with `since` first gets the recorded ones above it, then those that follow, each once."""
    router = Stub()
    for seq in range(4):
        router.recorder.add(record(seq))

    async def body(server: ControlServer, connect: Callable[[], Awaitable[Talk]]) -> None:
        late, new = await connect(), await connect()
        first = await late.ask({"subscribe": "events", "since": 1})
        seen = [first, *[await late.hear() for _ in range(2)]]
        assert [each["stamp"]["seq"] for each in seen if "stamp" in each] == [2, 3]
        assert {"subscribed": "events", "prompt": "R1#"} in seen
        assert "subscribed" in await new.ask({"subscribe": "events", "since": None})
        server.publish(record(4))
        assert (await late.hear())["stamp"]["seq"] == 4
        assert (await new.hear())["stamp"]["seq"] == 4

    talk(tmp_path, router, body)


def test_a_console_hears_syslog_and_debug_when_it_is_on(tmp_path: Path) -> None:
    """Syslog lines come to a console unasked; debug lines only between its own `debug` and `undebug`."""

    async def body(server: ControlServer, connect: Callable[[], Awaitable[Talk]]) -> None:
        client, debug = await connect(), await connect()
        await client.ask({"subscribe": "console"})
        await debug.ask({"subscribe": "debug"})
        server.publish(record(1))
        text = "*Jan  1 00:00:00.000: %LINEPROTO-5-UPDOWN: Line protocol on Interface Tunnel0, changed state to up"
        assert await client.hear() == {"debug": [text]}
        server.publish(Record(record(2).stamp, StateChanged(before="IDLE", after="READY", trigger="test")))
        assert (await client.ask({"command": "debug crypto ikev2"}))["output"] == ["IKEv2 default debugging is on"]
        assert (await debug.ask({"command": ""}))["output"] == [], "syslog is not debug"

    talk(tmp_path, Stub(), body)


@pytest.mark.parametrize(
    ("level", "lines"), [("default", 0), ("error", 0), ("internal", 3), ("hexdump", 0), ("ipsec", 0)]
)
def test_every_level_of_debug_can_be_followed(tmp_path: Path, level: str, lines: int) -> None:
    """A client hears the level that it subscribed to, in the router's generation of IOS."""
    told = Record(record(1).stamp, StateChanged(before="IKE_AUTH sent", after="established", trigger="test"))

    async def body(server: ControlServer, connect: Callable[[], Awaitable[Talk]]) -> None:
        client = await connect()
        assert "subscribed" in await client.ask({"subscribe": "debug", "level": level})
        server.publish(told)
        if lines:
            said = await client.hear()
            assert said is not None and len(said["debug"]) == lines
            assert "IKEv2-INTERNAL:SM Trace-> SA: " in said["debug"][0]
        assert (await client.ask({"command": ""}))["output"] == []

    talk(tmp_path, Stub(), body)


def test_a_slow_reader_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not read is told so and dropped; the router never waits, and others hear everything."""
    monkeypatch.setattr(control, "QUEUE", 50)

    async def body(server: ControlServer, connect: Callable[[], Awaitable[Talk]]) -> None:
        slow = await connect()
        assert "subscribed" in await slow.ask({"subscribe": "events"})
        for seq in range(51):
            server.publish(record(seq))
        said = None
        while (line := await slow.hear()) is not None:
            said = line
        assert said == {"error": "too slow: 50 records waited; the router went on without you"}
        assert (await (await connect()).ask({"command": ""}))["prompt"] == "R1#"

    talk(tmp_path, Stub(), body)


def test_a_client_that_vanishes_leaves_the_server_serving(tmp_path: Path) -> None:
    """A hang-up in the middle of a stream is nobody's error."""

    async def body(server: ControlServer, connect: Callable[[], Awaitable[Talk]]) -> None:
        client = await connect()
        await client.ask({"subscribe": "events"})
        await client.hang_up()
        for seq in range(100):
            server.publish(record(seq))
            await asyncio.sleep(0)
        assert (await (await connect()).ask({"status": True}))["status"]["hostname"] == "R1"

    talk(tmp_path, Stub(), body)


def test_status_is_json(tmp_path: Path) -> None:
    """`status` gives all that shows know, addresses as text."""

    async def body(_: ControlServer, connect: Callable[[], Awaitable[Talk]]) -> None:
        status = (await (await connect()).ask({"status": True}))["status"]
        assert (status["ike"][0]["remote"], status["ike"][0]["state"]) == ("10.99.0.2", "READY")

    talk(tmp_path, Stub((ike_sa(1),)), body)


def test_only_its_owner_reaches_the_socket(tmp_path: Path) -> None:
    """The control socket has mode 0600, its directory 0700 where it was made for it."""
    path = tmp_path / "run" / "R1.sock"
    with paths.listen(path, "R1"):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_dead_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    """What a killed router left is taken over; one that runs is named with its process id; a file is left alone."""
    path = tmp_path / "R1.sock"
    paths.listen(path, "R1").close()
    assert path.exists()
    assert paths.running(tmp_path) == {}
    with paths.listen(path, "R1"):
        assert paths.running(tmp_path) == {"R1": path}
        with pytest.raises(LocalError, match=rf"^R1 runs already \(pid {os.getpid()}\); its control socket is {path}$"):
            paths.listen(path, "R1")
    (tmp_path / "R2.sock").write_text("mine")
    with pytest.raises(LocalError, match="something else lies there"):
        paths.listen(tmp_path / "R2.sock", "R2")
    with pytest.raises(LocalError, match=r"had \d+ octets, wanted at most 107"):
        paths.socket_path("R1", str(tmp_path / ("x" * 120)))


def test_a_router_is_found_by_name_path_or_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`console` finds the only router without a name, else lists those that run."""
    monkeypatch.setattr(paths, "default_directory", lambda: tmp_path)
    with pytest.raises(LocalError, match="no router runs here"):
        find(None)
    with paths.listen(tmp_path / "R1.sock", "R1"):
        assert find(None) == find("R1") == find(str(tmp_path / "R1.sock")) == tmp_path / "R1.sock"
        with paths.listen(tmp_path / "R2.sock", "R2"):
            with pytest.raises(LocalError, match=r"which router. running: R1, R2"):
                find(None)
            message = f"no router R9 here: no socket at {tmp_path / 'R9.sock'}; running: R1, R2"
            with pytest.raises(LocalError) as error:
                find("R9")
            assert str(error.value) == message
    with pytest.raises(LocalError, match="nobody answers at"):
        find("R1")


def test_a_router_that_goes_away_is_one_line(tmp_path: Path) -> None:
    """A client whose router closes the socket says so."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "R1.sock"))
    listening.listen()
    with Client(tmp_path / "R1.sock") as client:
        listening.accept()[0].close()
        with pytest.raises(LocalError, match=r"is gone$"):
            client.command("show version")
    listening.close()


def test_the_console_says_what_runs(tmp_path: Path) -> None:
    """`ikescope console R9` without such a router is one line and exit 2."""
    done = subprocess.run(
        [sys.executable, "-m", "ikescope", "console", str(tmp_path / "R9.sock"), "-c", "show version"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=20,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"ikescope: no router {tmp_path / 'R9.sock'} here: no socket at ")


def test_a_connection_that_only_looks_changes_nothing(tmp_path: Path) -> None:
    """Over a handed-down socket shows, status and subscriptions are answered; every other command is refused."""
    router = Stub((ike_sa(1),))

    async def body(server: ControlServer, _: Callable[[], Awaitable[Talk]]) -> None:
        ours, theirs = socket.socketpair()
        gone: list[str] = []
        server.look(ours, "page", lambda: gone.append("page"))
        page = Talk(*await asyncio.open_unix_connection(sock=theirs))
        refused = ("configure terminal", "clear crypto ikev2 sa", "debug crypto ikev2", "exit", "c t", "s", "", "  ")
        for line in refused:
            assert "wanted a show command" in (await page.ask({"command": line})).get("error", ""), line
        assert (
            not router.asked and not router.lines and (await page.ask({"command": "show version"}))["prompt"] == "R1#"
        )
        assert (await page.ask({"command": "sh crypto ikev2 sa"}))["output"]
        assert (await page.ask({"status": True}))["status"]["hostname"] == "R1"
        assert "subscribed" in await page.ask({"subscribe": "events"})
        assert not gone
        await page.hang_up()
        deadline = asyncio.get_running_loop().time() + 10.0
        while not gone and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.005)
        assert gone == ["page"]

    talk(tmp_path, router, body)


def test_an_operator_who_came_by_ssh_has_their_level_and_a_console_s_lines_alone(tmp_path: Path) -> None:
    """No reload, status, events or debug of another's choosing; a command above the level is no command, to `enable`
    wants a secret, and hanging up is told.
    """
    router = Stub()

    async def body(server: ControlServer, _: Callable[[], Awaitable[Talk]]) -> None:
        ours, theirs = socket.socketpair()
        gone = asyncio.Event()
        server.attend(ours, Operator(user="oper", line="vty 0", address="192.0.2.9", level=1), gone.set)
        oper = Talk(*await asyncio.open_unix_connection(sock=theirs))
        assert (await oper.ask({"subscribe": "console"}))["prompt"] == "R1>"
        others: list[dict[str, Any]] = [{"status": True}, {"reload": "hostname R1"}]
        others += [{"subscribe": "events", "since": 0}, {"subscribe": "debug", "level": "hexdump"}]
        for request in others:
            assert "this connection is an operator's" in (await oper.ask(request))["error"], request
        for line in ("configure terminal", "clear crypto ikev2 sa", "show running-config"):
            assert (await oper.ask({"command": line}))["refused"], line
        assert (await oper.ask({"complete": "conf"})) == {"complete": "conf"}
        assert (await oper.ask({"command": "enable"}))["prompt"] == "R1>" and not router.asked
        await oper.hang_up()
        await asyncio.wait_for(gone.wait(), 10.0)

    talk(tmp_path, router, body)


def test_a_looking_connection_that_is_too_slow_may_begin_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told that it is behind and hears no more until it subscribes anew, with what it lacks from the recorder."""
    monkeypatch.setattr(control, "QUEUE", 50)
    router = Stub()

    async def body(server: ControlServer, _: Callable[[], Awaitable[Talk]]) -> None:
        ours, theirs = socket.socketpair()
        server.look(ours, "page", lambda: None)
        page = Talk(*await asyncio.open_unix_connection(sock=theirs, limit=1 << 22))
        assert "subscribed" in await page.ask({"subscribe": "events"})
        for seq in range(60):
            router.recorder.add(record(seq))
            server.publish(record(seq))
        assert await page.hear() == {"behind": 50}
        said = [await page.ask({"subscribe": "events", "since": 9})]
        said += [await page.hear() for _ in range(50)]
        assert [each["stamp"]["seq"] for each in said if "stamp" in each] == list(range(10, 60))

    talk(tmp_path, router, body)


def test_a_late_subscriber_of_a_full_recorder_is_not_too_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The past that a client asked for does not count as what waits for it: it is let go for what follows alone."""
    monkeypatch.setattr(control, "QUEUE", 50)
    router = Stub()
    for seq in range(60):
        router.recorder.add(record(seq))

    async def body(server: ControlServer, connect: Callable[[], Awaitable[Talk]]) -> None:
        late = await connect()
        said = [await late.ask({"subscribe": "events", "since": -1})]
        server.publish(record(60))
        said += [await late.hear() for _ in range(61)]
        assert [each["stamp"]["seq"] for each in said if "stamp" in each] == list(range(61))

    talk(tmp_path, router, body)


def test_a_command_at_work_is_ended_and_others_wait(tmp_path: Path) -> None:
    """Marks of a ping come as they are told, a request behind it waits for its end, which an abort brings."""

    async def body(_: ControlServer, connect: Callable[[], Awaitable[Talk]]) -> None:
        one = await connect()
        said = await one.ask({"command": "ping 10.99.0.2"})
        assert said["partial"].startswith("Type escape sequence")
        router.each(Echo("!", 1.0))
        assert await one.ask({"command": "show clock | json"}) == {"partial": "!"}
        assert (await one.ask({"abort": True}))["output"] == [
            "Success rate is 100 percent (1/1), round-trip min/avg/max = 1/1/1 ms"
        ]
        assert "show clock" in (await one.hear())["output"][0]
        one.say({"abort": True})
        assert (await one.ask({"complete": "sh"})) == {"complete": "show "}
        await one.ask({"command": "ping 10.99.0.2"})
        await one.hang_up()
        await asyncio.wait_for(router.given_up.wait(), 5.0)

    router = Stub()
    talk(tmp_path, router, body)
