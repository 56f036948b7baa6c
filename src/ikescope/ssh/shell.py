"""One session: a channel of SSH on one side, the router's prompt on the other, the line editor between them."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import asyncssh

from ikescope.ios.line_editor import LineEditor
from ikescope.ssh.router import RouterEnd

if TYPE_CHECKING:
    from ikescope.ssh.server import Guard

ANSWER = 32 << 20
"""Octets of the longest answer of the router."""


class Shell(asyncssh.SSHServerSession[bytes]):
    """A shell, with a terminal or without, or one command."""

    def __init__(self, guard: Guard, router: RouterEnd) -> None:
        self._guard, self._router = guard, router
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._pty = False
        self._size = 0, 0
        self._command: str | None = None
        self._editor: LineEditor | None = None
        self._early = bytearray()
        self._writer: asyncio.StreamWriter | None = None
        self._asked = self._eof = False
        self._idle = 0
        self._timer: asyncio.TimerHandle | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._task: asyncio.Task[None] | None = None
        self._lines: list[str] = []
        self._status = 0

    # What asyncssh calls.

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Any) -> bool:
        """A terminal of any kind."""
        self._pty, self._size = True, term_size[:2]
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """The window has another size."""
        if self._editor is not None and self._pty:
            self._editor.resize(width, height)

    def shell_requested(self) -> bool:
        """A shell."""
        return True

    def exec_requested(self, command: str) -> bool:
        """One command, or one a line."""
        self._command = command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """No sftp, no netconf."""
        return False

    def session_started(self) -> None:
        """Shell or command: begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """What was typed."""
        self._wind()
        if self._editor is None:
            if self._command is None and self._channel is not None:
                self._early += data
                self._channel.pause_reading()
            return
        self._write(self._editor.feed(data))
        if self._editor.aborted:
            self._send({"abort": True})
        if self._editor.full and self._channel is not None:
            self._channel.pause_reading()
        self._go_on()

    def eof_received(self) -> bool:
        """Nothing more is typed; what was typed is carried out."""
        self._eof = True
        self._go_on()
        return True

    def break_received(self, msec: int) -> bool:
        """A break is as Ctrl-C."""
        self.data_received(b"\x03", None)
        return True

    def signal_received(self, signal: str) -> None:
        """A signal is as Ctrl-C."""
        self.data_received(b"\x03", None)

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """It reads again."""
        self._may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is gone."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._writer is not None:
            self._writer.close()
        self._guard.session_ended()

    # The session.

    async def _run(self) -> None:
        reader = await self._open()
        if reader is None:
            return
        if self._command is not None:
            self._lines = [line for line in self._command.splitlines() if line.strip()]
            self._next_line()
        try:
            while line := await reader.readline():
                self._heard(json.loads(line))
                await self._may_write.wait()
        except (OSError, ValueError):
            pass
        self._leave()

    async def _open(self) -> asyncio.StreamReader | None:
        if not await self._guard.let_in():
            return None
        answer, fd = await self._router.line(self._guard.number)
        if fd is None:
            self._status = 1
            self._write(f"% {answer.why}\r\n".encode())
            self._leave()
            return None
        reader, self._writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=fd), limit=ANSWER)
        self._idle = answer.idle
        self._wind()
        if self._command is None:
            width, length = self._size if self._pty else (0, 0)
            self._editor = LineEditor(
                width=width if answer.width is None else answer.width,
                length=length if answer.length is None else answer.length,
            )
            self._send({"subscribe": "console"})
        return reader

    def _wind(self) -> None:
        """Somebody is there: the time after which an idle session ends begins anew."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._idle, self._leave) if self._idle else None

    def _heard(self, said: dict[str, Any]) -> None:
        """A line of the router's: lines unasked, a part of an answer, or an answer."""
        editor = self._editor
        if editor is None:
            self._result(said)
        elif "debug" in said:
            self._write(editor.notice(said["debug"]))
        elif "partial" in said:
            self._write(editor.stream(str(said["partial"])))
        elif "subscribed" in said:
            self._write(
                b"\r\n" + editor.begin(str(said["prompt"]))
            )  # some clients wait for a prompt that begins a line
            early, self._early = bytes(self._early), bytearray()
            self.data_received(early, None)
            if self._channel is not None and not editor.full:
                self._channel.resume_reading()
        else:
            self._asked = False
            if "error" in said:
                said = {"output": [f"% {said['error']}"]}
            self._write(editor.answered(said))
            if self._channel is not None and not editor.full:
                self._channel.resume_reading()
            self._go_on()

    def _go_on(self) -> None:
        """Ask what the editor wants to know; end where it ended, or where nothing more comes."""
        editor = self._editor
        if editor is None or self._asked:
            return
        if editor.ended:
            self._leave()
        elif editor.asked is None:
            if self._eof and self._writer is not None and not self._early:
                self._leave()
        elif editor.asked.kind == "hangup":
            self._leave()
        else:
            self._asked = True
            self._send(editor.asked.request())

    # One command.

    def _next_line(self) -> None:
        if self._lines:
            self._send({"command": self._lines.pop(0), "typed": True})
        else:
            self._leave()

    def _result(self, said: dict[str, Any]) -> None:
        if "partial" in said:
            self._print(str(said["partial"]))
            return
        if "output" not in said and "error" not in said:
            return
        output = said.get("output", [f"% {said.get('error')}"])
        self._print("".join(f"{line}\n" for line in output))
        if said.get("refused") or "error" in said:
            self._status = 1
        if said.get("ended"):
            self._lines = []
        self._next_line()

    def _print(self, text: str) -> None:
        self._write(text.replace("\n", "\r\n" if self._pty else "\n").encode())

    def _send(self, request: dict[str, Any]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps(request).encode() + b"\n")

    def _write(self, octets: bytes) -> None:
        if octets and self._channel is not None and not self._channel.is_closing():
            self._channel.write(octets)

    def _leave(self) -> None:
        if self._channel is not None and not self._channel.is_closing():
            self._channel.exit(self._status)
