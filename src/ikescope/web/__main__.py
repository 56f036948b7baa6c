"""`python -m ikescope.web CONTROL LISTENING`: two descriptors that `ikescope run --web` hands over, and no other right.

The first line on the control connection is the router's: the settings. The process ends with the router.
"""

from __future__ import annotations

import asyncio
import socket
import sys

import msgspec
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from ikescope.daemon import beside
from ikescope.planes import privileges, seccomp
from ikescope.web.app import Settings, application
from ikescope.web.feed import Feed

CONNECTIONS = 96
"""Connections at a time; one more is answered with 503."""


def main(arguments: list[str]) -> int:
    """Serve until the router is gone."""
    control, listening = (socket.socket(fileno=int(text)) for text in arguments)
    feed = Feed()
    server = uvicorn.Server(_config(application(feed, msgspec.json.decode(_first_line(control), type=Settings))))
    with asyncio.Runner() as runner:
        runner.get_loop()
        privileges.drop()
        privileges.end_with_parent()
        seccomp.confine()
        runner.run(_serve(server, feed, control, listening))
    return 0


def _first_line(control: socket.socket) -> bytes:
    """What the router says first; octet by octet, for what follows belongs to another reader."""
    line = b""
    while not line.endswith(b"\n"):
        octet = control.recv(1)
        if not octet:
            break
        line += octet
    return line


def _config(app: ASGIApp) -> uvicorn.Config:
    """The server's settings, with every module that it will want loaded."""
    config = uvicorn.Config(
        app,
        http=H11Protocol,
        ws="none",
        interface="asgi3",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=1,
    )
    config.load()
    return config


async def _serve(server: uvicorn.Server, feed: Feed, control: socket.socket, listening: socket.socket) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    following = asyncio.create_task(feed.run(control))
    await asyncio.wait({serving, following}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    following.cancel()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, msgspec.MsgspecError) as error:
        beside.say("web", str(error))
        sys.exit(2)
