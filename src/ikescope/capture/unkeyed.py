"""A conversation whose messages stay closed: what follows on a message tells what it was; all of it is inferred."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ikescope.capture import infer
from ikescope.capture.children import Child
from ikescope.capture.flows import Flow, Flows
from ikescope.capture.story import Letter, Story
from ikescope.capture.telling import Telling
from ikescope.wire.registry import ExchangeType

SOON = 60.0
"""Seconds after CREATE_CHILD_SA in which what it made is first seen, and the Delete of what it replaced."""
MANY, WAIT = 5, 20.0
"""Packets and seconds of ESP one way from which on it is no beginning."""


class Followed:
    """What is waited for in one IKE SA: who asked the CREATE_CHILD_SA that are answered and not explained, and when."""

    __slots__ = ("answered", "answers", "deleted", "last", "probes", "requests")

    def __init__(self) -> None:
        self.answered: list[tuple[bool, float]] = []
        self.deleted: float | None = None
        self.probes: list[tuple[Letter, Letter]] = []
        self.requests: dict[tuple[bool, int], Letter] = {}
        self.answers: set[bool] = set()
        self.last: dict[bool, int] = {}


class Unkeyed:
    """What closed messages and ESP of one conversation tell together; `stories` are its IKE SAs, oldest first."""

    def __init__(self, address: str, stories: Callable[[], Iterable[Story]], flows: Flows) -> None:
        self._address, self._stories, self._flows = address, stories, flows
        self._followed: dict[bytes, Followed] = {}

    def of(self, story: Story) -> Followed:
        """What is waited for in this IKE SA."""
        found = self._followed.get(story.keyed.spi_i)
        if found is None:
            found = self._followed[story.keyed.spi_i] = Followed()
        return found

    def before(self, story: Story, letter: Letter, size: int) -> Iterator[Telling]:
        """What can be told of a closed message before it is."""
        yield from self._began(story, letter)
        yield from infer.before(story, letter, size)

    def _began(self, story: Story, letter: Letter) -> Iterator[Telling]:
        """An IKE SA with new SPIs whose first message is no IKE_SA_INIT: the successor of one that is there."""
        if letter.exchange == ExchangeType.IKE_SA_INIT or letter.message_id > 1 or story.phase:
            return
        for old in reversed(list(self._stories())):
            waiting = self.of(old).answered
            asked = next((one for one in waiting if one[0] == story.initiator and letter.wall - one[1] < SOON), None)
            if old is story or old.successor is not None or old.keyed.keys is not None or asked is None:
                continue
            waiting.remove(asked)
            if old.created:
                yield from infer.succeeded(old, story, ours=asked[0])
            return

    def counted(self, story: Story, letter: Letter) -> None:
        """Any message, opened or not: how far the requests of each end went, and whether any is answered."""
        followed = self.of(story)
        if letter.response:
            followed.answers.add(letter.ours)
        else:
            followed.last[letter.ours] = max(letter.message_id, followed.last.get(letter.ours, 0))

    def after(self, story: Story, letter: Letter, size: int) -> Iterator[Telling]:
        """What can be told once it is there."""
        yield from infer.after(story, letter, size)
        followed = self.of(story)
        key = letter.ours, letter.message_id
        if not letter.response:
            followed.requests[key] = letter
            yield from self._still(story, followed, letter)
            return
        request = followed.requests.pop(key, None)
        if letter.exchange == ExchangeType.CREATE_CHILD_SA and request is not None:
            followed.answered.append((letter.ours, letter.wall))
            followed.probes.clear()
        elif letter.exchange == ExchangeType.INFORMATIONAL and request is not None:
            yield from self._informed(story, followed, request, letter, size)

    def _informed(
        self, story: Story, followed: Followed, request: Letter, letter: Letter, size: int
    ) -> Iterator[Telling]:
        """An INFORMATIONAL exchange: after a rekey the Delete of what was replaced, else it waits for what follows."""
        if not infer.may_hold(story, size, infer.DELETE_ESP):
            if infer.may_hold(story, size, 0) and not infer.surely_empty(story, size):
                followed.probes.append((request, letter))
            return
        old = next((one for one in story.children.values() if one.replaced), None)
        recent = followed.answered and letter.wall - followed.answered[-1][1] < SOON
        if old is not None:
            yield from infer.ended(story, old, letter)
        elif recent:
            followed.deleted = letter.wall
        elif not infer.surely_empty(story, size) and infer.may_hold(story, size, 0):
            followed.probes.append((request, letter))

    def _still(self, story: Story, followed: Followed, letter: Letter) -> Iterator[Telling]:
        """The IKE SA goes on after what may have been its Delete."""
        for request, answer in followed.probes:
            if letter.exchange == ExchangeType.INFORMATIONAL or self._carries(story, answer.wall):
                yield from infer.alive(story, request, answer)
        followed.probes.clear()

    def _carries(self, story: Story, since: float) -> bool:
        spis = {spi for child in story.children.values() for spi in (child.inbound, child.outbound)}
        return any(flow.spi in spis and flow.last > since for flow in self._flows)

    def esp(self, flow: Flow, wall: float) -> Iterator[Telling]:
        """The first packet to an SPI: with one the other way it tells of the Child SA that a closed exchange made."""
        known = {spi for one in self._stories() for child in one.children.values() for spi in _spis(child)}
        if flow.spi in known:
            return
        for story in reversed(list(self._stories())):
            if story.keyed.keys is not None or story.successor is not None:
                continue
            since = self._since(story)
            if since is None or flow.first < since:
                continue
            other = next((one for one in self._flows if _opposite(one, flow, since) and one.spi not in known), None)
            if other is not None:
                pair = (flow, other) if flow.destination == self._address else (other, flow)
                yield from self._made(story, pair[0].spi, pair[1].spi, flow.udp, wall)
            return

    def _since(self, story: Story) -> float | None:
        """Since when an SPI that is new may be of this IKE SA; None where nothing made one."""
        if not story.created:
            return story.answered
        waiting = self.of(story).answered
        return waiting[0][1] if waiting else None

    def _made(self, story: Story, inbound: str, outbound: str, udp: bool, wall: float) -> Iterator[Telling]:
        if not story.created:
            yield from infer.passed(story, inbound, outbound, udp, wall)
            return
        followed = self.of(story)
        ours, _ = followed.answered.pop(0)
        standing = [one for one in story.children.values() if not one.replaced]
        old = standing[0] if len(standing) == 1 else None
        yield from infer.made(story, Child(inbound, outbound, wall), old, udp=udp, ours=ours)
        if old is not None and followed.deleted is not None:
            yield from infer.ended(story, old, None, wall)
        followed.deleted = None

    def end(self, seconds: float) -> Iterator[Telling]:
        """ESP that went one way alone, all the time."""
        for story in self._stories():
            if story.keyed.keys is None and not story.created and story.answered is not None and not story.refused:
                yield from self._one_way(story, story.answered)

    def _one_way(self, story: Story, since: float) -> Iterator[Telling]:
        found = [one for one in self._flows if one.first >= since]
        ways = {one.destination == self._address for one in found}
        flow = max(found, key=lambda one: one.packets, default=None)
        if flow is not None and len(ways) == 1 and flow.packets >= MANY and flow.last - flow.first >= WAIT:
            yield from infer.one_way(story, flow, ways.pop())

    def moved_on(self, story: Story, letter: Letter) -> bool:
        """Whether who asked went on to another request, which it does once the one before is answered."""
        return self.of(story).last.get(letter.ours, 0) > letter.message_id

    def deaf(self, story: Story) -> bool:
        """Whether requests of one end went on and not one response to them is in the capture."""
        followed = self.of(story)
        return bool(story.keyed.request) and any(
            last > 0 and ours not in followed.answers for ours, last in followed.last.items()
        )


def _spis(child: Child) -> tuple[str, str]:
    return child.inbound, child.outbound


def _opposite(one: Flow, flow: Flow, since: float) -> bool:
    return one.destination == flow.source and one.source == flow.destination and one.first >= since
