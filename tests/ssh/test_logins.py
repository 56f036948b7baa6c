"""What the router lets the process of SSH have: asked as it would ask, and as an attacker in it."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ikescope.config.model import RouterConfig
from ikescope.crypto import ssh_keys
from ikescope.daemon import ssh
from ikescope.daemon.channel import OCTETS, Channel
from ikescope.daemon.login_messages import Answer
from ikescope.daemon.logins import FAILURES, LINES, TOLD, Logins, vty_of
from ikescope.daemon.verifier import Verifier
from ikescope.errors import LocalError
from ikescope.events import Event
from ikescope.events.router import LoginEnded, LoginFailed, LoginSucceeded
from ikescope.ios.configuration import load
from ikescope.node.status import Operator

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FILE = """\
hostname R1
username admin privilege 15 secret right
username oper secret 5 $1$28772684$iEwNOgGugqO9.bIz5sk8k/
username keyed privilege 2
ip ssh pubkey-chain
 username keyed
  key-string
   {data}
  exit
  key-hash ecdsa-sha2-nistp256 {md5}
 exit
line vty 0 3
 privilege level 7
 transport input none
line vty 4 5
 exec-timeout 3 0
"""


def string(*parts: bytes) -> bytes:
    """Strings as SSH writes them."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def public(key: Any) -> bytes:
    """The blob of a key's public half."""
    return base64.b64decode(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])


def mpint(number: int) -> bytes:
    """A positive number as SSH writes it, its length before it."""
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


CURVE = ec.derive_private_key(77, ec.SECP256R1())
CONFIG = load(FILE.format(data=base64.b64encode(public(KEY)).decode(), md5=ssh_keys.md5_of(public(CURVE))))


def request(key: Any, user: str, session: bytes, algorithm: str) -> bytes:
    """What a client signs to log in (RFC 4252 section 7)."""
    return (
        string(session)
        + b"\x32"
        + string(user.encode(), b"ssh-connection", b"publickey")
        + b"\1"
        + string(algorithm.encode(), public(key))
    )


