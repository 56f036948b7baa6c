"""SSH itself: who is let in to the handshake, with what algorithms, how often they may try, what they may ask for."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections import Counter
from collections.abc import Callable

import asyncssh

from ikescope.daemon.login_messages import Begin, Settings
from ikescope.ssh.router import RouterEnd
from ikescope.ssh.shell import Shell

CONNECTIONS, OF_ONE_ADDRESS = 80, 24
"""TCP connections at a time, and of one address."""
STRANGERS, STRANGERS_OF_ONE_ADDRESS = 40, 10
"""Of those, how many may not have logged in yet, where `ip ssh maxstartups` does not say less."""
RATE, BURST = 30.0, 60
"""Connections taken in a second, and at once; the others wait in the kernel."""
SESSIONS = 4
"""Sessions over one connection."""
OFFERS = 12
"""Public keys that one connection may offer."""
KEEPALIVE, UNANSWERED = 30, 4
"""Seconds of silence after which the client is asked whether it is there, and how often it may not answer."""

_KEX = (
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
)
_CIPHERS = (
    "chacha20-poly1305@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)
_MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
_SIGNATURES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


def offered(option: str, names: tuple[str, ...]) -> list[str]:
    """Those of the algorithms that this installation has."""
    found = []
    for name in names:
        try:
            asyncssh.SSHServerConnectionOptions(server_host_keys=[], **{option: [name]})
        except ValueError:
            continue
        found.append(name)
    return found


class Guard(asyncssh.SSHServer):
    """One TCP connection: lets the router judge each attempt, and makes sessions once it said yes."""

    def __init__(self, doors: Doors, number: int, address: str) -> None:
        self._doors, self.number, self.address = doors, number, address
        self._router, self._settings = doors.router, doors.settings
        self._connection: asyncssh.SSHServerConnection | None = None
        self._passwords = self._offers = self._sessions = 0
        self._proof: tuple[str, bytes, bytes, bytes] | None = None
        self._let_in = False
        self._judging: asyncio.Task[None] | None = None
        self._why = ""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """The TCP connection stands."""
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._why = self._why or (type(exc).__name__ if exc is not None else "closed")
        self._doors.left(self)

    @property
    def why(self) -> str:
        """Why it ended."""
        return self._why

    def end(self, why: str) -> None:
        """Close the connection."""
        self._why = self._why or why
        if self._connection is not None:
            self._connection.disconnect(asyncssh.DISC_BY_APPLICATION, why)

    # Who they are.

    def begin_auth(self, username: str) -> bool:
        """Nobody is let in without proof."""
        return True

    def password_auth_supported(self) -> bool:
        """Passwords are taken."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Public keys are taken."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Ask the router; after the last attempt the connection ends."""
        self._passwords += 1
        if self._passwords > self._settings.retries + 1:
            self.end("too many attempts")
            return False
        if await self._router.password(self.number, self.address, username, password):
            self._let_in = True
            return True
        if self._passwords > self._settings.retries:
            asyncio.get_running_loop().call_soon(self.end, "too many attempts")
        return False

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Ask the router whether the key is the user's; what is signed with it is kept for the router to verify."""
        self._offers += 1
        if self._offers > OFFERS:
            self.end("too many keys")
            return False
        blob = key.public_data
        if not await self._router.key(self.number, self.address, username, blob):
            return False
        setattr(key, "verify", self._keeping(username, blob, key.verify))  # noqa: B010  # it is a method
        return True

    def _keeping(
        self, user: str, blob: bytes, verify: Callable[[bytes, bytes], bool]
    ) -> Callable[[bytes, bytes], bool]:
        def kept(request: bytes, signature: bytes) -> bool:
            self._proof = (user, blob, request, signature)
            return verify(request, signature)

        return kept

    def auth_completed(self) -> None:
        """They are no stranger any more."""
        self._doors.known(self)
        if not self._let_in:
            self._judging = asyncio.get_running_loop().create_task(self._judged())

    async def _judged(self) -> None:
        """Who came by a key: the router looks at what they signed, too."""
        proof, self._proof = self._proof, None
        self._let_in = proof is not None and await self._router.signed(self.number, self.address, *proof)
        if not self._let_in:
            self.end("login refused")

    async def let_in(self) -> bool:
        """Whether the router knows who this is."""
        if self._judging is not None:
            await asyncio.wait({self._judging})
        return self._let_in

    # What they may ask for: sessions, and nothing that is carried elsewhere.

    def session_requested(self) -> asyncssh.SSHServerSession[bytes] | bool:
        """A shell or a command, so many at a time."""
        if self._sessions >= SESSIONS:
            return False
        self._sessions += 1
        return Shell(self, self._router)

    def session_ended(self) -> None:
        """One of them is gone."""
        self._sessions -= 1


