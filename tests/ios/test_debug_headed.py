"""Packets of IOS 15.1's text, which have a header and no addresses; a peer that is heard from another port."""

from __future__ import annotations

import io

import pytest

from ikescope.events.message import MessageReceived, MessageSent
from ikescope.explain.findings import findings
from ikescope.timeline import Timeline
from ikescope.views import read

HEAD = "IKEv2:{sa}Next payload: {first}, version: 2.0 Exchange type: {exchange}, "
HEAD += "flags: {flags} Message id: {id}, length: 9"
QUEUE = "IKEv2:Got a packet from dispatcher\nIKEv2:Processing an item off the pak queue\n"
OLD = "\n".join(
    (
        "IKEv2:% Getting preshared key by address 192.0.2.2",
        "IKEv2:% Matched peer block 'other'",
        HEAD.format(sa="{sa}", first="SA", exchange="IKE_SA_INIT", flags="INITIATOR", id=0),
        "Payload contents:",
        " SA KE N VID",
        QUEUE + HEAD.format(sa="{sa}", first="SA", exchange="IKE_SA_INIT", flags="RESPONDER MSG-RESPONSE", id=0),
        "Payload contents:",
        " SA  Next payload: KE, reserved: 0x0, length: 48",
        "  last proposal: 0x0, reserved: 0x0, length: 44",
        " KE  Next payload: N, reserved: 0x0, length: 136",
        " N  Next payload: NONE, reserved: 0x0, length: 24",
        HEAD.format(sa="{sa}", first="ENCR", exchange="IKE_AUTH", flags="INITIATOR", id=1),
        HEAD.format(sa="{sa}", first="ENCR", exchange="IKE_AUTH", flags="RESPONDER MSG-RESPONSE", id=1),
        "Payload contents:",
        " IDr AUTH NOTIFY(NO_PROPOSAL_CHOSEN)",
    )
)


@pytest.mark.parametrize("sa", ["", "(SA ID = 1):"])
def test_a_header_and_its_payloads_are_a_message(sa: str) -> None:
    """What the dispatcher's queue gave came in, the rest went out; where the role is known the flags say it."""
    records = read.read(io.BytesIO(OLD.replace("{sa}", sa).encode()), "r1.txt")
    found = [one.event for one in records if isinstance(one.event, MessageSent | MessageReceived)]
    assert [(type(one), one.exchange, one.response) for one in found] == [
        (MessageSent, 34, False),
        (MessageReceived, 34, True),
        (MessageSent, 35, False),
        (MessageReceived, 35, True),
    ]
    assert [one.payloads for one in found[:3]] == [("SA", "KE", "N", "VID"), ("SA", "KE", "N"), ("ENCR",)]
    assert found[3].inner == ("IDr", "AUTH", "NOTIFY(NO_PROPOSAL_CHOSEN)")


def received(peer: str, number: int) -> str:
    """A packet of the peer's."""
    return (
        f"IKEv2:(SESSION ID = 1,SA ID = 1):Received Packet [From {peer}/To 192.0.2.1:4500/VRF i0:f0] \n"
        f"Initiator SPI : 00112233445566A7 - Responder SPI : 8877665544332211 Message id: {number}\n"
        "IKEv2 INFORMATIONAL Exchange REQUEST \n"
    )


def rebound(*peers: str) -> list[str]:
    """The findings of packets that come from these."""
    text = "".join(received(peer, number) for number, peer in enumerate(peers, 2))
    return [one.id for one in findings(Timeline().extend(read.read(io.BytesIO(text.encode()), "r1.txt")))]


def test_another_port_within_an_sa_is_a_nat_that_forgot() -> None:
    """The peer of an IKE SA is heard from another port: its NAT has made a new mapping (RFC 7296 section 2.23)."""
    assert rebound("198.51.100.2:4500", "198.51.100.2:1027") == ["nat-rebinding"]


def test_the_move_to_port_4500_is_none() -> None:
    """NAT traversal itself changes 500 to 4500."""
    assert rebound("198.51.100.2:500", "198.51.100.2:4500", "198.51.100.2:4500") == []
