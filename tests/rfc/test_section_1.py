"""RFC 7296 section 1: the exchanges, and what goes into them."""

from __future__ import annotations

import pytest
from msgspec import structs
from tests.rfc.exchanges import (
    AUTH,
    CREATE,
    INFO,
    INIT,
    all_sent,
    asked,
    drops,
    first,
    header,
    lively,
    message,
    other,
    payloads,
)
from tests.support.world import BOTH, Pair, Side, feed, headline, impair, pair, sealed, sender

from ikescope.engine.commands import ClearChild, Probe, Rekey
from ikescope.events.life import ChildSaCreated, SessionDown
from ikescope.wire.delete import DeletePayload
from ikescope.wire.identification import IdPayload
from ikescope.wire.ke import KePayload
from ikescope.wire.message import Message
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.registry import NotifyType, ProtocolId, TransformType
from ikescope.wire.sa import SaPayload
from ikescope.wire.ts import TsPayload


def test_nothing_is_answered_before_the_initial_exchanges_are_over() -> None:
    """R, after IKE_SA_INIT: CREATE_CHILD_SA, INFORMATIONAL {} and D(IKE) are dropped, though the keys are right."""
    ##= rfc7296#section-1 type=test
    ##% In all cases, all IKE_SA_INIT exchanges MUST complete before any other exchange type, then all IKE_AUTH
    ##% exchanges MUST complete, and following that, any number of CREATE_CHILD_SA and INFORMATIONAL exchanges may
    ##% occur
    ##= rfc7296#section-1.4 type=test
    ##% INFORMATIONAL exchanges MUST ONLY occur after the initial exchanges and are cryptographically protected
    one = pair()
    impair(one.world, lambda mail: headline(mail)[:2] == ("R1", AUTH), [0.5])
    one.ping("R1")
    one.world.run(0.1)
    for exchange, chain in ((CREATE, []), (INFO, []), (INFO, [DeletePayload(ProtocolId.IKE)])):
        feed(one, "R2", sealed(one, "R1", chain, exchange=exchange, message_id=1))
    assert drops(one, "R2") == ["WRONG_EXCHANGE"] * 3
    one.world.run(5)
    one.agree()
    order = [header(event).exchange for event in one.sent("R1", response=False)]
    assert order == [INIT, AUTH]


def test_a_wrong_group_is_retried_with_everything_else_as_it_was() -> None:
    """I: IKE_SA_INIT KE(19); R: N(INVALID_KE_PAYLOAD, 14); I: KE(14), the same proposals; the SA comes up."""
    ##= rfc7296#section-1.2 type=test
    ##% In this case, the initiator MUST retry the IKE_SA_INIT with the corrected Diffie-Hellman group.
    ##= rfc7296#section-1.2 type=test
    ##% The initiator MUST again propose its full set of acceptable cryptographic suites
    ##= rfc7296#section-3.4 type=test
    ##% the message MUST be rejected with a Notify payload of type INVALID_KE_PAYLOAD.
    ##= rfc7296#section-3.3.6 type=test
    ##% the initiator SHOULD pick an element of that group for its KE value when retrying the first message.
    ##= rfc7296#section-3.3.6 type=test
    ##% It SHOULD, however, continue to propose its full supported set of groups
    ##= rfc7296#section-2.6.1 type=test
    ##% MUST NOT fail if other implementations do not support this shorter exchange.
    one = pair(Side(groups=(19, 14)), Side(groups=(14,))).up()
    wrong = first(message(one.sent("R2", INIT)[0]).payloads, NotifyPayload)
    assert (wrong.notify_type, wrong.data) == (NotifyType.INVALID_KE_PAYLOAD, b"\x00\x0e")
    requests = [message(event).payloads for event in one.sent("R1", INIT)]
    assert [first(chain, KePayload).group for chain in requests] == [19, 14]
    proposed = [first(chain, SaPayload).proposals[0] for chain in requests]
    assert proposed[0] == proposed[1]
    assert {each.id for each in proposed[1].of(TransformType.KE)} == {19, 14}
    one.agree()


def test_none_is_left_out_instead_of_offered() -> None:
    """No proposal of a whole session offers NONE for integrity or key exchange."""
    ##= rfc7296#section-1.2 type=test
    ##% Implementations SHOULD omit the whole transform substructure instead of sending value NONE.
    for one in (lively(), lively("gcm", "gcm")):
        for _, event in all_sent(one):
            offers = [payload for payload in payloads(event) if isinstance(payload, SaPayload)]
            for transform in (each for sa in offers for proposal in sa.proposals for each in proposal.transforms):
                assert transform.type == TransformType.ESN or transform.id != 0


