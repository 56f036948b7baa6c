"""Child SAs: their keys, their way into the data plane and out of it (RFC 7296 sections 1.3, 2.8, 2.17)."""

from __future__ import annotations

from ikescope.crypto.keys import child_keys
from ikescope.crypto.suites import EspSuite
from ikescope.engine.commands import EspKeys, InstallSa, RemoveSa, SwitchOutbound, Traffic
from ikescope.engine.context import Core
from ikescope.engine.sa import ChildSa, IkeSa
from ikescope.engine.states import ChildState
from ikescope.events import UNSET, SelectorFact
from ikescope.events.life import ChildSaClosed, ChildSaCreated, ChildSaRekeyed, ChildTraffic, CloseReason
from ikescope.policy.peers import Connection
from ikescope.policy.selectors import Selectors, subset


def spi_text(spi: int) -> str:
    """An ESP SPI as events write it: 8 hexadecimal digits."""
    return f"{spi:08x}"


def new_child(
    core: Core,
    sa: IkeSa,
    connection: Connection,
    index: int,
    *,
    inbound: int,
    outbound: int,
    suite: EspSuite,
    selectors: Selectors,
    transport: bool,
    initiator: bool,
    nonces: tuple[bytes, bytes],
    replaces: int | None = None,
) -> ChildSa:
    """A Child SA as negotiated; nothing is installed yet.

    `initiator`: we began the exchange that made it; `replaces`: the inbound SPI of the one that it rekeys.
    """
    ipsec, parameters = connection.ipsec, core.parameters
    child = ChildSa(
        id=core.new_child_id(),
        tunnel=connection.tunnel.name,
        index=index,
        inbound=inbound,
        outbound=outbound,
        suite=suite,
        transport=transport,
        udp=sa.encapsulated,
        local=selectors.local,
        remote=selectors.remote,
        initiator=initiator,
        created=core.now,
        lifetime=ipsec.lifetime_seconds,
        kilobytes=ipsec.lifetime_kilobytes,
        replay_window=ipsec.replay_window,
        idle_time=ipsec.idle_time,
        idle_since=core.now,
        nonces=nonces,
        soft_factor=core.between(*(parameters.initiator_soft if initiator else parameters.responder_soft)),
        replaces=replaces,
    )
    sa.children[inbound] = child
    return child


def install(core: Core, sa: IkeSa, child: ChildSa, shared: bytes) -> set[tuple[int, str]]:
    """Hand both ESP SAs to the plane; returns what has to be reported installed. Outgoing traffic does not move yet."""
    assert sa.suite is not None and sa.keys is not None
    keys = child_keys(sa.suite.prf, sa.keys.sk_d, *child.nonces, child.suite, shared)
    ours = EspKeys(keys.encr_i, keys.integ_i), EspKeys(keys.encr_r, keys.integ_r)
    outgoing, incoming = ours if child.initiator else ours[::-1]
    for direction, spi, key in (("in", child.inbound, incoming), ("out", child.outbound, outgoing)):
        core.commands.append(
            InstallSa(
                spi=spi,
                direction="in" if direction == "in" else "out",
                suite=child.suite,
                keys=key,
                path=sa.path,
                udp=child.udp,
                transport=child.transport,
                tunnel=child.tunnel,
                local=child.local,
                remote=child.remote,
                reqid=child.id,
                replay_window=child.replay_window,
                lifetime_kilobytes=child.kilobytes,
                lifetime_seconds=child.lifetime,
                replaces=child.replaces,
                resource=child.resource,
            )
        )
    child.outbound_installed = True
    return {(child.inbound, "in"), (child.outbound, "out")}


def announce(core: Core, sa: IkeSa, child: ChildSa, exchange: int) -> None:
    """The Child SA stands: say so and watch its lifetime."""
    if child.state is not ChildState.CREATED:
        return
    arm_lifetime(core, child)
    arm_idle(core, child)
    suite = child.suite
    core.emit(
        ChildSaCreated(
            inbound=spi_text(child.inbound),
            outbound=spi_text(child.outbound),
            tunnel=child.tunnel,
            transport=child.transport,
            encryption=suite.encryption.id,
            key_length=suite.encryption.key_bits or None,
            integrity=None if suite.integrity is None else suite.integrity.id,
            esn=suite.esn,
            group=suite.group,
            local=child.local,
            remote=child.remote,
            lifetime=child.lifetime,
            kilobytes=child.kilobytes,
            udp=child.udp,
            exchange=exchange,
            initiator=child.initiator,
            rekeys=UNSET if child.replaces is None else spi_text(child.replaces),
            rekey_in=UNSET if child.soft is None else child.soft.when - core.now,
        ),
        sa,
    )
    core.child_to_state(sa, child, ChildState.INSTALLED, "the data plane took both ESP SAs")
    core.holds.pop(child.tunnel, None)


