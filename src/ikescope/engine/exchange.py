"""Requests and responses on their way: built, sealed, sent, repeated, answered (RFC 7296 sections 2.1 to 2.4)."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence

from ikescope.engine.commands import Destination, Send
from ikescope.engine.context import Core
from ikescope.engine.fragments import LOWERED_AFTER
from ikescope.engine.sa import IkeSa
from ikescope.engine.sealing import seal_all, seal_smaller
from ikescope.engine.states import IkeState
from ikescope.engine.task import Reply, Task
from ikescope.engine.timers import Timer
from ikescope.engine.window import Answered, Pending
from ikescope.errors import PeerError
from ikescope.events import UNSET
from ikescope.events.life import CloseReason, RetryScheduled, TaskFailed
from ikescope.events.message import (
    FragmentSent,
    MessageSealing,
    MessageSent,
    RetransmissionsExhausted,
    Retransmitting,
    WindowChecked,
)
from ikescope.wire.describe import payload_names
from ikescope.wire.message import Message, encode_chain
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType

ENCRYPTED = ("ENCR",)
TOLD_REPEATS = 16
"""So many repetitions of one request are told each; of more, every one whose number is a power of two."""
DEFECT = "a defect of this router, see its traceback"


def worth_telling(repeat: int) -> bool:
    """Whether a repetition of one request gets events of its own: a replay without end must not fill the stream."""
    return repeat <= TOLD_REPEATS or repeat & (repeat - 1) == 0


def text(address: object, port: int) -> str:
    """`address:port` as events write it."""
    return f"{address}:{port}"


class Built:
    """A message ready to send: its octets and what an event says of it."""

    __slots__ = ("fragments", "inner", "names", "octets", "opened", "opened_first")

    def __init__(
        self,
        core: Core,
        sa: IkeSa,
        exchange: ExchangeType,
        response: bool,
        mid: int,
        chain: Sequence[Payload],
        *,
        announce: bool = True,
    ) -> None:
        if core.mutate is not None:
            chain = core.mutate(exchange, response, chain)
        names = payload_names(chain)
        self.fragments: tuple[bytes, ...] = ()
        if exchange is ExchangeType.IKE_SA_INIT:
            message = Message(sa.spi_i, sa.spi_r, exchange, mid, tuple(chain), sa.initiator, response)
            self.octets = message.encode()
            self.names, self.inner = names, None
            self.opened: bytes | None = None
            self.opened_first = 0
            return
        assert sa.envelope is not None
        if announce:
            core.emit(MessageSealing(exchange=exchange, response=response, payloads=names), sa, mid)
        self.opened_first, self.opened = encode_chain(chain)
        datagrams = seal_all(core, sa, exchange, response, mid, self.opened_first, self.opened)
        self.octets, self.fragments = datagrams[0], datagrams if len(datagrams) > 1 else ()
        self.names, self.inner = ENCRYPTED, names

    @property
    def datagrams(self) -> tuple[bytes, ...]:
        """What goes out: the message, or its fragments (`octets` is the first of them then)."""
        return self.fragments or (self.octets,)


def emit_sent(
    core: Core, sa: IkeSa, exchange: int, response: bool, message_id: int, sent: Built | Pending | Answered, repeat: int
) -> None:
    """The event of a message that leaves now, and those of its fragments."""
    sizes = tuple(map(len, sent.datagrams))
    keep = core.parameters.record_octets
    core.emit(
        MessageSent(
            exchange=exchange,
            response=response,
            local=sa.ends[0],
            remote=sa.ends[1],
            payloads=sent.names,
            inner=UNSET if sent.inner is None else sent.inner,
            size=sum(sizes),
            octets=sent.datagrams[0] if keep and not sent.fragments else UNSET,
            opened=sent.opened if keep and sent.opened is not None else UNSET,
            opened_first=sent.opened_first if sent.opened is not None else UNSET,
            repeat=repeat,
            fragments=sizes if sent.fragments else (),
        ),
        sa,
        message_id,
    )
    for number, octets in enumerate(sent.fragments, 1):
        core.emit(
            FragmentSent(
                exchange=exchange,
                response=response,
                local=sa.ends[0],
                remote=sa.ends[1],
                number=number,
                total=len(sizes),
                size=len(octets),
                octets=octets if keep else UNSET,
                repeat=repeat,
            ),
            sa,
            message_id,
        )


def transmit(core: Core, sent: Built | Pending | Answered, path: Destination) -> None:
    """Send all datagrams of a message."""
    core.commands.extend(Send(octets, path) for octets in sent.datagrams)


def send_request(core: Core, sa: IkeSa, task: Task, payloads: Sequence[Payload], message_id: int | None = None) -> None:
    """Send a request of ours and wait for its response.

    `message_id` repeats an ID: IKE_SA_INIT after COOKIE or INVALID_KE_PAYLOAD begins anew with 0.
    """
    protected = task.exchange is not ExchangeType.IKE_SA_INIT
    mid = sa.out.take() if message_id is None else message_id
    built = Built(core, sa, task.exchange, False, mid, payloads, announce=not task.told)
    if protected and task.exchange is not ExchangeType.IKE_AUTH and not task.told:
        core.emit(WindowChecked(in_flight=len(sa.out.in_flight), window=sa.out.size, fits=True), sa, mid)
    pending = Pending(
        mid,
        task,
        task.exchange,
        built.octets,
        built.names,
        built.inner,
        built.opened,
        built.opened_first,
        core.now,
        limit=core.parameters.sends,
        fragments=built.fragments,
    )
    sa.out.in_flight[mid] = pending
    emit_sent(core, sa, task.exchange, False, mid, built, 0)
    transmit(core, built, sa.path)
    _arm(core, sa, pending)
    task.sent(core, sa)


def _arm(core: Core, sa: IkeSa, pending: Pending) -> None:
    wait = _wait(core, pending, pending.sends)
    pending.timer = core.timers.arm(core.now + wait, lambda: _silence(core, sa, pending))


def _wait(core: Core, pending: Pending, sends: int) -> float:
    """Seconds after the `sends`-th time that a request was sent."""
    return pending.task.spacing or core.parameters.first_wait * 2 ** (sends - 1)


def _silence(core: Core, sa: IkeSa, pending: Pending) -> None:
    if pending.sends >= pending.limit:
        core.emit(
            RetransmissionsExhausted(
                exchange=pending.exchange, sends=pending.sends, seconds=core.now - pending.first_sent
            ),
            sa,
            pending.message_id,
        )
        sa.out.in_flight.pop(pending.message_id, None)
        cause = CloseReason.PEER_REFUSED if sa.hint else CloseReason.SILENCE
        why = sa.hint or cause.value
        give_up(core, sa, pending.task, why)
        core.on_unreachable(sa, cause, why)
        return
    wait = _wait(core, pending, pending.sends + 1)
    core.emit(
        Retransmitting(exchange=pending.exchange, attempt=pending.sends, limit=pending.limit - 1, wait=wait),
        sa,
        pending.message_id,
    )
    if pending.sends >= LOWERED_AFTER:
        _shrink(core, sa, pending)
    emit_sent(core, sa, pending.exchange, False, pending.message_id, pending, pending.sends)
    transmit(core, pending, sa.path)
    pending.sends += 1
    _arm(core, sa, pending)


def _shrink(core: Core, sa: IkeSa, pending: Pending) -> None:
    """A request that nobody answers may be too large for the path."""
    first, inner = pending.opened_first, pending.opened
    datagrams = seal_smaller(core, sa, pending.exchange, False, pending.message_id, first, inner, pending.datagrams)
    if datagrams != pending.datagrams:
        pending.octets, pending.fragments = datagrams[0], datagrams


def enqueue(core: Core, sa: IkeSa, task: Task, *, first: bool = False) -> None:
    """Begin a task as soon as the peer's window and the tasks before it allow."""
    if first:
        sa.tasks.appendleft(task)
    else:
        sa.tasks.append(task)
    pump(core, sa)


