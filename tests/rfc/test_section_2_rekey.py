"""RFC 7296 sections 2.8 to 2.18 and 2.25: lifetimes, rekeys, selectors, keys, and what crosses."""

from __future__ import annotations

import gc

import pytest
from msgspec import structs
from tests.rfc.exchanges import CREATE, INFO, INIT, asked, first, header, message, other, payloads
from tests.support.world import BOTH, Pair, Side, feed, impair, pair, sealed, sender

from ikescope.config.model import TransformChoice
from ikescope.engine.commands import Clear, ClearChild, Rekey
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import ChildState, IkeState
from ikescope.events.life import ChildSaClosed, IkeSaClosed, RetryScheduled
from ikescope.policy.proposals import Refusal, choose_ike
from ikescope.wire.delete import DeletePayload
from ikescope.wire.nonce import NoncePayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import NotifyType, PayloadType, ProtocolId, TransformType
from ikescope.wire.sa import Proposal, SaPayload, transform
from ikescope.wire.ts import TsPayload


def refuse_rekeys(one: Pair, name: str) -> None:
    """From now on a router finds no proposal for a rekey acceptable, of the IKE SA or of a Child SA."""
    core, sa = one.core(name), one.one_ike(name)
    sa.proposals = tuple(structs.replace(each, groups=(21,)) for each in sa.proposals)
    sets = {
        key: structs.replace(each, encryption=TransformChoice(28), integrity=None)
        for key, each in core.config.transform_sets.items()
    }
    core.config = structs.replace(core.config, transform_sets=sets)


def selectors(chain: tuple[Payload, ...]) -> dict[PayloadType, tuple[object, ...]]:
    """TSi and TSr of a message."""
    return {payload.kind: payload.selectors for payload in chain if isinstance(payload, TsPayload)}


def test_a_child_sa_is_not_used_beyond_its_lifetime() -> None:
    """No rekey succeeds: at the end of its lifetime both ESP SAs are gone at both ends, and the peer was told."""
    ##= rfc7296#section-2.8 type=test
    ##% When the lifetime of a Security Association expires, the Security Association MUST NOT be used.
    one = pair(Side(child_lifetime=120), Side(child_lifetime=3600)).up()
    refuse_rekeys(one, "R2")
    one.world.run(110)
    assert len(one.children("R1")) == 1
    one.world.run(20)
    one.agree(children=0)
    assert [event.reason for event in one.events("R1", ChildSaClosed)] == ["its lifetime ended"]


def test_an_ike_sa_whose_rekey_fails_is_closed_at_its_end() -> None:
    """R refuses each rekey of the IKE SA: it and its Child SA end with the lifetime; traffic begins anew."""
    ##= rfc7296#section-2.8 type=test
    ##% If an SA has expired or is about to expire and rekeying attempts using the mechanisms described here fail, an
    ##% implementation MUST close the IKE SA and any associated Child SAs and then MAY start new ones.
    one = pair(Side(ike_lifetime=200), Side()).up()
    one.one_ike("R2").proposals = tuple(structs.replace(each, groups=(21,)) for each in one.one_ike("R2").proposals)
    one.world.run(190)
    assert len(one.ike("R1")) == 1
    one.world.run(20)
    assert one.ike("R1") == one.ike("R2") == []
    assert [event.reason for event in one.events("R1", IkeSaClosed)] == ["its lifetime ended"]
    one.up()
    one.agree()


