"""What a command asks back before it acts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Question(msgspec.Struct, frozen=True):
    """The next line, an empty one too, goes to `answer` and nowhere else; what that gives is printed.

    `secret`: the answer is a password, which is neither echoed nor noted.
    """

    prompt: str
    answer: Callable[[str], list[str]]
    secret: bool = False