def pump(core: Core, sa: IkeSa) -> None:
    """Begin what can begin: exchanges about different things side by side, and none while one waits for the plane."""
    while sa.tasks and _may_begin(sa, sa.tasks[0]) and not core.waits(sa) and sa.state is not IkeState.CLOSED:
        task = sa.tasks.popleft()
        payloads: list[Sequence[Payload] | None] = [None]

        def start(task: Task = task, payloads: list[Sequence[Payload] | None] = payloads) -> None:
            payloads[0] = task.start(core, sa)

        if not guarded(core, sa, task.name, start):
            give_up(core, sa, task, DEFECT)
        elif payloads[0] is not None:
            send_request(core, sa, task, payloads[0])


def _may_begin(sa: IkeSa, task: Task) -> bool:
    ##= rfc7296#section-2.3
    ##% An IKE endpoint MUST NOT exceed the peer's stated window size for
    ##% transmitted IKE requests.
    lanes = [pending.task.lane for pending in sa.out.in_flight.values()]
    return not lanes or (sa.out.has_room() and task.lane is not None and task.lane not in lanes and None not in lanes)


def give_up(core: Core, sa: IkeSa, task: Task, why: str) -> None:
    """A task ends without its result."""
    guarded(core, sa, task.name, lambda: task.failed(core, sa, why))


