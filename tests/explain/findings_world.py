"""Worlds with something wrong in them, and what each viewpoint finds."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.world import Pair, Side, headline, impair, pair

from ikescope.events import Record
from ikescope.explain.findings import Finding, findings
from ikescope.sim.world import Mail
from ikescope.timeline import Timeline

VIEWPOINTS = (("R1",), ("R2",), ("R1", "R2"))
INIT, AUTH = 34, 35


def judged(records: Iterable[Record], who: tuple[str, ...] = ("R1", "R2")) -> list[Finding]:
    """What is found in the records of some routers, judged from the first."""
    return findings(Timeline().extend(one for one in records if one.stamp.router in who), who[0])


def from_each(one: Pair) -> list[list[Finding]]:
    """What is found from R1 alone, R2 alone and both."""
    return [judged(one.world.records, who) for who in VIEWPOINTS]


def ids(found: Iterable[Finding], *, notes: bool = False) -> list[str]:
    """The ids of findings, without notes unless they are asked for."""
    return [one.id for one in found if notes or one.severity != "note"]


def tried(first: Side, second: Side | None = None, *, seconds: float = 20.0, by: str = "R1") -> Pair:
    """A world in which `by` is asked to bring the tunnel up."""
    one = pair(first, second)
    one.world.ping(by, *(("10.1.0.9", "10.2.0.9") if by == "R1" else ("10.2.0.9", "10.1.0.9")))
    one.world.run(seconds)
    return one


def lost(sender: str, exchange: int, response: bool, side: Side | None = None, *, seconds: float = 300.0) -> Pair:
    """A world that loses one kind of message of one router."""
    one = pair(side or Side())
    impair(one.world, lambda mail: headline(mail)[:3] == (sender, exchange, response), (), times=None)
    one.world.ping("R1", "10.1.0.9", "10.2.0.9")
    one.world.run(seconds)
    return one


def to_port(port: int) -> Pair:
    """A world that floats to port 4500 and loses what goes to one port."""

    def wanted(mail: Mail) -> bool:
        return mail.path.remote_port == port

    one = pair(Side(force_encap=True))
    impair(one.world, wanted, (), times=None)
    one.world.ping("R1", "10.1.0.9", "10.2.0.9")
    one.world.run(300.0)
    return one
