"""A task is one exchange that we begin: it makes the request and takes the response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType

if TYPE_CHECKING:
    from ikescope.engine.context import Core
    from ikescope.engine.sa import IkeSa


class Task:
    """Base of the tasks. `bound` ones are about their IKE SA itself and do not move to the one that replaces it.

    `spacing`: seconds between two sends of the request where the configuration says so, None for a growing wait.
    """

    exchange: ClassVar[ExchangeType]
    name: ClassVar[str]
    bound: ClassVar[bool] = False
    lane: str | None = None
    """What the exchange is about, where it goes beside others that are about something else; None: it goes alone."""
    spacing: float | None = None
    told: bool = False
    """Whether the request's making was told before the window had room for it."""

    def start(self, core: Core, sa: IkeSa) -> Sequence[Payload] | None:
        """The payloads of the request, or None where nothing is left to do."""
        raise AssertionError(f"{self.name} makes no request")

    def sent(self, core: Core, sa: IkeSa) -> None:
        """The request is on its way for the first time."""

    def finish(self, core: Core, sa: IkeSa, message: Inbound) -> None:
        """Take the response. PeerError where it cannot be used: the task then ends by `failed`."""

    def failed(self, core: Core, sa: IkeSa, why: str) -> None:
        """The exchange brought no result; undo what `start` did."""


@dataclass(slots=True)
class Inbound:
    """A message that was received and verified: its payloads (opened ones where it is protected) and its octets."""

    message_id: int
    exchange: ExchangeType
    payloads: tuple[Payload, ...]
    octets: bytes
    spi_r: bytes = b""


@dataclass(slots=True)
class Reply:
    """The answer to a request; `after` runs once it is sent.

    Where `awaits` names SAs handed to the plane, the answer waits for them; `refused` makes another if one is refused.
    """

    payloads: Sequence[Payload]
    after: Callable[[], None] | None = None
    awaits: set[tuple[int, str]] = field(default_factory=set)
    refused: Callable[[str], Reply] | None = None
