"""ASA and FTD debug text into events: each situation, both roles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tests.ios import asa_samples as asa

from ikescope.events import UNSET, Event, IdentityFact, Record, SelectorFact, life, message, negotiation, router
from ikescope.events.life import CloseReason
from ikescope.ios.asa import read
from ikescope.ios.asa_dump import known
from ikescope.ios.asa_state import event_of
from ikescope.ios.debug_read import Unknown
from ikescope.wire.message import Message

E = TypeVar("E", bound=Event)


def records(lines: Iterable[str]) -> list[Record]:
    """The records of a text that holds no unknown line."""
    found = list(read(lines))
    assert [one for one in found if isinstance(one, Unknown)] == []
    return [one for one in found if isinstance(one, Record)]


def only(found: Iterable[Record], kind: type[E]) -> E:
    """The one event of a kind."""
    (event,) = [one.event for one in found if isinstance(one.event, kind)]
    return event


def kinds(found: Iterable[Record]) -> list[str]:
    """The events' tags, in their order."""
    return [one.event.tag for one in found]


def _net(ends: tuple[str, str]) -> tuple[SelectorFact, ...]:
    return (SelectorFact(*ends),)


def test_initiator_success() -> None:
    """An initiator's session gives both exchanges, its offers and choices, identities, selectors and the Child SA."""
    found = records([*asa.init_sent(), *asa.init_answered(), *asa.auth_accepted()])
    sent = [one.event for one in found if isinstance(one.event, message.MessageSent)]
    received = [one.event for one in found if isinstance(one.event, message.MessageReceived)]
    assert [(one.exchange, one.response) for one in sent] == [(34, False), (35, False)]
    assert [(one.exchange, one.response) for one in received] == [(34, True), (35, True)]
    assert sent[1].payloads == ("ENCR",)
    assert sent[1].inner == ("IDi", "AUTH", "SA", "TSi", "TSr")
    assert received[1].inner == ("IDr", "AUTH", "SA", "TSi", "TSr")
    child = only(found, life.ChildSaCreated)
    assert (child.inbound, child.outbound, child.tunnel) == ("1a2b3c4d", "5e6f7081", "crypto map OUTSIDE 10")
    assert (child.encryption, known(child.key_length), child.integrity, child.esn) == (12, False, 12, False)
    assert (child.local, child.remote) == (_net(asa.NET_I), _net(asa.NET_R))
    assert only(found, negotiation.AuthVerified).identity == IdentityFact(1, asa.REMOTE)
    assert only(found, negotiation.SelectorsChosen).by == "peer"
    assert [one.event.direction for one in found if isinstance(one.event, router.EspInstalled)] == ["out", "in"]
    assert {one.stamp.spi_i for one in found if one.stamp.sa == 7} == {asa.SPI_I.lower()}
    assert {one.stamp.initiator for one in found if one.stamp.sa == 7} == {True}


def test_what_the_dump_omits_is_not_known() -> None:
    """The length of a key and the octets of AUTH are not in the dump: neither the fact nor the message's octets are."""
    found = records([*asa.init_sent(), *asa.init_answered()])
    chosen = next(one.event for one in found if isinstance(one.event, negotiation.ProposalChosen))
    assert [(one.type, one.id) for one in chosen.chosen.transforms] == [(1, 12), (2, 5), (3, 12), (4, 14)]
    assert not known(chosen.chosen.transforms[0].key_length)
    assert chosen.offered[0].spi == ""
    assert all(one.event.octets is UNSET for one in found if isinstance(one.event, message.DatagramEvent))


def test_a_whole_dump_gives_the_octets() -> None:
    """A message whose every octet is in the dump has its octets, and they decode to what was printed."""
    transforms = ("1 3DES", "2 SHA1", "3 SHA96", "4 DH_GROUP_2048_MODP/Group 14")
    inner = [line.replace("length: 48", "length: 44") for line in asa.init_payloads(transforms)]
    length = 28 + 44 + 264 + 68 + 23 + 28 + 28
    lines = asa.message(
        "Sending", 7, "IKE_SA_INIT", 0, inner, response=False, initiator=True, spi_r=asa.ZERO, length=length
    )
    sent = only(records(lines), message.MessageSent)
    assert isinstance(sent.octets, bytes)
    assert len(sent.octets) == sent.size == length
    parsed = Message.parse(sent.octets)
    assert [one.kind.short for one in parsed.payloads] == ["SA", "KE", "N", "VID", "NOTIFY", "NOTIFY"]
    assert parsed.encode() == sent.octets


