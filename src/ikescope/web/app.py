"""The web application: a table of routes, and the guard before all of them."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Awaitable, Callable, Iterable
from http.cookies import CookieError, SimpleCookie

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ikescope.views import html
from ikescope.web.feed import Feed, Listener, event

HEADERS = {
    "content-security-policy": html.LIVE_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""On every answer."""
ALIVE = 15.0
"""Seconds after which an idle stream says that it is there."""
STUCK = 30.0
"""Seconds for which a client may take nothing before its connection is given up."""
LOCAL = ("localhost", "127.0.0.1", "[::1]")
_Act = Callable[[Request], Awaitable[Response]]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the page's process was told: the router's name, the names it is reached by (empty: any), the token."""

    hostname: str
    port: int
    hosts: tuple[str, ...] = ()
    token: str = ""

    def __repr__(self) -> str:
        return f"Settings({self.hostname}, port {self.port})"


def application(feed: Feed, settings: Settings, more: Iterable[Route] = ()) -> ASGIApp:
    """The application of one router; `more` are routes of others."""
    return Guard(Starlette(routes=[*routes(feed, settings), *more]), settings)


def routes(feed: Feed, settings: Settings) -> list[Route]:
    """Every path, with what answers it."""
    # Read now: the process may lose the right to read its own files.
    shell, sheet, program = html.shell(f"{settings.hostname}, live"), html.style(), html.script()

    async def page(_: Request) -> Response:
        return Response(shell, media_type="text/html")

    async def style(_: Request) -> Response:
        return Response(sheet, media_type="text/css")

    async def script(_: Request) -> Response:
        return Response(program, media_type="text/javascript")

    async def icon(_: Request) -> Response:
        return Response(status_code=204)

    async def events(request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        listener = feed.open()
        if listener is None:
            return PlainTextResponse("as many pages are open as are allowed\n", 503)
        return Stream(feed, listener)

    async def message(request: Request) -> Response:
        number, epoch = request.path_params["number"], request.path_params["epoch"]
        found = feed.model.detail(number) if epoch == feed.epoch else None
        if found is None:
            return PlainTextResponse("no such message\n", 404)
        return Response(msgspec.json.encode(found), media_type="application/json")

    table: tuple[tuple[str, _Act], ...] = (
        ("/", page),
        ("/page.css", style),
        ("/page.js", script),
        ("/favicon.ico", icon),
        ("/events", events),
        ("/message/{epoch:int}/{number:int}", message),
    )
    return [Route(path, act, methods=["GET"]) for path, act in table]


class Stream(Response):
    """Server-sent events for one listener, as fast as it reads."""

    def __init__(self, feed: Feed, listener: Listener) -> None:
        super().__init__(media_type="text/event-stream")
        self._feed, self._listener = feed, listener
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write until the client leaves, takes nothing for too long, or the router is gone."""
        leaving = asyncio.create_task(_left(receive))
        writing = asyncio.create_task(self._write(send))
        try:
            await asyncio.wait({leaving, writing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._feed.close(self._listener)
            for task in (leaving, writing):
                task.cancel()
            await asyncio.gather(leaving, writing, return_exceptions=True)

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        listener, first = self._listener, True
        while not self._feed.gone:
            listener.wake.clear()
            if listener.behind:
                if not first:
                    await self._send(send, event("behind", b"{}"))
                first = False
                await self._send(send, self._feed.whole(listener))
            while listener.waiting and not listener.behind:
                await self._send(send, listener.waiting.popleft())
            if listener.wake.is_set():
                continue
            try:
                await asyncio.wait_for(listener.wake.wait(), ALIVE)
            except TimeoutError:
                await self._send(send, b":\n\n")
        await self._send(send, event("gone", b"{}"))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    @staticmethod
    async def _send(send: Send, octets: bytes) -> None:
        await asyncio.wait_for(send({"type": "http.response.body", "body": octets, "more_body": True}), STUCK)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Guard:
    """Before every route: only for those who may, only under a name of ours; and what every answer carries."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._cookie = f"ikescope-{settings.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http":
            return
        await self._answer(scope)(scope, receive, _with_headers(send))

    def _answer(self, scope: Scope) -> ASGIApp:
        headers = Headers(scope=scope)
        if self._settings.hosts and headers.get("host", "") not in self._settings.hosts:
            # A page of another name that points here (DNS rebinding) reads nothing.
            return PlainTextResponse("not under this name\n", 421)
        if not self._settings.token or self._known(_bearer(headers)) or self._known(self._cookie_of(headers)):
            return self._app
        if scope["path"] == "/" and self._known(QueryParams(scope["query_string"]).get("token", "")):
            return self._admitted()
        return PlainTextResponse("this page wants the token that `ikescope run` printed\n", 401)

    def _known(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._settings.token.encode())

    def _cookie_of(self, headers: Headers) -> str:
        cookies: SimpleCookie = SimpleCookie()
        with contextlib.suppress(CookieError):
            cookies.load(headers.get("cookie", ""))
        return cookies[self._cookie].value if self._cookie in cookies else ""

    def _admitted(self) -> Response:
        """The token leaves the address line for a cookie that no script reads and no other site makes us see."""
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._cookie, self._settings.token, httponly=True, samesite="strict")
        return answer


def _bearer(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _with_headers(send: Send) -> Send:
    added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return sending
