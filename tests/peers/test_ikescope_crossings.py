"""Rekeys of ours and of strongSwan's cross, again and again, while pings run: we lose nothing of them."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.gate import ALL, NOTHING, REQUESTS, Gate, gated
from tests.support.ikescope import Ikescope
from tests.support.legs import Ways, assert_none_lost, pinging
from tests.support.netns import HOST_B, Topology
from tests.support.peering import FAR, HALVES, OURS, Peer, Run, Start, Wire, settled, split
from tests.support.process import wait_until
from tests.support.strongswan import Child, Strongswan

from ikescope.events.life import RekeyReceived, RekeyStarted
from ikescope.events.message import MessageReceived, MessageSent

SECONDS = float(os.environ.get("IKESCOPE_CROSSING_SECONDS", "60"))
SETTINGS = """  delete_rekeyed_delay = 1
  retransmit_timeout = 0.5
  retransmit_base = 1
  retransmit_tries = 100
"""
STEADY = {"rand_time": "0"}
"""strongSwan rekeys at its time, not a random while before it."""
BEGAN, TOOK = "generating", "parsed"
KINDS = ("ike", "child")


@pytest.fixture
def gate(net: Topology) -> Iterator[Gate]:
    """What passes between the gateways of IKE."""
    with gated(net) as made:
        yield made


def rekeys(peer: Strongswan, did: str, kind: str) -> int:
    """How many requests to rekey a Child SA or the IKE SA strongSwan has sent (BEGAN) or received (TOOK)."""
    found = re.findall(rf"{did} CREATE_CHILD_SA request \d+ \[(.*)\]", peer.log())
    return sum(("N(REKEY_SA)" in payloads) == (kind == "child") for payloads in found)


def ours_started(ours: Ikescope, kind: str) -> int:
    """How many rekeys of a kind we began."""
    return sum(event.kind == kind for event in ours.events(RekeyStarted))


def ours_received(ours: Ikescope, kind: str) -> int:
    """How many rekeys of a kind we were asked for."""
    return sum(event.kind == kind for event in ours.events(RekeyReceived))


def unanswered(ours: Ikescope) -> bool:
    """Whether a request of ours waits for its answer: strongSwan passes over one that comes while it works on another
    message of that ID, and we repeat it two seconds later.
    """
    asked, answered = set(), set()
    for record in ours.records():
        event, key = record.event, (record.stamp.spi_i, record.stamp.message_id)
        if isinstance(event, MessageSent) and not event.response:
            asked.add(key)
        elif isinstance(event, MessageReceived) and event.response:
            answered.add(key)
    standing = {spi_i for spi_i, _ in ours.ike()}
    return any(spi_i in standing for spi_i, _ in asked - answered)


def quiet(ours: Ikescope) -> None:
    """Wait until no exchange is under way: half a second without a message, and nothing unanswered."""
    seen, since = -1, 0.0

    def still() -> bool:
        nonlocal seen, since
        now = len(ours.events(MessageSent)) + len(ours.events(MessageReceived))
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 0.5 and not unanswered(ours)

    wait_until("no exchange is under way", still)


def crossings(ours: Ikescope) -> dict[str, int]:
    """How many SAs, of each kind, both ends began to rekey."""
    started = {(event.kind, event.spi_a) for event in ours.events(RekeyStarted)}
    received = {(event.kind, event.spi_a) for event in ours.events(RekeyReceived)}
    return {kind: sum(found == kind for found, _ in started & received) for kind in KINDS}


class Crossing:
    """One crossing, whatever the speed of this machine: each end has begun before it hears of the other's request.

    The requests are kept from either end, then let through, theirs first; each answers while its own is under way.
    """

    def __init__(self, ours: Ikescope, peer: Strongswan, gate: Gate, kind: str) -> None:
        self.ours, self.peer, self.gate, self.kind = ours, peer, gate, kind
        self._before = self._now()
        gate.arrives(at_a=NOTHING, at_b=NOTHING)

    def _now(self) -> tuple[int, int, int, int]:
        ours, peer, kind = self.ours, self.peer, self.kind
        received = ours_received(ours, kind), rekeys(peer, TOOK, kind)
        return ours_started(ours, kind), rekeys(peer, BEGAN, kind), *received

    def _wait(self, what: str, *places: int) -> None:
        def holds() -> bool:
            now = self._now()
            return all(now[place] > self._before[place] for place in places)

        wait_until(f"{self.kind}: {what}", holds, 40.0)

    def happens(self) -> None:
        """Both begin by themselves, or have been told to: let it come to its end."""
        self._wait("both began", 0, 1)
        self.gate.arrives(at_a=REQUESTS)
        self._wait("theirs came to us", 2)
        self.gate.arrives(at_a=ALL, at_b=REQUESTS)
        self._wait("ours came to them", 3)
        self.gate.arrives(at_b=ALL)


def note(directory: Path, ours: Ikescope, ways: Ways) -> None:
    """We have lost no echo; what came of the run is written down."""
    losses = assert_none_lost(ways, ours)
    told = [f"crossed {crossings(ours)}: {ways.received} replies, {len(losses)} lost elsewhere", *map(str, losses)]
    (directory / "figures").write_text("\n".join(told) + "\n")


def order(ours: Ikescope, peer: Strongswan, what: str, children: Sequence[Child]) -> None:
    """Tell both ends to rekey the same."""
    if what == "ike":
        peer.rekey(ike="peer")
    for child in children if what == "child" else ():
        peer.rekey(child=child.name)
    ours.command(f"test crypto ikev2 rekey {what}")


def press(ours: Ikescope, peer: Strongswan, pool: ThreadPoolExecutor, what: str, children: Sequence[Child]) -> None:
    """Both are told to while our process stands still: all that has come meanwhile it takes at once."""
    ours.process.pause()
    told = pool.submit(order, ours, peer, what, children)
    time.sleep(0.2)
    ours.process.resume()
    told.result(30.0)


@pytest.mark.slow
def test_crossing_rekeys_lose_no_packet(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire, gate: Gate, tmp_path: Path
) -> None:
    """Both ends rekey both Child SAs at once, then the IKE SA: one of each remains and we lose no echo."""
    peer = charon(net.gw_b, settings=SETTINGS)
    children = split(net)
    peer.load(replace(site("b"), children=children))
    with wire():
        ours = router(replace(OURS, selectors=HALVES))

        def stand() -> bool:
            return settled(ours, peer, children=2)

        with pinging(net, HOST_B, FAR, directory=tmp_path, interval=0.1) as ways, ThreadPoolExecutor(1) as pool:
            wait_until("the tunnel stands", stand, 40.0)
            end = time.monotonic() + SECONDS / 2
            while not crossings(ours)["child"] or time.monotonic() < end:
                for kind in KINDS:
                    quiet(ours)
                    crossing = Crossing(ours, peer, gate, kind)
                    order(ours, peer, kind, children)
                    crossing.happens()
                    wait_until(f"{kind} crossed: one of each stands", stand, 40.0)
                for kind in KINDS * 3:
                    press(ours, peer, pool, kind, children)
                    wait_until(f"{kind} pressed: one of each stands", stand, 40.0)
        note(tmp_path, ours, ways)
        assert min(crossings(ours).values()) >= 1


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "lifetime"), [("ike", 10), ("child", 30)])
def test_equal_lifetimes_cross(
    net: Topology,
    charon: Start,
    router: Run,
    site: Peer,
    wire: Wire,
    gate: Gate,
    tmp_path: Path,
    kind: str,
    lifetime: int,
) -> None:
    """Nobody tells them to: at both ends the SA's time has come, the two rekeys cross, one SA remains, no echo lost."""
    peer = charon(net.gw_b, settings=SETTINGS)
    soft = f"{lifetime * 4 // 5}"
    connection = site("b")
    if kind == "ike":
        connection = replace(connection, rekey_time=soft, options={**STEADY, "over_time": "60s"})
        ours_too = replace(OURS, profile=(f"lifetime {lifetime}",))
    else:
        child = replace(connection.children[0], rekey_time=soft, options={**STEADY, "life_time": "60s"})
        connection = replace(connection, children=(child,))
        ours_too = replace(OURS, ipsec=(f"set security-association lifetime seconds {lifetime}",))
    peer.load(connection)
    with wire():
        ours = router(ours_too)

        def now() -> list[tuple[str, str]]:
            return ours.ike() if kind == "ike" else ours.children()

        with pinging(net, HOST_B, directory=tmp_path, interval=0.1) as ways:
            wait_until("the tunnel stands", lambda: settled(ours, peer), 40.0)
            end = time.monotonic() + (SECONDS / 2 if kind == "ike" else 0.0)
            times = 0
            while not times or time.monotonic() < end:
                before = now()
                Crossing(ours, peer, gate, kind).happens()
                wait_until("one of each stands", lambda: settled(ours, peer) and now() != before, 40.0)  # noqa: B023
                times += 1
        note(tmp_path, ours, ways)
        assert crossings(ours)[kind] == times
        assert {event.trigger for event in ours.events(RekeyStarted)} == {"lifetime"}
