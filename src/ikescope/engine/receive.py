"""The way of a datagram: is it IKE, whose is it, is it authentic, is it new (RFC 7296 section 2)."""

from __future__ import annotations

from collections.abc import Callable

from ikescope.crypto.envelope import EnvelopeError
from ikescope.engine import cookies
from ikescope.engine.closing import close_ike
from ikescope.engine.commands import Destination, Send, UpdatePath
from ikescope.engine.context import Core
from ikescope.engine.errors import FATAL, InvalidSyntax
from ikescope.engine.exchange import DEFECT, ENCRYPTED, give_up, guarded, pump, repeat_reply, send_reply, text
from ikescope.engine.payloads import notify_of, optional
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import AUTHENTICATED, IkeState
from ikescope.engine.task import Inbound, Reply
from ikescope.engine.tasks import create_child, ike_auth, ike_rekey, ike_sa_init, informational
from ikescope.engine.window import Pending
from ikescope.errors import DecodeError, PeerError
from ikescope.events import UNSET
from ikescope.events.message import DropTrigger, MessageDropped, MessageReceived, MessageSent, RequestRefused
from ikescope.events.negotiation import ExchangeFailed
from ikescope.wire.describe import payload_names
from ikescope.wire.header import HEADER_OCTETS, Header
from ikescope.wire.message import Message, parse_chain
from ikescope.wire.nonce import NoncePayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType, ProtocolId
from ikescope.wire.rules import check
from ikescope.wire.sa import SaPayload

INIT = ExchangeType.IKE_SA_INIT


def drop(
    core: Core,
    trigger: DropTrigger,
    path: Destination,
    octets: bytes,
    *,
    sa: IkeSa | None = None,
    found: str | None = None,
    wanted: str | None = None,
) -> None:
    """Discard a datagram and say why."""
    core.emit(
        MessageDropped(
            trigger=trigger,
            local=text(path.local, path.local_port),
            remote=text(path.remote, path.remote_port),
            size=len(octets),
            found=UNSET if found is None else found,
            wanted=UNSET if wanted is None else wanted,
            octets=octets if core.parameters.record_octets and len(octets) <= 4096 else UNSET,
        ),
        sa,
    )


def receive(core: Core, octets: bytes, path: Destination) -> None:
    """Take one datagram without its non-ESP marker."""
    if len(octets) < HEADER_OCTETS:
        trigger = DropTrigger.KEEPALIVE if octets == b"\xff" else DropTrigger.NOT_IKE
        drop(core, trigger, path, octets, found=f"{len(octets)} octets", wanted=f"at least {HEADER_OCTETS}")
        return
    header = Header.parse(octets)
    if header.version >> 4 != 2:
        ##= rfc7296#section-2.5
        ##% If an endpoint receives a message with a higher major version number,
        ##% it MUST drop the message
        drop(core, DropTrigger.MAJOR_VERSION, path, octets, found=f"{header.version >> 4}", wanted="2")
        return
    if header.length != len(octets):
        drop(core, DropTrigger.MALFORMED, path, octets, found=f"length {header.length}", wanted=f"{len(octets)}")
        return
    if not any(header.spi_i):
        drop(core, DropTrigger.ZERO_SPI, path, octets)
        return
    if header.exchange == INIT:
        _receive_init(core, header, octets, path)
        return
    sa = core.sas.get(header.spi_r if header.initiator else header.spi_i)
    if sa is None or sa.envelope is None:
        _receive_late(core, header, octets, path)
    elif sa.initiator == header.initiator or sa.remote_spi != (header.spi_i if header.initiator else header.spi_r):
        drop(core, DropTrigger.WRONG_DIRECTION, path, octets, sa=sa)
    else:
        _receive_protected(core, sa, header, octets, path)


