"""Who stands behind a NAT, by the hashes of IKE_SA_INIT (RFC 7296 section 2.23)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from ikescope.capture.telling import Telling
from ikescope.engine.payloads import nat_hash
from ikescope.events.base import UNKNOWN
from ikescope.events.negotiation import NatChecked
from ikescope.wire import NotifyPayload
from ikescope.wire.registry import NotifyType

if TYPE_CHECKING:
    from ikescope.capture.story import Letter, Story

_NAT_SOURCE, _NAT_DESTINATION = NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP


@lru_cache(maxsize=1024)  # the same two ends stand in every round
def _address(text: str) -> IPv4Address | IPv6Address:
    return ip_address(text)


def checked(story: Story, request: Letter, response: Letter) -> Iterator[Telling]:
    """Who stands behind a NAT, by the hashes of both messages and the addresses that they have where they were seen."""
    supported = all(one.find(_NAT_SOURCE) is not None for one in (request, response))
    moved = {"request": False, "response": False}
    for name, letter in (("request", request), ("response", response)):
        zero = bytes(8)
        spis = (story.keyed.spi_i, zero if name == "request" else story.keyed.spi_r)
        for kind, end in ((_NAT_SOURCE, letter.ends[0]), (_NAT_DESTINATION, letter.ends[1])):
            hashes = [one.data for one in letter.payloads if isinstance(one, NotifyPayload) and one.notify_type == kind]
            if hashes and nat_hash(*spis, _address(end[0]), end[1]) not in hashes:
                # The source of a request and the destination of a response are the initiator's.
                moved["request" if (kind == _NAT_SOURCE) == (name == "request") else "response"] = True
    mine, theirs = ("request", "response") if response.ours else ("response", "request")
    yield Telling(
        NatChecked(
            supported=supported,
            local_behind=moved[mine],
            remote_behind=moved[theirs],
            forced=UNKNOWN,
            floated=any(moved.values()),
        ),
        story,
    )