def test_a_rekeyed_child_sa_is_as_its_predecessor() -> None:
    """The same suite, mode and selectors; the request has the selectors in use and none of a packet, and the answer."""
    ##= rfc7296#section-2.8 type=test
    ##% when rekeying, the new Child SA SHOULD NOT have different Traffic Selectors and algorithms than the old one.
    ##= rfc7296#section-2.9.2 type=test
    ##% Thus, the new SA MUST NOT have narrower selectors than the original.
    ##= rfc7296#section-2.9.2 type=test
    ##% the proposed Traffic Selectors SHOULD be either the same as, or a superset of, the Traffic Selectors used in
    ##% the old Child SA.
    ##= rfc7296#section-2.9.2 type=test
    ##% The responder MUST NOT narrow down the Traffic Selectors narrower than the scope currently in use.
    ##= rfc7296#section-2.9.2 type=test
    ##% there is no need for the selectors from the packet, so those selectors SHOULD NOT be sent.
    wide, narrow = ("10.{us}.0.0 0.0.255.255 10.{them}.0.0 0.0.255.255",), Side(mode="acl")
    for side, theirs in ((Side(mode="acl"), narrow), (Side(mode="acl", selectors=wide), narrow), (Side(), Side())):
        for name in BOTH:
            one = pair(side, theirs).up()
            before = one.one_child("R1")
            one.ask(name, Rekey(spi=one.one_child(name).inbound))
            one.world.run(8)
            one.agree()
            after = one.one_child("R1")
            assert after.inbound != before.inbound
            assert (after.local, after.remote) == (before.local, before.remote)
            assert (after.suite, after.transport) == (before.suite, before.transport)
            asks, answers = (payloads(one.sent(who, CREATE)[0]) for who in (name, other(name)))
            assert selectors(asks) == selectors(answers)
            assert {len(some) for some in selectors(asks).values()} == {1}


def test_a_packet_leads_the_selectors_of_a_new_child_sa() -> None:
    """I, asked by a packet: the first selector of TSi and TSr is the packet's, the rest what is configured."""
    ##= rfc7296#section-2.9 type=test
    ##% if the initiator has requested the SA due to a data packet, the initiator SHOULD include as the first Traffic
    ##% Selector in each of TSi and TSr a very specific Traffic Selector including the addresses in the packet
    ##% triggering the request.
    one = pair(Side(mode="acl")).up()
    found = selectors(payloads(one.sent("R1")[1]))
    for kind, host in ((PayloadType.TSI, "10.1.0.9"), (PayloadType.TSR, "10.2.0.9")):
        leading, configured = found[kind]
        assert getattr(leading, "protocol", 0) == 1
        assert str(getattr(leading, "first", "")) == str(getattr(leading, "last", "")) == host
        assert getattr(configured, "protocol", 1) == 0


@pytest.mark.parametrize("name", BOTH)
def test_a_delete_is_the_last_request_on_a_replaced_ike_sa(name: str) -> None:
    """Who began the rekey deletes the old IKE SA; no other request follows on it from either end."""
    ##= rfc7296#section-2.8 type=test
    ##% After the new equivalent IKE SA is created, the initiator deletes the old IKE SA, and the Delete payload to
    ##% delete itself MUST be the last request sent over the old IKE SA.
    one = pair(Side(second=True)).up()
    old = one.one_ike("R1").spi_i
    one.ask(name, Rekey())
    one.ping("R1", third=1)
    one.ping("R2", third=1)
    one.world.run(8)
    one.ask(name, Rekey(spi=one.children(name)[0].inbound))
    one.world.run(8)
    one.agree(children=2)
    for who in BOTH:
        requests = [event for event in one.sent(who, response=False) if header(event).spi_i == old]
        last = [payload for payload in payloads(requests[-1]) if isinstance(payload, DeletePayload)] if requests else []
        assert [each.protocol for each in last] == ([ProtocolId.IKE] if who == name else [])


def test_a_second_child_sa_of_the_same_selectors_deletes_nothing() -> None:
    """I: CREATE_CHILD_SA for what stands already: both Child SAs stand, as RFC 7296 lets them."""
    ##= rfc7296#section-2.8 type=test
    ##% the IKEv1 rekeying heuristic of deleting SAs on the basis of duplicate Traffic Selectors SHOULD NOT be used.
    one = pair().up()
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    chain = [each for each in payloads(one.sent("R1", CREATE)[0]) if not _is(each, NotifyType.REKEY_SA)]
    one = pair().up()
    first(payloads(asked(one, chain, exchange=CREATE)), SaPayload)
    one.world.run(5)
    assert [child.state for child in one.children("R2")] == [ChildState.INSTALLED] * 2
    assert one.events("R2", ChildSaClosed) == []


