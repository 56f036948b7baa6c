"""The first request of a peer: is it wanted, is there room, is its address true (RFC 7296 sections 1.2, 2.6)."""

from __future__ import annotations

from ikescope.engine import cookies, limits
from ikescope.engine.arrivals import emit_received, parse
from ikescope.engine.commands import Destination, Send
from ikescope.engine.context import Core
from ikescope.engine.drops import drop
from ikescope.engine.exchange import guarded, repeat_reply, text
from ikescope.engine.payloads import notify_of, optional
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import IkeState
from ikescope.engine.task import Inbound
from ikescope.engine.tasks import ike_auth, ike_sa_init
from ikescope.errors import PeerError
from ikescope.events import UNSET
from ikescope.events.message import CookieChecked, DropTrigger, MessageSent, RequestRefused
from ikescope.events.negotiation import ExchangeFailed
from ikescope.wire.describe import payload_names
from ikescope.wire.header import Header
from ikescope.wire.message import Message
from ikescope.wire.nonce import NoncePayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType
from ikescope.wire.rules import check

INIT = ExchangeType.IKE_SA_INIT
MOST_REPEATS = 10
"""How often the response to one IKE_SA_INIT request is repeated: an initiator asks seven times in all."""


def receive_request(core: Core, header: Header, octets: bytes, path: Destination) -> None:
    """Take an IKE_SA_INIT request that the gate let pass."""
    if header.message_id or any(header.spi_r) or not header.initiator:
        drop(core, DropTrigger.NOT_FIRST, path, octets, found=f"message ID {header.message_id}", wanted="0")
        return
    ##= rfc7296#section-2.1
    ##% Instead, a
    ##% robust responder will do the IKE SA lookup using the whole packet,
    ##% its hash, or the Ni payload.
    known = core.accepted.get(octets) or core.half_open.get((path.remote, path.remote_port, header.spi_i))
    if known is not None:
        _repeated(core, known, octets, path)
        return
    message = parse(core, octets, path, None)
    if message is None:
        return
    if not _served(core, path):
        drop(core, DropTrigger.NOT_CONFIGURED, path, octets, found=f"no tunnel from {path.local} to {path.remote}")
        return
    proven = _returned(core, header, path, message)
    if not proven and (cookies.wanted(core) or limits.crowded(core, path.remote)):
        _challenge(core, header, octets, path, message)
        return
    full = limits.incoming(core, path.remote, proven=proven)
    if full is not None:
        drop(core, full[0], path, octets, found=f"{full[1]}", wanted=f"less than {full[2]}")
        return
    _begin(core, header, octets, path, message, proven=proven)


def _returned(core: Core, header: Header, path: Destination, message: Message) -> bool:
    """Whether the request returns a cookie of ours; any other is as none at all."""
    ##= rfc7296#section-2.6
    ##% When one party receives an IKE_SA_INIT request containing a cookie
    ##% whose contents do not match the value expected, that party MUST
    ##% ignore the cookie and process the message as if no cookie had been
    ##% included
    cookie = notify_of(message.payloads, NotifyType.COOKIE)
    nonce = optional(message.payloads, PayloadType.NONCE, NoncePayload)
    if cookie is None or nonce is None:
        return False
    valid = cookies.verifies(core, cookie.data, header.spi_i, nonce.data, str(path.remote))
    if core.gate.spend():
        core.emit(CookieChecked(valid=valid, octets=len(cookie.data)))
    return valid


def _challenge(core: Core, header: Header, octets: bytes, path: Destination, message: Message) -> None:
    """Answer with a cookie and forget the request."""
    nonce = optional(message.payloads, PayloadType.NONCE, NoncePayload)
    data = b"" if nonce is None else cookies.cookie(core, header.spi_i, nonce.data, str(path.remote))
    if not data or len(cookies.reply(header.spi_i, data)) > len(octets):
        drop(core, DropTrigger.COOKIE, path, octets, found="an IKE_SA_INIT request without a nonce or too short")
        return
    core.gate.spend()
    sa = ike_sa_init.candidate(core, header.spi_i, path)
    emit_received(core, sa, header, path, octets, message.payloads, None, None)
    _send_unkept(core, sa, header, path, NotifyPayload(NotifyType.COOKIE, data))
    core.free_id(sa.id)


def _served(core: Core, path: Destination) -> bool:
    """Whether a tunnel of ours ends there: nobody else is spoken to."""
    return any(
        tunnel.destination == path.remote and tunnel.source_address in (None, path.local) and not tunnel.shutdown
        for tunnel in core.config.tunnels.values()
    )


def _repeated(core: Core, sa: IkeSa, octets: bytes, path: Destination) -> None:
    """A request seen before: its response again, to where it came from this time (a NAT may have moved the port)."""
    entry = sa.into.kept.get(0)
    if sa.state is not IkeState.INIT_DONE:
        drop(core, DropTrigger.OLD_REQUEST, path, octets, found="an IKE_SA_INIT request whose IKE SA stands")
        return
    if entry is None or entry.request != octets or entry.response is None:
        drop(core, DropTrigger.DIFFERENT_REPEAT, path, octets, sa=sa)
        return
    if entry.repeats >= MOST_REPEATS:
        drop(core, DropTrigger.REPEATED_TOO_OFTEN, path, octets, sa=sa, found=f"{entry.repeats}")
        return
    message = Message.parse(octets)
    header = Header.parse(octets)
    emit_received(core, sa, header, path, octets, message.payloads, None, None, repeat=entry.repeats + 1)
    repeat_reply(core, sa, 0, entry, path)
    if core.now - sa.created < core.parameters.auth_wait:
        # An initiator that repeats itself is still there: IKE_AUTH has the whole time again, but not for ever.
        ike_auth.arm_auth(core, sa)


def _begin(core: Core, header: Header, octets: bytes, path: Destination, message: Message, *, proven: bool) -> None:
    """A new IKE SA, or one error notify and no state."""
    inbound = Inbound(0, INIT, message.payloads, octets, header.spi_r)
    sa = ike_sa_init.candidate(core, header.spi_i, path)
    sa.proven = proven
    emit_received(core, sa, header, path, octets, message.payloads, None, None)
    try:
        check(message.payloads, INIT, False, False)
        if not guarded(core, sa, "IKE_SA_INIT responder", lambda: ike_sa_init.respond(core, sa, inbound)):
            core.sas.pop(sa.spi_r, None)
    except PeerError as error:
        sa.spi_r = bytes(8)
        _answer_error(core, sa, header, path, error)
    if sa.spi_r not in core.sas:
        core.free_id(sa.id)


def _answer_error(core: Core, sa: IkeSa, header: Header, path: Destination, error: PeerError) -> None:
    core.gate.spend()
    if error.notify is not None:
        _refuse(core, sa, header, path, error, NotifyType.of(error.notify))
    core.emit(ExchangeFailed(exchange=INIT, why=str(error)), sa, 0)


def _refuse(core: Core, sa: IkeSa, header: Header, path: Destination, error: PeerError, notify: NotifyType) -> None:
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