def switch(core: Core, sa: IkeSa, child: ChildSa) -> None:
    """Outgoing traffic of the tunnel leaves by this Child SA from now on."""
    if child.outbound_installed and not child.outbound_active:
        child.outbound_active = True
        core.commands.append(SwitchOutbound(child.outbound, sa.path.remote, child.tunnel))


def succeed(core: Core, sa: IkeSa, old: ChildSa, new: ChildSa) -> None:
    """The new Child SA carries what the old one did; the old one waits for its Delete."""
    if old.state is not ChildState.REKEYED:
        old.replaced_by = new.inbound
        new.idle_since = last_used(old)
        arm_idle(core, new)
        core.child_to_state(sa, old, ChildState.REKEYED, "replaced")
        cancel_lifetime(old)
        core.emit(
            ChildSaRekeyed(
                old_inbound=spi_text(old.inbound),
                old_outbound=spi_text(old.outbound),
                new_inbound=spi_text(new.inbound),
                new_outbound=spi_text(new.outbound),
                initiator=new.initiator,
            ),
            sa,
        )
        # A peer that never deletes the old Child SA must not keep it, nor our traffic on it; ours we delete ourselves.
        if not new.initiator:
            old.hard = core.timers.arm(core.now + core.parameters.orphan, lambda: _orphaned(core, sa, old))


def make_redundant(core: Core, sa: IkeSa, child: ChildSa, survivor: ChildSa) -> None:
    """Of two Child SAs from crossing rekeys, the one that the peer made and has to delete is not used here."""
    child.replaced_by = survivor.inbound
    core.child_to_state(sa, child, ChildState.REKEYED, "redundant: two rekeys crossed")
    cancel_lifetime(child)
    child.hard = core.timers.arm(core.now + core.parameters.redundant, lambda: core.on_child_due(child, True))


def _orphaned(core: Core, sa: IkeSa, old: ChildSa) -> None:
    sa = holder(core, old) or sa
    remove(core, sa, old, CloseReason.ORPHANED, "rekeyed; the peer never deleted it")


def holder(core: Core, child: ChildSa) -> IkeSa | None:
    """The IKE SA under which a Child SA now stands."""
    return next((sa for sa in core.sas.values() if sa.children.get(child.inbound) is child), None)


def remove(core: Core, sa: IkeSa, child: ChildSa, cause: CloseReason, reason: str = "", *, linger: float = 0.0) -> None:
    """Take a Child SA away. `linger`: its inbound ESP SA stays so many seconds for packets still on their way.

    The reason in words is the cause's by default.
    """
    if child.state is ChildState.CLOSED:
        return
    reason = reason or str(cause)
    cancel_lifetime(child)
    sa.children.pop(child.inbound, None)
    core.child_to_state(sa, child, ChildState.CLOSED, reason)
    remove_outbound(core, sa, child)
    if linger:
        core.timers.arm(core.now + linger, lambda: _remove_inbound(core, child, sa))
    else:
        _remove_inbound(core, child, sa)
    core.emit(
        ChildSaClosed(
            inbound=spi_text(child.inbound),
            outbound=spi_text(child.outbound),
            tunnel=child.tunnel,
            reason=reason,
            cause=cause,
            seconds=core.now - child.created,
            packets_in=child.received[0],
            octets_in=child.received[1],
            packets_out=child.sent[0],
            octets_out=child.sent[1],
        ),
        sa,
    )


REMEMBERED = 256
"""How many inbound SPIs that are no more are known, so that packets on their way are nobody's fault."""
TRAFFIC_SECONDS = 30.0
"""How often at most a Child SA's traffic is told."""


def count(core: Core, sa: IkeSa, child: ChildSa, report: Traffic) -> None:
    """Note what the plane says has passed, and tell it where that is due: the first each way, then now and then."""
    passed = (report.packets, report.octets)
    if report.direction == "in":
        child.last_in, before, child.received = report.last, child.received, passed
    else:
        child.last_out, before, child.sent = report.last, child.sent, passed
    if before[0] and core.now < child.traffic_due:
        return
    child.traffic_due = core.now + TRAFFIC_SECONDS
    core.emit(
        ChildTraffic(
            inbound=spi_text(child.inbound),
            outbound=spi_text(child.outbound),
            tunnel=child.tunnel,
            packets_in=child.received[0],
            octets_in=child.received[1],
            packets_out=child.sent[0],
            octets_out=child.sent[1],
        ),
        sa,
    )