def _is(payload: Payload, kind: NotifyType) -> bool:
    return isinstance(payload, NotifyPayload) and payload.notify_type == kind


@pytest.mark.parametrize("name", BOTH)
def test_a_responder_receives_before_it_answers(name: str) -> None:
    """R: both ESP SAs are installed before a CREATE_CHILD_SA response leaves, for a new Child SA and a rekeyed one."""
    ##= rfc7296#section-2.8 type=test
    ##% The responder to a CREATE_CHILD_SA MUST be prepared to accept messages on an SA before sending its response to
    ##% the creation request
    one = pair(Side(second=True)).up()
    start = len(one.tags(other(name)))
    one.ping(name, third=1)
    one.world.run(2)
    one.ask(name, Rekey(spi=one.children(name)[0].inbound))
    one.world.run(8)
    records = one.station(other(name)).records[start:]
    installed = 0
    for record in records:
        installed += record.event.tag == "esp.installed"
        if record.event.tag == "message.sent" and getattr(record.event, "exchange", 0) == CREATE:
            assert installed == 2
            installed = 0
    one.agree(children=2)


def test_rekeys_are_jittered() -> None:
    """Of 40 SAs of one lifetime, no two are rekeyed after the same time, and all in the share that is meant."""
    ##= rfc7296#section-2.8.1 type=test
    ##% the timing of rekeying requests SHOULD be jittered (delayed by a random amount of time after the need for
    ##% rekeying is noticed).
    factors = []
    for seed in range(20):
        one = pair(seed=seed).up()
        factors += [one.one_ike("R1").soft_factor, one.one_child("R1").soft_factor]
    assert len(set(factors)) == 40
    assert 0.80 <= min(factors) < 0.81
    assert 0.84 < max(factors) <= 0.85


def test_a_closed_connection_leaves_no_key_behind() -> None:
    """After the end of an IKE SA nothing in the engine holds its keys, its envelope or its key exchange."""
    ##= rfc7296#section-2.12 type=test
    ##% when a connection is closed, each endpoint MUST forget not only the keys used by the connection but also any
    ##% information that could be used to recompute those keys.
    one = pair(Side(pfs=19)).up()
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(8)
    sas = [sa for name in BOTH for sa in one.ike(name)]
    assert all(sa.keys is not None and sa.exchange is None for sa in sas)
    one.ask("R1", Clear())
    one.world.run(1)
    assert all(sa.keys is None and sa.envelope is None and sa.exchange is None and not sa.children for sa in sas)
    one.world.run(60)
    del sas
    gc.collect()
    for name in BOTH:
        core = one.core(name)
        assert not core.buried
        assert not any(isinstance(each, IkeSa) for each in gc.get_referents(core.sas, core.half_open, core.waiting))


@pytest.mark.parametrize("none", [True, False])
def test_no_ike_sa_without_a_key_exchange(none: bool) -> None:
    """A proposal with NONE for the group, or without any, is refused in a rekey as at the beginning; we offer none."""
    ##= rfc7296#section-2.18 type=test
    ##% an initiator MUST NOT propose the value "NONE" for the Diffie-Hellman transform, and a responder MUST NOT
    ##% accept such a proposal.
    one = pair().up()
    one.ask("R1", Rekey())
    chain = payloads(one.sent("R1", CREATE)[0])
    (offer,) = first(chain, SaPayload).proposals
    assert all(each.id != 0 for each in offer.of(TransformType.KE))
    kept = tuple(each for each in offer.transforms if each.type != TransformType.KE)
    groups = (transform(4, 0),) if none else ()
    bad = Proposal(1, ProtocolId.IKE, offer.spi, (*kept, *groups))
    for octets, proposal in ((8, bad), (0, structs.replace(bad, spi=b""))):
        assert isinstance(choose_ike([proposal], one.one_ike("R1").proposals, spi_octets=octets), Refusal)
    one = pair().up()
    bad = structs.replace(bad, spi=b"8 octets")
    (refusal,) = payloads(asked(one, [SaPayload((bad,)), *chain[1:]], exchange=CREATE))
    assert _is(refusal, NotifyType.NO_PROPOSAL_CHOSEN)
    one.agree()


