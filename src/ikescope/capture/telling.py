"""An event that a capture tells, with the IKE SA that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ikescope.events import UNSET, Event, UnsetType

if TYPE_CHECKING:
    from ikescope.capture.story import Story


class Telling(NamedTuple):
    """`message_id` where the event speaks of one message; `inferred`: what it was concluded from, empty for what was
    read.
    """

    event: Event
    story: Story
    message_id: int | UnsetType = UNSET
    inferred: str = ""
