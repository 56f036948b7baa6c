"""Reauthentication, make before break: a new IKE SA from scratch with its own Child SAs, then the old one goes.

RFC 7296 section 2.8.3. Whoever finds it due begins. Where both ends did at once, section 2.8.1's rule for redundant SAs
leaves one of the two new IKE SAs (`duplicates.py`). A failed attempt costs the old IKE SA nothing but its rekeys.
"""

from __future__ import annotations

from collections.abc import Sequence

from ikescope.engine import children, limits
from ikescope.engine.commands import Connect
from ikescope.engine.context import Core
from ikescope.engine.exchange import enqueue
from ikescope.engine.lifetimes import arm_reauthentication
from ikescope.engine.sa import ChildSa, IkeSa
from ikescope.engine.states import USABLE, IkeState
from ikescope.engine.task import Task
from ikescope.engine.tasks.create_child import CreateChild
from ikescope.engine.tasks.ike_sa_init import begin
from ikescope.engine.tasks.informational import DeleteIke, delete_ike
from ikescope.errors import LocalError
from ikescope.events.life import CloseReason, Reauthenticated, ReauthenticationFailed, ReauthenticationStarted
from ikescope.policy.peers import connection
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType

LOOK_AGAIN = 10.0
"""Seconds to wait where something else about the same IKE SA is under way."""
TRIGGER = "reauthentication"


def standing(sa: IkeSa) -> IkeSa | None:
    """The IKE SA that `sa` takes the place of, or what that was rekeyed to meanwhile; None where it has ended."""
    old = sa.reauthenticates
    while old is not None and old.replaced_by is not None:
        old = old.replaced_by
    return None if old is None or old.state not in USABLE else old


def underway(core: Core, sa: IkeSa) -> IkeSa | None:
    """The IKE SA that is about to take this one's place, begun by us."""
    return next((new for new in core.sas.values() if standing(new) is sa), None)


def _by_the_peer(core: Core, sa: IkeSa) -> bool:
    """Whether the peer has begun another IKE SA since this one was authenticated."""
    return any(
        not other.initiator and other.replaces is None and other.created > sa.authenticated
        for other in core.sas.values()
        if other is not sa and other.path.local == sa.path.local and other.peer == sa.peer
    )


def due(core: Core, sa: IkeSa) -> None:
    """Begin, unless something about this IKE SA is under way (then look again soon), or its Delete waits."""
    if any(isinstance(task, DeleteIke) for task in sa.tasks):
        return
    # Of two rekeys that cross, the Child SAs go to one only when the old IKE SA ends.
    rekeyed = sa.replaces is not None and sa.replaces.state is not IkeState.CLOSED
    if sa.state is not IkeState.ESTABLISHED or rekeyed or underway(core, sa) is not None or _by_the_peer(core, sa):
        arm_reauthentication(core, sa, LOOK_AGAIN)
        return
    carried = children.live(sa)
    if not carried:
        delete_ike(core, sa, CloseReason.CONFIGURATION, "due for reauthentication, and it has no Child SA")
        return
    why = limits.outgoing(core)
    try:
        conn = connection(core.config, carried[0].tunnel)
    except LocalError as error:
        why = str(error)
    if why:
        _failed(core, sa, why)
        return
    core.emit(ReauthenticationStarted(children=len(carried)), sa)
    tunnel, index, packet = _want(carried[0])
    want = Connect(tunnel=tunnel, index=index, packet=packet, trigger=TRIGGER)
    # From port 4500, where a NAT knows us already (RFC 7296 section 2.23).
    new = begin(core, conn, want, sa.path if sa.encapsulated else None)
    new.reauthenticates = sa
    if new.state is IkeState.CLOSED:
        ended(core, new, "it could not be begun")
    else:
        new.tasks.append(MoveOver())


def ended(core: Core, sa: IkeSa, why: str) -> None:
    """An IKE SA has ended; where it was to take another's place, that has failed."""
    old, sa.reauthenticates = standing(sa), None
    if old is None:
        return
    if _by_the_peer(core, old):
        arm_reauthentication(core, old, LOOK_AGAIN)
    else:
        _failed(core, old, why)


def _failed(core: Core, old: IkeSa, why: str) -> None:
    old.overdue = True
    wait = core.between(0.75, 1.25) * core.parameters.retry_reauthentication
    hard = old.timers.get("hard")
    left = 0.0 if hard is None else max(0.0, hard.when - core.now)
    core.emit(ReauthenticationFailed(why=why, again_in=wait, ends_in=left), old)
    arm_reauthentication(core, old, wait)


def _want(child: ChildSa) -> tuple[str, int, children.Packet]:
    """What asks for a Child SA like this one: narrowed, it is not all that the tunnel's selector wants."""
    return child.tunnel, child.index, (child.local[0], child.remote[0])


class MoveOver(Task):
    """No request: makes the Child SAs that are still missing under the new IKE SA, then ends the old one."""

    exchange = ExchangeType.INFORMATIONAL
    name = "reauthentication"

    def __init__(self) -> None:
        self.asked: set[tuple[str, int, children.Packet]] = set()

    def start(self, core: Core, sa: IkeSa) -> Sequence[Payload] | None:
        """Runs where nothing is in flight on the new IKE SA."""
        if sa.reauthenticates is None or sa.state not in USABLE:
            return None
        old = standing(sa)
        wanted = [] if old is None else [_want(child) for child in children.live(old)]
        missing = [one for one in wanted if children.find(core, *one, under=sa) is None]
        new = [one for one in dict.fromkeys(missing) if one not in self.asked]
        if new:
            self.asked.update(new)
            for tunnel, index, packet in new:
                want = Connect(tunnel=tunnel, index=index, packet=packet, trigger=TRIGGER)
                sa.tasks.append(CreateChild(want, trigger=TRIGGER))
            sa.tasks.append(self)
        elif any(isinstance(task, CreateChild) for task in sa.tasks):
            # The others for its resources: until they stand, the peer has flows that leave by those of the old one.
            sa.tasks.append(self)
        elif old is not None and (sa.later or old.out.in_flight or core.waits(old)):
            core.timers.arm(core.now + 1.0, lambda: self._again(core, sa))
        elif missing:
            delete_ike(
                core,
                sa,
                CloseReason.NOT_AGREED,
                f"reauthentication: no Child SA for {', '.join(name for name, *_ in missing)}",
            )
        else:
            self._move(core, sa, old)
        return None

    def _again(self, core: Core, sa: IkeSa) -> None:
        while sa.state is IkeState.REKEYED and sa.replaced_by is not None:
            sa = sa.replaced_by
        if sa.state in USABLE:
            enqueue(core, sa, self)

    def _move(self, core: Core, sa: IkeSa, old: IkeSa | None) -> None:
        """Traffic moves, and who began the reauthentication deletes the old IKE SA."""
        before, sa.reauthenticates = old or sa.reauthenticates, None
        assert before is not None
        carried = children.live(sa)
        for child in carried:
            # The old IKE SA's may have been rekeyed since this one was switched to.
            child.outbound_active = False
            children.switch(core, sa, child)
        core.emit(
            Reauthenticated(old_spi_i=before.spi_i.hex(), old_spi_r=before.spi_r.hex(), children=len(carried)), sa
        )
        if old is None:
            return
        sa.tasks.extend(task for task in old.tasks if isinstance(task, CreateChild) and task.first)
        delete_ike(core, old, CloseReason.REAUTHENTICATED, "reauthenticated")