def test_message_ids_begin_at_zero_in_a_new_ike_sa() -> None:
    """After a rekey of the IKE SA the first request of each end has message ID 0."""
    ##= rfc7296#section-2.18 type=test
    ##% The new IKE SA MUST reset its message counters to 0.
    one = pair().up()
    one.ask("R1", Rekey())
    one.world.run(3)
    new = one.one_ike("R1").spi_i
    for name in BOTH:
        one.ask(name, Rekey(spi=one.one_child(name).inbound))
        one.world.run(8)
        numbers = [header(event).message_id for event in one.sent(name, response=False) if header(event).spi_i == new]
        assert numbers == [0, 1]


@pytest.mark.parametrize("what", ["ike", "child"])
def test_after_temporary_failure_we_wait(what: str) -> None:
    """I: CREATE_CHILD_SA; R: N(TEMPORARY_FAILURE); I waits three to five seconds, then asks again, and it succeeds."""
    ##= rfc7296#section-2.25 type=test
    ##% When a peer receives a TEMPORARY_FAILURE notification, it MUST NOT immediately retry the operation; it MUST
    ##% wait so that the sender may complete whatever operation caused the temporary condition.
    one = pair().up()
    one.ask("R1", Rekey(spi=None if what == "ike" else one.one_child("R1").inbound))
    (number,) = one.one_ike("R1").out.in_flight
    impair(one.world, lambda mail: True, [], times=None)
    notify = NotifyPayload(NotifyType.TEMPORARY_FAILURE)
    feed(one, "R1", sealed(one, "R2", [notify], exchange=CREATE, response=True, message_id=number))
    assert len(one.events("R1", RetryScheduled)) == 1
    one.world.run(2.9)
    assert len(one.sent("R1", CREATE)) == 1
    one.world.run(2.2)
    assert len(one.sent("R1", CREATE)) >= 2


def test_what_is_not_here_cannot_be_rekeyed_or_closed() -> None:
    """R: N(CHILD_SA_NOT_FOUND, the SPI) to the rekey of a Child SA that is not there; an empty answer to its Delete."""
    ##= rfc7296#section-2.25 type=test
    ##% A CHILD_SA_NOT_FOUND notification SHOULD be sent when a peer receives a request to rekey a Child SA that does
    ##% not exist.
    ##= rfc7296#section-2.25.1 type=test
    ##% If a peer receives a request to rekey a Child SA that does not exist, it SHOULD reply with CHILD_SA_NOT_FOUND.
    ##= rfc7296#section-2.25.1 type=test
    ##% If a peer receives a request to close a Child SA that does not exist, it SHOULD reply without a Delete payload.
    one = pair().up()
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    chain = payloads(one.sent("R1", CREATE)[0])
    one = pair().up()
    absent = NotifyPayload(NotifyType.REKEY_SA, b"", ProtocolId.ESP, b"\x0b\xad\x0b\xad")
    (refusal,) = payloads(asked(one, [absent, *chain[1:]], exchange=CREATE))
    assert isinstance(refusal, NotifyPayload)
    assert refusal.notify_type == NotifyType.CHILD_SA_NOT_FOUND
    assert (refusal.protocol, refusal.spi) == (ProtocolId.ESP, absent.spi)
    one = pair().up()
    assert payloads(asked(one, [DeletePayload(ProtocolId.ESP, (absent.spi,))])) == ()
    one.agree()


