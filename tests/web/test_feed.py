"""What the page's process makes of a router's records, and what it does about those who do not keep up."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.daemon.test_exec import Stub, child_sa, ike_sa
from tests.support_records import Made

from ikescope.daemon import control, paths
from ikescope.daemon.control import ControlServer
from ikescope.events import Record
from ikescope.views.html_model import Model
from ikescope.web import feed as feeding
from ikescope.web.feed import Feed, Listener, traffic
from ikescope.web.standing import standing


def told(message: bytes) -> tuple[str, Any]:
    """Name and data of one server-sent event."""
    name, data = message.decode().rstrip("\n").split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


class Page:
    """An open page as its script keeps it: rows by number, families by number."""

    def __init__(self) -> None:
        self.rows: dict[int, Any] = {}
        self.families: dict[int, Any] = {}

    def take(self, message: bytes) -> None:
        """Do as the script does."""
        name, data = told(message)
        if name == "whole":
            self.rows, self.families = {}, {}
        self.rows |= {row["n"]: row for row in data.get("rows", ())}
        self.families |= {one["number"]: one for one in data.get("families", ())}


def beside(router: Stub, body: Callable[[ControlServer, Feed], Awaitable[None]], tmp: Path) -> None:
    """Run a control server over a stub of a router, a feed connected to it, and `body`."""

    async def run() -> None:
        server = ControlServer(paths.listen(tmp / "R1.sock", "R1"), router)
        await server.start()
        ours, theirs = socket.socketpair()
        gone: list[str] = []
        server.look(ours, "page", lambda: gone.append("gone"))
        feed = Feed()
        following = asyncio.create_task(feed.run(theirs))
        try:
            await body(server, feed)
        finally:
            await server.stop()
            await asyncio.wait_for(following, 10.0)
            assert feed.gone

    asyncio.run(run())


def recorder(records: list[Record]) -> Stub:
    """A router whose recorder holds these."""
    router = Stub()
    for record in records:
        router.recorder.add(record)
    return router


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something holds."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came")


def of(router: str, made: Made) -> list[Record]:
    """One router's records of a session, numbered from 1 as a recorder does."""
    return [record for record in made.records if record.stamp.router == router]


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return json.loads(json.dumps(value))


def test_what_was_and_what_comes_is_what_a_file_would_show(tmp_path: Path) -> None:
    """A page that opens in the middle of a session ends with the rows and SAs that the recording gives, each once."""
    records = of("R1", Made().whole())
    half = len(records) // 2
    page = Page()

    async def body(server: ControlServer, feed: Feed) -> None:
        await until(lambda: len(feed.model.ladder.rows) > 3)
        listener = feed.open()
        assert listener is not None
        page.take(feed.whole(listener))
        assert page.rows
        for record in records[half:]:
            server.publish(record)
            await asyncio.sleep(0)
        model = Model().extend(records)
        await until(lambda: len(feed.model.rows) == len(model.rows))
        while len(page.rows) < len(model.rows) or page.families != {
            one["number"]: one for one in plain(model.families)
        }:
            await until(lambda: bool(listener.waiting))
            page.take(listener.waiting.popleft())
        assert list(page.rows.values()) == plain(model.rows)

    beside(recorder(records[:half]), body, tmp_path)


def test_a_listener_that_is_behind_is_told_and_gets_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue never grows above its bound: it is emptied, and what comes next is the whole page."""
    monkeypatch.setattr(feeding, "WAITING", 3)
    listener = Listener()
    listener.take(b"0")
    assert not listener.waiting, "before the whole page nothing is queued"
    listener.behind = False
    for number in range(5):
        listener.take(b"%d" % number)
    assert listener.behind and not listener.waiting and listener.wake.is_set()


def test_a_router_that_was_too_fast_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the router drops what waits for the page, the page asks for what it lacks; no record is lost or doubled."""
    monkeypatch.setattr(control, "QUEUE", 20)
    records = of("R1", Made().whole())

    async def body(server: ControlServer, feed: Feed) -> None:
        await until(lambda: feed.model.now == records[39].stamp.mono)
        for record in records[40:]:
            router.recorder.add(record)
            server.publish(record)
        await until(lambda: feed.model.now == records[-1].stamp.mono)
        assert feed.missed == 0
        assert plain(feed.model.snapshot()) == plain(Model().extend(records).snapshot())

    router = recorder(records[:40])
    beside(router, body, tmp_path)


def test_the_model_is_made_anew_before_it_grows_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """At twice the records that it keeps, a page starts over with the latest, under another epoch."""
    records = of("R1", Made().whole())
    monkeypatch.setattr(feeding, "KEEP", 30)

    async def run() -> None:
        feed = Feed()
        listener = feed.open()
        assert listener is not None
        feed.whole(listener)
        for record in records[:61]:
            await feed.add(record)
        assert feed.epoch == 1 and listener.behind
        name, data = told(feed.whole(listener))
        assert (name, data["epoch"]) == ("whole", 1)
        assert data["rows"] == plain(Model().extend(records[31:61]).rows)

    asyncio.run(run())


def test_as_many_pages_as_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One page more than the bound is refused; when one leaves there is room again."""
    monkeypatch.setattr(feeding, "LISTENERS", 2)

    async def run() -> None:
        feed = Feed()
        first, second = feed.open(), feed.open()
        assert first is not None and second is not None and feed.open() is None
        feed.close(first)
        assert feed.open() is not None

    asyncio.run(run())


def test_traffic_is_by_the_spi_that_arrives() -> None:
    """Counters go by the inbound SPI as eight hexadecimal digits."""
    counts = {"packets": 3, "octets": 300, "dropped": 1}
    status = {"children": [{"inbound": 0xABC, "received": counts, "sent": {**counts, "dropped": 0}}]}
    assert traffic(status) == {"00000abc": [3, 300, 3, 300, 1]}


def test_what_stands_without_records_is_told_from_the_status() -> None:
    """An IKE SA older than every record is a family of its own, with its Child SA; one that has records is not."""
    router = Stub((ike_sa(1),), (child_sa(),))
    status = json.loads(msgspec.json.encode(router.status(), enc_hook=str))
    family = standing(status, (), 100.0)[0]
    assert (family["peer"], family["generations"][0]["spi_i"], family["generations"][0]["created"]) == (
        "10.99.0.2",
        "01" * 8,
        92.0,
    )
    assert family["generations"][0]["suite"] == "AES-CBC-256, PRF SHA512, integrity SHA512, group 19"
    assert [child["inbound"] for child in family["children"]] == ["00000011"]
    assert set(family) == set(Model().extend(of("R1", Made().up())).families[0])
    assert standing(status, ("01" * 8,), 100.0) == standing({}, (), 100.0) == []