def _receive_late(core: Core, header: Header, octets: bytes, path: Destination) -> None:
    """For no IKE SA that stands: a request whose response ended its IKE SA gets that response again."""
    sa = core.buried.get(header.spi_r if header.initiator else header.spi_i)
    entry = None if sa is None or header.response else sa.into.kept.get(header.message_id)
    if sa is None or entry is None or entry.response is None or entry.request != octets:
        drop(core, DropTrigger.UNKNOWN_SPI, path, octets)
    else:
        repeat_reply(core, sa, header.message_id, entry, path)


def _receive_init(core: Core, header: Header, octets: bytes, path: Destination) -> None:
    if header.response:
        _init_response(core, header, octets, path)
        return
    if header.message_id or any(header.spi_r) or not header.initiator:
        drop(core, DropTrigger.NOT_FIRST, path, octets, found=f"message ID {header.message_id}", wanted="0")
        return
    known = core.half_open.get((path.remote, path.remote_port, header.spi_i))
    if known is None and any(sa.request == octets and not sa.initiator for sa in core.sas.values()):
        drop(core, DropTrigger.OLD_REQUEST, path, octets, found="an IKE_SA_INIT request whose IKE SA stands")
        return
    if known is not None:
        _init_repeated(core, known, octets, path)
        return
    if len(core.half_open) >= core.parameters.max_half_open:
        drop(core, DropTrigger.HALF_OPEN_LIMIT, path, octets, found=f"{len(core.half_open)}")
        return
    message = _parse(core, octets, path, None)
    if message is None:
        return
    if not _served(core, path):
        drop(core, DropTrigger.NOT_CONFIGURED, path, octets, found=f"no tunnel from {path.local} to {path.remote}")
        return
    if not _challenged(core, header, octets, path, message):
        _begin_responder(core, header, octets, path, message)


def _challenged(core: Core, header: Header, octets: bytes, path: Destination, message: Message) -> bool:
    """Answer with a cookie and forget the request, if there are to be cookies and it does not return ours."""
    nonce = optional(message.payloads, PayloadType.NONCE, NoncePayload)
    if nonce is None or not cookies.wanted(core):
        return False
    returned = notify_of(message.payloads, NotifyType.COOKIE)
    if returned is not None and cookies.verifies(core, returned.data, header.spi_i, nonce.data, path):
        return False
    sa = ike_sa_init.candidate(core, header.spi_i, path)
    _emit_received(core, sa, header, path, octets, message.payloads, None, None)
    data = cookies.cookie(core, header.spi_i, nonce.data, path)
    _send_unkept(core, sa, header, path, NotifyPayload(NotifyType.COOKIE, data))
    core.free_id(sa.id)
    return True


def _begin_responder(core: Core, header: Header, octets: bytes, path: Destination, message: Message) -> None:
    """A new IKE SA, or one error notify and no state."""
    inbound = Inbound(0, INIT, message.payloads, octets, header.spi_r)
    sa = ike_sa_init.candidate(core, header.spi_i, path)
    _emit_received(core, sa, header, path, octets, message.payloads, None, None)
    try:
        check(message.payloads, INIT, False, False)
        if not guarded(core, sa, "IKE_SA_INIT responder", lambda: ike_sa_init.respond(core, sa, inbound)):
            core.sas.pop(sa.spi_r, None)
    except PeerError as error:
        sa.spi_r = bytes(8)
        _answer_init_error(core, sa, header, path, error)
    if sa.spi_r not in core.sas:
        core.free_id(sa.id)


def _served(core: Core, path: Destination) -> bool:
    """Whether a tunnel of ours ends there: nobody else is spoken to."""
    return any(
        tunnel.destination == path.remote and tunnel.source_address in (None, path.local) and not tunnel.shutdown
        for tunnel in core.config.tunnels.values()
    )


def _init_repeated(core: Core, sa: IkeSa, octets: bytes, path: Destination) -> None:
    entry = sa.into.kept.get(0)
    if entry is None or entry.request != octets or entry.response is None:
        drop(core, DropTrigger.DIFFERENT_REPEAT, path, octets, sa=sa)
        return
    message = Message.parse(octets)
    header = Header.parse(octets)
    _emit_received(core, sa, header, path, octets, message.payloads, None, None, repeat=entry.repeats + 1)
    repeat_reply(core, sa, 0, entry, path)
    # An initiator that repeats itself is still there: IKE_AUTH has the whole time again.
    ike_auth.arm_auth(core, sa)


