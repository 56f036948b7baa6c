"""Another configuration under a running router: what it changes at the host, and what of that waits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from ikescope.config.model import Address, RouterConfig
from ikescope.daemon.dataplane import HostPlane
from ikescope.errors import LocalError
from ikescope.events.router import PlaneFailed
from ikescope.planes.layout import Change
from ikescope.planes.steps import Leave, Step, carry_out, gives_up


class Changes:
    """Of one data plane. `watch` looks anew which descriptors there are, `emit(event, now)` tells what fails late."""

    def __init__(self, plane: HostPlane, watch: Callable[[], None], emit: Callable[[PlaneFailed, float], None]) -> None:
        self._plane, self._watch, self._emit = plane, watch, emit
        self._later: list[Step] = []

    @property
    def unfinished(self) -> bool:
        """Whether an address that no tunnel has any more is kept until its peers have heard of the end."""
        return bool(self._later)

    def begin(self, config: RouterConfig, now: float) -> Change:
        """Take the steps that the host may refuse; LocalError: it did, and nothing changed. `end` belongs to it."""
        try:
            return self._begin(config, now)
        except LocalError:
            if not self._later:
                raise
        self.finish((), now)  # what is kept for peers that have yet to hear of the end may be in the way
        return self._begin(config, now)

    def _begin(self, config: RouterConfig, now: float) -> Change:
        change = self._plane.change(config)
        carry_out(change.steps.first, lambda step: self._take(step, now))
        self._plane.stand(change.layout)
        return change

    def end(self, change: Change, now: float) -> None:
        """Take the steps that only take away: the Deletes have left."""
        self._try(change.steps.last, now)
        # The addresses that are listened on, those that wait too, are in the change.
        self._later = [*(step for step in self._later if not isinstance(step, Leave)), *change.steps.later]

    def finish(self, needed: Collection[Address], now: float) -> None:
        """Give up addresses, but for those that an IKE SA needs still."""
        steps = [step for step in self._later if not gives_up(step) & {*needed}]
        self._later = [step for step in self._later if step not in steps]
        self._try(steps, now)

    def _take(self, step: Step, now: float) -> None:
        try:
            self._plane.apply(step, now)
        finally:
            self._watch()

    def _try(self, steps: Iterable[Step], now: float) -> None:
        for step in steps:
            try:
                self._take(step, now)
            except LocalError as error:  # what the host does not let go
                self._emit(PlaneFailed(what="go on with the changed configuration", why=str(error)), now)
