"""Child SAs for each resource (RFC 9611): asked for, refused, rekeyed, deleted, and without a peer that knows them."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.support.world import BOTH, Pair, Side, configuration, pair

from ikescope.engine import children, resources
from ikescope.engine.commands import ClearChild, Rekey
from ikescope.events.life import ChildRefused, CloseReason, Reauthenticated
from ikescope.explain.summary import verdict
from ikescope.explain.walk import walk
from ikescope.ios.configuration import load
from ikescope.ios.running import running_config
from ikescope.sim.world import Ping
from ikescope.timeline import Timeline
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, NotifyType

AUTH, CREATE = ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA
THREE = Side(mode="acl", resources=3)
PLAIN = Side(mode="acl")
SAID = "NOTIFY(SA_RESOURCE_INFO)"


def numbers(one: Pair, name: str) -> list[int | None]:
    """The resources of a router's Child SAs, in order."""
    return sorted((child.resource for child in one.children(name)), key=lambda number: -1 if number is None else number)


def heard(one: Pair, name: str) -> list[tuple[ExchangeType, bool, bytes]]:
    """Exchange, whether a response, and data of each SA_RESOURCE_INFO that a router sends from now on."""
    said: list[tuple[ExchangeType, bool, bytes]] = []

    def listen(exchange: ExchangeType, response: bool, chain: Sequence[Payload]) -> Sequence[Payload]:
        notifies = [payload for payload in chain if isinstance(payload, NotifyPayload)]
        about = [notify for notify in notifies if notify.notify_type == NotifyType.SA_RESOURCE_INFO]
        said.extend((exchange, response, notify.data) for notify in about)
        return chain

    one.core(name).mutate = listen
    return said


@pytest.mark.parametrize("by", BOTH)
@pytest.mark.parametrize("side", [THREE, Side(resources=3), replace(THREE, pfs=19)], ids=["acl", "gre", "pfs"])
def test_as_many_child_sas_as_both_want(side: Side, by: str) -> None:
    """I: IKE_AUTH with N(SA_RESOURCE_INFO), empty; R: the same; I: CREATE_CHILD_SA for resource 1, then for 2."""
    one = pair(side)
    asked, answered = heard(one, by), heard(one, BOTH[1 - BOTH.index(by)])
    one.up(by)
    one.agree(children=3)
    assert numbers(one, "R1") == numbers(one, "R2") == [0, 1, 2]
    data = [(AUTH, b""), (CREATE, bytes((0, 0, 0, 1))), (CREATE, bytes((0, 0, 0, 2)))]
    assert asked == [(exchange, False, octets) for exchange, octets in data]
    assert answered == [(exchange, True, octets) for exchange, octets in data]
    first, *others = one.children(by)
    for child in others:
        assert (child.local, child.remote, child.transport) == (first.local, first.remote, first.transport)
        assert child.suite.encryption == first.suite.encryption
    one.up("R1").up("R2")


def test_the_end_with_fewer_resources_says_when_it_has_enough() -> None:
    """R with two: I asks for a third and is answered N(TS_MAX_QUEUE): it asks no more, and what stands stays."""
    one = pair(replace(THREE, resources=5), replace(THREE, resources=2)).up()
    one.agree(children=2)
    assert [event.notify for event in one.events("R1", ChildRefused)] == [NotifyType.TS_MAX_QUEUE]
    asked = len(one.sent("R1", CREATE, response=False))
    assert asked == 2
    one.keep_pinging(every=5, seconds=60)
    one.world.run(5)
    assert len(one.sent("R1", CREATE, response=False)) == asked
    assert one.lost() == []
    one.agree(children=2)


def test_the_end_with_more_resources_does_not_ask_when_it_answered() -> None:
    """I with two, R with five: two Child SAs, asked for by who began."""
    one = pair(replace(THREE, resources=2), replace(THREE, resources=5)).up()
    one.agree(children=2)
    assert one.sent("R2", CREATE, response=False) == []


@pytest.mark.parametrize("by", BOTH)
def test_a_peer_without_resources_gets_one_child_sa(by: str) -> None:
    """I: N(SA_RESOURCE_INFO), R: none (or I: none): one Child SA for all, as ever."""
    one = pair(THREE, PLAIN).up(by)
    one.agree()
    assert numbers(one, "R1") == numbers(one, "R2") == [None]
    inner = [event.inner for name in BOTH for event in one.sent(name) if isinstance(event.inner, tuple)]
    assert sum(SAID in names for names in inner) == (by == "R1")