def _answer_init_error(core: Core, sa: IkeSa, header: Header, path: Destination, error: PeerError) -> None:
    if error.notify is not None:
        _send_init_error(core, sa, header, path, error, NotifyType.of(error.notify))
    core.emit(ExchangeFailed(exchange=INIT, why=str(error)), sa, 0)


def _send_init_error(
    core: Core, sa: IkeSa, header: Header, path: Destination, error: PeerError, notify: NotifyType
) -> None:
    core.emit(RequestRefused(exchange=INIT, notify=notify, why=str(error), section=error.section), sa, 0)
    _send_unkept(core, sa, header, path, NotifyPayload(notify, error.data))


def _send_unkept(core: Core, sa: IkeSa, header: Header, path: Destination, payload: NotifyPayload) -> None:
    """Answer an IKE_SA_INIT request with one notify; no state is kept."""
    message = Message(header.spi_i, bytes(8), INIT, 0, (payload,), False, True)
    octets = message.encode()
    core.emit(
        MessageSent(
            exchange=INIT,
            response=True,
            local=text(path.local, path.local_port),
            remote=text(path.remote, path.remote_port),
            payloads=payload_names((payload,)),
            size=len(octets),
            octets=octets if core.parameters.record_octets else UNSET,
        ),
        sa,
        0,
    )
    core.commands.append(Send(octets, path))


def _init_response(core: Core, header: Header, octets: bytes, path: Destination) -> None:
    sa = core.sas.get(header.spi_i)
    pending = None if sa is None else sa.out.in_flight.get(0)
    if sa is None or pending is None or pending.exchange != INIT or header.initiator or header.message_id:
        drop(core, DropTrigger.UNEXPECTED_RESPONSE, path, octets, sa=sa)
        return
    message = _parse(core, octets, path, sa)
    if message is None:
        return
    task = pending.task
    sa.request = pending.octets
    seen = sa.spi_r
    sa.spi_r = header.spi_r
    _emit_received(core, sa, header, path, octets, message.payloads, None, None)
    sa.spi_r = seen
    inbound = Inbound(0, INIT, message.payloads, octets, header.spi_r)
    del sa.out.in_flight[0]
    try:
        check(message.payloads, INIT, True, False)
        if not guarded(core, sa, task.name, lambda: task.finish(core, sa, inbound)):
            close_ike(core, sa, DEFECT)
            return
    except PeerError as error:
        ##= rfc7296#section-2.21.1
        ##% Because all error notifications are completely
        ##% unauthenticated, the recipient should continue trying for some time
        ##% before giving up.
        sa.out.in_flight[0] = pending
        pending.limit = max(pending.sends, min(pending.limit, core.parameters.hinted_sends))
        sa.hint = sa.hint or str(error)
        drop(core, DropTrigger.UNTRUSTED_NOTIFY, path, octets, sa=sa, found=str(error))
        return
    current = sa.out.in_flight.get(0)
    if pending.timer is not None and current is not pending:
        pending.timer.cancel()
    sa.last_heard = core.now
    pump(core, sa)


def _parse(core: Core, octets: bytes, path: Destination, sa: IkeSa | None) -> Message | None:
    try:
        return Message.parse(octets)
    except DecodeError as error:
        drop(core, DropTrigger.MALFORMED, path, octets, sa=sa, found=str(error))
        return None