def test_a_rekey_with_pfs_offers_the_group_of_its_key() -> None:
    """CREATE_CHILD_SA {REKEY_SA} with PFS: KEi is of the configured group, which every proposal offers."""
    ##= rfc7296#section-1.3 type=test
    ##% If a CREATE_CHILD_SA exchange includes a KEi payload, at least one of the SA offers MUST include the
    ##% Diffie-Hellman group of the KEi.
    ##= rfc7296#section-1.3 type=test
    ##% The Diffie-Hellman group of the KEi MUST be an element of the group the initiator expects the responder to
    ##% accept
    one = pair(Side(pfs=20)).up()
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    chain = payloads(one.sent("R1", CREATE)[0])
    assert first(chain, KePayload).group == 20
    for proposal in first(chain, SaPayload).proposals:
        assert [each.id for each in proposal.of(TransformType.KE)] == [20]


def test_a_group_that_the_responder_did_not_choose_is_refused_with_its_own() -> None:
    """R, which wants group 14 in CREATE_CHILD_SA, answers KE(19) with N(INVALID_KE_PAYLOAD, 14)."""
    ##= rfc7296#section-1.3 type=test
    ##% the responder MUST reject the request and indicate its preferred Diffie-Hellman group in the INVALID_KE_PAYLOAD
    ##% Notify payload.
    one = pair(Side(groups=(19, 14)), Side(groups=(19, 14))).up()
    sa = one.one_ike("R2")
    sa.proposals = tuple(structs.replace(each, groups=(14,)) for each in sa.proposals)
    one.ask("R1", Rekey())
    one.world.run(0.1)
    (wrong,) = payloads(one.sent("R2", CREATE)[0])
    assert isinstance(wrong, NotifyPayload)
    assert (wrong.notify_type, wrong.data) == (NotifyType.INVALID_KE_PAYLOAD, b"\x00\x0e")


@pytest.mark.parametrize(("ours", "theirs"), [("gre", "gre"), ("gre", "tunnel"), ("tunnel", "gre")])
def test_transport_mode_is_what_both_want(ours: str, theirs: str) -> None:
    """USE_TRANSPORT_MODE comes back if and only if it is accepted; otherwise both use tunnel mode, and pings cross."""
    ##= rfc7296#section-1.3.1 type=test
    ##% If the request is accepted, the response MUST also include a notification of type USE_TRANSPORT_MODE.
    one = pair()
    for name, mode in (("R1", ours), ("R2", theirs)):
        if mode == "tunnel":
            core = one.core(name)
            sets = {key: structs.replace(each, transport=False) for key, each in core.config.transform_sets.items()}
            core.config = structs.replace(core.config, transform_sets=sets)
    one.ping("R1")
    one.world.run(3)
    said = {
        name: any(
            isinstance(payload, NotifyPayload) and payload.notify_type == NotifyType.USE_TRANSPORT_MODE
            for payload in payloads(one.sent(name, AUTH)[0])
        )
        for name in BOTH
    }
    assert said == {"R1": ours == "gre", "R2": ours == theirs == "gre"}
    for name in BOTH:
        assert one.one_child(name).transport == (ours == theirs == "gre")


def required(one: Pair, name: str, transport: bool) -> None:
    """A router's transform-sets say `mode transport require`, or `mode tunnel`."""
    core = one.core(name)
    sets = {
        key: structs.replace(each, transport=transport, transport_require=transport)
        for key, each in core.config.transform_sets.items()
    }
    core.config = structs.replace(core.config, transform_sets=sets)


def test_a_child_sa_in_an_unacceptable_mode_is_deleted() -> None:
    """I, `mode transport require`; R answers without USE_TRANSPORT_MODE: I deletes it; R, requiring, refuses I's."""
    ##= rfc7296#section-1.3.1 type=test
    ##% If this is unacceptable to the initiator, the initiator MUST delete the SA.
    one = pair(Side(second=True)).up()
    required(one, "R1", True)
    required(one, "R2", False)
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(1)
    (spi,) = (proposal.spi for proposal in first(payloads(one.sent("R1", CREATE)[0]), SaPayload).proposals)
    (delete,) = payloads(one.sent("R1", INFO)[0])
    assert isinstance(delete, DeletePayload)
    assert delete.spis == (spi,)
    one.agree()
    one = pair()
    required(one, "R1", True)
    required(one, "R2", False)
    one.ping("R1")
    one.world.run(1)
    deletes = [each for event in one.sent("R1", INFO) for each in payloads(event) if isinstance(each, DeletePayload)]
    assert [each.protocol for each in deletes] == [ProtocolId.ESP, ProtocolId.IKE]
    one = pair()
    required(one, "R1", False)
    required(one, "R2", True)
    one.ping("R1")
    one.world.run(0.05)
    refusal = payloads(one.sent("R2", AUTH)[0])[-1]
    assert isinstance(refusal, NotifyPayload)
    assert refusal.notify_type == NotifyType.NO_PROPOSAL_CHOSEN