def test_a_request_beside_what_is_not_for_a_resource_is_as_ever() -> None:
    """A peer that says SA_RESOURCE_INFO to an end without resources is answered as if it had not."""
    one = pair(PLAIN, PLAIN)

    def claim(exchange: ExchangeType, response: bool, chain: Sequence[Payload]) -> Sequence[Payload]:
        return chain if response or exchange is not AUTH else [*chain, NotifyPayload(NotifyType.SA_RESOURCE_INFO)]

    one.core("R1").mutate = claim
    one.up()
    one.agree()
    assert numbers(one, "R2") == [None]


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("number", [0, 2])
def test_a_rekey_keeps_the_resource(name: str, number: int) -> None:
    """Either end rekeys one of them: the new one is for the same resource at both ends, the others stay."""
    one = pair(THREE).up()
    before = {child.resource: child.inbound for child in one.children("R1")}
    (chosen,) = [child for child in one.children(name) if child.resource == number]
    pair_of = {child.resource: (child.inbound, child.outbound) for child in one.children(name)}
    one.ask(name, Rekey(spi=chosen.inbound))
    one.keep_pinging(every=1, seconds=8)
    one.world.run(2)
    one.agree(children=3)
    assert numbers(one, "R1") == numbers(one, "R2") == [0, 1, 2]
    after = {child.resource: child.inbound for child in one.children("R1")}
    assert {resource for resource in after if after[resource] != before[resource]} == {number}
    assert pair_of[number] not in {(child.inbound, child.outbound) for child in one.children(name)}
    assert one.lost() == []


def test_spis_are_spread_over_what_steers_by_them() -> None:
    """Modulo the number of resources, the SPI that each end chose is the resource's number, after a rekey too."""
    one = pair(replace(THREE, resources=4)).up()
    for child in one.children("R1"):
        one.ask("R2", Rekey(spi=child.outbound))
    one.world.run(8)
    one.agree(children=4)
    for name in BOTH:
        assert all(child.inbound % 4 == child.resource for child in one.children(name))


def test_rekeys_that_cross_keep_the_resources() -> None:
    """Both ends rekey all of them at once: three stay, each for its resource."""
    one = pair(THREE).up()
    for name in BOTH:
        for child in one.children(name):
            one.station(name).node.request(Rekey(spi=child.inbound), one.world.now)
    for name in BOTH:
        one.world.settle(one.station(name))
    one.keep_pinging(every=1, seconds=10)
    one.world.run(20)
    one.agree(children=3)
    assert numbers(one, "R1") == numbers(one, "R2") == [0, 1, 2]
    assert one.lost() == []


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("number", [0, 1])
def test_the_end_of_one_leaves_the_others(name: str, number: int) -> None:
    """One of them, the first too, is deleted: the others carry its packets, and none is made for it at once."""
    one = pair(THREE).up()
    (chosen,) = [child for child in one.children(name) if child.resource == number]
    one.ask(name, ClearChild(spi=chosen.inbound))
    one.world.run(6)
    one.agree(children=2)
    one.keep_pinging(every=1, seconds=8)
    one.world.run(1)
    assert one.lost() == []
    one.agree(children=2)
    assert numbers(one, "R1") == numbers(one, "R2") == sorted({0, 1, 2} - {number})


def test_lifetimes_end_and_all_are_replaced() -> None:
    """Three lifetimes later there are three Child SAs and no packet was lost."""
    one = pair(replace(THREE, child_lifetime=120)).up()
    one.keep_pinging(every=4, seconds=360)
    one.world.run(3)
    assert numbers(one, "R1") == numbers(one, "R2") == [0, 1, 2]
    assert one.lost() == []


def test_the_ike_sa_is_rekeyed_with_all_of_them() -> None:
    """The new IKE SA has the Child SAs of the old one, with their resources."""
    one = pair(THREE).up()
    one.ask("R1", Rekey(sa=one.one_ike("R1").id))
    one.world.run(8)
    one.agree(children=3)
    assert numbers(one, "R1") == numbers(one, "R2") == [0, 1, 2]


def test_reauthentication_makes_all_of_them_anew() -> None:
    """The first in IKE_AUTH, the others after it; only when they stand the old IKE SA goes, and no packet is lost."""
    one = pair(replace(THREE, reauthentication=20)).up()
    hosts: list[Ping] = []
    for _ in range(30):
        for host in range(20, 30):
            hosts.append(one.world.ping("R2", f"10.2.0.{host}", "10.1.0.9"))
            one.world.run(0.1)
    one.world.run(5)
    assert {event.children for event in one.events("R1", Reauthenticated)} == {3}
    assert all(ping.received is not None for ping in hosts)
    one.agree(children=3)
    assert numbers(one, "R1") == numbers(one, "R2") == [0, 1, 2]
    one.up("R1").up("R2")


def test_both_begin_at_once_and_one_ike_sa_stays() -> None:
    """Each end's first packet begins an IKE SA; the one that stays has a Child SA for each resource."""
    one = pair(THREE)
    one.ping("R1")
    one.ping("R2")
    one.world.run(20)
    one.agree(children=3)
    assert numbers(one, "R1") == numbers(one, "R2") == [0, 1, 2]
    assert one.lost() == []


