"""The web application: who is let in, under which name, with which headers, and what a stream does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support_records import Made

from ikescope.views import html
from ikescope.web import app as application_module
from ikescope.web.app import Settings, application
from ikescope.web.feed import Feed

HOST = "127.0.0.1:8080"
LOOPBACK = Settings(hostname="R1", port=8080, hosts=(HOST, "localhost:8080"))
OPEN = Settings(hostname="R1", port=8080, token="a-token-of-the-test")


class Answer:
    """One answer: status, headers, body."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])


def get(
    path: str,
    settings: Settings = LOOPBACK,
    *,
    feed: Feed | None = None,
    method: str = "GET",
    **headers: str,
) -> Answer:
    """Ask the application, without a network; the client hangs up once `stop` messages were written."""
    target, _, query = path.partition("?")
    given = {"host": HOST, **headers}
    scope = {
        "type": "http",
        "method": method,
        "path": target,
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8080),
        "root_path": "",
    }
    written: list[dict[str, Any]] = []

    async def run() -> None:
        asked = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if asked.is_set():
                await asyncio.Event().wait()
            asked.set()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            written.append(message)
            if feed is not None and len(written) == 2:
                feed.gone = True
                for listener in feed.listeners:
                    listener.wake.set()

        await application(feed or Feed(), settings)(scope, receive, send)

    asyncio.run(run())
    return Answer(written)


def filled() -> Feed:
    """A feed that has heard a whole session."""
    feed = Feed()
    feed.model.extend(record for record in Made().whole().records if record.stamp.router == "R1")
    return feed


@pytest.mark.parametrize(("path", "kind"), [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/java")])
def test_the_page_and_its_parts(path: str, kind: str) -> None:
    """Page, style and script are there, each with the strict policy and never cached."""
    answer = get(path)
    assert (answer.status, answer.headers["content-security-policy"]) == (200, html.LIVE_POLICY)
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in html.LIVE_POLICY and "default-src 'none'" in html.LIVE_POLICY


def test_only_a_name_of_ours_is_answered() -> None:
    """A request under another name (DNS rebinding) reads nothing, not even the page."""
    for name in ("evil.example", "evil.example:8080", "127.0.0.1", ""):
        assert get("/", host=name).status == 421
    assert get("/", host="localhost:8080").status == 200


def test_nothing_but_looking() -> None:
    """The application answers GET (and HEAD) and changes nothing."""
    for path in ("/", "/events", "/message/0/1"):
        for method in ("POST", "PUT", "DELETE"):
            assert get(path, method=method).status == 405


def test_beyond_loopback_nothing_without_the_token() -> None:
    """Every path wants the token; one that is nearly right is wrong; errors carry the headers too."""
    for path in ("/", "/page.js", "/page.css", "/events", "/message/0/1", "/nothing", "/?token=", "/?token=a-token"):
        answer = get(path, OPEN)
        assert answer.status == 401 and "content-security-policy" in answer.headers, path
    assert get("/page.js", OPEN, cookie="ikescope-8080=a-token").status == 401
    assert get("/page.js", OPEN, authorization=f"Basic {OPEN.token}").status == 401
    assert get("/page.js?token=" + OPEN.token, OPEN).status == 401, "the token is taken at the page alone"


def test_the_token_becomes_a_cookie() -> None:
    """The address with the token leads to the page without it; the cookie is hidden from scripts and other sites."""
    answer = get("/?token=" + OPEN.token, OPEN)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"ikescope-8080={OPEN.token};") and "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert get("/", OPEN, cookie=cookie.partition(";")[0]).status == 200
    assert get("/page.js", OPEN, authorization=f"Bearer {OPEN.token}").status == 200
    assert OPEN.token not in repr(OPEN)


def test_a_message_is_opened_by_its_number() -> None:
    """Notes, tree and octets of one message; 404 for what is no message and for a model that is gone."""
    feed = filled()
    number = next(row["n"] for row in feed.model.rows if row["kind"] == "message")
    found = get(f"/message/0/{number}", feed=feed)
    told = json.loads(found.body)
    assert found.status == 200 and told["tree"] and told["notes"] and "IKE (1), 9 transforms" in told["strings"]
    assert get(f"/message/1/{number}").status == get("/message/0/99999").status == get("/message/0/x").status == 404


def test_a_stream_begins_with_the_whole_and_ends_with_the_router() -> None:
    """The first event is the page as it is; the last says that the router is gone; its listener is let go."""
    feed = filled()
    answer = get("/events", feed=feed)
    events = [block.partition(b"\n")[0] for block in answer.body.strip().split(b"\n\n")]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events == [b"event: whole", b"event: gone"] and not feed.listeners


def test_who_only_asks_for_the_head_holds_no_place() -> None:
    """HEAD of the stream is answered at once, and no listener stays."""
    feed = Feed()
    assert get("/events", feed=feed, method="HEAD").status == 200 and not feed.listeners


def test_one_page_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the bound a stream is answered with 503."""
    feed = Feed()
    monkeypatch.setattr("ikescope.web.feed.LISTENERS", 0)
    assert get("/events", feed=feed).status == 503


def test_a_client_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose other end does not read is dropped after its patience; the feed goes on."""
    monkeypatch.setattr(application_module, "STUCK", 0.01)
    feed = filled()

    async def run() -> None:
        listener = feed.open()
        assert listener is not None
        never = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await never.wait()
            return {}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await never.wait()

        await asyncio.wait_for(application_module.Stream(feed, listener)({"type": "http"}, receive, send), 10.0)
        assert not feed.listeners

    asyncio.run(run())