def _emit_received(
    core: Core,
    sa: IkeSa,
    header: Header,
    path: Destination,
    octets: bytes,
    clear: tuple[Payload, ...],
    inner: tuple[Payload, ...] | None,
    opened: tuple[int, bytes] | None,
    *,
    repeat: int = 0,
) -> None:
    keep = core.parameters.record_octets
    core.emit(
        MessageReceived(
            exchange=header.exchange,
            response=header.response,
            local=text(path.local, path.local_port),
            remote=text(path.remote, path.remote_port),
            payloads=payload_names(clear) if inner is None else ENCRYPTED,
            inner=UNSET if inner is None else payload_names(inner),
            size=len(octets),
            octets=octets if keep else UNSET,
            opened=opened[1] if keep and opened is not None else UNSET,
            opened_first=UNSET if opened is None else opened[0],
            repeat=repeat,
        ),
        sa,
        header.message_id,
    )


def _receive_protected(core: Core, sa: IkeSa, header: Header, octets: bytes, path: Destination) -> None:
    message = _parse(core, octets, path, sa)
    if message is None:
        return
    encrypted = message.encrypted
    if encrypted is None or encrypted.kind != PayloadType.SK or message.sk_offset is None:
        drop(core, DropTrigger.UNPROTECTED, path, octets, sa=sa, found=", ".join(payload_names(message.payloads)))
        return
    assert sa.envelope is not None
    try:
        opened = sa.envelope.open(octets, message.sk_offset)
    except EnvelopeError as error:
        drop(core, DropTrigger.ICV, path, octets, sa=sa, found=str(error))
        return
    first = int(encrypted.first_payload)
    if header.response:
        _response(core, sa, header, octets, path, message, (first, opened))
    else:
        _request(core, sa, header, octets, path, message, (first, opened))


def _request(
    core: Core, sa: IkeSa, header: Header, octets: bytes, path: Destination, message: Message, opened: tuple[int, bytes]
) -> None:
    mid = header.message_id
    entry = sa.into.kept.get(mid)
    if entry is not None:
        if entry.request != octets:
            drop(core, DropTrigger.DIFFERENT_REPEAT, path, octets, sa=sa)
        elif entry.response is not None:
            repeat_reply(core, sa, mid, entry, path)
        return
    if not sa.into.admits(mid):
        trigger = DropTrigger.OLD_REQUEST if mid < sa.into.lowest else DropTrigger.BEYOND_WINDOW
        last = sa.into.lowest + sa.into.size - 1
        drop(core, trigger, path, octets, sa=sa, found=f"{mid}", wanted=f"{sa.into.lowest} to {last}")
        return
    handler = _handler(sa, header.exchange)
    if handler is None:
        drop(core, DropTrigger.WRONG_EXCHANGE, path, octets, sa=sa, found=f"{header.exchange} while {sa.state}")
        return
    sa.into.begin(mid, octets)
    _heard(core, sa, path)
    if not guarded(core, sa, "request", lambda: _handle(core, sa, header, octets, path, message, opened, handler)):
        if sa.state is IkeState.INIT_DONE:
            close_ike(core, sa, DEFECT)
        sa.into.forget(mid)


Handler = Callable[[Core, IkeSa, Inbound], Reply]


def _handler(sa: IkeSa, kind: ExchangeType) -> Handler | None:
    """Which exchange answers, if it is possible in this state."""
    if sa.state is IkeState.INIT_DONE:
        return ike_auth.respond if kind is ExchangeType.IKE_AUTH else None
    if sa.state is IkeState.AUTH_SENT or sa.state not in AUTHENTICATED:
        return None
    return HANDLERS.get(kind)


def _create(core: Core, sa: IkeSa, message: Inbound) -> Reply:
    """Told apart by what it holds: an IKE proposal rekeys the IKE SA, anything else makes a Child SA."""
    for payload in message.payloads:
        if isinstance(payload, SaPayload) and any(one.protocol == ProtocolId.IKE for one in payload.proposals):
            return ike_rekey.respond(core, sa, message)
    return create_child.respond(core, sa, message)


HANDLERS: dict[ExchangeType, Handler] = {
    ExchangeType.CREATE_CHILD_SA: _create,
    ExchangeType.INFORMATIONAL: informational.respond,
}