def heir(sa: IkeSa, child: ChildSa) -> ChildSa | None:
    """What carries on for a replaced Child SA: the last of those that replaced it one after the other."""
    while (successor := sa.children.get(child.replaced_by or 0)) is not None:
        child = successor
        if child.state is not ChildState.REKEYED:
            return child
    return None


def claimed(core: Core, sa: IkeSa, child: ChildSa) -> None:
    """The peer uses a Child SA that replaced another: it has it, so our traffic need not wait for the Delete."""
    if any(one.replaced_by == child.inbound and one.state is ChildState.REKEYED for one in sa.children.values()):
        switch(core, sa, child)


def remove_outbound(core: Core, sa: IkeSa, child: ChildSa) -> None:
    """Take the outbound ESP SA out, once; where the Child SA was replaced, traffic moves on to the one that did."""
    successor = heir(sa, child)
    if successor is not None:
        switch(core, sa, successor)
    if child.outbound_installed:
        child.outbound_installed = False
        core.commands.append(RemoveSa(child.outbound, "out", sa.path.remote, child.tunnel))


def _remove_inbound(core: Core, child: ChildSa, sa: IkeSa) -> None:
    core.commands.append(RemoveSa(child.inbound, "in", sa.path.remote, child.tunnel))
    core.spis.release(child.inbound)
    core.spis_gone[child.inbound] = core.now
    while len(core.spis_gone) > REMEMBERED:
        del core.spis_gone[next(iter(core.spis_gone))]


def cancel_lifetime(child: ChildSa) -> None:
    """Forget the deadlines of a Child SA."""
    for timer in (child.soft, child.hard, child.idle):
        if timer is not None:
            timer.cancel()
    child.soft = child.hard = child.idle = None


def arm_lifetime(core: Core, child: ChildSa) -> None:
    """Watch a Child SA's lifetime: rekey before it ends, drop it when it does."""
    for timer in (child.soft, child.hard):
        if timer is not None:
            timer.cancel()
    soft = max(core.now, child.created + child.lifetime * child.soft_factor)
    # A lifetime that was lowered below the SA's age still leaves time to replace it.
    hard = max(soft + core.parameters.auth_wait if soft == core.now else 0.0, child.created + child.lifetime)
    child.soft = core.timers.arm(soft, lambda: core.on_child_due(child, False))
    child.hard = core.timers.arm(hard, lambda: core.on_child_due(child, True))


def last_used(child: ChildSa) -> float:
    """When a Child SA, or what it replaced, last carried a packet either way; its birth where it never did."""
    return max(child.idle_since, child.last_in, child.last_out)


def arm_idle(core: Core, child: ChildSa) -> None:
    """Look again when nothing could have passed for the idle time (`set security-association idle-time`)."""
    if child.idle is not None:
        child.idle.cancel()
        child.idle = None
    if child.idle_time is not None:
        when = max(last_used(child) + child.idle_time, core.now + 1.0)
        child.idle = core.timers.arm(when, lambda: core.on_child_idle(child))


def live(sa: IkeSa) -> list[ChildSa]:
    """The Child SAs of an IKE SA that carry traffic, and go on doing so."""
    return [child for child in sa.children.values() if child.state in (ChildState.INSTALLED, ChildState.REKEYING)]


Packet = tuple[SelectorFact, SelectorFact]


def covers(child: ChildSa, packet: Packet | None) -> bool:
    """Whether a packet, by its own selectors (local, remote), is one that a Child SA carries."""
    return packet is None or (subset(packet[:1], child.local) and subset(packet[1:], child.remote))


def find(
    core: Core, tunnel: str, index: int, packet: Packet | None = None, *, under: IkeSa | None = None
) -> tuple[IkeSa, ChildSa] | None:
    """The Child SA that carries a tunnel's selector, or this packet of it, now; with its IKE SA.

    `under` looks at one IKE SA alone.
    """
    for sa in core.sas.values() if under is None else (under,):
        for child in live(sa):
            if child.tunnel == tunnel and child.index == index and covers(child, packet):
                return sa, child
    return None


def exhausted(core: Core, tunnel: str, index: int, packet: Packet) -> bool:
    """Whether what stands for a tunnel's selector was narrowed and lacks this packet, and no more is possible."""
    standing = [
        child for sa in core.sas.values() for child in live(sa) if (child.tunnel, child.index) == (tunnel, index)
    ]
    return bool(standing) and not any(covers(child, packet) or child.more for child in standing)


def no_more(core: Core, tunnel: str, index: int) -> None:
    """The peer made another Child SA, and not for the packet that it was asked for: it is asked no more."""
    for sa in core.sas.values():
        for child in sa.children.values():
            if (child.tunnel, child.index) == (tunnel, index):
                child.more = False