def signed(key: Any, text: bytes, algorithm: str) -> bytes:
    """A signature as SSH carries it."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        value = key.sign(text)
    elif isinstance(key, rsa.RSAPrivateKey):
        value = key.sign(text, PKCS1v15(), SHA256())
    else:
        r, s = decode_dss_signature(key.sign(text, ec.ECDSA(SHA256())))
        value = mpint(r) + mpint(s)
    return string(algorithm.encode(), value)


class Router:
    """What Logins needs of a router: it remembers."""

    def __init__(self, config: RouterConfig) -> None:
        self.config = config
        self.events: list[Event] = []
        self.attended: list[tuple[str, int]] = []
        self.hangups: list[Callable[[], None]] = []

    def note(self, event: Event) -> None:
        """An event happened."""
        self.events.append(event)

    def attend(self, connected: socket.socket, operator: Operator, gone: Callable[[], None]) -> None:
        """A connection was handed out."""
        self.attended.append((operator.who, operator.level))
        self.hangups.append(gone)
        connected.close()


class Process:
    """The other end: it asks what it likes."""

    def __init__(self, connected: socket.socket) -> None:
        self.said: asyncio.Queue[tuple[bytes, int | None]] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.channel = Channel(connected, lambda line, fd: self.said.put_nowait((line, fd)), self.gone.set)

    async def ask(self, ask: str, **facts: Any) -> Answer:
        """One request of connection 1 unless it says otherwise; the answer, its descriptor closed."""
        body = {"ask": ask, "id": 1, "connection": 1, "address": "192.0.2.9"} | facts
        if ask in ("line", "gone"):
            del body["address"]
        self.channel.say(msgspec.json.encode(body))
        line, fd = await self.said.get()
        answer = msgspec.json.decode(line, type=Answer)
        if fd is not None:
            os.close(fd)
        assert (fd is not None) == (ask == "line" and answer.ok)
        return answer

    async def password(self, user: str, password: str, connection: int = 1) -> bool:
        """Try a password."""
        return (await self.ask("password", user=user, password=password, connection=connection)).ok

    async def sign(self, key: Any, user: str, session: bytes, algorithm: str = "ssh-ed25519", **facts: Any) -> bool:
        """Log in by a key; `facts` replace what is sent."""
        text = request(key, user, session, algorithm)
        body = {"user": user, "key": public(key), "request": text, "signature": signed(key, text, algorithm)} | facts
        return (await self.ask("signed", **body)).ok


def played(act: Callable[[Process, Router, Logins], Awaitable[None]]) -> Router:
    """A router and the process of SSH over their channel, for as long as `act` takes."""
    router = Router(CONFIG)

    async def play() -> None:
        ours, theirs = socket.socketpair()
        process = Process(theirs)
        logins = Logins(router, ours, Verifier(), 22, lambda: None)
        await asyncio.wait_for(act(process, router, logins), 60)
        logins.close()
        process.channel.close()

    asyncio.run(play())
    return router


def test_a_password_gives_its_user_s_level_and_nothing_before_it() -> None:
    """No line without a login; with it a line that SSH may use, at the user's level or else the line's."""

    async def act(process: Process, router: Router, _: Logins) -> None:
        assert (await process.ask("line")).why == "nobody logged in"
        assert not await process.password("admin", "wrong") and not await process.password("nobody", "right")
        assert not (await process.ask("line")).ok
        assert await process.password("admin", "right")
        assert not await process.password("oper", "hashcat"), "who is in stays who they are"
        answer = await process.ask("line")
        assert (answer.ok, answer.idle) == (True, 180)
        assert await process.password("oper", "hashcat", connection=2)
        assert (await process.ask("line", connection=2)).ok and (await process.ask("line", connection=2)).idle == 600
        process.channel.say(b'{"ask":"gone","id":1,"connection":1,"why":"closed"}')
        assert not (await process.ask("line")).ok

    router = played(act)
    who = ["admin on vty4 (192.0.2.9)", "oper on vty5 (192.0.2.9)", "oper on vty6 (192.0.2.9)"]
    assert router.attended == list(zip(who, (15, 1, 1), strict=True))
    tags = [type(event) for event in router.events]
    assert tags == [LoginFailed, LoginFailed, LoginSucceeded, LoginSucceeded, LoginEnded]
    assert "right" not in str(router.events) and "hashcat" not in str(router.events)


def test_a_key_is_the_router_s_to_judge() -> None:
    """A whole request signed with a key of that user logs in once; another user, key, text or signature does not."""

    async def act(process: Process, router: Router, _: Logins) -> None:
        other = Ed25519PrivateKey.generate()
        assert (await process.ask("key", user="keyed", key=public(KEY))).ok
        assert not (await process.ask("key", user="admin", key=public(KEY))).ok
        assert not await process.sign(other, "keyed", b"s1")
        assert not await process.sign(KEY, "admin", b"s1")
        text = request(KEY, "keyed", b"s1", "ssh-ed25519")
        assert not await process.sign(KEY, "keyed", b"s1", signature=signed(other, text, "ssh-ed25519"))
        assert not await process.sign(KEY, "keyed", b"s1", request=request(KEY, "admin", b"s1", "ssh-ed25519"))
        assert not await process.sign(KEY, "keyed", b"s1", request=text[:-1], signature=b"\0\0\0\7x")
        assert await process.sign(KEY, "keyed", b"s1")
        assert not await process.sign(KEY, "keyed", b"s1", connection=2), "a session identifier serves once"
        assert await process.sign(CURVE, "keyed", b"s2", "ecdsa-sha2-nistp256", connection=3), "key-hash"
        assert (await process.ask("line", connection=3)).ok

    assert played(act).attended == [("keyed on vty4 (192.0.2.9)", 2)]


def test_rsa_signs_with_sha_2_and_2048_bits() -> None:
    """`rsa-sha2-256` of a key that is long enough verifies; SHA-1 and a short key do not."""
    long, short = (rsa.generate_private_key(65537, bits) for bits in (2048, 1024))
    for key, algorithm, good in (
        (long, "rsa-sha2-256", True),
        (long, "ssh-rsa", False),
        (short, "rsa-sha2-256", False),
    ):
        text = request(key, "keyed", b"session", algorithm)
        found = ssh_keys.signed_login(text, signed(key, text, algorithm), "keyed", public(key))
        assert found == (b"session" if good else None)
    assert ssh_keys.blob_of("AAAA") is None and ssh_keys.blob_of("no base64!") is None


def test_guesses_are_counted_by_address() -> None:
    """After ten failures the right password of that address is refused too, unlooked at; so many are told a second."""

    async def act(process: Process, router: Router, _: Logins) -> None:
        for number in range(FAILURES + 5):
            assert not await process.password("admin", f"guess {number}", connection=number)
        assert not await process.password("admin", "right", connection=99)
        facts = {"user": "admin", "password": "right", "address": "192.0.2.10", "connection": 98}
        assert (await process.ask("password", **facts)).ok

    told = [event for event in played(act).events if isinstance(event, LoginFailed)]
    assert TOLD <= len(told) <= FAILURES + 6 and "guess" not in str(told)


def test_lines_run_out_and_come_back() -> None:
    """There are sixteen lines, of which four take no SSH here; who hangs up gives theirs back."""

    async def act(process: Process, router: Router, _: Logins) -> None:
        assert await process.password("admin", "right")
        assert [(await process.ask("line")).ok for _ in range(LINES - 3)] == [True] * (LINES - 4) + [False]
        router.hangups[3]()
        assert (await process.ask("line")).ok

    assert played(act).attended[-1][0] == "admin on vty7 (192.0.2.9)"
    assert vty_of(CONFIG, 3).privilege == 7 and vty_of(CONFIG, 6).privilege is None


def test_new_settings_are_told_and_nonsense_ends_the_process() -> None:
    """A changed `ip ssh` goes to the process; a line that is no request, or too long, hangs up on it."""

    async def act(process: Process, router: Router, logins: Logins) -> None:
        router.config = msgspec.structs.replace(CONFIG, ssh=msgspec.structs.replace(CONFIG.ssh, retries=1))
        logins.configured()
        logins.configured()
        assert (await process.said.get())[0] == b'{"time_out":120,"retries":1,"startups":128}'
        process.channel.say(b'{"ask":"level","id":1,"connection":1,"level":15}')
        await process.gone.wait()
        assert process.said.empty()

    played(act)

    async def flood(process: Process, _: Router, __: Logins) -> None:
        process.channel.say(b"x" * (3 * OCTETS))
        await process.gone.wait()

    played(flood)


def test_a_host_key_stays_and_is_nobody_else_s_to_read(tmp_path: Path) -> None:
    """It is made once, mode 0600, beside the configuration; one that others read, or that is none, is refused."""
    made = ssh.host_key(None, str(tmp_path / "R1.cfg"))
    file = tmp_path / "R1.cfg.ssh"
    assert file.stat().st_mode & 0o777 == 0o600 and file.read_bytes() == made
    assert ssh.host_key(str(file), None) == made and [each.name for each in tmp_path.iterdir()] == ["R1.cfg.ssh"]
    file.chmod(0o644)
    with pytest.raises(LocalError, match=r"had mode 0644, wanted 0600: chmod 600 "):
        ssh.host_key(str(file), None)
    file.chmod(0o600)
    file.write_text("no key")
    with pytest.raises(LocalError, match="wanted a private key of OpenSSH without a passphrase"):
        ssh.host_key(str(file), None)
    assert ssh.warnings(CONFIG) == [] and "nobody can log in" in ssh.warnings(load("hostname R1"))[0]
    with pytest.raises(LocalError, match="wanted --ssh-host-key FILE"):
        ssh.host_key(None, None)
