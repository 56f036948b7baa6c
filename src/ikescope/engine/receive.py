"""The way of a datagram: is it IKE, whose is it, is it authentic, is it new (RFC 7296 section 2)."""

from __future__ import annotations

from collections.abc import Callable

from ikescope.crypto.envelope import EnvelopeError
from ikescope.engine import intake, sealing
from ikescope.engine.arrivals import emit_received, emit_repeated, parse
from ikescope.engine.closing import close_ike
from ikescope.engine.commands import Destination
from ikescope.engine.context import Core
from ikescope.engine.drops import drop
from ikescope.engine.errors import FATAL, InvalidSyntax, cause_of
from ikescope.engine.exchange import DEFECT, give_up, guarded, pump, repeat_reply, send_reply
from ikescope.engine.fragments import Opened
from ikescope.engine.nat import follow
from ikescope.engine.opening import receive_request
from ikescope.engine.payloads import notify_of
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import AUTHENTICATED, IkeState
from ikescope.engine.task import Inbound, Reply
from ikescope.engine.tasks import create_child, ike_auth, ike_rekey, informational
from ikescope.engine.unprotected import hinted, tell_unknown, tell_version
from ikescope.engine.window import Pending
from ikescope.errors import PeerError
from ikescope.events.life import CloseReason
from ikescope.events.message import DropTrigger, RequestRefused
from ikescope.events.negotiation import ExchangeFailed
from ikescope.wire.describe import payload_names
from ikescope.wire.header import HEADER_OCTETS, Header
from ikescope.wire.message import Message, parse_chain
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType, ProtocolId
from ikescope.wire.rules import check
from ikescope.wire.sa import SaPayload

INIT = ExchangeType.IKE_SA_INIT
WHOLE_CAME = "it came in one datagram"


def receive(core: Core, octets: bytes, path: Destination) -> None:
    """Take one datagram without its non-ESP marker."""
    if len(octets) < HEADER_OCTETS:
        trigger = DropTrigger.KEEPALIVE if octets == b"\xff" else DropTrigger.NOT_IKE
        drop(core, trigger, path, octets, found=f"{len(octets)} octets", wanted=f"at least {HEADER_OCTETS}")
        return
    header = Header.parse(octets)
    if header.version >> 4 != 2:
        tell_version(core, header, octets, path)
        drop(core, DropTrigger.MAJOR_VERSION, path, octets, found=f"{header.version >> 4}", wanted="2")
        return
    if header.length != len(octets):
        drop(core, DropTrigger.MALFORMED, path, octets, found=f"length {header.length}", wanted=f"{len(octets)}")
        return
    if not any(header.spi_i):
        drop(core, DropTrigger.ZERO_SPI, path, octets)
        return
    if header.exchange == INIT:
        (_init_response if header.response else receive_request)(core, header, octets, path)
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
        tell_unknown(core, header, octets, path)
        others = entry is not None and octets[16] == PayloadType.SKF
        drop(core, DropTrigger.FRAGMENT_REPEATED if others else DropTrigger.UNKNOWN_SPI, path, octets)
    else:
        emit_repeated(core, sa, header, path, octets, entry.repeats + 1)
        repeat_reply(core, sa, header.message_id, entry, path)


def _init_response(core: Core, header: Header, octets: bytes, path: Destination) -> None:
    sa = core.sas.get(header.spi_i)
    pending = None if sa is None else sa.out.in_flight.get(0)
    if sa is None or pending is None or pending.exchange != INIT or header.initiator or header.message_id:
        drop(core, DropTrigger.UNEXPECTED_RESPONSE, path, octets, sa=sa)
        return
    message = parse(core, octets, path, sa)
    if message is None:
        return
    task = pending.task
    sa.request = pending.octets
    seen = sa.spi_r
    sa.spi_r = header.spi_r
    emit_received(core, sa, header, path, octets, message.payloads, None, None)
    sa.spi_r = seen
    inbound = Inbound(0, INIT, message.payloads, octets, header.spi_r)
    del sa.out.in_flight[0]
    try:
        check(message.payloads, INIT, True, False)
        if not guarded(core, sa, task.name, lambda: task.finish(core, sa, inbound)):
            close_ike(core, sa, CloseReason.DEFECT, DEFECT)
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