def test_each_selector_has_its_own() -> None:
    """A multi-SA tunnel with two lines in its access-list: three Child SAs for each."""
    two = ("10.{us}.0.0 0.0.0.255 10.{them}.0.0 0.0.0.255", "10.{us}.5.0 0.0.0.255 10.{them}.5.0 0.0.0.255")
    one = pair(replace(THREE, selectors=two)).up().up(third=5)
    one.world.run(5)
    one.agree(children=6)
    for index in (0, 1):
        assert sorted(child.resource or 0 for child in one.children("R2") if child.index == index) == [0, 1, 2]


@pytest.mark.parametrize("kept", [True, False], ids=["with its line", "without"])
def test_what_the_peer_forgot_is_asked_for_anew(kept: bool) -> None:
    """R: N(CHILD_SA_NOT_FOUND) to a rekey; I: another for its resource. R without its line: N(TS_MAX_QUEUE)."""
    one = pair(THREE).up()
    if not kept:
        one.station("R2").node._endpoint.configure(configuration("R2", PLAIN), one.world.now)
    (forgotten,) = [child for child in one.children("R2") if child.resource == 2]
    children.remove(one.core("R2"), one.one_ike("R2"), forgotten, CloseReason.CLEARED)
    one.world.settle(one.station("R2"))
    one.ask("R1", Rekey(spi=forgotten.outbound))
    one.world.run(5)
    one.agree(children=3 if kept else 2)
    assert numbers(one, "R1") == numbers(one, "R2") == ([0, 1, 2] if kept else [0, 1])
    refused = [] if kept else [NotifyType.TS_MAX_QUEUE]
    assert [event.notify for event in one.events("R1", ChildRefused)] == refused
    one.up("R1").up("R2")


@pytest.mark.parametrize("side", [THREE, Side(resources=3)], ids=["acl", "gre"])
def test_flows_are_spread_over_all_of_them(side: Side) -> None:
    """Packets of one flow leave by one Child SA, those of many by all; where one has gone, the others take over."""
    one = pair(side).up()
    before = {child.resource: child.sent[0] for child in one.children("R1")}
    for _ in range(4):
        one.ping("R1")
    one.world.run(2)
    grown = [child for child in one.children("R1") if child.sent[0] > before[child.resource]]
    assert len(grown) == 1
    hosts = [one.world.ping("R1", f"10.1.0.{host}", "10.2.0.9") for host in range(20, 52)]
    one.world.run(3)
    for name in BOTH:
        sent = {child.resource: child.sent[0] for child in one.children(name)}
        assert all(count >= 4 for count in sent.values()), sent
    one.ask("R1", ClearChild(spi=grown[0].inbound))
    one.world.run(3)
    hosts += [one.world.ping("R1", f"10.1.0.{host}", "10.2.0.9") for host in range(20, 52)]
    one.world.run(3)
    assert all(ping.received is not None for ping in hosts)
    one.agree(children=2)


@pytest.mark.parametrize("count", [2, 64])
def test_the_line_is_in_running_config(count: int) -> None:
    """`ikescope per-resource-sas N` is read and written; `no` takes it away; it is off by default."""
    lines = ["crypto ipsec profile IP", f" ikescope per-resource-sas {count}"]
    config = load("\n".join(lines), name="x.cfg")
    assert config.ipsec_profiles["IP"].per_resource_sas == count
    assert lines[1] in running_config(config)
    gone = load("\n".join([*lines, " no ikescope per-resource-sas"]), name="x.cfg")
    assert gone.ipsec_profiles["IP"].per_resource_sas is None
    assert "per-resource-sas" not in "\n".join(running_config(gone))


def test_enough_is_no_failure() -> None:
    """The verdict over a session whose peer had enough is that it is up; the walk says why no more are asked for."""
    one = pair(replace(THREE, resources=5), replace(THREE, resources=2)).up()
    records = [record for record in one.world.records if record.stamp.router == "R1"]
    assert verdict(Timeline().extend(records))[0].endswith("READY, 2 Child SAs.")
    (told,) = [step for step in walk(records, "R1") if step.title.endswith("enough of them")]
    assert "TS_MAX_QUEUE (48)" in " ".join(told.lines)


def test_one_that_is_not_like_the_first_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """R answers the request for a further one with another suite or other selectors: I deletes it and asks no more."""
    monkeypatch.setattr(resources.Further, "fits", lambda *_, **__: False)
    one = pair(THREE).up()
    one.world.run(5)
    one.agree()
    assert len(one.sent("R1", CREATE, response=False)) == 1
    one.up("R1").up("R2")
