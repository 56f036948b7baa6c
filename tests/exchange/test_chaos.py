"""Operators who do anything at any time, over a network that loses and delays: when quiet returns, both ends agree."""

import pytest
from tests.support.world import BOTH, Pair, Side, configuration, pair, slow

from ikescope.engine.commands import Clear, ClearChild, Intent, Probe, Rekey
from ikescope.sim.world import Mail, SeededRandom

SIDES = (
    Side(dpd="20 5 periodic"),
    Side(second=True, pfs=19, dpd="20 5 periodic"),
    Side(mode="ipsec", ike="gcm", esp="gcm", dpd="20 5 periodic"),
    Side(force_encap=True, dpd="20 5 periodic", ike_lifetime=60, child_lifetime=30),
)
FATES: tuple[list[float] | None, ...] = ([], [], [0.01, 0.02], [0.4], [2.5], [9.0], *([None] * 10))


class Chaos:
    """What happens, all of it out of one seed."""

    def __init__(self, seed: int) -> None:
        self.draw = SeededRandom(f"chaos {seed}")
        self.side = SIDES[seed % len(SIDES)]
        self.one = pair(self.side, seed=seed)
        self.troubled = True
        self.one.world.impairments.append(self.fate)
        self.slow = seed % 3 == 0
        if self.slow:
            slow(self.one, BOTH[seed % 2], 0.05)

    def pick(self, below: int) -> int:
        """A number from 0 up."""
        return int.from_bytes(self.draw(2), "big") % below

    def fate(self, mail: Mail) -> list[float] | None:
        """What becomes of an IKE datagram."""
        return FATES[self.pick(len(FATES))] if self.troubled and mail.kind == "ike" else None

    def act(self, name: str) -> None:
        """A router's operator, or a host behind it, does something; or the router crashes."""
        one = self.one
        if self.pick(60) == 0:
            one.world.remove(name)
            one.world.run(1)
            one.world.add(configuration(name, self.side))
            return
        spis = [child.inbound for child in one.children(name)] or [0]
        spi = spis[self.pick(len(spis))]
        intents: list[Intent] = [Rekey(), Rekey(spi=spi), Rekey(spi=spi), Probe(), ClearChild(spi=spi), ClearChild()]
        intents += [Clear(), Clear(fast=True)]
        number = self.pick(len(intents) + 4)
        if number < len(intents):
            one.ask(name, intents[number])
        else:
            one.ping(name, third=self.pick(2) if self.side.second else 0)

    def run(self, acts: int) -> Pair:
        """Trouble, then quiet."""
        one = self.one
        for _ in range(acts):
            self.act(BOTH[self.pick(2)])
            one.world.run((0.0, 0.001, 0.012, 0.025, 0.04, 0.5, 3.0, 20.0)[self.pick(8)])
        self.troubled = False
        one.world.run(700)
        return one


def settled(one: Pair) -> None:
    """Whatever was, packets get through in both directions, and both ends hold the same SAs."""
    one.sound()
    one.up("R1", limit=70)
    one.up("R2", limit=70)
    one.world.run(15)
    one.sound()
    for name, other in (BOTH, BOTH[::-1]):
        live = {(child.inbound, child.outbound) for child in one.children(name)}
        assert live == {(child.outbound, child.inbound) for child in one.children(other)}, one.story()
        installed = one.installed(name)
        assert installed["out"] == len(live), one.story()
        assert {child.inbound for child in one.children(name)} <= getattr(one.core(name).spis, "_used")  # noqa: B009
        assert not one.core(name).waiting
        assert len(one.core(name)._ids) == len(one.core(name).sas)
        assert len(one.core(name).sas) <= 3, one.story()


@pytest.mark.parametrize("seed", range(60))
def test_quiet_returns_after_chaos(seed: int) -> None:
    """R1 | R2: rekeys, deletes, probes and packets at any time, messages lost and late: no defect, no SA left over."""
    settled(Chaos(seed).run(25))
