"""What was decided without a message to show for it, told."""

from __future__ import annotations

from typing import Literal

from ikescope.engine.commands import Connect, Rekey
from ikescope.engine.context import Core
from ikescope.events import UNSET
from ikescope.events.life import ConnectDecided, NothingDone

Decision = Literal["begin", "ask", "wait", "pending", "held", "refused"]


def decided(core: Core, want: Connect, decision: Decision, why: str = "") -> None:
    """What becomes of the wish for a Child SA."""
    wait = core.holds.get(want.tunnel, (0, core.now))[1] - core.now if decision == "held" else UNSET
    core.emit(
        ConnectDecided(
            tunnel=want.tunnel, index=want.index, trigger=want.trigger, decision=decision, why=why, seconds=wait
        )
    )


def nothing_done(core: Core, what: str, why: str) -> None:
    """What was asked or reported changes nothing."""
    core.emit(NothingDone(what=what, why=why))


def rekey_text(intent: Rekey) -> str:
    """Which rekey was asked for."""
    if intent.spi is not None:
        return f"rekey of the Child SA {intent.spi:08x}"
    return "rekey of the IKE SAs" if intent.sa is None else f"rekey of IKE SA {intent.sa}"
