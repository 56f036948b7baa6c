"""Passwords verified beside the event loop: a hash takes its time, and the router's packets do not wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ikescope.config.model import LoginSecret
from ikescope.crypto import passwords

WAITING = 16
"""Passwords that wait at a time; one more is refused as a wrong one is."""

PAUSE = 0.02
"""Seconds of rest after each."""


class Verifier:
    """One thread that verifies, one password after the other; made when the first one comes."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._waiting = 0

    def verify(self, secret: LoginSecret | None, password: str, answer: Callable[[bool], None]) -> None:
        """Tell `answer`, on the event loop and later, whether it is the password; without a secret it is none, which
        takes as long to find out.
        """
        if self._waiting >= WAITING:
            asyncio.get_running_loop().call_soon(answer, False)
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, "passwords")
        self._waiting += 1
        work = self._threads.submit(_verify, secret, password.encode("utf-8", "replace"))
        waited = asyncio.wrap_future(work)
        waited.add_done_callback(lambda done: self._verified(done, answer))

    def _verified(self, done: asyncio.Future[bool], answer: Callable[[bool], None]) -> None:
        self._waiting -= 1
        answer(not done.cancelled() and done.exception() is None and done.result())


def _verify(secret: LoginSecret | None, password: bytes) -> bool:
    if secret is None:
        passwords.waste(password)
        return False
    right = passwords.verify(secret.kind, secret.text.octets.decode("utf-8", "replace"), password)
    # Whoever guesses in a burst gets a twentieth of a processor.
    time.sleep(PAUSE)
    return right
