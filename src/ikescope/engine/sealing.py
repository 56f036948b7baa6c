"""A chain of payloads becomes datagrams: one, or the fragments of a message too large for one (RFC 7383)."""

from __future__ import annotations

from ikescope.engine.context import Core
from ikescope.engine.fragments import SAFE_MTU, message_octets, parts
from ikescope.engine.sa import IkeSa
from ikescope.events.message import FragmentSizeLowered
from ikescope.wire.header import FLAG_INITIATOR, FLAG_RESPONSE


def seal_all(
    core: Core,
    sa: IkeSa,
    exchange: int,
    response: bool,
    message_id: int,
    first: int,
    inner: bytes,
    *,
    least: int = 1,
) -> tuple[bytes, ...]:
    """The datagrams of a protected message, `least` so many; `first` is the type of the first payload of `inner`."""
    assert sa.envelope is not None
    flags = (FLAG_INITIATOR if sa.initiator else 0) | (FLAG_RESPONSE if response else 0)
    head = sa.spi_i, sa.spi_r, exchange, flags, message_id
    limit = None if sa.fragment_mtu is None else _limit(sa, sa.fragment_mtu)
    if limit is None or not inner or sa.envelope.sealed_octets(len(inner)) <= limit:
        return (sa.envelope.seal(*head, first, inner, core.random),)
    room = _room(sa, limit)
    if least > 1:
        room = min(room, (len(inner) - 1) // (least - 1))
    return tuple(
        sa.envelope.seal_fragment(*head, first if number == 1 else 0, piece, core.random, number=number, total=total)
        for number, total, piece in parts(inner, room)
    )


def _limit(sa: IkeSa, mtu: int) -> int:
    """The largest datagram that is sent: never below the smallest fragment there is."""
    assert sa.envelope is not None
    return max(message_octets(mtu, sa.path), sa.envelope.sealed_octets(1, fragment=True))


def _room(sa: IkeSa, limit: int) -> int:
    """The most inner octets that a fragment within `limit` holds."""
    assert sa.envelope is not None
    room = limit
    while sa.envelope.sealed_octets(room, fragment=True) > limit:
        room -= 1
    return room


def seal_smaller(
    core: Core,
    sa: IkeSa,
    exchange: int,
    response: bool,
    message_id: int,
    first: int,
    inner: bytes | None,
    sent: tuple[bytes, ...],
) -> tuple[bytes, ...]:
    """The datagrams of a message that nobody answers, smaller ones where what was `sent` may be too large for the path.

    The message ID stays and there are more of them, by which the peer tells them from the first (RFC 7383 section
    2.5.2). Without agreed fragmentation, and below what every path takes, the same again.
    """
    safe = message_octets(SAFE_MTU[sa.path.remote.version], sa.path)
    if sa.fragment_mtu is None or not inner or sa.envelope is None or max(map(len, sent)) <= safe:
        return sent
    lower(core, sa, message_id)
    smaller = seal_all(core, sa, exchange, response, message_id, first, inner, least=len(sent) + 1)
    return smaller if len(smaller) > len(sent) else sent


def lower(core: Core, sa: IkeSa, message_id: int) -> None:
    """From now on this IKE SA sends nothing larger than what every path takes."""
    mtu, safe = sa.fragment_mtu, SAFE_MTU[sa.path.remote.version]
    if mtu is not None and mtu > safe:
        sa.fragment_mtu = safe
        before, after = message_octets(mtu, sa.path), message_octets(safe, sa.path)
        core.emit(FragmentSizeLowered(before=before, after=after), sa, message_id)


def follow(core: Core, sa: IkeSa, message_id: int, sizes: tuple[int, ...]) -> None:
    """A peer that parts its request for a narrow path has its response in datagrams that fit through it."""
    if sizes and max(sizes) <= message_octets(SAFE_MTU[sa.path.remote.version], sa.path):
        lower(core, sa, message_id)
