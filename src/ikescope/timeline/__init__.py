"""Records folded into IKE SAs and their families, Child SAs and exchanges."""

from ikescope.timeline.fold import Timeline
from ikescope.timeline.join import Rung, merged, rungs
from ikescope.timeline.model import ChildSa, Exchange, Family, IkeSa, Message, SaKey

__all__ = ["ChildSa", "Exchange", "Family", "IkeSa", "Message", "Rung", "SaKey", "Timeline", "merged", "rungs"]
