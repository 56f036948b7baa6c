"""Simulated sessions in debug text: whole routers negotiate, what they print is read back and measured."""

import re
from functools import cache

import pytest
from tests.ios.test_debug_fidelity import masked, real, without

from ikescope.engine.commands import Clear, Probe, Rekey
from ikescope.events import Record
from ikescope.ios.catalogue_deviations import DEVIATIONS
from ikescope.ios.catalogue_table import find
from ikescope.ios.configuration import load
from ikescope.ios.debug import Renderer, transcript
from ikescope.ios.debug_read import Unknown, read
from ikescope.sim.world import Station, World

KEY = "a-key-that-no-line-may-hold"
ROUTER = """
version 17.6
hostname {name}
crypto ikev2 keyring KEYS
 peer R2
  address {peer}
  pre-shared-key {key}
crypto ikev2 profile default
 match identity remote address {peer} 255.255.255.255
 authentication local pre-share
 authentication remote pre-share
 keyring local KEYS
crypto ipsec transform-set TS {suite}
 mode transport
crypto ipsec profile default
 set transform-set TS
 set ikev2-profile default
interface GigabitEthernet1
 ip address {local} 255.255.255.0
interface Tunnel0
 ip address {tunnel} 255.255.255.252
 tunnel source GigabitEthernet1
 tunnel destination {peer}
 tunnel protection ipsec profile default
ip route {lan} 255.255.255.0 Tunnel0
"""
SUITE = "esp-aes esp-sha-hmac"
FIRST = {"name": "R1", "local": "192.0.2.1", "peer": "192.0.2.2", "tunnel": "172.16.0.1", "lan": "10.2.0.0"}
SECOND = {"name": "R2", "local": "192.0.2.2", "peer": "192.0.2.1", "tunnel": "172.16.0.2", "lan": "10.1.0.0"}


def pair(key: str = KEY, suite: str = SUITE) -> tuple[World, Station, Station]:
    """Two routers after a first ping; key and transform set are the second's."""
    world = World(1)
    first = world.add(load(ROUTER.format(**FIRST, key=KEY, suite=SUITE)))
    second = world.add(load(ROUTER.format(**SECOND, key=key, suite=suite)))
    world.ping("R1", "10.1.0.10", "10.2.0.10")
    world.run(3)
    return world, first, second


@cache
def records(scenario: str) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """What both routers of a scenario told."""
    if scenario == "wrong key":
        _, first, second = pair(key="another")
    elif scenario == "child refused":
        _, first, second = pair(suite="esp-aes 256 esp-sha256-hmac")
    else:
        world, first, second = pair()
        inbound = world.status("R1").children[0].inbound
        for intent in (Rekey(spi=inbound), Rekey(sa=1), Probe(), Clear()):
            first.node.request(intent, world.now)
            world.settle(first)
            world.run(3)
    return tuple(first.records), tuple(second.records)


SCENARIOS = ("whole life", "wrong key", "child refused")


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("side", [0, 1])
def test_what_a_session_prints_is_read_back(scenario: str, side: int) -> None:
    """No line of our own is unknown to our reader; it finds each event that printed something, in order."""
    told = records(scenario)[side]
    lines = transcript(Renderer(), told)
    found = list(read(lines, router="R1"))
    assert [one for one in found if isinstance(one, Unknown)] == []
    printed = [type(one.event).__name__ for one in told if Renderer().lines(one)]
    assert [type(one.event).__name__ for one in found if isinstance(one, Record)] == printed
    assert transcript(Renderer(), [one for one in found if isinstance(one, Record)]) == lines


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("side", [0, 1])
def test_every_event_of_a_session_has_its_row(scenario: str, side: int) -> None:
    """The catalogue has a word, or a reason for none, for all that the engine tells."""
    assert [type(one.event).__name__ for one in records(scenario)[side] if find(one.event, one.stamp) is None] == []


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_debug_line_holds_the_key(scenario: str) -> None:
    """The pre-shared key is told by its length alone."""
    text = "\n".join(line for side in records(scenario) for line in transcript(Renderer(stamps=True), side))
    assert KEY not in text
    assert f"key len {len(KEY)}" in text


def test_a_read_session_knows_its_spis_and_roles() -> None:
    """SPIs, addresses and role of what stands between packets are those of the packets around it."""
    told = [one for one in records("wrong key")[1] if Renderer().lines(one)]
    found = [one for one in read(transcript(Renderer(), told)) if isinstance(one, Record)]
    verified = next(one for one in found if type(one.event).__name__ == "AuthRefused")
    same = next(one for one in told if type(one.event).__name__ == "AuthRefused")
    assert (verified.stamp.spi_i, verified.stamp.session) == (same.stamp.spi_i, same.stamp.session)


def measured() -> tuple[list[str], list[str]]:
    """The real initiator's lines and ours of the same session, masked, without the listed deviations."""
    told = records("child refused")[0]
    spi_i, spi_r = next((str(one.stamp.spi_i), str(one.stamp.spi_r)) for one in reversed(told) if one.stamp.sa == 1)
    lines = [masked(line) for line in transcript(Renderer(), told)]
    end = next(number for number, line in enumerate(lines) if line.endswith("Deleting SA"))
    ours = [line.replace(spi_i.upper(), "<spi-i>").replace(spi_r.upper(), "<spi-r>") for line in lines[: end + 1]]
    ours = [re.sub(r"\[SPI: 0x[0-9A-F]{8}\]", "[SPI: 0x<spi>]", line) for line in ours]
    left = without(real(), [pattern for one in DEVIATIONS for pattern in one.ios])
    return left, without(ours, [pattern for one in DEVIATIONS for pattern in one.ours])


def test_a_simulated_session_reads_like_the_real_initiator_s() -> None:
    """With the listed deviations set aside, a simulated session prints the real initiator's lines, all, in order."""
    left, right = measured()
    assert right == left
    assert (len(real()), len(left)) == (151, 133), "as docs/ios-debug.md has it"
