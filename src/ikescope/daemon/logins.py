"""Who may come in by SSH: the router verifies what the process of SSH was told, and hands it connections for that.

The process holds no hash. It gets a connection to the router for a user who proved who they are, at the level that the
configuration gives that user, and can make no more of it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from ikescope.config.model import RouterConfig, User, VtyLines
from ikescope.crypto import ssh_keys
from ikescope.daemon.channel import Channel
from ikescope.daemon.login_messages import Answer, Ask, Begin, Gone, Key, Line, Password, Settings, Signed
from ikescope.daemon.verifier import Verifier
from ikescope.events import Event
from ikescope.events.router import LoginEnded, LoginFailed, LoginSucceeded
from ikescope.node.status import Operator

LINES = 16
"""The vty lines, and so the sessions at a time: 0 to 15, as IOS has them at first."""
CONNECTIONS = 256
"""TCP connections that are known at a time."""
FAILURES, FORGOTTEN = 10, 60.0
"""Failed logins of one address within so many seconds: the next ones are refused without a look."""
ADDRESSES = 1024
"""Addresses whose failures are kept."""
TOLD = 10
"""Failed logins that are told one by one within a second; the others are counted in the next."""
SESSIONS_SEEN = 4096
"""Session identifiers that were used to log in by a key, and do not serve again."""
NAME = 64
"""Characters of a user's name in an event."""

_decoder = msgspec.json.Decoder(Ask)
_encoder = msgspec.json.Encoder()


class Entered(Protocol):
    """What is needed of a router that serves."""

    @property
    def config(self) -> RouterConfig:
        """The configuration that it runs."""

    def note(self, event: Event) -> None:
        """Put an event into the stream."""

    def attend(self, connected: socket.socket, operator: Operator, gone: Callable[[], None]) -> None:
        """Let an operator in at the other end of a connected socket, until they hang up."""


class _Login(msgspec.Struct):
    """One TCP connection: who came in by it, what failed, what it has."""

    user: str = ""
    address: str = ""
    level: int | None = None
    offered: bool = False
    failed: bool = False
    line: int | None = None


def settings(config: RouterConfig) -> Settings:
    """What the configuration says of how to let people in."""
    ssh = config.ssh
    return Settings(time_out=ssh.time_out, retries=ssh.retries, startups=ssh.startups)