def test_a_rekey_of_the_ike_sa_has_a_new_key_exchange_and_ends_new_children() -> None:
    """CREATE_CHILD_SA {SA, Ni, KEi} for the IKE SA; meanwhile a wanted Child SA waits for the new IKE SA."""
    ##= rfc7296#section-1.3.2 type=test
    ##% The KEi payload MUST be included.
    ##= rfc7296#section-2.18 type=test
    ##% Therefore, implementations MUST perform a new Diffie-Hellman exchange when rekeying the IKE SA.
    ##= rfc7296#section-1.3.2 type=test
    ##% Once a peer receives a request to rekey an IKE SA or sends a request to rekey an IKE SA, it SHOULD NOT start
    ##% any new CREATE_CHILD_SA exchanges on the IKE SA that is being rekeyed.
    for name in BOTH:
        one = pair(Side(second=True)).up()
        old = one.one_ike("R1").spi_i
        publics = [first(message(event).payloads, KePayload).data for event in one.sent("R1", INIT)]
        one.ask("R1", Rekey())
        one.world.run(0.015)
        one.ping(name, third=1)
        one.world.run(5)
        one.agree(children=2)
        assert one.lost() == []
        requests = [event for _, event in all_sent(one) if event.exchange == CREATE and not event.response]
        under_old = [event for event in requests if header(event).spi_i == old]
        assert len(under_old) == 1
        assert len(requests) == 2
        assert first(payloads(under_old[0]), KePayload).data not in publics


def test_a_rekey_names_the_child_sa_that_it_replaces() -> None:
    """CREATE_CHILD_SA {N(REKEY_SA, ESP, our inbound SPI) ...}; a new Child SA has no such notify."""
    ##= rfc7296#section-1.3.3 type=test
    ##% The REKEY_SA notification MUST be included in a CREATE_CHILD_SA exchange if the purpose of the exchange is to
    ##% replace an existing ESP or AH SA.
    one = pair(Side(second=True)).up()
    one.up(third=1)
    old = one.children("R1")[0].inbound
    one.ask("R1", Rekey(spi=old))
    new, rekey = (payloads(event) for event in one.sent("R1", CREATE, response=False))
    notify = first(rekey, NotifyPayload)
    assert (notify.notify_type, notify.protocol) == (NotifyType.REKEY_SA, ProtocolId.ESP)
    assert int.from_bytes(notify.spi, "big") == old
    assert not any(getattr(payload, "notify_type", 0) == NotifyType.REKEY_SA for payload in new)


def test_control_messages_go_under_the_ike_sa_that_they_are_about() -> None:
    """D(IKE) of a replaced IKE SA goes under that one; a Child SA made under it is deleted under its successor."""
    ##= rfc7296#section-1.4 type=test
    ##% Control messages that pertain to an IKE SA MUST be sent under that IKE SA.
    ##= rfc7296#section-1.4 type=test
    ##% Control messages that pertain to Child SAs MUST be sent under the protection of the IKE SA that generated them
    ##% (or its successor if the IKE SA was rekeyed).
    one = pair().up()
    old = one.one_ike("R1").spi_i
    one.ask("R1", Rekey())
    one.world.run(3)
    new = one.one_ike("R1").spi_i
    one.ask("R1", ClearChild())
    one.world.run(8)
    deletes = [
        (payload.protocol, header(event).spi_i)
        for event in one.sent("R1", INFO, response=False)
        for payload in payloads(event)
        if isinstance(payload, DeletePayload)
    ]
    assert deletes == [(ProtocolId.IKE, old), (ProtocolId.ESP, new)]
    one.agree(children=0)


@pytest.mark.parametrize("name", BOTH)
def test_each_end_deletes_the_sa_that_it_receives_on(name: str) -> None:
    """A: D(our inbound SPI); B: closes both of its own, answers D(its inbound SPI); nothing stays at either end."""
    ##= rfc7296#section-1.4.1 type=test
    ##% Each endpoint MUST close its incoming SAs and allow the other endpoint to close the other SA in each pair.
    one = pair().up()
    mine, theirs = one.one_child(name).inbound, one.one_child(other(name)).inbound
    one.ask(name, ClearChild())
    one.world.run(8)
    (request,) = payloads(one.sent(name, INFO)[0])
    (answer,) = payloads(one.sent(other(name), INFO)[0])
    assert isinstance(request, DeletePayload)
    assert isinstance(answer, DeletePayload)
    assert request.spis == (mine.to_bytes(4, "big"),)
    assert answer.spis == (theirs.to_bytes(4, "big"),)
    one.agree(children=0)