def _receive_protected(core: Core, sa: IkeSa, header: Header, octets: bytes, path: Destination) -> None:
    message = parse(core, octets, path, sa)
    if message is None:
        return
    encrypted = message.encrypted
    if encrypted is not None and encrypted.kind == PayloadType.SKF:
        whole = intake.take(core, sa, header, octets, path, message)
        if whole is not None:
            _verified(core, sa, header, whole.datagram, path, message, whole.opened)
        return
    if encrypted is None or message.sk_offset is None:
        drop(core, DropTrigger.UNPROTECTED, path, octets, sa=sa, found=", ".join(payload_names(message.payloads)))
        hinted(core, sa, message)
        return
    assert sa.envelope is not None
    try:
        opened = sa.envelope.open(octets, message.sk_offset)
    except EnvelopeError as error:
        drop(core, DropTrigger.ICV, path, octets, sa=sa, found=str(error))
        return
    _verified(core, sa, header, octets, path, message, Opened(int(encrypted.first_payload), opened))


def _verified(
    core: Core, sa: IkeSa, header: Header, octets: bytes, path: Destination, message: Message, opened: Opened
) -> None:
    if header.response:
        _response(core, sa, header, octets, path, message, opened)
    else:
        _request(core, sa, header, octets, path, message, opened)


def _request(
    core: Core, sa: IkeSa, header: Header, octets: bytes, path: Destination, message: Message, opened: Opened
) -> None:
    mid = header.message_id
    entry = sa.into.kept.get(mid)
    if entry is not None:
        if entry.request != octets:
            drop(core, DropTrigger.DIFFERENT_REPEAT, path, octets, sa=sa)
        elif entry.response is None:
            drop(core, DropTrigger.BEING_ANSWERED, path, octets, sa=sa, found=f"message ID {mid}")
        else:
            emit_repeated(core, sa, header, path, octets, entry.repeats + 1, opened)
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
    sa.into.begin(mid, octets).parts = len(opened.sizes) or 1
    intake.forget(core, sa, (False, mid), WHOLE_CAME)
    _heard(core, sa, path)
    sealing.follow(core, sa, mid, opened.sizes)
    if not guarded(core, sa, "request", lambda: _handle(core, sa, header, octets, path, message, opened, handler)):
        if sa.state is IkeState.INIT_DONE:
            close_ike(core, sa, CloseReason.DEFECT, DEFECT)
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
    opened: Opened,
    handler: Handler,
) -> None:
    kind = header.exchange
    try:
        payloads = parse_chain(PayloadType.of(opened.first), opened.inner, inside=True)
        emit_received(core, sa, header, path, octets, message.payloads, payloads, opened)
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
    close_ike(core, sa, cause_of(error), str(error))


def _response(
    core: Core, sa: IkeSa, header: Header, octets: bytes, path: Destination, message: Message, opened: Opened
) -> None:
    pending = sa.out.in_flight.get(header.message_id)
    if pending is None or pending.exchange != header.exchange:
        drop(core, DropTrigger.UNEXPECTED_RESPONSE, path, octets, sa=sa, found=f"message ID {header.message_id}")
        return
    if pending.timer is not None:
        pending.timer.cancel()
    del sa.out.in_flight[header.message_id]
    intake.forget(core, sa, (True, header.message_id), WHOLE_CAME)
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
    opened: Opened,
    pending: Pending,
) -> None:
    try:
        payloads = parse_chain(PayloadType.of(opened.first), opened.inner, inside=True)
        emit_received(core, sa, header, path, octets, message.payloads, payloads, opened)
        check(payloads, header.exchange, True, True)
        pending.task.finish(core, sa, Inbound(header.message_id, header.exchange, payloads, octets))
        if notify_of(payloads, NotifyType.INVALID_SYNTAX) is not None:
            ##= rfc7296#section-2.21.3
            ##% error notification is considered fatal in both peers, meaning that
            ##% the IKE SA is deleted without needing an explicit Delete payload.
            close_ike(core, sa, CloseReason.PEER_REFUSED, "the peer could not read our request (INVALID_SYNTAX)")
    except PeerError as error:
        # A response that makes no sense is not answered; the state is cleaned up (RFC 7296 section 2.21).
        core.emit(ExchangeFailed(exchange=header.exchange, why=str(error)), sa, header.message_id)
        pending.task.failed(core, sa, str(error))
        if header.exchange is ExchangeType.IKE_AUTH:
            close_ike(core, sa, cause_of(error), str(error))
        elif error.notify in FATAL:
            informational.delete_ike(core, sa, cause_of(error), str(error))


def _heard(core: Core, sa: IkeSa, path: Destination) -> None:
    """An authentic message came in: the peer lives, and this is where it now is."""
    sa.last_heard = core.now
    follow(core, sa, path)