def test_responder_success() -> None:
    """A responder takes a request that has no number yet into the SA that the number is given to."""
    answer = asa.message(
        "Sending",
        9,
        "IKE_AUTH",
        1,
        asa.auth_payloads("IDr", asa.WHO_I, asa.NET_R, asa.NET_I),
        response=True,
        initiator=False,
        sealed=True,
    )
    found = records(
        [
            *asa.init_replied(),
            *asa.auth_received(),
            *asa.verified(9, asa.REMOTE),
            *asa.plat("Selector received from peer is accepted "),
            *asa.plat("PROXY MATCH on crypto map OUTSIDE seq 10", sa=9),
            *answer,
            *asa.established(9),
        ]
    )
    first = found[0]
    assert (first.event.tag, first.stamp.sa, first.stamp.initiator) == ("message.received", 9, False)
    chosen = only(found, negotiation.SelectorsChosen)
    assert (chosen.by, chosen.proposed_local, chosen.remote) == ("local", _net(asa.NET_I), _net(asa.NET_R))
    assert [one.event.by for one in found if isinstance(one.event, negotiation.ProposalChosen)] == ["local", "local"]
    assert only(found, negotiation.NatChecked).local_behind is False
    assert only(found, negotiation.PeerIdentified).kind == "IDi"
    assert only(found, negotiation.ProfileMatched).profile == asa.REMOTE


def test_no_response() -> None:
    """Seven sends of one request end in one event that counts them; nothing else is said to have failed."""
    again = [
        *asa.proto(7, "Retransmitting packet"),
        *asa.message(
            "Sending", 7, "IKE_SA_INIT", 0, asa.init_payloads(), response=False, initiator=True, spi_r=asa.ZERO
        ),
    ]
    end = asa.failed(
        7, "Maximum number of retransmissions reached", "Failed SA init exchange", "Initial exchange failed"
    )
    found = records([*asa.init_sent(), *(again * 6), *end])
    assert only(found, message.RetransmissionsExhausted) == event_of(
        message.RetransmissionsExhausted, exchange=34, sends=7
    )
    assert [one.event.repeat for one in found if isinstance(one.event, message.MessageSent)] == list(range(7))
    assert "exchange.failed" not in kinds(found)


def test_the_trace_alone_tells_of_no_response() -> None:
    """Where only the state machine's trace says that the peer never answered, that is told, once."""
    end = [asa.trace(7, "I", "I_WAIT_INIT", "EV_RE_XMT_EXCEED", spi_r=asa.ZERO), asa.trace(7, "I", "EXIT", "EV_ABORT")]
    assert only(records([*asa.init_sent(), *end]), message.RetransmissionsExhausted).sends == 1


def test_no_ike_auth_came() -> None:
    """A responder whose peer never goes on says so once, though the log says it in three lines."""
    text = "Failed to receive the AUTH msg before the timer expired"
    end = asa.failed(9, text, "Auth exchange failed", "Auth exchange failed", "Auth exchange failed")
    found = records([*asa.init_replied(), *end])
    assert only(found, negotiation.ExchangeFailed).why == "the IKE_AUTH request did not come in time"
    assert found[-1].event.tag == "ike.closed"


def test_wrong_preshared_key() -> None:
    """A responder that cannot verify AUTH says which identity and how long its own key is."""
    refusal = asa.message(
        "Sending",
        9,
        "IKE_AUTH",
        1,
        asa.notify("AUTHENTICATION_FAILED"),
        response=True,
        initiator=False,
        sealed=True,
    )
    found = records(
        [
            *asa.init_replied(),
            *asa.auth_received(),
            *asa.looked_at(9, asa.REMOTE),
            *asa.proto(9, "Computed authentication value for peer differs from what peer sent"),
            *asa.proto(9, "Failed to authenticate the IKE SA", ""),
            *asa.proto(9, "Verification of peer's authentication data FAILED", "Sending authentication failure notify"),
            *refusal,
            *asa.failed(9, "Auth exchange failed", "Auth exchange failed"),
        ]
    )
    refused = only(found, negotiation.AuthRefused)
    assert (refused.method, refused.identity, refused.key_length) == (2, IdentityFact(1, asa.REMOTE), 9)
    assert (only(found, message.RequestRefused).notify, only(found, message.RequestRefused).exchange) == (24, 35)
    assert only(found, negotiation.ExchangeFailed).exchange == 35
    sent = [one.event for one in found if isinstance(one.event, message.MessageSent)][-1]
    assert (sent.inner, sent.opened) == (("NOTIFY(AUTHENTICATION_FAILED)",), bytes((0, 0, 0, 8, 1, 0, 0, 24)))


