"""What a show is given: the session that asks, and its router."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ikescope.config.model import RouterConfig
from ikescope.events import Record
from ikescope.ios.archive import Archive
from ikescope.ios.debug import Level
from ikescope.ios.debug_condition import Condition
from ikescope.ios.exec_modes import Typist
from ikescope.ios.sealing import Sealer
from ikescope.node.status import NodeStatus


class _Router(Protocol):
    @property
    def config(self) -> RouterConfig: ...

    @property
    def archive(self) -> Archive: ...

    def status(self) -> NodeStatus: ...

    def reload(self, text: str, name: str) -> list[str]: ...

    def records(self) -> Iterable[Record]: ...


class Shown(Typist, Protocol):
    """What a show needs of the session that asks for it."""

    @property
    def router(self) -> _Router:
        """The router."""

    @property
    def keys(self) -> Sealer | None:
        """What seals the keys that this operator may see; None: they see `<removed>`."""

    @property
    def debug(self) -> Iterable[Level]:
        """The debug levels that are on."""

    @property
    def condition(self) -> Condition:
        """What the debug is restricted to."""

    @property
    def logged_after(self) -> int:
        """Records up to this sequence number were cleared away."""