class Doors:
    """Takes connections from the listening socket, no more than the limits say."""

    def __init__(self, router: RouterEnd, begun: Begin, listening: socket.socket) -> None:
        logging.getLogger("asyncssh").disabled = True
        self.router, self.settings = router, begun.settings
        self._listening = listening
        self._key = asyncssh.import_private_key(begun.host_key)
        self._options = self._made_options()
        self._numbers = itertools.count(1)
        self._guards: dict[int, Guard] = {}
        self._strangers: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._allowance, self._at = float(BURST), 0.0
        self._empty = asyncio.Event()
        self._empty.set()

    def _made_options(self) -> asyncssh.SSHServerConnectionOptions:
        return asyncssh.SSHServerConnectionOptions(
            server_host_keys=[self._key],
            server_version="ikescope",
            login_timeout=self.settings.time_out,
            keepalive_interval=KEEPALIVE,
            keepalive_count_max=UNANSWERED,
            kex_algs=offered("kex_algs", _KEX),
            encryption_algs=offered("encryption_algs", _CIPHERS),
            mac_algs=offered("mac_algs", _MACS),
            signature_algs=offered("signature_algs", _SIGNATURES),
            compression_algs=["none"],
            host_based_auth=False,
            public_key_auth=True,
            kbdint_auth=False,
            password_auth=True,
            gss_host=None,
            gss_kex=False,
            gss_auth=False,
            allow_pty=True,
            line_editor=False,
            rdns_lookup=False,
            x11_forwarding=False,
            agent_forwarding=False,
            allow_scp=False,
            encoding=None,
            max_pktsize=32768,
            window=1 << 18,
        )

    def settle(self, settings: Settings) -> None:
        """The router has other settings: they hold for who comes from now on."""
        self.settings = settings
        self._options = self._made_options()

    async def serve(self) -> None:
        """Take connections until it is cancelled."""
        loop = asyncio.get_running_loop()
        self._listening.setblocking(False)
        while True:
            try:
                accepted, peer = await loop.sock_accept(self._listening)
            except OSError:  # too many descriptors, or who came is gone again
                await asyncio.sleep(0.1)
                continue
            address = str(peer[0]).removeprefix("::ffff:")
            if self._full(address):
                accepted.close()
                continue
            self._take(accepted, address)
            await asyncio.sleep(self._pause(loop.time()))

    def _pause(self, now: float) -> float:
        """Seconds to wait before the next one."""
        self._allowance = min(BURST, self._allowance + (now - self._at) * RATE) - 1
        self._at = now
        return max(0.0, -self._allowance / RATE)

    def _full(self, address: str) -> bool:
        of_one = Counter((guard.address, number in self._strangers) for number, guard in self._guards.items())
        strangers = of_one[address, True]
        return (
            len(self._guards) >= CONNECTIONS
            or len(self._strangers) >= min(STRANGERS, self.settings.startups)
            or strangers >= STRANGERS_OF_ONE_ADDRESS
            or strangers + of_one[address, False] >= OF_ONE_ADDRESS
        )

    def _take(self, accepted: socket.socket, address: str) -> None:
        guard = Guard(self, next(self._numbers), address)
        self._guards[guard.number] = guard
        self._strangers.add(guard.number)
        self._empty.clear()
        task = asyncio.get_running_loop().create_task(self._greet(accepted, guard))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _greet(self, accepted: socket.socket, guard: Guard) -> None:
        """The handshake and the login; asyncssh has a time limit for both."""
        done = False
        try:
            await asyncssh.run_server(accepted, options=self._options, server_factory=lambda: guard)
            done = True
        except (TimeoutError, OSError, asyncssh.Error) as error:
            guard.end(type(error).__name__)
        finally:
            if not done:
                accepted.close()
                self.left(guard)

    def known(self, guard: Guard) -> None:
        """Somebody logged in."""
        self._strangers.discard(guard.number)

    def left(self, guard: Guard) -> None:
        """A connection is gone."""
        self._strangers.discard(guard.number)
        if self._guards.pop(guard.number, None) is not None:
            self.router.left(guard.number, guard.why)
        if not self._guards:
            self._empty.set()

    def close(self) -> None:
        """Let everybody go."""
        for guard in tuple(self._guards.values()):
            guard.end("the router ended")

    async def empty(self) -> None:
        """Nobody is here any more."""
        await self._empty.wait()
