"""Fragments as they come in: which are looked at, which are kept, when a message is whole (RFC 7383 section 2.6)."""

from __future__ import annotations

from ikescope.crypto.envelope import EnvelopeError
from ikescope.engine.arrivals import emit_repeated
from ikescope.engine.commands import Destination
from ikescope.engine.context import Core
from ikescope.engine.drops import drop
from ikescope.engine.exchange import repeat_reply, text, worth_telling
from ikescope.engine.fragments import HELD_OCTETS, HELD_SECONDS, HELD_UNPROVEN, Held, Opened, Rejected, Whole
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import AUTHENTICATED
from ikescope.events import UNSET
from ikescope.events.message import DropTrigger, FragmentReceived, FragmentsForgotten
from ikescope.wire.encrypted import EncryptedFragmentPayload
from ikescope.wire.header import Header
from ikescope.wire.message import Message


def take(core: Core, sa: IkeSa, header: Header, octets: bytes, path: Destination, message: Message) -> Whole | None:
    """Take one fragment; the message where it makes one whole, None where it is kept, dropped or answered already.

    Nothing is kept that does not verify, so whoever lacks the keys makes us hold nothing.
    """
    fragment = message.encrypted
    assert isinstance(fragment, EncryptedFragmentPayload) and message.sk_offset is not None
    key = (header.response, header.message_id)
    rejected = _place(sa, header, fragment) or sa.reassembly.judge(key, header.exchange, fragment)
    if rejected is not None:
        drop(core, rejected.trigger, path, octets, sa=sa, found=rejected.found, wanted=rejected.wanted)
        return None
    assert sa.envelope is not None
    try:
        opened = sa.envelope.open(octets, message.sk_offset, fragment=True)
    except EnvelopeError as error:
        drop(core, DropTrigger.ICV, path, octets, sa=sa, found=str(error))
        return None
    if not header.response and header.message_id in sa.into.kept:
        _repeated(core, sa, header, octets, path, fragment)
        return None
    return _keep(core, sa, header, octets, path, fragment, opened)


def _place(sa: IkeSa, header: Header, fragment: EncryptedFragmentPayload) -> Rejected | None:
    """Whether a fragment is one that we wait for, as far as its clear part says."""
    mid = header.message_id
    if sa.fragment_mtu is None:
        name = f"fragment {fragment.number} of {fragment.total}"
        return Rejected(DropTrigger.FRAGMENT_UNASKED, name, "whole messages")
    if header.response:
        pending = sa.out.in_flight.get(mid)
        if pending is None or pending.exchange != header.exchange:
            return Rejected(DropTrigger.UNEXPECTED_RESPONSE, f"message ID {mid}", "one of a request in flight")
        return None
    if mid in sa.into.kept:
        # The first fragment alone makes us repeat a response (RFC 7383 section 2.6.1).
        answered = sa.into.kept[mid].response is not None
        if answered and fragment.number == 1:
            return None
        found = f"fragment {fragment.number} of a request that is {'answered' if answered else 'being answered'}"
        return Rejected(DropTrigger.FRAGMENT_REPEATED, found, "fragment 1 of an answered one")
    if not sa.into.admits(mid):
        trigger = DropTrigger.OLD_REQUEST if mid < sa.into.lowest else DropTrigger.BEYOND_WINDOW
        return Rejected(trigger, f"{mid}", f"{sa.into.lowest} to {sa.into.lowest + sa.into.size - 1}")
    return None


def _repeated(
    core: Core, sa: IkeSa, header: Header, octets: bytes, path: Destination, fragment: EncryptedFragmentPayload
) -> None:
    """The first fragment of an answered request came again; more fragments than before tell of a narrower path."""
    entry = sa.into.kept[header.message_id]
    repeat = entry.repeats + 1
    if worth_telling(repeat):
        _tell(core, sa, header, octets, path, fragment, held=1, repeat=repeat)
        whole = Opened(0, b"", (len(octets),))
        emit_repeated(core, sa, header, path, octets, repeat, whole)
    smaller = fragment.total > entry.parts
    entry.parts = max(entry.parts, fragment.total)
    repeat_reply(core, sa, header.message_id, entry, path, smaller=smaller)


def _keep(
    core: Core,
    sa: IkeSa,
    header: Header,
    octets: bytes,
    path: Destination,
    fragment: EncryptedFragmentPayload,
    opened: bytes,
) -> Whole | None:
    key = (header.response, header.message_id)
    before = sa.reassembly.messages.get(key)
    if before is not None and fragment.total > before.total:
        forget(core, sa, key, f"the peer sends it in {fragment.total} fragments now")
    limit = HELD_OCTETS if sa.state in AUTHENTICATED else HELD_UNPROVEN
    result = sa.reassembly.take(key, header.exchange, fragment, octets, opened, limit)
    if isinstance(result, Rejected):
        drop(core, result.trigger, path, octets, sa=sa, found=result.found, wanted=result.wanted)
        return None
    _tell(
        core,
        sa,
        header,
        octets,
        path,
        fragment,
        held=result.held if isinstance(result, Held) else fragment.total,
    )
    if isinstance(result, Whole):
        return result
    assembly = sa.reassembly.messages[key]
    if assembly.timer is None:
        late = f"not whole after {HELD_SECONDS:g} s"
        assembly.timer = core.timers.arm(core.now + HELD_SECONDS, lambda: forget(core, sa, key, late))
    return None


def _tell(
    core: Core,
    sa: IkeSa,
    header: Header,
    octets: bytes,
    path: Destination,
    fragment: EncryptedFragmentPayload,
    *,
    held: int,
    repeat: int = 0,
) -> None:
    core.emit(
        FragmentReceived(
            exchange=header.exchange,
            response=header.response,
            local=text(path.local, path.local_port),
            remote=text(path.remote, path.remote_port),
            number=fragment.number,
            total=fragment.total,
            held=held,
            size=len(octets),
            octets=octets if core.parameters.record_octets else UNSET,
            repeat=repeat,
        ),
        sa,
        header.message_id,
    )


def forget(core: Core, sa: IkeSa, key: tuple[bool, int], why: str) -> None:
    """Let go of what came of a message, and say so."""
    assembly = sa.reassembly.forget(key)
    if assembly is not None:
        core.emit(
            FragmentsForgotten(
                exchange=assembly.exchange,
                response=key[0],
                held=len(assembly.pieces),
                total=assembly.total,
                why=why,
            ),
            sa,
            key[1],
        )