def test_the_peer_refuses_our_auth() -> None:
    """An initiator reads the refusal out of the message: the log has no line of it."""
    lines = asa.message(
        "Received", 7, "IKE_AUTH", 1, asa.notify("AUTHENTICATION_FAILED"), response=True, initiator=False, sealed=True
    )
    refused = only(records([*asa.init_sent(), *asa.init_answered(), *lines]), message.ResponseRefused)
    assert (refused.exchange, refused.notify) == (35, 24)


def test_no_common_ike_proposal() -> None:
    """Received and expected lists are compared: the nearest pair, the first type that parts it, both values."""
    block = asa.policies(
        9,
        "",
        "AES-CBC-128 SHA1 SHA256 DH_GROUP_2048_MODP/Group 14",
        "AES-CBC-256 SHA1 SHA256 DH_GROUP_2048_MODP/Group 14",
    )
    answer = asa.message(
        "Sending", 9, "IKE_SA_INIT", 0, asa.notify("NO_PROPOSAL_CHOSEN"), response=True, initiator=False, length=36
    )
    found = records(
        [
            *asa.init_received(),
            *asa.proto(9, "Failed to verify the proposed policies"),
            *block,
            *asa.proto(9, "Sending no proposal chosen notify"),
            *answer,
            *asa.failed(9, "Failed SA init exchange", "Initial exchange failed", "Initial exchange failed"),
        ]
    )
    refused = only(found, negotiation.ProposalRefused)
    assert (refused.protocol, refused.nearest, refused.axis) == (1, 1, 1)
    assert (refused.found, refused.wanted) == ("AES-CBC-128", "AES-CBC-256")
    assert only(found, message.RequestRefused).exchange == 34
    assert kinds(found).count("exchange.failed") == 1
    sent = [one.event for one in found if isinstance(one.event, message.MessageSent)][-1]
    assert isinstance(sent.octets, bytes)
    assert sent.octets[-4:] == bytes((1, 0, 0, 14))


def test_the_peer_chooses_no_proposal() -> None:
    """An initiator that gets NO_PROPOSAL_CHOSEN in the clear is told so by the message alone."""
    answer = asa.message(
        "Received", 7, "IKE_SA_INIT", 0, asa.notify("NO_PROPOSAL_CHOSEN"), response=True, initiator=False, length=36
    )
    refused = only(records([*asa.init_sent(), *answer]), message.ResponseRefused)
    assert (refused.exchange, refused.notify) == (34, 14)


def test_no_common_esp_proposal() -> None:
    """A refused Child SA: the IKE SA comes up all the same, and the lists say what parts the two."""
    block = asa.policies(9, "ESP: ", "AES-CBC-256 SHA256 Don't use ESN", "AES-CBC-128 SHA256 Don't use ESN")
    found = records(
        [
            *asa.init_replied(),
            *asa.auth_received(),
            *asa.verified(9, asa.REMOTE),
            *asa.plat("PROXY MATCH on crypto map OUTSIDE seq 10", sa=9),
            *block,
            *asa.child_refused(),
            *asa.established(9),
        ]
    )
    refused = only(found, negotiation.ProposalRefused)
    assert (refused.protocol, refused.found, refused.wanted) == (3, "AES-CBC-256", "AES-CBC-128")
    assert only(found, life.ChildRefused) == life.ChildRefused(by="local", notify=14, exchange=35)
    assert "selectors.refused" not in kinds(found)


def test_the_peer_refuses_the_child_sa() -> None:
    """NO_PROPOSAL_CHOSEN beside AUTH refuses the Child SA alone, to the initiator."""
    inner = [
        *asa.payload("IDr", "AUTH", 12, "    Id type: IPv4 address, Reserved: 0x0 0x0", octets=asa.WHO_R),
        *asa.payload("AUTH", "NOTIFY", 40, "    Auth method PSK, reserved: 0x0, reserved 0x0", "Auth data: 32 bytes"),
        *asa.notify("NO_PROPOSAL_CHOSEN"),
    ]
    answer = asa.message("Received", 7, "IKE_AUTH", 1, inner, response=True, initiator=False, sealed=True)
    found = records(
        [*asa.init_sent(), *asa.init_answered(), *answer, *asa.verified(7, asa.REMOTE), *asa.established(7)]
    )
    assert only(found, life.ChildRefused) == life.ChildRefused(by="peer", notify=14, exchange=35)
    assert "message.refusal_received" not in kinds(found)