def test_a_child_sa_that_the_peer_lost_is_made_anew() -> None:
    """R lost a Child SA: N(CHILD_SA_NOT_FOUND); I drops its own without a Delete and asks for a new one."""
    ##= rfc7296#section-2.25 type=test
    ##% A peer that receives a CHILD_SA_NOT_FOUND notification SHOULD silently delete the Child SA (if it still exists)
    ##% and send a request to create a new Child SA from scratch
    one = pair().up()
    old = one.one_child("R1").inbound
    one.ask("R1", Rekey(spi=old))
    (number,) = one.one_ike("R1").out.in_flight
    impair(one.world, lambda mail: True, [], times=1)
    notify = NotifyPayload(NotifyType.CHILD_SA_NOT_FOUND, b"", ProtocolId.ESP, old.to_bytes(4, "big"))
    feed(one, "R1", sealed(one, "R2", [notify], exchange=CREATE, response=True, message_id=number))
    assert one.sent("R1", INFO) == []
    fresh = payloads(one.sent("R1", CREATE)[1])
    assert not any(_is(each, NotifyType.REKEY_SA) for each in fresh)
    assert old not in one.one_ike("R1").children


def test_a_rekey_of_an_ike_sa_that_is_being_closed_fails_for_now() -> None:
    """R: D(IKE) is on its way; I: CREATE_CHILD_SA{IKE}; R: N(TEMPORARY_FAILURE)."""
    ##= rfc7296#section-2.25.2 type=test
    ##% If a peer receives a request to rekey an IKE SA that it is currently trying to close, it SHOULD reply with
    ##% TEMPORARY_FAILURE.
    one = pair().up()
    impair(one.world, lambda mail: True, [], times=2)
    one.ask("R1", Rekey())
    chain = payloads(one.sent("R1", CREATE)[0])
    number = header(one.sent("R1", CREATE)[0]).message_id
    one.ask("R2", Clear())
    assert one.one_ike("R2").state is IkeState.DELETING
    feed(one, "R2", sealed(one, "R1", chain, exchange=CREATE, message_id=number))
    (refusal,) = payloads(one.sent("R2", CREATE)[0])
    assert _is(refusal, NotifyType.TEMPORARY_FAILURE)


@pytest.mark.parametrize("name", BOTH)
def test_a_child_sa_can_be_deleted_while_the_ike_sa_is_rekeyed(name: str) -> None:
    """A: CREATE_CHILD_SA{IKE} is on its way | B: D(ESP): A answers with its D(ESP), as usual."""
    ##= rfc7296#section-2.25.2 type=test
    ##% If a peer receives a request to delete a Child SA when it is currently rekeying the IKE SA, it SHOULD reply as
    ##% usual, with a Delete payload.
    one = pair().up()
    one.ask(name, Rekey())
    one.ask(other(name), ClearChild())
    one.world.run(0.05)
    answer = payloads(one.sent(name, INFO, response=True)[0])
    assert [type(each) for each in answer] == [DeletePayload]
    one.world.run(20)
    one.agree(children=0)


def test_nonces_are_drawn_from_the_randomness_that_is_handed_in() -> None:
    """Other randomness, other nonces; each is as long as half of the longest PRF key and more."""
    ##= rfc7296#section-2.10 type=test
    ##% Nonces used in IKEv2 MUST be randomly chosen
    nonces = {first(message(pair(seed=seed).up().sent("R1", INIT)[0]).payloads, NoncePayload).data for seed in range(5)}
    assert len(nonces) == 5
    assert all(len(set(nonce)) > 16 for nonce in nonces)


def test_a_rekey_that_comes_after_ours_was_done_fails_for_now() -> None:
    """R1's rekey of the IKE SA is done, its Delete on the way; R2's own, sent before, comes: N(TEMPORARY_FAILURE)."""
    ##= rfc7296#section-2.8.2 type=test
    ##% In this case, when the peer that did not notice the simultaneous rekey gets the request to rekey the IKE SA
    ##% that it has already successfully rekeyed, it SHOULD return TEMPORARY_FAILURE because it is an IKE SA that it is
    ##% currently trying to close
    one = pair().up()
    impair(one.world, lambda mail: sender(mail) == "R2", [0.035])
    one.ask("R2", Rekey())
    one.ask("R1", Rekey())
    one.world.run(0.036)
    (refusal,) = payloads(one.sent("R1", CREATE, response=True)[0])
    assert _is(refusal, NotifyType.TEMPORARY_FAILURE)
    one.world.run(20)
    one.agree()
    one.up("R2")
