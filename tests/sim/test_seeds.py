"""Lives of two routers, one a seed: whatever the network and the operators do, the rules of `sim.ledger` hold."""

import pytest
from tools import soak

from ikescope.crypto.key_exchange import generate
from ikescope.crypto.suites import GROUPS
from ikescope.engine.commands import InstallSa, RemoveSa
from ikescope.events import Record, Stamp
from ikescope.events.life import TaskFailed
from ikescope.events.router import ConfigurationChanged, PlaneFailed
from ikescope.sim.chaos import Chaos
from ikescope.sim.ledger import Broken
from ikescope.sim.quick import OCTETS, QuickKeyExchange, quick_key_exchange
from ikescope.sim.scenery import NAMES, SECRET, Dice, scene, text
from ikescope.sim.world import SeededRandom, Station

SEEDS, BATCH = 500, 10


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_a_life_out_of_a_seed(first: int) -> None:
    """R1 | R2: rekeys, clears, crashes, messages lost and late; keys agree, traffic heals, nothing stays.

    And no finding is a false alarm.
    """
    broken = [
        f"seed {seed}: {fault}\n  replay: {soak.replay(seed)}"
        for seed in range(first, first + BATCH)
        if (fault := soak.live(seed, judged=True)[1])
    ]
    assert not broken, "\n".join(broken)


def life(seed: int = 5) -> Chaos:
    """A life that has not begun."""
    return Chaos(seed, soak.read)


def test_a_seed_lives_one_life() -> None:
    """The same seed gives the same acts, events and times, octet for octet."""
    first, second = soak.live(7)[0], soak.live(7)[0]
    assert first.told() == second.told()
    assert first.ledger.records == second.ledger.records
    assert first.told() != soak.live(8)[0].told()


def test_scenes_cover_what_they_promise() -> None:
    """Among the seeds of the suite: GRE and not, transport and tunnel, PFS, force-encap, liveness, equal lifetimes."""
    scenes = [scene(Dice(f"chaos {seed}")) for seed in range(SEEDS)]
    sides = [side for one in scenes for side in one.sides]
    for wanted in (
        {one.gre for one in scenes},
        {one.transport for one in scenes},
        {side.force_encap for side in sides},
        {one.sides[0].child_lifetime == one.sides[1].child_lifetime for one in scenes},
        {bool(side.pfs) for side in sides},
        {len(side.sets) > 1 for side in sides},
    ):
        assert wanted == {True, False}
    assert {one.selectors for one in scenes} == {0, 1, 2, 3}
    assert {life(seed).scene.behind for seed in range(60)} == {(), ("R1",), ("R2",), NAMES}
    assert {side.dpd.split()[-1] for side in sides if side.dpd} == {"periodic", "on-demand"}
    config = soak.read(text(scenes[0], "R1"), "R1")
    assert SECRET not in repr(config)
    assert set(config.tunnels) == {"Tunnel0", *(["Tunnel1"] if scenes[0].selectors else [])}


@pytest.mark.parametrize("group", sorted(OCTETS))
def test_a_quick_exchange_agrees_and_is_gone_afterwards(group: int) -> None:
    """Both ends get one secret from values of the group's own length; outside the block the real exchange is back."""
    assert group in GROUPS
    with quick_key_exchange():
        ours, theirs = generate(group, SeededRandom("a")), generate(group, SeededRandom("b"))
        assert isinstance(ours, QuickKeyExchange)
        assert ours.shared_secret(theirs.public) == theirs.shared_secret(ours.public)
        assert ours.public != theirs.public
    real = generate(31 if group > 31 else group, SeededRandom("a"))
    assert not isinstance(real, QuickKeyExchange)
    assert len(generate(group, SeededRandom("a")).public) == len(ours.public)


def begun() -> tuple[Chaos, Station]:
    """A life with its tunnel up."""
    one = life()
    for name in NAMES:
        one._start(name)
    ping = one._ping("R1", 0)
    assert one.world.until(lambda: ping.received is not None, 20)
    one.world.run(1)
    one.ledger.step()
    return one, one.world.stations["R1"]


def installed(one: Chaos) -> tuple[Station, InstallSa]:
    """An inbound ESP SA, and the router that installed it."""
    return next(
        (one.world.stations[owner], sa) for (owner, _), sa in one.ledger._promised.items() if sa.direction == "in"
    )


def test_the_ledger_sees_a_defect_of_ours() -> None:
    """A failed task and a refused command of our own are faults at once."""
    one, station = begun()
    stamp = Stamp(seq=1, mono=0.0, wall=0.0, router="R1")
    with pytest.raises(Broken, match="a task failed on R1: rekey"):
        one.ledger._record(station, Record(stamp, TaskFailed(task="rekey", traceback="Traceback")))
    with pytest.raises(Broken, match="asked for what it cannot do"):
        one.ledger._record(station, Record(stamp, PlaneFailed(what="switch", why="no such SA")))


def test_the_ledger_sees_wrong_keys_and_doubles() -> None:
    """Other keys or selectors for an SPI, the same SPI twice, an ESP SA without a Child SA: faults all."""
    one, _ = begun()
    station, sa = installed(one)
    with pytest.raises(Broken, match="twice"):
        one.ledger._command(station, sa)
    other = next(found for found in one.world.stations.values() if found is not station)
    for change in ({"keys": type(sa.keys)(b"x", b"y")}, {"local": ()}):
        wrong = type(sa)(
            **{field: getattr(sa, field) for field in sa.__struct_fields__} | {"direction": "out"} | change
        )
        one.ledger._standing[other.name].discard((sa.spi, "out"))
        with pytest.raises(Broken, match="do not agree"):
            one.ledger._command(other, wrong)
    station.plane.execute(RemoveSa(sa.spi, "in", sa.path.remote, sa.tunnel), one.world.now)
    one.ledger._standing[station.name].add((0x1234, "out"))
    with pytest.raises(Broken, match="belongs to no Child SA"):
        one.ledger.step()


def test_the_ledger_sees_what_is_left_and_what_is_told() -> None:
    """An IKE SA that stands is not rest; a key in an event is a fault."""
    one, station = begun()
    with pytest.raises(Broken, match="left behind"):
        one.ledger.rest()
    one.ledger.silent(one.configs["R1"])
    stamp = Stamp(seq=1, mono=0.0, wall=0.0, router="R1")
    one.ledger._record(station, Record(stamp, ConfigurationChanged(lines=(one.ledger._secrets[0].hex(),))))
    with pytest.raises(Broken, match="a secret of"):
        one.ledger.silent(one.configs["R1"])


def test_a_broken_seed_names_its_replay(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The soak prints a fault with the command that replays it, ends at its limit, and says so by its exit status."""
    monkeypatch.setattr(soak, "outcome", lambda seed: (seed, "a fault" if seed == 3 else "", 60.0))
    assert soak.main(["--count", "5", "--jobs", "1"]) == 1
    said = capsys.readouterr().out
    assert "seed 3: a fault\n  replay: python tools/soak.py --seed 3 --ladder" in said
    assert "5 seeds from 0, 1 broken" in said
    assert soak.main(["--count", "3", "--jobs", "1"]) == 0


def test_a_seed_is_shown_with_its_ladder(capsys: pytest.CaptureFixture[str]) -> None:
    """One seed: the configurations, the acts, the events and the ladder, and whether the rules held."""
    assert soak.main(["--seed", "2", "--ladder"]) == 0
    said = capsys.readouterr().out
    assert "crypto ikev2 profile PR" in said
    assert "all tunnels shut, all cleared" in said
    assert "INFORMATIONAL" in said
    assert said.endswith("seed 2: every rule held\n")