def _handle(
    core: Core,
    sa: IkeSa,
    header: Header,
    octets: bytes,
    path: Destination,
    message: Message,
    opened: tuple[int, bytes],
    handler: Handler,
) -> None:
    kind = header.exchange
    try:
        payloads = parse_chain(PayloadType.of(opened[0]), opened[1], inside=True)
        _emit_received(core, sa, header, path, octets, message.payloads, payloads, opened)
        check(payloads, kind, False, True)
        reply = handler(core, sa, Inbound(header.message_id, kind, payloads, octets))
    except PeerError as error:
        reply = _error_reply(core, sa, header, error, path)
    send_reply(core, sa, header.message_id, kind, reply)
    pump(core, sa)


def _error_reply(core: Core, sa: IkeSa, header: Header, error: PeerError, path: Destination) -> Reply:
    notify = NotifyType.of(error.notify or InvalidSyntax.notify or 7)
    core.emit(
        RequestRefused(exchange=header.exchange, notify=notify, why=str(error), section=error.section),
        sa,
        header.message_id,
    )
    spi = error.facts.get("spi")
    payload = NotifyPayload(notify, error.data)
    if isinstance(spi, bytes):
        payload = NotifyPayload(notify, error.data, ProtocolId.ESP, spi)
    fatal = notify in FATAL or header.exchange is ExchangeType.IKE_AUTH
    return Reply([payload], (lambda: _fatal(core, sa, header.exchange, error)) if fatal else None)


def _fatal(core: Core, sa: IkeSa, kind: ExchangeType, error: PeerError) -> None:
    """The error that was just answered ends the IKE SA, without a Delete (RFC 7296 section 2.21.2)."""
    core.emit(ExchangeFailed(exchange=kind, why=str(error)), sa)
    close_ike(core, sa, str(error))


def _response(
    core: Core, sa: IkeSa, header: Header, octets: bytes, path: Destination, message: Message, opened: tuple[int, bytes]
) -> None:
    pending = sa.out.in_flight.get(header.message_id)
    if pending is None or pending.exchange != header.exchange:
        drop(core, DropTrigger.UNEXPECTED_RESPONSE, path, octets, sa=sa, found=f"message ID {header.message_id}")
        return
    if pending.timer is not None:
        pending.timer.cancel()
    del sa.out.in_flight[header.message_id]
    _heard(core, sa, path)
    if not guarded(
        core, sa, pending.task.name, lambda: _finish(core, sa, header, octets, path, message, opened, pending)
    ):
        give_up(core, sa, pending.task, DEFECT)
    if sa.state is not IkeState.CLOSED:
        pump(core, sa)


def _finish(
    core: Core,
    sa: IkeSa,
    header: Header,
    octets: bytes,
    path: Destination,
    message: Message,
    opened: tuple[int, bytes],
    pending: Pending,
) -> None:
    try:
        payloads = parse_chain(PayloadType.of(opened[0]), opened[1], inside=True)
        _emit_received(core, sa, header, path, octets, message.payloads, payloads, opened)
        check(payloads, header.exchange, True, True)
        pending.task.finish(core, sa, Inbound(header.message_id, header.exchange, payloads, octets))
    except PeerError as error:
        # A response that makes no sense is not answered; the state is cleaned up (RFC 7296 section 2.21).
        core.emit(ExchangeFailed(exchange=header.exchange, why=str(error)), sa, header.message_id)
        pending.task.failed(core, sa, str(error))
        if header.exchange is ExchangeType.IKE_AUTH:
            close_ike(core, sa, str(error))
        elif error.notify in FATAL:
            informational.delete_ike(core, sa, str(error))


def _heard(core: Core, sa: IkeSa, path: Destination) -> None:
    """An authentic message came in: the peer lives, and this is where it now is."""
    sa.last_heard = core.now
    if path == sa.path:
        return
    if sa.nat_local and not sa.nat_remote:
        # Only the end that is not behind the NAT follows the other (RFC 7296 section 2.23).
        return
    sa.path = path
    for child in sa.children.values():
        core.commands.append(UpdatePath(child.outbound, child.tunnel, path, child.udp))
