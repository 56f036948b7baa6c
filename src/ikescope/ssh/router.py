"""The router as the process of SSH sees it: whom it lets in, and the connections that it hands over."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import Callable

import msgspec

from ikescope.daemon.channel import Channel
from ikescope.daemon.login_messages import Answer, Ask, Begin, Gone, Key, Line, Password, Settings, Signed

_encoder = msgspec.json.Encoder()
_begin = msgspec.json.Decoder(Begin)


class RouterEnd:
    """The channel to the router. `begun` is what it says first, None where it is gone before."""

    def __init__(self, channel: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[Begin | None] = loop.create_future()
        self.gone = asyncio.Event()
        self.on_settings: Callable[[Settings], None] = lambda _: None
        self._waiting: dict[int, asyncio.Future[tuple[Answer, int | None]]] = {}
        self._ids = itertools.count(1)
        self._channel = Channel(channel, self._heard, self._left)

    def _left(self) -> None:
        if not self.begun.done():
            self.begun.set_result(None)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result((Answer(id=0, ok=False, why="the router ended"), None))
        self._waiting.clear()
        self.gone.set()

    def _heard(self, line: bytes, fd: int | None) -> None:
        if not self.begun.done():
            self.begun.set_result(_begin.decode(line))
            return
        said = msgspec.json.decode(line)
        if "time_out" in said:
            self.on_settings(msgspec.convert(said, Settings))
            return
        answer = msgspec.convert(said, Answer)
        waiting = self._waiting.pop(answer.id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result((answer, fd))
        elif fd is not None:
            os.close(fd)

    async def _ask(self, asked: Ask) -> tuple[Answer, int | None]:
        if self.gone.is_set():
            return Answer(id=0, ok=False, why="the router ended"), None
        waiting: asyncio.Future[tuple[Answer, int | None]] = asyncio.get_running_loop().create_future()
        self._waiting[asked.id] = waiting
        self._channel.say(_encoder.encode(asked))
        return await waiting

    async def password(self, connection: int, address: str, user: str, password: str) -> bool:
        """Whether it is the user's password."""
        asked = Password(id=next(self._ids), connection=connection, user=user, password=password, address=address)
        return (await self._ask(asked))[0].ok

    async def key(self, connection: int, address: str, user: str, key: bytes) -> bool:
        """Whether the user may log in with that public key."""
        asked = Key(id=next(self._ids), connection=connection, user=user, key=key, address=address)
        return (await self._ask(asked))[0].ok

    async def signed(
        self, connection: int, address: str, user: str, key: bytes, request: bytes, signature: bytes
    ) -> bool:
        """Whether the router finds that the user signed that request to log in."""
        asked = Signed(
            id=next(self._ids),
            connection=connection,
            user=user,
            key=key,
            request=request,
            signature=signature,
            address=address,
        )
        return (await self._ask(asked))[0].ok

    async def line(self, connection: int) -> tuple[Answer, int | None]:
        """A connection to the router for a session, or why there is none."""
        return await self._ask(Line(id=next(self._ids), connection=connection))

    def left(self, connection: int, why: str) -> None:
        """The TCP connection has ended."""
        if not self.gone.is_set():
            self._channel.say(_encoder.encode(Gone(id=next(self._ids), connection=connection, why=why)))