def test_a_half_closed_child_sa_stays_until_the_peer_has_answered() -> None:
    """I: D(ESP); no answer comes: the inbound ESP SA and its SPI stay taken, until the answer comes."""
    ##= rfc7296#section-1.4.1 type=test
    ##% A node MAY refuse to accept incoming data on half-closed connections but MUST NOT unilaterally close them and
    ##% reuse the SPIs.
    one = pair().up()
    spi = one.one_child("R1").inbound
    lost = impair(one.world, lambda mail: headline(mail)[:2] == ("R2", INFO), [], times=3)
    one.ask("R1", ClearChild())
    one.world.run(10)
    assert len(lost) == 3
    assert one.installed("R1")["in"] == 1
    assert spi in getattr(one.core("R1").spis, "_used")  # noqa: B009 - not part of SpiSource
    one.world.run(20)
    one.agree(children=0)


def test_a_message_outside_an_ike_sa_is_not_answered() -> None:
    """Somebody: N(INVALID_IKE_SPI) or N(INVALID_SPI) in the clear, again and again: no answer, one liveness test."""
    ##= rfc7296#section-1.5 type=test
    ##% This message is not part of an INFORMATIONAL exchange, and the receiving node MUST NOT respond to it because
    ##% doing so could cause a message loop.
    ##= rfc7296#section-2.21.4 type=test
    ##% A peer receiving such an unprotected Notify payload MUST NOT respond and MUST NOT change the state of any
    ##% existing SAs.
    ##= rfc7296#section-2.21.4 type=test
    ##% An implementation SHOULD limit the frequency of such tests to avoid being tricked into participating in a DoS
    ##% attack.
    one = pair().up()
    sa, state = one.one_ike("R2"), one.one_ike("R2").state
    before, mails = len(one.sent("R2")), len(one.world.mail)
    for kind in (NotifyType.INVALID_IKE_SPI, NotifyType.INVALID_SPI) * 5:
        for initiator, response in ((True, False), (True, True), (False, False), (False, True)):
            for spi_r in (sa.spi_r, b"\x07" * 8):
                notify = NotifyPayload(kind, b"\x00\x00\x01\x00")
                feed(one, "R2", Message(sa.spi_i, spi_r, INFO, 2, (notify,), initiator, response).encode())
        one.world.run(2)
    sent = one.sent("R2")[before:]
    assert len([mail for mail in one.world.mail[mails:] if sender(mail) == "R2"]) == len(sent) == 1
    assert all(not event.response and payloads(event) == () for event in sent)
    assert one.one_ike("R2").state is state
    assert one.events("R2", SessionDown) == []
    one.agree()


def test_an_informational_request_is_always_answered() -> None:
    """Empty, with a Delete of what is not here, with a notify: one response each."""
    ##= rfc7296#section-1.4 type=test
    ##% The recipient of an INFORMATIONAL exchange request MUST send some response
    for chain in ([], [DeletePayload(ProtocolId.ESP, (b"none",))], [NotifyPayload(NotifyType.INITIAL_CONTACT)]):
        one = pair().up()
        assert payloads(asked(one, chain)) == ()
        one.agree()


def test_the_order_of_payloads_is_that_of_the_figures_and_any_is_taken() -> None:
    """SA, KE, nonce; IDi, AUTH, SA, TSi, TSr: each message has its figure's order; a rekey in reverse is taken."""
    ##= rfc7296#section-2.5 type=test
    ##% implementations SHOULD send the payloads defined in this specification in the order shown in the figures in
    ##% Sections 1 and 2; implementations MUST NOT reject as invalid a message with those payloads in any other order.
    ##= rfc7296#section-1.7 type=test
    ##% now implementations MUST NOT reject them.
    order = {INIT: ["SA", "KE", "N"], AUTH: ["ID", "AUTH", "CFG", "SA", "TSi", "TSr"], CREATE: ["SA", "N", "KE", "TSi"]}
    one = lively()
    for _, event in all_sent(one):
        names = ["ID" if isinstance(payload, IdPayload) else payload.kind.short for payload in payloads(event)]
        wanted = [name for name in order.get(message(event).exchange, []) if name in names]
        assert [name for name in names if name in wanted] == wanted
    one = pair(Side(pfs=19)).up()
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    chain = payloads(one.sent("R1", CREATE)[0])
    one = pair(Side(pfs=19)).up()
    answer = payloads(asked(one, chain[::-1], exchange=CREATE))
    assert first(answer, TsPayload)
    assert len(one.events("R2", ChildSaCreated)) == 2


def test_a_liveness_request_is_answered_while_another_is_in_flight() -> None:
    """Both ask at once, both answer: neither waits for the other."""
    ##= rfc7296#section-2.3 type=test
    ##% An IKE endpoint MUST be prepared to accept and process a request while it has a request outstanding in order to
    ##% avoid a deadlock in this situation.
    one = pair().up()
    for name in BOTH:
        one.ask(name, Probe())
    one.world.run(0.1)
    for name in BOTH:
        assert [event.response for event in one.sent(name, INFO)] == [False, True]
