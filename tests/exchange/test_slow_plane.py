"""A data plane that takes its time: what depends on an ESP SA waits for it, whatever else happens meanwhile."""

import itertools

import pytest
from tests.support.world import BOTH, Pair, Side, pair, slow

from ikescope.engine.commands import Clear, ClearChild, Intent, Rekey
from ikescope.events.life import ChildSaCreated

DELAYS = (0.005, 0.05, 3.0)


@pytest.mark.parametrize("seconds", DELAYS)
@pytest.mark.parametrize("names", [("R1",), ("R2",), BOTH], ids=["R1", "R2", "both"])
def test_a_session_lives_with_a_slow_plane(names: tuple[str, ...], seconds: float) -> None:
    """I: IKE_AUTH; R answers when its SAs are installed; I sends no traffic before its own are: none is lost."""
    one = pair(Side(second=True, pfs=19))
    for name in names:
        slow(one, name, seconds)
    one.up(limit=60)
    one.up("R2", third=1, limit=60)
    for name in BOTH:
        for child in one.children(name):
            one.ask(name, Rekey(spi=child.inbound))
            one.keep_pinging(every=0.5, seconds=5)
            one.world.run(20)
            one.agree(children=2)
        one.ask(name, Rekey())
        one.world.run(10)
        one.agree(children=2)
    assert one.lost() == []
    one.ask("R1", Clear())
    one.world.run(10)
    one.quiet()


ACTS = ("rekey child", "rekey ike", "clear child", "clear", "fast clear", "nothing")


def act(one: Pair, name: str, what: str) -> None:
    """Something that the operator of a router asks for."""
    spis = [child.inbound for child in one.children(name)]
    intents: dict[str, Intent | None] = {
        "rekey child": Rekey(spi=spis[0]) if spis else None,
        "rekey ike": Rekey(),
        "clear child": ClearChild(),
        "clear": Clear(),
        "fast clear": Clear(fast=True),
    }
    intent = intents.get(what)
    if intent is not None:
        one.ask(name, intent)


PAIRS = list(itertools.product(ACTS, ACTS))


@pytest.mark.parametrize("gap", [0.0, 0.015, 0.06])
@pytest.mark.parametrize("slow_one", [*BOTH, "both"])
@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{a}, {b}" for a, b in PAIRS])
def test_things_cross_while_the_plane_is_slow(first: str, second: str, slow_one: str, gap: float) -> None:
    """R1: one thing | R2: another, a little later, while an ESP SA waits: no defect, and in the end both ends agree."""
    one = pair(Side(dpd="10 2 periodic")).up()
    for name in BOTH:
        if slow_one in (name, "both"):
            slow(one, name, 0.05)
    act(one, "R1", first)
    one.world.run(gap)
    act(one, "R2", second)
    one.world.run(150)
    one.sound()
    if not one.ike("R1") or not one.ike("R2"):
        one.world.run(300)
        one.quiet()
    elif not one.children("R1"):
        one.agree(children=0)
    one.up("R1", limit=60)
    one.world.run(10)
    one.agree()


@pytest.mark.parametrize("what", ACTS)
@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("wait", [0.01, 0.025, 0.035, 0.045, 0.06, 0.08, 0.1])
def test_the_first_child_sa_is_interrupted(what: str, name: str, wait: float) -> None:
    """I: IKE_SA_INIT, IKE_AUTH, while the planes take their time; an operator interferes at some moment."""
    one = pair(Side(dpd="10 2 periodic"))
    for one_name in BOTH:
        slow(one, one_name, 0.05)
    one.ping("R1")
    one.world.run(wait)
    act(one, name, what)
    one.world.run(500)
    one.up("R1", limit=60)
    one.world.run(10)
    one.agree()
    assert len(one.events("R1", ChildSaCreated)) >= 1
