"""An IKE SA becomes established; its clocks: rekey, end, liveness, NAT keepalive."""

from __future__ import annotations

from ikescope.config.model import Dpd
from ikescope.engine.closing import fact
from ikescope.engine.commands import Send
from ikescope.engine.context import Core
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import IkeState
from ikescope.events import IdentityFact
from ikescope.events.life import DpdStarted, IkeSaCreated, KeepaliveStarted, SessionUp

KEEPALIVE = b"\xff"
_NOBODY = IdentityFact(0, "")


def establish(core: Core, sa: IkeSa) -> None:
    """Both ends are authenticated."""
    core.to_state(sa, IkeState.ESTABLISHED, "authenticated")
    if sa.first_seen is not None:
        core.half_open.pop(sa.first_seen, None)
    sa.authenticated = core.now
    start_clocks(core, sa, announce=True)


def start_clocks(core: Core, sa: IkeSa, *, announce: bool) -> None:
    """Arm everything that an established IKE SA watches."""
    assert sa.profile is not None
    sa.established = core.now
    sa.lifetime = sa.profile.lifetime
    soft = core.parameters.initiator_soft if sa.initiator else core.parameters.responder_soft
    sa.soft_factor = core.between(*soft)
    left = arm_lifetime(core, sa)
    if announce:
        _announce(core, sa, left)
    arm_reauthentication(core, sa)
    sa.dpd = sa.profile.dpd or core.config.dpd
    if sa.dpd is not None:
        if announce:
            core.emit(DpdStarted(interval=sa.dpd.interval, retry=sa.dpd.retry, on_demand=sa.dpd.on_demand), sa)
        arm_dpd(core, sa, sa.dpd)
    if sa.nat_local:
        seconds = sa.profile.nat_keepalive or core.config.nat_keepalive or core.parameters.keepalive
        if announce:
            core.emit(KeepaliveStarted(seconds=seconds), sa)
        _arm_keepalive(core, sa, seconds)


def _announce(core: Core, sa: IkeSa, rekey_in: float) -> None:
    assert sa.suite is not None
    core.emit(
        IkeSaCreated(lifetime=sa.lifetime, suite=sa.suite.text, initiator=sa.initiator, rekey_in=rekey_in),
        sa,
    )
    core.emit(SessionUp(local=fact(sa.local_id) or _NOBODY, remote=fact(sa.remote_id) or _NOBODY, index=sa.session), sa)


def arm_lifetime(core: Core, sa: IkeSa) -> float:
    """Watch the lifetime from the SA's birth on; returns seconds until the rekey."""
    assert sa.established is not None
    for name in ("soft", "hard"):
        timer = sa.timers.pop(name, None)
        if timer is not None:
            timer.cancel()
    soft = max(core.now, sa.established + sa.lifetime * sa.soft_factor)
    hard = max(soft + core.parameters.auth_wait, sa.established + sa.lifetime)
    sa.timers["soft"] = core.timers.arm(soft, lambda: core.on_ike_due(sa, "soft"))
    sa.timers["hard"] = core.timers.arm(hard, lambda: core.on_ike_due(sa, "hard"))
    return soft - core.now


def arm_reauthentication(core: Core, sa: IkeSa, wait: float | None = None) -> None:
    """Authenticate anew in `wait` seconds; None: before the configured time since the last authentication is over."""
    timer = sa.timers.pop("reauth", None)
    if timer is not None:
        timer.cancel()
    seconds = None if sa.profile is None else sa.profile.reauthentication
    if seconds is not None:
        when = max(core.now, sa.authenticated + seconds * sa.soft_factor) if wait is None else core.now + wait
        sa.timers["reauth"] = core.timers.arm(when, lambda: core.on_ike_due(sa, "reauth"))


def arm_dpd(core: Core, sa: IkeSa, dpd: Dpd) -> None:
    """Look again when the peer could have been silent for the interval."""
    timer = sa.timers.pop("dpd", None)
    if timer is not None:
        timer.cancel()
    heard = max([sa.last_heard, *(child.last_in for child in sa.children.values())])
    when = max(heard + dpd.interval, core.now + 1.0)
    sa.timers["dpd"] = core.timers.arm(when, lambda: core.on_ike_due(sa, "dpd"))


def _arm_keepalive(core: Core, sa: IkeSa, seconds: int) -> None:
    def beat() -> None:
        core.commands.append(Send(KEEPALIVE, sa.path))
        _arm_keepalive(core, sa, seconds)

    sa.timers["keepalive"] = core.timers.arm(core.now + seconds, beat)
