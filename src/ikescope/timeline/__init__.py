"""Records folded into IKE SAs and their families, Child SAs and exchanges."""

from ikescope.timeline.fold import Timeline
from ikescope.timeline.join import Rung, merged, rungs
from ikescope.timeline.model import (
    Bounds,
    Changes,
    ChildKey,
    ChildSa,
    Exchange,
    Family,
    IkeSa,
    Message,
    Offset,
    SaKey,
    Tunnel,
)
from ikescope.timeline.totals import Totals

__all__ = [
    "Bounds",
    "Changes",
    "ChildKey",
    "ChildSa",
    "Exchange",
    "Family",
    "IkeSa",
    "Message",
    "Offset",
    "Rung",
    "SaKey",
    "Timeline",
    "Totals",
    "Tunnel",
    "merged",
    "rungs",
]
