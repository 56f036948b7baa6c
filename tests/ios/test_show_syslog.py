"""Syslog lines from events."""

from ikescope.events import UNSET, Event, IdentityFact, Record, Stamp, life, negotiation, router
from ikescope.ios import syslog

PEER = IdentityFact(1, "10.0.0.2")
DELETED = life.CloseReason.PEER_DELETED


def told(event: Event) -> list[str]:
    """The lines of an event of an SA with 10.0.0.2."""
    stamp = Stamp(seq=1, mono=0.0, wall=1795442701.123, router="R1", local="10.0.0.1:500", peer="10.0.0.2:500")
    return syslog.lines(Record(stamp, event), stamps=False)


def test_a_session_going_up_and_down_is_told_as_ios_tells_it() -> None:
    """The line of `crypto logging ikev2`, with its wide gap before the identity."""
    up = told(life.SessionUp(local=IdentityFact(1, "10.0.0.1"), remote=PEER, index=1))
    shape = "%CRYPTO-5-IKEV2_SESSION_STATUS: Crypto tunnel v2 is {}.  Peer 10.0.0.2:500       Id: {}"
    assert up == [shape.format("UP", "10.0.0.2")]
    assert told(life.SessionDown(reason="deleted", cause=DELETED, remote=PEER)) == [shape.format("DOWN", "10.0.0.2")]
    assert told(life.SessionDown(reason="deleted", cause=DELETED, remote=UNSET)) == [shape.format("DOWN", "unknown")]


def test_line_protocol_is_told_with_a_time_stamp() -> None:
    """%LINEPROTO-5-UPDOWN, as on any IOS console."""
    record = Record(Stamp(seq=1, mono=0.0, wall=1795442701.123, router="R1"), router.InterfaceUp(interface="Tunnel0"))
    line = "%LINEPROTO-5-UPDOWN: Line protocol on Interface Tunnel0, changed state to up"
    assert syslog.lines(record) == [f"*Nov 23 14:05:01.123: {line}"]
    assert told(router.InterfaceDown(interface="Tunnel0", reason="x"))[0].endswith("changed state to down")


def test_esp_with_an_unknown_spi_is_told_as_ios_tells_it() -> None:
    """The SPI stands in hexadecimal and decimal; a reason without IOS words is told under a name of ours."""
    drop = router.EspDropped(
        reason="no SA has this SPI", spi="a54d38a4", source="10.0.0.2", destination="10.0.0.1", count=3
    )
    assert told(drop) == [
        "%CRYPTO-4-RECVD_PKT_INV_SPI: decaps: rec'd IPSEC packet has invalid spi for destaddr=10.0.0.1, prot=50, "
        "spi=0xA54D38A4(2773301412), srcaddr=10.0.0.2, 3 packets"
    ]
    other = router.EspDropped(reason="too short for ESP", spi="", source="10.0.0.2", destination="10.0.0.1", count=1)
    assert told(other) == ["%CRYPTO-4-IKESCOPE_ESP_DROP: too short for ESP, destaddr=10.0.0.1, srcaddr=10.0.0.2"]
    counted = router.EspDropped(reason="no SA has this SPI", spi="", source="", destination="", count=2)
    assert told(counted) == ["%CRYPTO-4-IKESCOPE_ESP_DROP: no SA has this SPI, 2 packets"]


def test_most_events_have_no_syslog_line() -> None:
    """What the debug tells is not told twice."""
    assert told(negotiation.PolicyVerified()) == []
