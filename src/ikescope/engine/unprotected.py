"""Messages outside of an IKE SA: errors that we send without protection, and what those of a peer are worth."""

from __future__ import annotations

from ikescope.engine.commands import Destination, Send
from ikescope.engine.context import Core
from ikescope.engine.exchange import enqueue, text
from ikescope.engine.payloads import error_notify
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import USABLE
from ikescope.engine.tasks.informational import Liveness
from ikescope.events.message import UnprotectedSent, UnprotectedWithheld
from ikescope.wire.header import FLAG_INITIATOR, FLAG_RESPONSE, HEADER_OCTETS, Header
from ikescope.wire.message import Message
from ikescope.wire.registry import NotifyType, PayloadType

HINT_SECONDS = 30.0
"""How long after an unprotected error notify the next one is not acted on."""
_ENCRYPTED = (PayloadType.SK, PayloadType.SKF)


def tell_version(core: Core, header: Header, octets: bytes, path: Destination) -> None:
    """Answer a request of a higher major version with INVALID_MAJOR_VERSION (RFC 7296 sections 1.5, 2.5)."""
    ##= rfc7296#section-2.5
    ##% If an endpoint receives a message with a higher major version number,
    ##% it MUST drop the message and SHOULD send an unauthenticated Notify
    ##% message of type INVALID_MAJOR_VERSION containing the highest
    ##% (closest) version number it supports.
    if header.version >> 4 > 2:
        _tell(core, NotifyType.INVALID_MAJOR_VERSION, header, octets, path)


def tell_unknown(core: Core, header: Header, octets: bytes, path: Destination) -> None:
    """Answer an encrypted request for an IKE SA that is not here with INVALID_IKE_SPI (RFC 7296 section 1.5)."""
    spi = header.spi_r if header.initiator else header.spi_i
    if octets[16] in _ENCRYPTED and any(spi) and spi not in core.buried:
        _tell(core, NotifyType.INVALID_IKE_SPI, header, octets, path)


def _tell(core: Core, notify: NotifyType, header: Header, octets: bytes, path: Destination) -> None:
    """One unprotected error response with nothing in it; to peers only, few a second, never larger than the request.

    ##= rfc7296#section-1.5
    ##% The message is a response message, and thus it
    ##% is sent to the IP address and port from whence it came with the same
    ##% IKE SPIs and the Message ID and Exchange Type are copied from the
    ##% request.
    """
    body = bytes((0, 0, 0, 8, 0, 0)) + int(notify).to_bytes(2, "big")
    size = HEADER_OCTETS + len(body)
    why = _withheld(core, header, size, len(octets), path)
    if why:
        core.emit(UnprotectedWithheld(exchange=header.exchange, notify=notify, why=why))
        return
    flags = FLAG_RESPONSE | (0 if header.initiator else FLAG_INITIATOR)
    head = octets[:16] + bytes((PayloadType.NOTIFY, 0x20, octets[18], flags)) + octets[20:24]
    core.emit(
        UnprotectedSent(
            exchange=header.exchange,
            notify=notify,
            local=text(path.local, path.local_port),
            remote=text(path.remote, path.remote_port),
            size=size,
        )
    )
    core.commands.append(Send(head + size.to_bytes(4, "big") + body, path))


def _withheld(core: Core, header: Header, size: int, came: int, path: Destination) -> str:
    """Why no such error is sent; empty if it is."""
    if header.response:
        return "a response is never answered"
    if size > came:
        return "it would be larger than what it answers"
    if not core.gate.serves(str(path.remote)):
        return "no tunnel ends there"
    return "" if core.gate.hint() else "as many were sent this second as may be"


def hinted(core: Core, sa: IkeSa, message: Message) -> None:
    """An unprotected error notify for an IKE SA: at most a reason to ask, once in a while, whether the peer lives.

    ##= rfc7296#section-2.21.4
    ##% A peer receiving such an unprotected Notify payload MUST NOT respond
    ##% and MUST NOT change the state of any existing SAs.
    """
    if sa.state not in USABLE or error_notify(message.payloads) is None or core.now - sa.hinted < HINT_SECONDS:
        return
    asked = sa.out.in_flight or any(isinstance(task, Liveness) for task in sa.tasks)
    sa.hinted = core.now
    if not asked:
        enqueue(core, sa, Liveness("hint"))
