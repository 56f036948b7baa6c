"""`python -m ikescope.ssh CHANNEL LISTENING`: two descriptors that `ikescope run --ssh` hands over, and no other right.

The first line on the channel is the router's: host key and settings. The process ends with the router.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import socket
import sys

from ikescope.daemon import beside
from ikescope.planes import privileges, seccomp
from ikescope.ssh.router import RouterEnd
from ikescope.ssh.server import Doors

PATIENCE = 1.0
"""Seconds that those who are logged in have to read that the router ended."""
NICE = 10
"""What this process gives way by: key exchanges of strangers wait for the router's packets."""
_LOADED_LATE = (
    "encodings.idna",
    "encodings.ascii",
    "stringprep",
    "unicodedata",
    "asyncio.staggered",
    "concurrent.futures.thread",
)


def main(arguments: list[str]) -> int:
    """Serve until the router is gone."""
    channel, listening = (socket.socket(fileno=int(text)) for text in arguments)
    for name in _LOADED_LATE:
        importlib.import_module(name)
    with contextlib.suppress(OSError):
        os.nice(NICE)
    with asyncio.Runner() as runner:
        runner.get_loop()
        privileges.drop()
        privileges.end_with_parent()
        seccomp.confine()
        runner.run(_serve(channel, listening))
    return 0


async def _serve(channel: socket.socket, listening: socket.socket) -> None:
    router = RouterEnd(channel)
    begun = await router.begun
    if begun is None:
        return
    doors = Doors(router, begun, listening)
    router.on_settings = doors.settle
    serving = asyncio.create_task(doors.serve())
    await asyncio.wait({serving, asyncio.ensure_future(router.gone.wait())}, return_when=asyncio.FIRST_COMPLETED)
    serving.cancel()
    doors.close()
    await asyncio.sleep(0)
    await asyncio.wait({asyncio.create_task(doors.empty())}, timeout=PATIENCE)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OSError as error:
        beside.say("ssh", str(error))
        sys.exit(2)