def test_selectors_that_no_crypto_map_entry_holds() -> None:
    """ASA answers NO_PROPOSAL_CHOSEN to selectors that it has no entry for: the event is of the selectors."""
    for text, why in (
        ("Crypto Map: No proxy match on map OUTSIDE seq 10", "no proxy match"),
        ("Crypto map OUTSIDE seq 10  peer doesn't match map entry", "its peer is another"),
        ("Crypto map OUTSIDE seq 10 is incomplete due to missing ACL", "it has no access-list"),
    ):
        found = records(
            [
                *asa.init_replied(),
                *asa.auth_received(),
                *asa.verified(9, asa.REMOTE),
                *asa.plat(text, sa=9),
                *asa.policies(9, "ESP: ", "AES-CBC-256 SHA256 Don't use ESN", ""),
                *asa.child_refused(),
            ]
        )
        refused = only(found, negotiation.SelectorsRefused)
        assert [(one.name, one.why) for one in refused.tried] == [("crypto map OUTSIDE 10", why)]
        assert (refused.proposed_local, refused.proposed_remote) == (_net(asa.NET_I), _net(asa.NET_R))
        assert "proposal.refused" not in kinds(found)


def test_a_later_crypto_map_entry_fits() -> None:
    """An entry that does not match is no failure where a later one does."""
    found = records(
        [
            *asa.init_replied(),
            *asa.auth_received(),
            *asa.plat("Crypto Map: No proxy match on map OUTSIDE seq 5", sa=9),
            *asa.plat("PROXY MATCH on crypto map OUTSIDE seq 10", sa=9),
            *asa.policies(9, "ESP: ", "AES-CBC-256 SHA256 Don't use ESN", "AES-CBC-128 SHA256 Don't use ESN"),
        ]
    )
    assert "selectors.refused" not in kinds(found)
    assert "proposal.refused" in kinds(found)


def test_cleared_by_the_operator() -> None:
    """The command at the prompt, the Delete, the data plane's removal and the session manager's reason."""
    spis = f"[ISPI: 0x{asa.SPI_I} RSPI: 0x{asa.SPI_R}]"
    delete = asa.payload("DELETE", "NONE", 8, "    Security protocol id: IKE, spi size: 0, num of spi: 0")
    found = records(
        [
            *asa.init_sent(),
            *asa.init_answered(),
            *asa.auth_accepted(),
            "Hub#",
            "Hub# clear crypto ikev2 sa",
            *asa.proto(7, f"Sending DELETE INFO message for IKEv2 SA {spis}"),
            *asa.message("Sending", 7, "INFORMATIONAL", 2, delete, response=False, initiator=True, sealed=True),
            *asa.plat("Received PFKEY delete SA for SPI 0x1A2B3C4D error FALSE"),
            *asa.proto(7, "Deleting SA"),
            "IKEv2-PLAT-2: ",
            f"CONNECTION STATUS: DOWN... peer: {asa.REMOTE}:500, phase1_id: {asa.REMOTE}",
            *asa.plat("IKEv2 session deregistered from session manager. Reason: 3", sa=7),
            *asa.plat("session manager killed ikev2 tunnel. Reason: Administrator Reset", sa=7),
        ]
    )
    assert only(found, router.CommandEntered).command == "clear crypto ikev2 sa"
    assert only(found, life.DeleteSent).kind == "ike"
    assert only(found, router.EspRemoved).spi == "1a2b3c4d"
    assert only(found, life.SessionDown).cause is CloseReason.CLEARED
    closed = only(found, life.IkeSaClosed)
    assert (closed.reason, closed.cause) == ("Administrator Reset", CloseReason.CLEARED)


def test_behind_a_nat() -> None:
    """The hashes say that the initiator is behind a NAT, and all goes over port 4500 then."""
    found = records(
        [
            *asa.init_sent(),
            *asa.message("Received", 7, "IKE_SA_INIT", 0, asa.init_payloads(), response=True, initiator=False),
            *asa.proto(
                7, "Process NAT discovery notify", "Processing nat detect dst notify", "Local address not matched"
            ),
            *asa.proto(7, "Host is located NAT inside", "Checking NAT discovery", "NAT INSIDE found"),
            *asa.proto(7, "NAT detected float to init port 4500, resp port 4500", "Completed SA init exchange"),
            *asa.message(
                "Sending",
                7,
                "IKE_AUTH",
                1,
                asa.auth_payloads("IDi", asa.WHO_I, asa.NET_I, asa.NET_R),
                response=False,
                initiator=True,
                port=4500,
                sealed=True,
            ),
            *asa.proto(7, "Set NAT keepalive timer 20"),
        ]
    )
    checked = only(found, negotiation.NatChecked)
    assert (checked.local_behind, checked.remote_behind, checked.floated) == (True, False, True)
    assert found[-2].stamp.local == f"{asa.LOCAL}:4500"
    assert checked.supported is True
    assert only(found, life.KeepaliveStarted).seconds == 20