class Logins:
    """The router's end of the channel to the process of SSH. `port` is where that listens."""

    def __init__(
        self, router: Entered, connected: socket.socket, verifier: Verifier, port: int, gone: Callable[[], None]
    ) -> None:
        self._router, self._verifier, self._port = router, verifier, port
        self._logins: OrderedDict[int, _Login] = OrderedDict()
        self._taken: set[int] = set()
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._told, self._told_at, self._untold = 0, 0.0, 0
        self._settings = settings(router.config)
        self._clock = asyncio.get_running_loop().time
        self._channel = Channel(connected, self._heard, gone)

    @property
    def port(self) -> int:
        """Where SSH listens."""
        return self._port

    def begin(self, hostname: str, host_key: bytes) -> None:
        """Tell the process what it works with."""
        self._channel.say(
            _encoder.encode(Begin(hostname=hostname, host_key=host_key, settings=settings(self._router.config)))
        )

    def configured(self) -> None:
        """The router has another configuration."""
        new = settings(self._router.config)
        if new != self._settings:
            self._settings = new
            self._channel.say(_encoder.encode(new))

    def close(self) -> None:
        """Hang up: the process ends."""
        self._channel.close()

    def _heard(self, line: bytes, fd: int | None) -> None:
        if fd is not None:
            os.close(fd)
        try:
            asked = _decoder.decode(line)
        except msgspec.MsgspecError:
            self._channel.close()
            return
        login = self._logins.get(asked.connection)
        if login is None:
            login = self._logins[asked.connection] = _Login()
            if len(self._logins) > CONNECTIONS:
                self._forget(self._logins.popitem(last=False)[1], "too many connections")
        match asked:
            case Password() | Key() | Signed() if login.level is not None:
                self._answer(asked, False, "logged in already")
            case Password():
                self._password(asked, login)
            case Key():
                login.user, login.address, login.offered = asked.user, asked.address, True
                self._answer(asked, self._blob_is(asked.user, asked.key))
            case Signed():
                self._signed(asked, login)
            case Line():
                self._line(asked, login)
            case Gone():
                del self._logins[asked.connection]
                self._forget(login, asked.why)

    def _answer(self, asked: Ask, ok: bool, why: str = "") -> None:
        self._channel.say(_encoder.encode(Answer(id=asked.id, ok=ok, why=why)))

    # Who they are.

    def _password(self, asked: Password, login: _Login) -> None:
        if self._too_many(asked.address):
            self._failed(asked, login, "too many failures of this address")
            self._answer(asked, False)
            return
        user = self._router.config.users.get(asked.user)
        secret = user.secret if user is not None else None

        def judged(right: bool) -> None:
            # Meanwhile the user may be another's, or gone.
            now = self._router.config.users.get(asked.user)
            if right and now is not None and now.secret == secret and login.level is None:
                self._succeeded(asked, login, now)
            else:
                self._failed(asked, login)
                right = False
            self._answer(asked, right)

        self._verifier.verify(secret, asked.password, judged)

    def _blob_is(self, name: str, blob: bytes) -> bool:
        """Whether a key is one of the user's."""
        user = self._router.config.users.get(name)
        if user is None:
            return False
        md5 = ssh_keys.md5_of(blob)
        return any(key.md5 == md5 if key.md5 else ssh_keys.blob_of(key.data) == blob for key in user.keys)

    def _signed(self, asked: Signed, login: _Login) -> None:
        user = self._router.config.users.get(asked.user)
        known = user is not None and self._blob_is(asked.user, asked.key)
        session = None
        if known and not self._too_many(asked.address):
            session = ssh_keys.signed_login(asked.request, asked.signature, asked.user, asked.key)
        if user is None or session is None or session in self._seen:
            self._failed(asked, login)
            self._answer(asked, False)
            return
        self._seen[session] = None
        if len(self._seen) > SESSIONS_SEEN:
            self._seen.popitem(last=False)
        self._succeeded(asked, login, user)
        self._answer(asked, True)

    def _succeeded(self, asked: Password | Signed, login: _Login, user: User) -> None:
        login.user, login.address = asked.user, asked.address
        free = self._free_line()
        level = user.privilege if user.privilege is not None else free[1].privilege if free is not None else None
        login.level = 1 if level is None else level
        self._router.note(
            LoginSucceeded(
                who=login.user,
                address=login.address,
                port=self._port,
                method=_method(asked),
                privilege=login.level,
            )
        )

    def _failed(self, asked: Password | Signed, login: _Login, why: str = "Login Authentication Failed") -> None:
        login.failed = True
        self._tell_failure(asked.user, asked.address, _method(asked), why)

    def _tell_failure(self, user: str, address: str, method: str, why: str) -> None:
        now = self._clock()
        times = self._failures.setdefault(address, deque(maxlen=FAILURES))
        self._failures.move_to_end(address)
        times.append(now)
        if len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)
        if now - self._told_at >= 1.0:
            self._told, self._told_at = 0, now
        self._untold += 1
        if self._told < TOLD:
            self._told += 1
            count, self._untold = self._untold, 0
            self._router.note(
                LoginFailed(
                    who=_printable(user),
                    address=address,
                    port=self._port,
                    method=method,
                    why=why,
                    count=count,
                )
            )

    def _too_many(self, address: str) -> bool:
        times = self._failures.get(address)
        return times is not None and len(times) == FAILURES and self._clock() - times[0] < FORGOTTEN

    # What they get.

    def _free_line(self) -> tuple[int, VtyLines] | None:
        """The first line that nobody has and that SSH may come in by."""
        for number in range(LINES):
            lines = vty_of(self._router.config, number)
            if number not in self._taken and (not lines.transport or {"ssh", "all"}.intersection(lines.transport)):
                return number, lines
        return None

    def _line(self, asked: Line, login: _Login) -> None:
        free = self._free_line()
        if login.level is None or free is None:
            self._answer(asked, False, "nobody logged in" if login.level is None else "no vty line is free")
            return
        number, lines = free
        ours, theirs = socket.socketpair()
        self._taken.add(number)
        login.line = number

        def gone() -> None:
            self._taken.discard(number)

        operator = Operator(user=login.user, line=f"vty {number}", address=login.address, level=login.level)
        self._router.attend(ours, operator, gone)
        answer = Answer(id=asked.id, ok=True, idle=lines.exec_timeout, length=lines.length, width=lines.width)
        self._channel.say(_encoder.encode(answer), theirs.detach())

    def _forget(self, login: _Login, why: str) -> None:
        if login.level is not None:
            line = 0 if login.line is None else login.line
            self._router.note(LoginEnded(who=login.user, address=login.address, line=line, why=why))
        elif login.offered and not login.failed:
            self._tell_failure(login.user, login.address, "publickey", "Login Authentication Failed")


def vty_of(config: RouterConfig, number: int) -> VtyLines:
    """The `line vty` that a line's number is in; the standard one where it is in none."""
    for lines in config.vty.values():
        first, last = map(int, lines.name.split())
        if first <= number <= last:
            return lines
    return VtyLines(name=f"{number} {number}")


def _method(asked: Password | Signed) -> str:
    return "password" if isinstance(asked, Password) else "publickey"


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name[:NAME])
