"""The world in memory: named by its seed, its mail room does what it is told, time passes only when asked to."""

import base64

import pytest
from tests.support.world import BOTH, Pair, Side, configuration, esp_keys, ike_keys, impair, pair

from ikescope.engine.commands import Clear, Probe, Rekey
from ikescope.events import encode
from ikescope.ios.debug import Renderer
from ikescope.sim.world import Mail, SeededRandom, World, route


def session(seed: int | str, side: Side | None = None) -> Pair:
    """A session with a bit of everything."""
    side = side or Side(second=True, pfs=19)
    one = pair(side, seed=seed)
    one.up().up("R2", third=int(side.second))
    one.ask("R1", Rekey())
    one.ask("R2", Rekey(spi=one.children("R2")[0].inbound))
    one.world.run(10)
    one.ask("R2", Probe())
    one.world.run(1)
    one.ask("R1", Clear())
    one.world.run(10)
    return one


def mail_of(one: Pair) -> list[tuple[str, float, bytes]]:
    """All mail of a world: kind, time, octets."""
    return [(mail.kind, mail.at, mail.octets) for mail in one.world.mail]


@pytest.mark.parametrize("side", [Side(), Side(ike="gcm", esp="gcm", mode="ipsec"), Side(force_encap=True)])
def test_one_seed_gives_one_world(side: Side) -> None:
    """Two worlds of one seed send the same octets at the same times and tell the same events."""
    first, second = session(7, side), session(7, side)
    assert mail_of(first) == mail_of(second)
    assert first.world.records == second.world.records


def test_other_seeds_give_other_worlds() -> None:
    """Another seed changes SPIs, nonces and keys; and the two routers of a world share no number."""
    worlds = [session(seed) for seed in ("1", "2", "3")]
    spis = [{ready.spi_i for ready in ike_keys(one.station("R1"))} for one in worlds]
    assert all(not a & b for number, a in enumerate(spis) for b in spis[:number])
    assert mail_of(worlds[0])[0][2][:8] != mail_of(worlds[1])[0][2][:8]
    inbound = [{sa.spi for sa in esp_keys(worlds[0].station(name)) if sa.direction == "in"} for name in BOTH]
    assert not inbound[0] & inbound[1]


def test_seeded_octets_do_not_depend_on_how_they_are_drawn() -> None:
    """The stream is one: 3 and 5 octets are the first 8, and it does not repeat itself."""
    one, two = SeededRandom("a"), SeededRandom("a")
    assert one(3) + one(5) == two(8)
    assert len({SeededRandom("b")(64)[at : at + 8] for at in range(0, 64, 8)}) == 8
    assert SeededRandom("a")(8) != SeededRandom("b")(8)


def test_a_router_that_comes_back_draws_other_numbers() -> None:
    """A router that was removed and added again does not repeat its SPIs."""
    world = World(1)
    first = world.add(configuration("R1", Side())).node._endpoint.core.random(16)
    world.remove("R1")
    assert world.add(configuration("R1", Side())).node._endpoint.core.random(16) != first


SECRETS = "a-key-of-these-tests"


def test_no_secret_is_in_any_event() -> None:
    """Neither the pre-shared key nor any SK_* nor an ESP key is in a record or a debug line: raw, hex or base64."""
    one = session(3, Side(second=True, pfs=19))
    text = b"".join(encode(record) for record in one.world.records)
    renderer = Renderer()
    lines = "\n".join(line for record in one.world.records for line in renderer.lines(record)).encode()
    shown = repr(one.world.records).encode() + repr(one.world.stations).encode()
    secrets = [SECRETS.encode()]
    for name in BOTH:
        station = one.station(name)
        for ready in ike_keys(station):
            secrets += [getattr(ready.keys, field) for field in type(ready.keys).__slots__]
        for installed in esp_keys(station):
            secrets += [installed.keys.encryption, installed.keys.integrity]
    wanted = {secret for secret in secrets if secret}
    assert len(wanted) > 25
    for secret in wanted:
        for form in forms(secret):
            assert form not in text
            assert form not in lines
            assert form not in shown


def forms(secret: bytes) -> list[bytes]:
    """How a secret may hide: as it is, hex, base64 at each of the three offsets, and as Python prints octets."""
    coded = [base64.b64encode(bytes(offset) + secret)[(offset * 8 + 5) // 6 :] for offset in range(3)]
    inner = [one.rstrip(b"=")[:-1] for one in coded]
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), *inner, repr(secret)[2:-1].encode()]


def test_the_search_for_secrets_finds_one() -> None:
    """Base64 of a longer text holds one of the forms, wherever the secret begins in it."""
    for lead in range(6):
        text = base64.b64encode(b"x" * lead + SECRETS.encode() + b"tail")
        assert any(form in text for form in forms(SECRETS.encode()))


def test_time_passes_only_in_run() -> None:
    """Nothing moves until `run`; then the clock stands exactly where it was told to stop."""
    one = pair()
    one.ping("R1")
    assert one.world.now == 1000.0
    assert len(one.world.mail) == 1
    one.world.run(2.5)
    assert one.world.now == 1002.5


def test_until_stops_at_the_event_or_at_the_limit() -> None:
    """`until` says whether it came true, and spends no more time than it took."""
    one = pair()
    ping = one.ping("R1")
    assert one.world.until(lambda: ping.received is not None, 60)
    assert one.world.now == ping.received
    assert not one.world.until(lambda: False, 5)
    assert one.world.now == pytest.approx((ping.received or 0) + 5)


def test_an_impairment_decides_how_often_and_when_mail_comes() -> None:
    """No delay: lost; two: twice; None: no opinion, the latency holds."""
    one = pair(latency=0.25)
    seen = impair(one.world, lambda mail: mail.number == 1, [0.1, 0.2])
    one.ping("R1")
    one.world.run(0.15)
    assert [mail.number for mail in seen] == [1]
    assert len(one.sent("R2")) == 1
    one.world.run(0.1)
    assert len(one.sent("R2")) == 2
    one.world.run(5)
    one.agree()


def test_mail_to_a_router_that_is_gone_is_lost() -> None:
    """What is under way to a router that crashes arrives nowhere, and its LAN sends nothing more."""
    one = pair()
    one.ping("R1")
    one.world.remove("R2")
    one.world.inject("R2", b"")
    one.world.run(1)
    assert {mail.path.local for mail in one.world.mail} == {one.world.mail[0].path.local}


def test_the_longest_route_takes_the_packet() -> None:
    """Of several routes that fit, the longest names the tunnel; none is no way out."""
    config = configuration("R1", Side(second=True))
    there = config.routes[0].prefix.network_address
    assert route(config, there + 9) == "Tunnel0"
    assert route(config, type(there)("10.2.1.9")) == "Tunnel1"
    assert route(config, type(there)("172.16.0.1")) is None


def test_mail_need_not_be_kept() -> None:
    """A long run may leave `mail` empty."""
    one = pair()
    one.world.keep_mail = False
    one.up()
    assert one.world.mail == []
    numbers: list[Mail] = one.world.mail
    assert numbers == []