def test_fragmentation() -> None:
    """The IETF's fragmentation is an event, Cisco's own is known and tells none."""
    texts = ("IETF Fragmentation is enabled", "Cisco Fragmentation is enabled", "Fragmentation is enabled")
    found = records([*asa.init_replied(), *asa.proto(9, *texts)])
    assert kinds(found).count("message.fragmentation") == 1


def test_certificate_failure() -> None:
    """A certificate that does not verify is told once: by its line, or by the trace where that is the only sign."""
    spoken = asa.proto(9, "Verify cert failed", "Auth exchange failed")
    traced = [asa.trace(9, "R", "R_VERIFY_AUTH", "EV_CERT_FAIL", message_id=1), asa.trace(9, "R", "EXIT", "EV_ABORT")]
    for end in (spoken, traced, [traced[0], *spoken, traced[1]]):
        method = asa.proto(9, "Peer's authentication method is 'RSA'")
        found = records([*asa.init_replied(), *asa.auth_received(), *method, *end])
        assert only(found, negotiation.AuthRefused).method == 1
        failed = only(found, negotiation.ExchangeFailed)
        assert (failed.exchange, failed.why.startswith("the peer's certificate does not verify")) == (35, True)


def test_peer_id_check() -> None:
    """A certificate without the identity that peer-id-validate wants: the profile is not found, and why."""
    lines = [
        *asa.plat("Peer ID check started, received ID type: IPv4 address"),
        *asa.plat("Peer ID check: failed to retreive IP from SAN", "Peer ID check failed"),
        *asa.proto(9, "Failed to locate an item in the database", "Verify auth failed", "Auth exchange failed"),
    ]
    found = records([*asa.init_replied(), *asa.looked_at(9, asa.REMOTE), *lines])
    refused = only(found, negotiation.ProfileNotFound)
    assert refused.identity == IdentityFact(1, asa.REMOTE)
    why = "Peer ID check: failed to retreive IP from SAN; Peer ID check failed"
    assert [(one.name, one.why) for one in refused.tried] == [(asa.REMOTE, why)]


def test_another_authentication_method() -> None:
    """A key where a certificate is configured: the event says what came and what was wanted."""
    for admitted, wanted in (("9", 1), ("8", 9), ("", 1)):
        lines = [
            *asa.plat(*(f"supported_peers_auth_method = {one}" for one in admitted)),
            *asa.proto(9, "Get peer's authentication method", "Peer's authentication method is 'PSK'"),
            *asa.proto(9, "Peer authentication method configured is mismatching with the method proposed by peer", ""),
            *asa.proto(9, "Verification of peer's authentication data FAILED", "Sending authentication failure notify"),
        ]
        refused = only(records([*asa.init_replied(), *asa.auth_received(), *lines]), negotiation.AuthRefused)
        assert (refused.method, refused.wanted) == (2, wanted)


def test_line_numbers() -> None:
    """A record stands at its first physical line, also where several messages are glued on one."""
    lines = [*asa.init_sent(), *asa.init_answered(), *asa.auth_accepted()]
    found = records(lines)
    sent = next(one for one in found if isinstance(one.event, message.MessageSent))
    assert isinstance(sent.stamp.line, int)
    assert "Sending Packet" in lines[sent.stamp.line - 1]
    assert [one.stamp.seq for one in found] == list(range(1, len(found) + 1))


def test_what_is_said_to_the_data_plane_is_no_unknown_line() -> None:
    """PFKEY and `IPSEC(...)` lines are another part's, with and without the debug's prefix; IKE's own are not."""
    noise = ["PFKEY(1): UPDATE", "Received PFKEY Odd message for SPI 0x1", "IPSEC(odd)-3: Checking", "pfkey_odd: x"]
    lines = [*noise, *asa.plat(*noise), "IKEv2-PROTO-2: (7): Nobody knows this"]
    found = [one for one in read([*asa.init_sent(), *lines]) if type(one) is Unknown]
    assert [one.text for one in found] == ["Nobody knows this"]