def retry_later(core: Core, sa: IkeSa, what: str, retry: Callable[[], None], end: Timer | None = None) -> None:
    """After TEMPORARY_FAILURE: once more in some seconds, and after minutes of it the IKE SA is given up.

    `end` is the last moment of what is to be replaced: the wait is a third of what is left until then at most, though
    not below `Parameters.retry_soonest`.
    """
    ##= rfc7296#section-2.25
    ##% If a peer continues to
    ##% receive TEMPORARY_FAILURE on the same IKE SA after several minutes,
    ##% it SHOULD conclude that the state information is out of sync and
    ##% close the IKE SA.
    sa.refusals += 1
    if sa.refusals > core.parameters.retry_limit:
        core.on_stuck(sa, CloseReason.OUT_OF_STEP, f"{what}: refused {sa.refusals} times")
        return
    wait = core.between(0.75, 1.25) * core.parameters.retry_temporary
    if end is not None:
        wait = min(wait, max(core.parameters.retry_soonest, (end.when - core.now) / 3))
    core.emit(RetryScheduled(what=what, seconds=wait), sa)
    core.timers.arm(core.now + wait, retry)


def guarded(core: Core, sa: IkeSa | None, name: str, action: Callable[[], None]) -> bool:
    """Run a part of a task. A defect of ours ends that part, leaves its traceback as an event and answers nothing.

    The one wall of the engine: whatever is done for a datagram, a deadline or the data plane is done behind it.
    """
    try:
        action()
    except PeerError:
        raise
    except Exception:
        core.emit(TaskFailed(task=name, traceback=traceback.format_exc()), sa)
        return False
    return True


def send_reply(core: Core, sa: IkeSa, message_id: int, exchange: ExchangeType, reply: Reply) -> None:
    """Send the response to a request of the peer's, or keep it until the plane has installed what it promises."""
    entry = sa.into.kept.get(message_id)
    if reply.awaits:
        keys, reply.awaits, refused = reply.awaits, set(), reply.refused
        assert refused is not None
        core.await_plane(
            sa,
            keys,
            lambda: send_reply(core, sa, message_id, exchange, reply),
            lambda why: send_reply(core, sa, message_id, exchange, refused(why)),
        )
        return
    built = Built(core, sa, exchange, True, message_id, reply.payloads)
    if entry is not None:
        entry.response, entry.names, entry.inner = built.octets, built.names, built.inner
        entry.fragments = built.fragments
        entry.opened, entry.opened_first, entry.exchange = built.opened, built.opened_first, exchange
    emit_sent(core, sa, exchange, True, message_id, built, 0)
    transmit(core, built, sa.path)
    if reply.after is not None:
        reply.after()


def repeat_reply(
    core: Core, sa: IkeSa, message_id: int, entry: Answered, path: Destination, *, smaller: bool = False
) -> None:
    """Answer a retransmitted request with the very octets of the first response.

    In smaller datagrams where they may be too large for the path: the peer lowered its own size, or asks once more.
    """
    ##= rfc7296#section-2.1
    ##% In that event, the responder MUST ignore the retransmitted
    ##% request except insofar as it causes a retransmission of the response.
    entry.repeats += 1
    if smaller or entry.repeats >= LOWERED_AFTER:
        _shrink_reply(core, sa, message_id, entry)
    if worth_telling(entry.repeats):
        emit_sent(core, sa, entry.exchange, True, message_id, entry, entry.repeats)
    transmit(core, entry, path)


def _shrink_reply(core: Core, sa: IkeSa, message_id: int, entry: Answered) -> None:
    first, inner = entry.opened_first, entry.opened
    datagrams = seal_smaller(core, sa, entry.exchange, True, message_id, first, inner, entry.datagrams)
    if datagrams != entry.datagrams:
        entry.response, entry.fragments = datagrams[0], datagrams
