"""A datagram that is looked at: decoded, and told of in the stream."""

from __future__ import annotations

from ikescope.engine.commands import Destination
from ikescope.engine.context import Core
from ikescope.engine.drops import drop
from ikescope.engine.exchange import ENCRYPTED, text, worth_telling
from ikescope.engine.fragments import Opened
from ikescope.engine.sa import IkeSa
from ikescope.errors import DecodeError
from ikescope.events import UNSET
from ikescope.events.message import DropTrigger, MessageReceived
from ikescope.wire.describe import payload_names
from ikescope.wire.header import Header
from ikescope.wire.message import Message, parse_chain
from ikescope.wire.payload import Payload
from ikescope.wire.registry import PayloadType


def parse(core: Core, octets: bytes, path: Destination, sa: IkeSa | None) -> Message | None:
    """Decode a datagram; None where it is dropped as malformed."""
    try:
        return Message.parse(octets)
    except DecodeError as error:
        drop(core, DropTrigger.MALFORMED, path, octets, sa=sa, found=str(error))
        return None


def emit_received(
    core: Core,
    sa: IkeSa,
    header: Header,
    path: Destination,
    octets: bytes,
    clear: tuple[Payload, ...],
    inner: tuple[Payload, ...] | None,
    opened: Opened | None,
    *,
    repeat: int = 0,
) -> None:
    """The event of a message that arrived; `inner` and `opened` where it was encrypted."""
    keep, sizes = core.parameters.record_octets, () if opened is None else opened.sizes
    core.emit(
        MessageReceived(
            exchange=header.exchange,
            response=header.response,
            local=text(path.local, path.local_port),
            remote=text(path.remote, path.remote_port),
            payloads=payload_names(clear) if inner is None else ENCRYPTED,
            inner=UNSET if inner is None else payload_names(inner),
            size=sum(sizes) or len(octets),
            octets=octets if keep and not sizes else UNSET,
            opened=opened.inner if keep and opened is not None and inner is not None else UNSET,
            opened_first=UNSET if opened is None or inner is None else opened.first,
            repeat=repeat,
            fragments=sizes,
        ),
        sa,
        header.message_id,
    )


def emit_repeated(
    core: Core, sa: IkeSa, header: Header, path: Destination, octets: bytes, repeat: int, opened: Opened | None = None
) -> None:
    """The event of a protected request that came again, the very octets that were verified the first time.

    Replayed without end, it is told ever more rarely: `repeat` says how often it came. Of a fragmented one, `octets` is
    the first fragment, and nothing is `opened`.
    """
    if not worth_telling(repeat):
        return
    inner = None if opened is None or opened.sizes else _inner(opened)
    emit_received(core, sa, header, path, octets, Message.parse(octets).payloads, inner, opened, repeat=repeat)


def _inner(opened: Opened) -> tuple[Payload, ...] | None:
    try:
        return parse_chain(PayloadType.of(opened.first), opened.inner, inside=True)
    except DecodeError:
        return None
