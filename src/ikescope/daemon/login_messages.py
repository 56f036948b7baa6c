"""What the process of SSH asks the router, and what it is told: JSON lines over their channel."""

from __future__ import annotations

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="ask", forbid_unknown_fields=True):
    """Something that is asked for a TCP connection, by a number of the asker's; `id` comes back in the answer."""

    id: int
    connection: int

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} of connection {self.connection}>"


class Password(Request, frozen=True, kw_only=True, tag="password"):
    """Whether this is the user's password."""

    user: str
    password: str
    address: str


class Key(Request, frozen=True, kw_only=True, tag="key"):
    """Whether this user may log in with this public key; whether they have it is another question."""

    user: str
    key: bytes
    address: str


class Signed(Request, frozen=True, kw_only=True, tag="signed"):
    """The login request that a user signed with a key (RFC 4252 section 7)."""

    user: str
    key: bytes
    request: bytes
    signature: bytes
    address: str


class Line(Request, frozen=True, kw_only=True, tag="line"):
    """A connection to the router for a session of the user who logged in; it comes with the answer."""


class Gone(Request, frozen=True, kw_only=True, tag="gone"):
    """The TCP connection has ended; nothing is answered."""

    why: str = ""


Ask = Password | Key | Signed | Line | Gone


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Yes or no, why not; of a Line the seconds after which an idle session ends (0: never) and the terminal's size."""

    id: int
    ok: bool
    why: str = ""
    idle: int = 0
    length: int | None = None
    width: int | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to let people in: seconds for a login, passwords beyond the first, how many at it at a time."""

    time_out: int
    retries: int
    startups: int


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of the router's; a host key is a secret."""

    hostname: str
    host_key: bytes
    settings: Settings

    def __repr__(self) -> str:
        return f"<Begin {self.hostname}>"
