"""A client of charon's control socket (the VICI protocol of strongSwan's libcharon/plugins/vici/README.md).

A message is a tree: str -> str, list of str, or another such dict.
"""

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

Tree = Mapping[str, Any]

CMD_REQUEST, CMD_RESPONSE, CMD_UNKNOWN, EVENT_REGISTER, EVENT_UNREGISTER, EVENT_CONFIRM, EVENT_UNKNOWN, EVENT = range(8)
SECTION_START, SECTION_END, KEY_VALUE, LIST_START, LIST_ITEM, LIST_END = range(1, 7)


class ViciError(Exception):
    """Charon answered that a command failed; the text is its own reason."""


def encode(tree: Tree) -> bytes:
    """A tree as VICI message elements."""
    parts: list[bytes] = []
    for key, value in tree.items():
        name = _short(key)
        if isinstance(value, Mapping):
            parts += [bytes([SECTION_START]), name, encode(value), bytes([SECTION_END])]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            items = [bytes([LIST_ITEM]) + _long(str(item)) for item in value]
            parts += [bytes([LIST_START]), name, *items, bytes([LIST_END])]
        else:
            parts += [bytes([KEY_VALUE]), name, _long(str(value))]
    return b"".join(parts)


def decode(octets: bytes) -> dict[str, Any]:
    """VICI message elements as a tree."""
    stack: list[dict[str, Any]] = [{}]
    items: list[str] = []
    at = 0
    while at < len(octets):
        kind, at = octets[at], at + 1
        if kind in (SECTION_START, KEY_VALUE, LIST_START):
            length = octets[at]
            key, at = octets[at + 1 : at + 1 + length].decode(), at + 1 + length
        if kind in (KEY_VALUE, LIST_ITEM):
            (length,) = struct.unpack_from("!H", octets, at)
            value, at = octets[at + 2 : at + 2 + length].decode(errors="replace"), at + 2 + length
        if kind == SECTION_START:
            stack.append(stack[-1].setdefault(key, {}))
        elif kind == SECTION_END:
            stack.pop()
        elif kind == KEY_VALUE:
            stack[-1][key] = value
        elif kind == LIST_START:
            items = stack[-1].setdefault(key, [])
        elif kind == LIST_ITEM:
            items.append(value)
    return stack[0]


def _short(text: str) -> bytes:
    return bytes([len(text.encode())]) + text.encode()


def _long(text: str) -> bytes:
    return struct.pack("!H", len(text.encode())) + text.encode()


class Vici:
    """One connection to a charon's socket."""

    def __init__(self, path: str, timeout: float = 20.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._socket.connect(path)

    def request(self, command: str, tree: Tree | None = None) -> dict[str, Any]:
        """Run a command; its answer. ViciError when charon says success=no."""
        self._send(CMD_REQUEST, command, tree)
        kind, _, answer = self._receive()
        if kind != CMD_RESPONSE:
            raise ViciError(f"charon does not know the command {command}")
        if answer.get("success", "yes") != "yes":
            raise ViciError(f"{command}: {answer.get('errmsg', 'no reason given')}")
        return answer

    def stream(self, command: str, event: str, tree: Tree | None = None) -> Iterator[dict[str, Any]]:
        """Run a command that answers by events (list-sas by list-sa); each event's tree."""
        self._send(EVENT_REGISTER, event)
        self._receive()
        self._send(CMD_REQUEST, command, tree)
        while True:
            kind, name, answer = self._receive()
            if kind == EVENT and name == event:
                yield answer
            elif kind != EVENT:
                break
        self._send(EVENT_UNREGISTER, event)
        self._receive()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _send(self, kind: int, name: str, tree: Tree | None = None) -> None:
        packet = bytes([kind]) + _short(name) + encode(tree or {})
        self._socket.sendall(struct.pack("!I", len(packet)) + packet)

    def _receive(self) -> tuple[int, str, dict[str, Any]]:
        (length,) = struct.unpack("!I", self._exactly(4))
        packet = self._exactly(length)
        if packet[0] != EVENT:
            return packet[0], "", decode(packet[1:])
        end = 2 + packet[1]
        return packet[0], packet[2:end].decode(), decode(packet[end:])

    def _exactly(self, octets: int) -> bytes:
        parts = b""
        while len(parts) < octets:
            part = self._socket.recv(octets - len(parts))
            if not part:
                raise ViciError(f"charon closed its socket: had {len(parts)}, wanted {octets}")
            parts += part
        return parts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
